"""Headers of the PROXY protocol: from those who are nobody's proxy, and broken ones from who is."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from random import Random

from tests.server.test_proxy import BAD, GOOD
from trio_chat.server.proxy import MAX_V1, MAX_V2, SIGNATURE

from ..entrance import HOME
from ..scene import Scene, attack
from ..swarm import OPEN, Dial, Swarm
from ..target import PROXY
from ..vitals import Bounds
from ..wire import Broken, dial, drip, upgrade
from .pages import HEALTH

ALLOWED = 20 * 2  # upgrades of an address, as often as it may in the time that an attack takes
SHIFTED = (101, 400, 403, 404, 405, 408, 426, 429)  # a header of another length takes some of the request with it
LATE = 4.0  # seconds, of a header that must be whole within two


def v1(client: str, kind: int = 4) -> bytes:
    """The line of a proxy that passes on `client`."""
    return f"PROXY TCP{kind} {client} {'127.0.0.1' if kind == 4 else '::1'} 5000 443\r\n".encode()


def v2(client: str) -> bytes:
    """The same in binary; an IPv4 address of IPv6 form goes as such."""
    address = ipaddress.ip_address(client)
    family = b"\x11" if address.version == 4 else b"\x21"
    addresses = address.packed * 2 + b"\x13\x88\x01\xbb"
    return SIGNATURE + b"\x21" + family + len(addresses).to_bytes(2, "big") + addresses


def knock(scene: Scene, *dials: Dial) -> list[int]:
    """The statuses of upgrades that say nothing then."""
    return [one.status for one in Swarm(scene.port, patience=1.0).run(dials)]


def home_is_served(scene: Scene) -> None:
    """The bystander's address is let in through the proxy, too. Raises Broken."""
    statuses = knock(scene, Dial(v1(HOME) + upgrade(), PROXY), Dial(v2(HOME) + upgrade(), PROXY))
    if statuses != [101, 101]:
        raise Broken(f"somebody else's address was kept out for it: {statuses}")


@attack("PROXY headers from anybody", setting="proxied")
def from_anybody(scene: Scene) -> int:
    """3,000 who are no proxy and name another's address, in both versions: 400 for themselves, no ban for others."""
    source = f"127.6.0.{1 + scene.rng.randrange(250)}"
    heads = (v1(HOME), v2(HOME), v1("203.0.113.{n}"), v1("::1", 6), v2(f"::ffff:{HOME}"), v1(PROXY), SIGNATURE)
    dials = [
        Dial(heads[n % len(heads)].replace(b"{n}", b"%d" % (n % 256)) + (upgrade(), HEALTH)[n % 2], source)
        for n in range(scene.count(3000, 500))
    ]
    for one in Swarm(scene.port).run(dials):
        if one.end == OPEN or one.status not in (0, 400, 403, 408, 429):
            raise Broken(f"{one.data[:60]!r} was answered {one.received[:60]!r}, {one.end}")
    if (own := knock(scene, Dial(upgrade(), source))) not in ([403], [429]):
        raise Broken(f"after {len(dials)} attempts the address itself was answered {own}")
    home_is_served(scene)
    return len(dials)


def broken_headers(rng: Random, count: int) -> Iterator[bytes]:
    """What is no header, or is without an end; random bytes, and headers that are cut."""
    yield from (*BAD, SIGNATURE * 3, b"\r\n" * 5000, b"PROXY " + b"x" * 1_000_000, b"PROXY UNKNOWN " + b"x" * MAX_V1)
    yield SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 70_000
    yield SIGNATURE + b"\x21\x11" + MAX_V2.to_bytes(2, "big") + b"x" * (MAX_V2 - 1)
    for _ in range(count):
        header = rng.choice(GOOD)[0]
        yield header[: rng.randrange(1, len(header))]
        yield rng.randbytes(rng.randrange(1, 500))


@attack("broken PROXY headers", setting="proxied")
def broken(scene: Scene) -> int:
    """2,000 headers of the proxy that are cut, random, oversized or endless: dropped unanswered; its clients go on."""
    dials = [Dial(data, PROXY) for data in broken_headers(scene.rng, scene.count(1000, 200))]
    for one in Swarm(scene.port, at_once=300).run(dials):
        if one.end == OPEN or one.received:
            raise Broken(f"{one.data[:60]!r} was answered {one.received[:60]!r}, {one.end}")
    home_is_served(scene)
    return len(dials)


@attack("spoilt PROXY headers", setting="proxied", bounds=Bounds(lines=1.1))
def spoilt(scene: Scene) -> int:
    """5,000 good headers with some bytes changed, ahead of an upgrade: a header or none, never anything else."""
    dials = []
    for _ in range(scene.count(5000, 800)):
        header = bytearray(scene.rng.choice((v1, v2))(f"198.51.100.{scene.rng.randrange(256)}"))
        for _ in range(scene.rng.randrange(1, 4)):
            header[scene.rng.randrange(len(header))] = scene.rng.randrange(256)
        dials.append(Dial(bytes(header) + upgrade(), PROXY))
    for one in Swarm(scene.port, at_once=300, patience=LATE + 2).run(dials):
        if one.end == OPEN or (one.received and one.status not in SHIFTED):
            raise Broken(f"{one.data[:60]!r} was answered {one.received[:60]!r}, {one.end}")
    home_is_served(scene)
    return len(dials)


@attack("PROXY headers a byte a second", setting="proxied", bounds=Bounds(memory=32))
def slowly(scene: Scene) -> int:
    """300 connections of the proxy whose header comes byte by byte: dropped in time, which is for all of it."""
    socks = [dial(scene.port, PROXY) for _ in range(scene.count(300, 100))]
    headers = (v1("203.0.113.5"), v2("203.0.113.5"))
    drip([(sock, headers[n % 2]) for n, sock in enumerate(socks)], LATE, 1.0, "a header")
    home_is_served(scene)
    return len(socks)


@attack("addresses forged behind a PROXY header", setting="proxied")
def forged_behind(scene: Scene) -> int:
    """Clients behind the proxy that claim to be others, or spell themselves otherwise: it is they who are banned."""
    client = f"203.0.113.{1 + scene.rng.randrange(250)}"
    own = (v1(client), v2(client), v1(f"::ffff:{client}", 6), v2(f"::ffff:{client}"))
    claims = (upgrade("", f"X-Forwarded-For: {HOME}"), upgrade("", f"Forwarded: for={HOME}"), upgrade())
    dials = [
        Dial(own[n % len(own)] + (v1(HOME) + upgrade() if n % 4 == 3 else claims[n % 3]), PROXY)
        for n in range(scene.count(2000, 400))
    ]
    statuses = Counter(one.status for one in Swarm(scene.port, patience=1.0).run(dials))
    if set(statuses) - {101, 400, 403, 429} or not 0 < statuses[101] <= ALLOWED or not statuses[403]:
        raise Broken(f"one client behind the proxy was answered {dict(statuses)}")
    networks = [f"2001:db8:0:7::{n:x}" for n in range(1, 61)]
    told = Counter(knock(scene, *(Dial(v1(one, 6) + upgrade(), PROXY) for one in networks)))
    if told[101] > 20 or not told[403]:
        raise Broken(f"60 addresses of one /64 were answered {dict(told)}")
    home_is_served(scene)
    return len(dials) + len(networks)
