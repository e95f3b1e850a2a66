"""TCP connections that end in odd ways, or at odd moments."""

from __future__ import annotations

import socket

from ..scene import Scene, attack
from ..swarm import Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, dial, frame, reset, text, upgrade
from .frames import LOGGED

HELLO = upgrade() + text(type="connect", username="halved")
POST = text(type="message", room="halves", content="h" * 5000)


@attack("half-closed sockets", bounds=Bounds(lines=LOGGED))
def half_closed(scene: Scene) -> int:
    """Sockets that are shut down for sending at every stage, and wait: the server closes them, and keeps nothing."""
    stages: tuple[bytes, ...] = (
        b"",
        b"GET",
        HELLO[:100],
        upgrade(),
        HELLO[:-5],
        HELLO,
        HELLO + POST[:-1],
        HELLO + POST,
    )
    stages += (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    times = scene.count(50, 10)
    for stage in stages:
        socks = [dial(scene.port) for _ in range(times)]
        try:
            for sock in socks:
                sock.sendall(stage)
                sock.shutdown(socket.SHUT_WR)
            for sock in socks:
                try:
                    while sock.recv(65_536):
                        pass
                except TimeoutError:
                    raise Broken(f"a socket that was half closed after {stage[-40:]!r} is still open") from None
                except ConnectionError:
                    continue
        finally:
            for sock in socks:
                sock.close()
    return times * len(stages)


@attack("resets", bounds=Bounds(lines=LOGGED))
def resets(scene: Scene) -> int:
    """Connections that are reset at every byte of a greeting, and in the middle of what they are sent."""
    whole = HELLO + POST[:200]
    dials = [Dial(whole[: scene.rng.randrange(len(whole))], leave="rst") for _ in range(scene.count(5000, 600))]
    done = len(Swarm(scene.port, at_once=100).run(dials))
    for n in range(scene.count(200, 20)):  # while megabytes are on their way to it
        sock = dial(scene.port)
        sock.sendall(upgrade() + text(type="connect", username=f"resetter {n}"))
        sock.sendall(text(type="message", room="halves", content="h" * 500_000) * 3 + frame(9, b"ping") * 50)
        sock.recv(1000)
        reset(sock)
        done += 1
    return done
