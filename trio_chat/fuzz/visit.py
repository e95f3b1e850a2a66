"""One connection of a client to the hostile server of `fuzz --client`: frames as the server likes to send them."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from datetime import UTC, datetime
from typing import Any

import attrs
import trio

from trio_chat.fuzz.model import Json
from trio_chat.fuzz.shreds import Shredder
from trio_chat.fuzz.wire import CLOSE, PING, PONG, TEXT, FramingError, Parser, closing, encode

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
HEAD_SECONDS = 10.0
RECEIVE = 65_536


class ClientError(Exception):
    """The client did what it must not; `str()` is one line that says what."""


@attrs.define
class Visit:
    """A connection; `waited`: seconds since the last one ended. With a `shredder` all goes in fragments and chunks."""

    stream: trio.abc.Stream
    waited: float
    shredder: Shredder | None = None
    offered: bool = False  # the subprotocol
    page: bool = False  # it comes by the WebSocket of the web, which tells nobody of a refusal's status or headers
    pongs: list[bytes] = attrs.field(factory=list)  # what was in them
    code: int | None = None  # of the client's close
    over: bool = False
    _closing: bool = False  # we sent a close: nothing may come behind it, no second one either (RFC 6455, 5.5.1)
    _parser: Parser = attrs.field(factory=lambda: Parser(masks=True))
    _frames: list[Json] = attrs.field(factory=list)

    async def upgrade(self) -> None:
        """Read the request, and switch. Cancelled: the connection is of no use.

        Raises:
            ClientError: it is no request for that.
        """
        request, headers, rest = await self._head()
        key = headers.get("sec-websocket-key")
        if not request.startswith("GET ") or key is None:
            raise ClientError(f"it asked for no upgrade, but {request[:80]!r}")
        self.offered = "chat" in headers.get("sec-websocket-protocol", "")
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        more = "Sec-WebSocket-Protocol: chat\r\n" if self.offered else ""
        await self._write(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
            ).encode()
        )
        await self._take(rest)

    async def refuse(self, status: str, retry_after: int) -> None:
        """Answer the request with an HTTP error, and close. Cancelled: it is closed."""
        await self._head()
        body = b"Not now"
        await self._write(
            f"HTTP/1.1 {status}\r\nRetry-After: {retry_after}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n".encode()
            + body
        )
        await self.cut()

    async def _head(self) -> tuple[str, dict[str, str], bytes]:
        """The request's line, its headers, and what came behind them."""
        data = b""
        with trio.move_on_after(HEAD_SECONDS):
            while b"\r\n\r\n" not in data:
                got = await self._read()
                if not got:
                    break
                data += got
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            raise ClientError("it sent no whole request head")
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.page = "origin" in headers or "sec-fetch-mode" in headers
        return request, headers, rest

    async def _read(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(RECEIVE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def _write(self, data: bytes) -> None:
        try:
            if self.shredder is None:
                await self.stream.send_all(data)
                return
            for number, chunk in enumerate(self.shredder.chunks(data)):
                await self.stream.send_all(chunk)
                await self.shredder.pause(number)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.over = True

    async def _take(self, data: bytes) -> None:
        try:
            frames = self._parser.feed(data)
        except FramingError as error:
            raise ClientError(f"its frames are wrong: {error}") from None
        for frame in frames:
            if frame.opcode == PING:
                await self._write(encode(PONG, frame.payload, mask=False))
            elif frame.opcode == PONG:
                self.pongs.append(frame.payload)
            elif frame.opcode == CLOSE:
                self.over, self.code = True, int.from_bytes(frame.payload[:2], "big") or 1005
                if not self._closing:
                    await self._write(encode(CLOSE, frame.payload[:2], mask=False))
            elif frame.opcode == TEXT and frame.fin:
                self._frames.append(self._read_frame(frame.payload))
            else:
                raise ClientError(f"it sent a frame of opcode {frame.opcode}")

    def _read_frame(self, payload: bytes) -> Json:
        try:
            frame = json.loads(payload)
        except ValueError:
            raise ClientError(f"it sent no JSON: {payload[:80]!r}") from None
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise ClientError(f"it sent no object with a type: {payload[:80]!r}")
        return frame

    async def next(self, seconds: float = math.inf) -> Json | None:
        """The next command; None where none comes in time, or the connection is over. Cancelled: nothing is lost."""
        with trio.move_on_after(seconds):
            while not self._frames and not self.over:
                data = await self._read()
                if not data:
                    self.over = True
                await self._take(data)
        return self._frames.pop(0) if self._frames else None

    async def send(self, type: str, **fields: Any) -> None:
        """Send an event."""
        data = self._event(type, fields)
        frames = [encode(TEXT, data, mask=False)] if self.shredder is None else self.shredder.frames(data)
        await self._write(b"".join(frames))

    async def ping(self, payload: bytes) -> None:
        """Send a ping."""
        await self._write(encode(PING, payload, mask=False))

    async def begin(self, type: str, **fields: Any) -> None:
        """Send the first fragment of an event that is never ended: only control frames may come behind it."""
        assert self.shredder is not None
        await self._write(self.shredder.first(self._event(type, fields)))

    def _event(self, type: str, fields: Json) -> bytes:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"type": type, "timestamp": stamp, **fields}, ensure_ascii=False).encode()

    async def close(self, code: int | None) -> None:
        """Send a close frame, and close within a second. Cancelled: it is closed."""
        await self._write(encode(CLOSE, closing(code), mask=False))
        self._closing = True
        with trio.move_on_after(1.0):
            while not self.over:
                await self.next()
        await self.cut()

    async def cut(self) -> None:
        """Be gone."""
        self.over = True
        await trio.aclose_forcefully(self.stream)
