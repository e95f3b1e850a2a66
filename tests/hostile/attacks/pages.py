"""Requests for pages: too many, too slowly read, and with forged headers."""

from __future__ import annotations

import time
from collections import Counter

from ..entrance import HOME
from ..scene import Scene, attack
from ..swarm import OPEN, Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, dial, upgrade
from .noise import expect

PAGE = b"GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: chat.example.org\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n\r\n"


@attack("answers that nobody reads")
def unread_answers(scene: Scene) -> int:
    """200 clients that ask for pages without end and read none: given up within seconds, at nobody's cost."""
    count = scene.count(200, 50)
    socks = [dial(scene.port, receive_buffer=4096) for _ in range(count)]
    asked = 0
    try:
        for sock in socks:
            sock.setblocking(False)
        deadline = time.monotonic() + 12
        left = list(socks)
        while left and time.monotonic() < deadline:
            for sock in list(left):
                try:
                    asked += sock.send(PAGE * 100) // len(PAGE)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    left.remove(sock)
            time.sleep(0.05)
        if left:
            raise Broken(f"{len(left)} of {count} are still served after 12 s without reading")
    finally:
        for sock in socks:
            sock.close()
    return asked


@attack("pages, one byte a read")
def slow_reading(scene: Scene) -> int:
    """100 clients that read a page a few bytes at a time: they may; it is in the kernel, and nothing waits for them."""
    socks = [dial(scene.port, receive_buffer=4096) for _ in range(scene.count(100, 50))]
    try:
        for sock in socks:
            sock.sendall(PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        for _ in range(20):
            for sock in socks:
                if not sock.recv(10):
                    raise Broken("a page ended too soon")
            time.sleep(0.05)
    finally:
        for sock in socks:
            sock.close()
    return len(socks)


@attack("pipelined requests")
def pipelined(scene: Scene) -> int:
    """100 clients with 1,000 requests in one breath: all are answered in order, and nobody waits for all of them."""
    clients, each = scene.count(100, 50), scene.count(1000, 200)
    done = Swarm(scene.port, at_once=clients, patience=120).run(
        Dial(HEALTH * (each - 1) + LAST) for _ in range(clients)
    )
    expect(done, 200)
    sizes = {one.total for one in done}
    if len(sizes) != 1 or any(one.end == OPEN for one in done):
        raise Broken(f"they were sent {sorted(sizes)} bytes, which should be as many each")
    if done[0].received.count(b"HTTP/1.1 200") < min(each, 100):
        raise Broken(f"there were {done[0].received.count(b'HTTP/1.1 200')} answers to {each} requests")
    return clients * each


FOREIGN = (
    "https://evil.example",
    "https://chat.example.org.evil.example",
    "https://evilchat.example.org",
    "https://chat.example.org@evil.example",
    "https://chat.example.org:443@evil.example",
    "https://chat.example.org%2eevil.example",
    "https://chat.example.org:8443",
    "http://chat.example.org",
    "https://chat.example.org/",
    "https://chat.example.org, https://evil.example",
    "null",
    "file://",
    "chat.example.org",
    "https://CHAT.example.org.",
    "https://ch\xe4t.example.org",
    "//",
    "https://[",
    "https://[::1",
    "*",
)


@attack("forged origins and hosts", setting="guarded", bounds=Bounds(lines=1.1))
def forged_origins(scene: Scene) -> int:
    """Origins that look like the allowed one, twice, with another Host: 403 or 400; the true one comes in."""
    dials = []
    for n in range(scene.count(20, 3)):
        for at, origin in enumerate(FOREIGN):
            source = f"127.{3 + n}.0.{1 + at}"
            asked = upgrade("", f"Origin: {origin}").replace(b"Host: chat.example.org", b"Host: other.example")
            dials.append(Dial(asked, source))
            dials.append(Dial(upgrade("", f"Origin: {origin}", "Origin: https://chat.example.org"), source))
            dials.append(Dial(upgrade("", "Origin: https://chat.example.org", f"Origin: {origin}"), source))
            dials.append(Dial(asked.replace(b"Host:", b"X-Forwarded-Host: chat.example.org\r\nHost:"), source))
    done = Swarm(scene.port).run(dials)
    for one in done:
        if one.status not in (400, 403):
            raise Broken(f"{one.data[:400]!r} was answered {one.received[:60]!r}")
    true = Swarm(scene.port, patience=1).run([Dial(upgrade("", "Origin: https://chat.example.org"), "127.0.3.1")])
    if true[0].status != 101:
        raise Broken(f"the origin that is allowed was answered {true[0].received[:60]!r}")
    return len(done)


FORGED = (
    "203.0.113.{n}",
    HOME,
    f"{HOME}, {HOME}",
    "127.0.0.7",
    "127.0.0.7, 203.0.113.{n}",
    "::1",
    "::ffff:203.0.113.{n}",
    "203.0.113.{n}:80, " * 500,
    "unknown, _hidden, \xff",
    "",
)


@attack("forged X-Forwarded-For", setting="guarded", bounds=Bounds(lines=0.1))
def forged_forwarded(scene: Scene) -> int:
    """Upgrades from one address that claim to be others, or come from the proxy: it is that address that is banned."""
    count = scene.count(2000, 500)
    dials = [
        Dial(upgrade("", "X-Forwarded-For: " + FORGED[n % len(FORGED)].format(n=n % 256)), "127.0.0.6")
        for n in range(count)
    ]
    done = Swarm(scene.port, patience=1).run(dials)
    statuses = Counter(one.status for one in done)
    if statuses[101] > 2 * 20:
        raise Broken(f"an address with forged headers was let in {statuses[101]} times")
    # Through the proxy, what the attacker wrote stands left of what the proxy did: 203.0.113.9 is whom it is.
    proxied = [
        Dial(upgrade("", f"X-Forwarded-For: 198.51.100.{n}, {HOME}, 203.0.113.9"), "127.0.0.7") for n in range(100)
    ]
    told = Counter(one.status for one in Swarm(scene.port, patience=1).run(proxied))
    if told[101] > 20 or not told[403]:
        raise Broken(f"behind the proxy, one address was answered {dict(told)}")
    other = [Dial(upgrade("", "X-Forwarded-For: 203.0.113.10"), "127.0.0.7")]
    if Swarm(scene.port, patience=1).run(other)[0].status != 101:
        raise Broken("behind the proxy, another address was kept out")
    return len(done) + len(proxied)
