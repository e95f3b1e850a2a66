"""What is no HTTP and no WebSocket at all."""

from __future__ import annotations

import ssl
from random import Random

from ..scene import Scene, attack
from ..swarm import OPEN, Dial, Swarm
from ..wire import Broken, upgrade

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def expect(dials: list[Dial], *statuses: int) -> None:
    """Every answer is one of `statuses` or none at all (0), and nobody is left open.

    Raises:
        Broken: one is not.
    """
    for dial in dials:
        if dial.end == OPEN:
            raise Broken(f"still open after {dial.seconds:.1f} s: {dial.data[:80]!r}")
        if dial.received and dial.status not in statuses:
            raise Broken(f"{dial.data[:80]!r} was answered {dial.received[:80]!r}")


@attack("random bytes")
def random_bytes(scene: Scene) -> int:
    """10,000 connections of random bytes, which go at once, or break, or stay: 400, 408 or 431, and closed."""
    rng = scene.rng
    leaves = ("fin", "rst", "", "")
    dials = (
        Dial(rng.randbytes(rng.randrange(1, 3000)), leave=rng.choice(leaves)) for _ in range(scene.count(10_000, 1000))
    )
    done = Swarm(scene.port, at_once=1000).run(dials)
    expect(done, 400, 408, 431)
    return len(done)


@attack("random bytes as frames")
def random_frames(scene: Scene) -> int:
    """2,000 upgrades with random bytes behind them: closed with a code or by time, and never anything but frames."""
    rng = scene.rng
    dials = (
        Dial(upgrade() + rng.randbytes(rng.randrange(1, 3000)), leave=rng.choice(("rst", "", "", "")))
        for _ in range(scene.count(2000, 200))
    )
    done = Swarm(scene.port, at_once=300).run(dials)
    expect(done, 101)
    return len(done)


def hello(name: str = "chat.example.org") -> bytes:
    """A true ClientHello (RFC 8446 section 4.1.2)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = CONTEXT.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a server")


def tls_garbage(rng: Random) -> bytes:
    """A ClientHello: whole, cut, spoilt, with another length, or one of SSL 2."""
    whole = bytearray(hello(f"{rng.randrange(10**9)}.example.org"))
    kind = rng.randrange(5)
    if kind == 1:
        del whole[rng.randrange(1, len(whole)) :]
    elif kind == 2:
        for _ in range(20):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
    elif kind == 3:
        whole[3:5] = rng.randbytes(2)
    elif kind == 4:
        return b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + rng.randbytes(35)
    return bytes(whole)


@attack("TLS at the plain port")
def tls_at_the_plain_port(scene: Scene) -> int:
    """1,000 TLS hellos, whole and spoilt, where no TLS is spoken: 400 or 408, and closed."""
    done = Swarm(scene.port).run(Dial(tls_garbage(scene.rng)) for _ in range(scene.count(1000, 200)))
    expect(done, 400, 408, 431)
    return len(done)
