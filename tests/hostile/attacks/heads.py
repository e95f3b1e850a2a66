"""Request heads that come slowly, never, too large or twisted."""

from __future__ import annotations

import re
import time

from tests.benchmarks.framing import TEXT

from ..scene import Scene, attack
from ..swarm import CLOSED, OPEN, Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, dial, frame, upgrade
from .noise import expect

HOST = b"Host: chat.example.org\r\n"
ANSWER = re.compile(rb"^HTTP/1\.1 \d{3} ", re.MULTILINE)
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: chat.example.org\r\n\r\n"
PATIENCE = 4.0  # seconds for the server to give up, as it is told to do after two


@attack("slow heads")
def slow_heads(scene: Scene) -> int:
    """500 sockets at once that send their heads a byte a second: each is answered 408 in time, and closed."""
    count = scene.count(500, 200)
    socks = [dial(scene.port) for _ in range(count)]
    try:
        began = time.monotonic()
        for at in range(3):
            for sock in socks:
                try:
                    sock.sendall(upgrade()[at : at + 1])
                except ConnectionError:
                    if at < 2:
                        raise Broken(f"cut after {at} s, before its time") from None
            time.sleep(max(0.0, began + at + 1 - time.monotonic()))
        for sock in socks:
            answer = sock.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 408"):
                raise Broken(f"a slow head was answered {answer[:80]!r}")
    finally:
        for sock in socks:
            sock.close()
    return count


@attack("silent sockets", bounds=Bounds(lines=0.3, memory=32))
def silent_sockets(scene: Scene) -> int:
    """5,000 sockets at once that say nothing, before a head or behind it: 408, or 4500, and closed."""
    count = scene.count(5000, 1000)
    done = Swarm(scene.port, at_once=count, patience=PATIENCE + 8).run(
        Dial(upgrade() if n % 5 == 0 else b"GET / HT" if n % 5 == 1 else b"") for n in range(count)
    )
    expect(done, 101, 408)
    for one in done:
        if one.data.startswith(b"GET /ws") and b"\x11\x94" not in one.received:
            raise Broken(f"who upgraded and said nothing was not told 4500, but {one.received[-40:]!r}")
        if not one.data and one.status != 408:
            raise Broken(f"who said nothing was not told 408, but {one.received[:40]!r}")
    return len(done)


@attack("heads too large")
def heads_too_large(scene: Scene) -> int:
    """Heads of 17 KiB, of 10,000 headers, a line without end: 431 or 400, and nothing of what is behind is read."""
    large = [
        b"GET / HTTP/1.1\r\n" + HOST + b"X-Large: " + b"a" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(10_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"A" * 1_000_000,
        b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"a=b; " * 200_000,
        b"\r\n" * 500_000,
        upgrade("?ticket=" + "a" * 17_000),
    ]
    times = scene.count(50, 10)
    done = Swarm(scene.port, at_once=100).run(Dial(one) for _ in range(times) for one in large)
    for one in done:
        if one.end == OPEN or (one.received and one.status not in (400, 408, 431)):
            raise Broken(f"{len(one.data)} bytes, {one.data[:40]!r}…, were answered {one.received[:80]!r}, {one.end}")
    return len(done)


# A request, and whether what is behind it may be answered as a request of its own: it never may be where the two ends
# of a proxy could disagree on where a request ends (RFC 9112 section 11.2).
SHAPES = {
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 50\r\n\r\n",
    "two lengths in one": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0, 50\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET, chunked and length": b"GET / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, misspelt": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then another": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked of 1.0": b"GET / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length : 50\r\n\r\n",
    "tab before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding\t: chunked\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n Content-Length: 50\r\nContent-Length:\r\n 50\r\n\r\n",
    "NUL in the path": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "CR in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rContent-Length: 50\r\n\r\n",
    "signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +50\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "length in hex": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x32\r\n\r\n",
    "length of 400 digits": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
    "chunk of 2^100": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1" + b"0" * 25 + b"\r\n",
    "signed chunk": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk extension without end": b"GET / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n1;"
    + b"a" * 100_000,
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "upgrade with a body": upgrade("", "Content-Length: 50"),
    "upgrade, chunked": upgrade("", "Transfer-Encoding: chunked"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "no version": b"GET /\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: chat.example.org\nContent-Length: 50\n\n",
}
# What may be answered, as a request of an odd form that is clear all the same; but never as if it were another one.
CLEAR = {
    b"GET http://evil.example/ws HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404),
    b"GET //ws HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404),
    b"GET /ws/../healthz HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404),
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404),
    b"GET /%77s HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404),
    b"GET * HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404),
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404, 405),
    b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n": (400, 404, 405),
    b"TRACE / HTTP/1.1\r\n" + HOST + b"X-Secret: 1\r\n\r\n": (400, 405),
    b"get / HTTP/1.1\r\n" + HOST + b"\r\n": (400, 405),
}


@attack("request smuggling")
def request_smuggling(scene: Scene) -> int:
    """Heads that two programs could read as two requests: never is what is behind them answered, and all are closed."""
    times = scene.count(20, 3)
    shapes = {request + SMUGGLED: name for name, request in SHAPES.items()}
    done = Swarm(scene.port, at_once=200).run(Dial(one) for _ in range(times) for one in shapes)
    for one in done:
        name = shapes[one.data]
        if len(ANSWER.findall(one.received)) > 1:
            raise Broken(f"{name}: there were two answers: {one.received[:2000]!r}")
        if one.end == OPEN:
            raise Broken(f"{name}: it was kept open: {one.received[:200]!r}")
        if b"smuggled" in one.received or b"X-Secret" in one.received:
            raise Broken(f"{name}: the request came back: {one.received!r}")
    odd = Swarm(scene.port, at_once=200, patience=PATIENCE).run(Dial(one) for _ in range(times) for one in CLEAR)
    for one in odd:
        if one.received and one.status not in CLEAR[one.data]:
            raise Broken(f"{one.data[:60]!r} was answered {one.received[:80]!r}")
        if b"X-Secret" in one.received:
            raise Broken(f"{one.data[:60]!r} came back: {one.received!r}")
    return len(done) + len(odd)


@attack("frames behind a refused upgrade")
def frames_behind_a_refusal(scene: Scene) -> int:
    """Upgrades that must be refused, with frames behind them: none of these is ever taken for one."""
    connect = frame(TEXT, b'{"type": "connect", "username": "stowaway"}')
    wrong = [
        upgrade().replace(b"Version: 13", b"Version: 12"),
        upgrade().replace(b"GET", b"POST"),
        upgrade().replace(b"Connection: Upgrade", b"Connection: close"),
        upgrade().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"),
        upgrade().replace(b"Protocol: chat", b"Protocol: mqtt"),
        upgrade().replace(b"/ws", b"/WS"),
        upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
        upgrade().replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    ]
    done = Swarm(scene.port, at_once=100).run(Dial(one + connect) for _ in range(scene.count(100, 20)) for one in wrong)
    for one in done:
        if one.status in (0, 101) or one.end != CLOSED or b"welcome" in one.received:
            raise Broken(f"{one.data[:60]!r}… was answered {one.received[:200]!r}, {one.end}")
    return len(done)
