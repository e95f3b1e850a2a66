"""One WebSocket connection on a plain socket: what is sent is cut as told, and what comes is kept, in order."""

from __future__ import annotations

import itertools
import json
import select
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from trio_chat.client.connection import Target
from trio_chat.fuzz.promises import ANY_BYTES, CLOSES, FRAMES, Broken
from trio_chat.fuzz.transcript import Transcript
from trio_chat.fuzz.wire import (
    ABNORMAL,
    CLOSE,
    CONTINUATION,
    NO_STATUS,
    PONG,
    TEXT,
    FramingError,
    Parser,
    closing,
    encode,
)

HEAD_BYTES = 65_536  # of an HTTP answer, at most
RECEIVE = 1 << 18
CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013}  # that a server may send


@attrs.frozen
class Answer:
    """An HTTP answer: its status, its headers by their names in small letters, and what came behind."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds, where it says so."""
        written = self.headers.get("retry-after", "")
        return float(written) if written.isdecimal() else None


def head(target: Target, *, resource: str | None = None, offers: str | None = "chat") -> bytes:
    """The head of an upgrade request."""
    offer = f"Sec-WebSocket-Protocol: {offers}\r\n" if offers is not None else ""
    return (
        f"GET {resource or target.resource} HTTP/1.1\r\nHost: {target.header}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"{offer}\r\n"
    ).encode("latin-1")


def dial(target: Target, tls: ssl.SSLContext | None, seconds: float) -> socket.socket:
    """A connected socket.

    Raises:
        OSError: there is none.
    """
    sock = socket.create_connection((target.host, target.port), timeout=seconds)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls:
            context = tls or ssl.create_default_context()
            return context.wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise
    return sock


def answer_to(sock: socket.socket, request: bytes, pieces: Sequence[int] = ()) -> Answer:
    """Send a request head, and read what is answered.

    Raises:
        Broken: it is no HTTP.
        OSError: nothing came in time, or the connection was reset.
    """
    for piece in cut(request, pieces):
        sock.sendall(piece)
    received = b""
    while b"\r\n\r\n" not in received and len(received) < HEAD_BYTES:
        data = sock.recv(RECEIVE)
        if not data:
            break
        received += data
    first, _, body = received.partition(b"\r\n\r\n")
    lines = first.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise Broken(FRAMES, f"an HTTP request was answered {received[:80]!r}")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Answer(int(parts[1]), headers, body)


