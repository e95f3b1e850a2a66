"""TLS that is broken, begun and not ended, or begun again and again, and what comes to a port of TLS in its place."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

from OpenSSL import SSL

from ..scene import Outcome, Scene, attack
from ..swarm import OPEN, Dial, Swarm
from ..vitals import Bounds
from ..wire import PONG, SECONDS, Broken, Raw, dial, drip, frame, text, upgrade
from .frames import LOGGED
from .noise import hello, tls_garbage
from .pages import HEALTH, PAGE
from .readers import SMALL_MSS

COUNTED = "127.5.0.{n}"  # addresses that the server counts
ALERT, HANDSHAKE, DATA = 21, 22, 23  # kinds of records (RFC 8446 section 5.1)
HALF = b"\x3e\x80"  # the length of a record that does not come whole
IN_THE_CLEAR = b"Here is TLS only"
BURST, WINDOW = 1000, 15.0  # handshakes that one address may begin at once, and again in so many seconds
PAUSE = 0.025  # seconds between messages: more than it takes to be no flood
LATE = 3.0  # seconds, of a handshake that must end within two


def record(kind: int, payload: bytes, *, length: int | None = None) -> bytes:
    """A record of TLS; it may claim another `length` than it has."""
    size = len(payload) if length is None else length
    return bytes((kind, 3, 3)) + size.to_bytes(2, "big") + payload


def closed_unanswered(done: list[Dial], *, late: float = LATE) -> None:
    """All are closed in time, and told nothing but what TLS says. Raises Broken."""
    for one in done:
        if one.end == OPEN or one.seconds > late:
            raise Broken(f"after {one.seconds:.1f} s it is {one.end}: {one.data[:60]!r}")
        if one.received and one.received[0] not in (ALERT, HANDSHAKE):
            raise Broken(f"{one.data[:60]!r} was answered {one.received[:60]!r}")


@attack("TLS garbage", setting="tls")
def garbage(scene: Scene) -> int:
    """3,000 handshakes of random, spoilt, cut and oversized records: an alert at most, and closed in time."""
    rng = scene.rng

    def dials() -> Iterator[Dial]:
        for n in range(scene.count(3000, 400)):
            kinds: tuple[Callable[[], bytes], ...] = (
                lambda: tls_garbage(rng),
                lambda: b"\x16" + rng.randbytes(rng.randrange(1, 3000)),
                lambda: record(HANDSHAKE, rng.randbytes(200)),
                lambda: record(HANDSHAKE, rng.randbytes(200), length=65_535),
                lambda: record(HANDSHAKE, b"\x01" + b"\xff" * 3 + rng.randbytes(100)) * 20,
                lambda: hello() + record(DATA, rng.randbytes(500)),
                lambda: hello() * 3,
                lambda: record(HANDSHAKE, b"") * 500,
            )
            yield Dial(kinds[n % len(kinds)](), leave=rng.choice(("", "", "fin", "rst")))

    done = Swarm(scene.port).run(dials())
    closed_unanswered(done)
    return len(done)


@attack("half handshakes", setting="tls", bounds=Bounds(memory=32))
def half_handshakes(scene: Scene) -> int:
    """1,000 sockets at once that begin a handshake and stop, after any byte: each is dropped within its two seconds."""
    count = scene.count(1000, 300)
    whole = hello()
    dials = (Dial(whole[: 1 + scene.rng.randrange(len(whole))] if n % 2 else whole) for n in range(count))
    done = Swarm(scene.port, at_once=count).run(dials)
    closed_unanswered(done, late=LATE + 3)  # those that came last were accepted late
    return count


@attack("handshakes a byte a second", setting="tls", bounds=Bounds(memory=32))
def slow_handshakes(scene: Scene) -> int:
    """300 sockets at once that send a ClientHello byte by byte: the time is for all of it, and not for a byte."""
    socks = [dial(scene.port) for _ in range(scene.count(300, 100))]
    whole = hello()
    drip([(sock, whole) for sock in socks], LATE, 0.25, "a handshake")
    return len(socks)


@attack("no TLS at the port of TLS", setting="tls")
def in_the_clear(scene: Scene) -> int:
    """2,000 requests, upgrades and random bytes in the clear: 400 to what begins with a letter, and never any more."""
    plain = (
        PAGE,
        HEALTH,
        upgrade(),
        upgrade() + text(type="connect", username="in the clear"),
        b"\r\n\r\n",
        b"\x80.\1",
    )
    dials = (
        Dial(plain[n % len(plain)] if n % 2 else scene.rng.randbytes(300), leave=("", "", "rst")[n % 3])
        for n in range(scene.count(2000, 400))
    )
    done = Swarm(scene.port).run(dials)
    for one in done:
        if one.end == OPEN or (one.received and one.received[0] != ALERT and one.status != 400):
            raise Broken(f"{one.data[:60]!r} was answered {one.received[:60]!r}, {one.end}")
        if one.data[:1].isalpha() and not one.leave and IN_THE_CLEAR not in one.received:
            raise Broken(f"{one.data[:60]!r} was not told that here is TLS, but {one.received[:200]!r}")
    return len(done)


@attack("flood of ClientHello", setting="tls", bounds=Bounds(memory=32))
def hello_flood(scene: Scene) -> Outcome:
    """10,000 handshakes that are begun and reset, from one address: after 1,000 no more are begun with it."""
    count = scene.count(10_000, 2500)
    whole, began = hello(), time.monotonic()
    source = COUNTED.format(n=1 + scene.rng.randrange(250))
    done = Swarm(scene.port, at_once=100, patience=0.3).run(
        Dial(whole, source, "" if n % 5 else "rst") for n in range(count)
    )
    answered = sum(bool(one.received) for one in done)
    most = BURST + BURST / WINDOW * (time.monotonic() - began)
    if not 0 < answered <= most:
        raise Broken(f"{answered} handshakes of one address were answered, of at most {most:.0f}")
    return Outcome(count, f"{answered} were answered")


@attack("handshakes again and again", setting="tls", bounds=Bounds(lines=LOGGED))
def again_and_again(scene: Scene) -> int:
    """Whole handshakes, and in their sessions a hello in the clear, half a record, an alert or garbage: each ends."""
    count = scene.count(1000, 100)
    within: tuple[bytes, ...] = (
        hello(),
        record(DATA, b"x" * 100),
        record(DATA, b"x" * 100, length=int.from_bytes(HALF, "big")),
        record(DATA, b"x" * 20_000),
        record(ALERT, b"\x02\x28"),
        b"GET / HTTP/1.1\r\n\r\n",
        scene.rng.randbytes(500),
    )
    for n in range(count):
        raw = scene.entrance.enter(f"renewer {n}")
        try:
            plain = socket.socket(fileno=raw.sock.detach())
            plain.settimeout(SECONDS)
            plain.sendall(within[n % len(within)])
            if n % 2 or within[n % len(within)][3:5] == HALF:
                plain.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while plain.recv(65_536):
                    pass
        except TimeoutError:
            raise Broken(f"{within[n % len(within)][:40]!r} within a session did not end it") from None
        finally:
            plain.close()
    return count


@attack("half records", setting="tls", bounds=Bounds(lines=LOGGED))
def half_records(scene: Scene) -> int:
    """100 sessions that send half a record and go silent: it is no sign of life, and they are dropped."""
    raws = [scene.entrance.enter(f"halver {n}") for n in range(scene.count(100, 40))]
    plains = [socket.socket(fileno=raw.sock.detach()) for raw in raws]
    try:
        for plain in plains:
            plain.settimeout(SECONDS)
            plain.sendall(record(DATA, b"x" * 100, length=int.from_bytes(HALF, "big")))
        for plain in plains:
            with suppress(ConnectionError):
                while plain.recv(65_536):
                    pass
    except TimeoutError:
        raise Broken("half a record keeps a session alive") from None
    finally:
        for plain in plains:
            plain.close()
    return len(plains)


@attack("renegotiation", setting="tls", bounds=Bounds(lines=LOGGED))
def renegotiation(scene: Scene) -> int:
    """200 clients of TLS 1.2 that ask for a new handshake within their session: none gets one."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    count = scene.count(200, 40)
    for _ in range(count):
        with dial(scene.port) as plain:
            plain.settimeout(None)  # pyOpenSSL takes a socket that blocks
            secure = SSL.Connection(context, plain)
            secure.set_connect_state()
            secure.do_handshake()
            secure.sendall(upgrade())
            if not secure.recv(4096).startswith(b"HTTP/1.1 101"):
                raise Broken("a client of TLS 1.2 was not let in")
            with suppress(SSL.Error):
                secure.renegotiate()
                secure.do_handshake()
                raise Broken("a new handshake was granted within a session")
    return count


