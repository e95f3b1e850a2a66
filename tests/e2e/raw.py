"""A raw socket that speaks as much WebSocket as a test says, and no more: it answers no ping."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

from tests.benchmarks.framing import CLOSE, TEXT, Frames, masked

from .client import SECONDS, Frame
from .process import Server

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def open_socket(server: Server, *, receive_buffer: int | None = None) -> socket.socket:
    """A connected socket; `receive_buffer` in bytes, where the system's own sizes would hold too much."""
    sock = socket.socket()
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(SECONDS)
        sock.connect((server.host, server.port))
    except BaseException:
        sock.close()
        raise
    return sock


def answer_to(server: Server, request: bytes) -> str:
    """What the server answers to raw bytes, until it closes."""
    with open_socket(server) as sock:
        sock.sendall(request)
        received = b""
        while data := sock.recv(65536):
            received += data
        return received.decode()


def dropped(server: Server, data: bytes) -> None:
    """Send bytes that the server is to drop the connection for, without a word."""
    with open_socket(server) as sock, suppress(ConnectionResetError):  # it closes with bytes unread
        sock.sendall(data)
        assert sock.recv(65536) == b""


def turned_away(server: Server, data: bytes) -> str:
    """The answer of a server that does not read on."""
    with open_socket(server) as sock:
        sock.sendall(data)
        return sock.recv(65536).decode()


class RawClient:
    """A connection that reads only when it is told to."""

    def __init__(self, server: Server, username: str, *, receive_buffer: int | None = None) -> None:
        self.sock = open_socket(server, receive_buffer=receive_buffer)
        self._parser = Frames()
        self._frames: list[tuple[int, bytes]] = []
        try:
            self.sock.sendall(UPGRADE)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                data = self.sock.recv(1)
                assert data, head
                head += data
            assert head.startswith(b"HTTP/1.1 101"), head
            self.send(type="connect", username=username)
            self.welcome = self.receive()
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, **command: Any) -> None:
        """Send one command."""
        self.sock.sendall(masked(json.dumps(command).encode()))

    def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, of whatever kind."""
        while not self._frames:
            data = self.sock.recv(65536)
            assert data, "the connection ended without a close frame"
            self._frames += self._parser.feed(data)
        return self._frames.pop(0)

    def receive(self) -> Frame:
        """The next text frame."""
        while True:
            opcode, payload = self.frame()
            assert opcode != CLOSE, payload
            if opcode == TEXT:
                frame: Frame = json.loads(payload)
                return frame

    def closed(self) -> int:
        """The code of the close frame; what comes before it is skipped. The socket must end behind it."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                assert self.sock.recv(1) == b""
                return int.from_bytes(payload[:2], "big")