def cut(data: bytes, pieces: Sequence[int]) -> list[bytes]:
    """The data in pieces: each number is a place, in thousandths of it, and none of them is empty."""
    places = sorted({len(data) * place // 1000 for place in pieces if place > 0} | {0, len(data)})
    return [data[one:other] for one, other in itertools.pairwise(places)] or [data]


@attrs.define(eq=False)
class Peer:
    """A connection that was upgraded. `frames`: those that came and were not looked at yet, in order."""

    who: str
    sock: socket.socket
    transcript: Transcript
    frames: list[dict[str, Any]] = attrs.field(factory=list)
    closed: int | None = None  # the code, where the connection is over
    ours: bool = False  # it was we who closed first
    _parser: Parser = attrs.field(factory=Parser)
    _message: bytes | None = None  # the fragments of one so far

    def send(self, frame: dict[str, Any] | str, chunks: Sequence[int] = ()) -> None:
        """Send a command, or any text; `chunks` are places to cut at, and a negative one begins a new fragment."""
        self.transcript.note(self.who, "→", frame)
        text = frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False)
        payload = text.encode("utf-8", "surrogatepass")
        fragments = cut(payload, [-place for place in chunks if place < 0])
        data = b"".join(
            encode(TEXT if n == 0 else CONTINUATION, part, fin=n == len(fragments) - 1)
            for n, part in enumerate(fragments)
        )
        self.push(data, [place for place in chunks if place > 0])

    def push(self, data: bytes, pieces: Sequence[int] = ()) -> None:
        """Send bytes. Whether they arrive is seen by what is answered."""
        try:
            for piece in cut(data, pieces):
                self.sock.sendall(piece)
        except OSError:
            pass

    def close(self, code: int | None) -> None:
        """Send a close frame."""
        self.ours = True
        self.transcript.note(self.who, "→", f"close {NO_STATUS if code is None else code}")
        self.push(encode(CLOSE, closing(code)))

    def cut_off(self) -> None:
        """Be gone, without a word."""
        self.transcript.note(self.who, "·", "the connection is cut")
        self.closed = ABNORMAL
        self.sock.close()

    def feed(self, data: bytes) -> None:
        """Take what came.

        Raises:
            Broken: it is nothing that a server may send.
        """
        try:
            frames = self._parser.feed(data)
        except FramingError as error:
            raise Broken(FRAMES, f"{self.who}: {error}") from None
        for frame in frames:
            if self.closed is not None:
                raise Broken(FRAMES, f"{self.who}: a frame came behind the close frame")
            match frame.opcode:
                case 1 | 0:
                    self._text(frame.opcode, frame.payload, fin=frame.fin)
                case 8:
                    self._close(frame.payload)
                case 9:
                    self.push(encode(PONG, frame.payload))
                case 10:
                    pass
                case _:
                    raise Broken(FRAMES, f"{self.who}: a frame has the opcode {frame.opcode}")

    def _text(self, opcode: int, payload: bytes, *, fin: bool) -> None:
        if (opcode == CONTINUATION) is (self._message is None):
            raise Broken(FRAMES, f"{self.who}: a fragment does not follow the one before")
        self._message = (self._message or b"") + payload
        if not fin:
            return
        whole, self._message = self._message, None
        try:
            frame = json.loads(whole.decode())
        except ValueError:
            raise Broken(FRAMES, f"{self.who}: no JSON came: {whole[:80]!r}") from None
        self.transcript.note(self.who, "←", frame)
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise Broken(FRAMES, f"{self.who}: no object with a type came: {whole[:80]!r}")
        self.frames.append(frame)

    def _close(self, payload: bytes) -> None:
        code = NO_STATUS if len(payload) < 2 else int.from_bytes(payload[:2], "big")
        self.transcript.note(self.who, "←", f"close {code} {payload[2:].decode(errors='replace')}".rstrip())
        if not self.ours:
            self.push(encode(CLOSE, payload[:2]))
        self.closed = code
        if code != NO_STATUS and code not in CODES and not 3000 <= code <= 4999:
            raise Broken(CLOSES, f"{self.who}: the close code {code} may not be sent")

    def ended(self) -> None:
        """The stream is at its end."""
        if self.closed is None:
            self.closed = ABNORMAL
            self.transcript.note(self.who, "←", "the connection ended, without a close frame")

    def unasked(self) -> None:
        """Complain where the connection is over though nobody ended it.

        Raises:
            Broken: it is.
        """
        if self.closed is not None and not self.ours:
            how = "without a close frame" if self.closed == ABNORMAL else f"with {self.closed}"
            raise Broken(
                ANY_BYTES, f"{self.who}: the server ended the connection {how}, for no reason of this client's"
            )


def pump(peers: Iterable[Peer], seconds: float) -> bool:
    """Take what came to any of the peers, waiting at most `seconds` for it. Returns whether anything did."""
    by_fd = {peer.sock.fileno(): peer for peer in peers if peer.sock.fileno() >= 0}
    ready = [fd for fd, peer in by_fd.items() if isinstance(peer.sock, ssl.SSLSocket) and peer.sock.pending()]
    poll = select.poll()
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + seconds
    found = ready or [fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
    for fd in found:
        peer = by_fd[fd]
        try:
            data = peer.sock.recv(RECEIVE)
        except OSError:
            data = b""
        if data:
            peer.feed(data)
        else:
            peer.ended()
            peer.sock.close()
    return bool(found)