@attack("wss clients that stop reading", setting="tls", bounds=Bounds(lines=LOGGED, more_lines=100, memory=32))
def deaf_clients(scene: Scene) -> Outcome:
    """50 clients over TLS that stop reading in a room where others talk: cut within seconds, and these hear all."""
    room, rounds = "the deaf café", scene.count(4, 1)
    held = 0
    with scene.entrance.enter("the talker") as talker:
        talker.ask("join", room=room)
        for turn in range(rounds):
            with ExitStack() as stack:
                before = _sockets(scene)
                those = [deaf(scene, f"deaf {turn} {n}", room, stack) for n in range(scene.count(50, 20))]
                held = max(held, _talk(scene, talker, room, those, before))
        talker.leave()
    return Outcome(rounds * scene.count(50, 20), f"gone after {held} messages of 32 KB")


def deaf(scene: Scene, name: str, room: str, stack: ExitStack) -> Raw:
    """Somebody who joins, and reads nothing any more."""
    raw = scene.entrance.enter(name)
    stack.callback(raw.sock.close)
    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_MSS)
    raw.ask("join", room=room)
    return raw


def _talk(scene: Scene, talker: Raw, room: str, deaf: list[Raw], sockets: int) -> int:
    """Say something of 32 KB, and hear it, until the server has no more sockets than that; how often.

    Those who do not read show that they are alive: it is not for silence that they are cut.

    Raises:
        Broken: it goes on having more.
    """
    deadline = time.monotonic() + 20
    said = 0
    while _sockets(scene) > sockets:
        if time.monotonic() > deadline:
            raise Broken(f"who does not read is still there after {said} messages")
        said += 1
        talker.send(type="message", room=room, content="x" * 32_000, id=said)
        while (event := talker.receive())["type"] != "message":
            if event["type"] == "error":
                raise Broken(f"the talker was answered {event}")
        for raw in deaf:
            with suppress(OSError):
                raw.sock.sendall(frame(PONG))
        time.sleep(PAUSE)
    return said


def _sockets(scene: Scene) -> int:
    return scene.target.vitals().descriptors["socket"]
