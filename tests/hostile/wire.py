"""What attackers speak with: bare sockets, and as much WebSocket as they like."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from tests.benchmarks.framing import CLOSE, TEXT, Frames

SECONDS = 10.0  # within which whatever is waited for must happen
CONTINUATION, BINARY, PING, PONG = 0, 2, 9, 10
NO_CLOSE = 1006  # the connection ended without a close frame
Frame = dict[str, Any]


class Broken(Exception):
    """The server did what it must not; `str()` says what."""


def upgrade(query: str = "", *headers: str) -> bytes:
    """The head of an upgrade request."""
    more = "".join(f"{header}\r\n" for header in headers)
    return (
        f"GET /ws{query} HTTP/1.1\r\nHost: chat.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}"
        "Sec-WebSocket-Protocol: chat\r\n\r\n"
    ).encode("latin-1")


def drip(ones: Iterable[tuple[socket.socket, bytes]], seconds: float, pause: float, what: str) -> None:
    """Send to each its bytes, one every `pause` seconds, which all must be dropped within `seconds`, unanswered.

    Raises:
        Broken: `what` was answered, or is waited for still.
    """
    began, open_ones = time.monotonic(), dict(ones)
    everything = list(open_ones)
    try:
        for at in range(int(seconds / pause)):
            for sock, data in list(open_ones.items()):
                try:
                    sock.sendall(data[at : at + 1])
                except ConnectionError:
                    del open_ones[sock]
            time.sleep(max(0.0, began + pause * (at + 1) - time.monotonic()))  # for real: that is the attack
        for sock in open_ones:
            sock.settimeout(1.0)
            with suppress(ConnectionError):
                if sock.recv(1):
                    raise Broken(f"{what} of some bytes was answered")
    except TimeoutError:
        raise Broken(f"{what} that comes byte by byte is waited for after {seconds:g} s") from None
    finally:
        for sock in everything:
            sock.close()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, length: int | None = None) -> bytes:
    """A client's frame (RFC 6455 section 5.2); it may claim another `length` than it has, `rsv` is of 3 bits."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    key = os.urandom(4)
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return head + key + body.to_bytes(len(payload), "big")


def text(**command: Any) -> bytes:
    """A command, as a frame."""
    return frame(TEXT, json.dumps(command).encode())


def dial(port: int, source: str = "127.0.0.1", *, receive_buffer: int | None = None) -> socket.socket:
    """Connect from a loopback address; every wait is bounded by `SECONDS`.

    Raises:
        OSError: it is refused.
    """
    sock = socket.socket()
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close with RST: what is on its way is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Raw:
    """A WebSocket that reads when it is told to, and says what it is told to; it answers pings while it reads.

    Raises:
        Broken: the upgrade is refused.
    """

    def __init__(
        self,
        port: int,
        name: str | None = None,
        *,
        source: str = "127.0.0.1",
        query: str = "",
        tls: ssl.SSLContext | None = None,
        **connect: Any,
    ) -> None:
        self.sock = dial(port, source)
        self.answer = b""
        self.welcome: Frame = {}
        self._parser = Frames()
        self._frames: list[tuple[int, bytes]] = []
        try:
            if tls is not None:
                self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
            self.sock.sendall(upgrade(query))
            while b"\r\n\r\n" not in self.answer:
                data = self.sock.recv(65_536)
                if not data:
                    break
                self.answer += data
            self.answer, _, rest = self.answer.partition(b"\r\n\r\n")
            if not self.answer.startswith(b"HTTP/1.1 101"):
                raise Broken(f"an upgrade was answered {self.answer[:100]!r}")
            self._frames += self._parser.feed(rest)
            if name is not None:
                self.greet(type="connect", username=name, **connect)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def greet(self, **first: Any) -> None:
        """Send a first frame, and take the welcome. Raises Broken where there is none."""
        self.send(id=0, **first)
        self.welcome = self.receive()
        if self.welcome.get("event") != "welcome":
            raise Broken(f"{first} was not welcomed, but sent {self.welcome}")

    def send(self, **command: Any) -> None:
        """Send one command."""
        self.sock.sendall(text(**command))

    def push(self, data: bytes) -> bool:
        """Send bytes; False where the server closed meanwhile."""
        try:
            self.sock.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    @property
    def pending(self) -> bool:
        """Whether a frame is there without reading."""
        return bool(self._frames)

    def next(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next frame; None at the end. Raises TimeoutError."""
        while not self._frames:
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionError:
                return None
            if not data:
                return None
            self._frames += self._parser.feed(data)
        opcode, payload = self._frames.pop(0)
        if opcode == PING:
            self.push(frame(PONG, payload))
        return opcode, payload

    def receive(self) -> Frame:
        """The next event. Raises Broken where the connection ends instead, and TimeoutError."""
        while (got := self.next()) is not None:
            if got[0] == CLOSE:
                raise Broken(f"closed with {got[1]!r}")
            if got[0] == TEXT:
                event: Frame = json.loads(got[1])
                return event
        raise Broken("the connection ended")

    def ask(self, type: str, id: int | str = 1, **fields: Any) -> Frame:
        """Send a command, and its answer; what comes before it is skipped."""
        self.send(type=type, id=id, **fields)
        return self.answer_to(id)

    def answer_to(self, id: int | str) -> Frame:
        """The answer that carries `id`."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            event = self.receive()
            if event.get("id") == id:
                return event
        raise Broken(f"no answer to {id!r}")

    def to_the_end(self) -> tuple[list[Frame], int]:
        """All events that still come, and the code of the close frame, or `NO_CLOSE`. Raises TimeoutError."""
        events: list[Frame] = []
        code = NO_CLOSE
        while (got := self.next()) is not None:
            if got[0] == TEXT:
                events.append(json.loads(got[1]))
            elif got[0] == CLOSE:
                code = int.from_bytes(got[1][:2], "big")
        return events, code

    def leave(self) -> None:
        """End the session, and the connection."""
        self.push(frame(CLOSE, (1000).to_bytes(2, "big")))
        self.to_the_end()
        self.sock.close()
