"""Many clients in one loop, over bare sockets: what a thread each would be too slow for."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from tests.benchmarks.framing import CLOSE, TEXT, Frames, masked

from .client import Frame
from .process import Server
from .raw import UPGRADE, open_socket


class Member:
    """One of the crowd. `reading` False: it never reads again, and its small buffer fills."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.sock, self.name = sock, name
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self.gone = False  # the connection is over
        self._head: bytes | None = b""
        self._parser = Frames()

    def send(self, **command: Any) -> None:
        """Send one command."""
        self.sock.sendall(masked(json.dumps(command).encode()))

    def of(self, type: str, event: str | None = None) -> list[Frame]:
        """Its frames of one type, or of one event."""
        return [frame for frame in self.frames if frame["type"] == type and event in (None, frame.get("event"))]

    def take(self, data: bytes) -> None:
        """What came over the socket."""
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._head = None
        for opcode, payload in self._parser.feed(data):
            if opcode == TEXT:
                self.frames.append(json.loads(payload))
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")


class Crowd:
    """Clients that are connected, and read whenever `run` is called."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._selector = selectors.DefaultSelector()
        self.members: list[Member] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *exc: object) -> None:
        self._selector.close()
        for member in self.members:
            member.sock.close()

    def add(
        self,
        names: Iterable[str],
        *,
        receive_buffer: int | None = None,
        paths: Iterable[str] = repeat("/ws"),
        fields: Iterable[dict[str, Any]] = repeat({}),
    ) -> list[Member]:
        """Let them all come at once, and return when each has its welcome; `fields` are of each one's `connect`."""
        new = [Member(open_socket(self._server, receive_buffer=receive_buffer), name) for name in names]
        self.members += new
        for member, path, more in zip(new, paths, fields, strict=False):
            member.sock.sendall(UPGRADE.replace(b"/ws", path.encode(), 1))
            member.send(type="connect", username=member.name, **more)
            self._selector.register(member.sock, selectors.EVENT_READ, member)
        self.run(lambda: all(member.frames for member in new), "everybody's welcome")
        for member in new:
            assert member.frames[0]["event"] == "welcome", member.frames
        return new

    def stop_reading(self, member: Member) -> None:
        """From now on its socket fills."""
        self._selector.unregister(member.sock)

    def run(self, until: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        """Read until `until()`; it is an error if that takes more than `seconds`."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            assert left > 0, f"{what}: not within {seconds} s"
            for key, _events in self._selector.select(left):
                self._read(key.data)

    def _read(self, member: Member) -> None:
        try:
            data = member.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if data:
            member.take(data)
        else:
            member.gone = True
            self._selector.unregister(member.sock)
