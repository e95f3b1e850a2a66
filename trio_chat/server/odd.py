"""What is no plain frame, through trio-websocket: fragments, binary messages, and all that breaks a rule.

trio-websocket knows no other beginning than a handshake. So it is given one of its own, of which the peer sees nothing,
and only when the first odd frame is there: few connections ever have one. For the others connecting takes a third of
the time, and being there 29 KiB instead of 44.
"""

from __future__ import annotations

from typing import Protocol

import trio
import trio_websocket

from trio_chat.core.errors import Close
from trio_chat.server.frames import CLOSE_FRAME, FrameError

HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class PeerLeft(Exception):
    """The peer is gone: `code` is that of its close frame, or None where it left without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Source(Protocol):
    """Where the odd frames come from, and their answers go to: the `Transport`."""

    last_words: bytes  # a close frame, for the end

    async def piece(self) -> bytes:
        """The next bytes; empty at the end."""

    def queue(self, whole: bytes) -> None:
        """Send a frame."""


class OddFrames(trio.abc.Stream):
    """The stream that trio-websocket reads from and writes to. What it writes are whole frames, or HTTP at first."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._head = HEAD
        self._opened = trio.Event()
        self._failure: FrameError | None = None
        self._ws: trio_websocket.WebSocketConnection | None = None

    async def open(self, nursery: trio.Nursery) -> None:
        """Shake hands; trio-websocket's reader runs in `nursery` from here on. Cancelled: the connection must go."""
        # Its size limit counts characters, which are never more than the bytes that the scanner counts.
        request = await trio_websocket.wrap_server_stream(nursery, self, max_message_size=1 << 62)
        self._ws = await request.accept()
        self._opened.set()  # not before: what comes earlier, wsproto takes for a part of the head, and drops

    async def receive(self) -> str | bytes:
        """The next message: text, or bytes for a binary one. Cancelled: nothing is lost.

        Raises:
            PeerLeft: it closed, or is gone.
            FrameError: it broke a rule; the close that says so is still to be sent.
        """
        assert self._ws is not None
        try:
            return await self._ws.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise self._verdict(closed) from None

    def _verdict(self, closed: trio_websocket.ConnectionClosed) -> Exception:
        if self._failure is not None:
            return self._failure
        code = closed.reason.code if closed.reason else None
        if not self._source.last_words and code in (Close.PROTOCOL_ERROR, Close.BAD_UTF8):
            return FrameError(Close(code))  # type: ignore[call-arg]  # mypy takes a look-up for a new member
        return PeerLeft(None if code == 1006 else code)

    # --- What trio-websocket sees ------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """First the head; then, after the handshake, the pieces of frames. Cancelled: nothing is lost."""
        if self._head:
            head, self._head = self._head, b""
            return head
        await self._opened.wait()
        try:
            return await self._source.piece()
        except FrameError as error:  # not through trio-websocket: `receive` raises it where it belongs
            self._failure = error
            return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Whole frames wait their turn in the outbox. Cancelled: all is queued, or nothing."""
        await trio.lowlevel.checkpoint()
        if not self._opened.is_set():
            return  # its half of the handshake: the peer has had ours
        if data and data[0] == CLOSE_FRAME:
            self._source.last_words = bytes(data)
        else:
            self._source.queue(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """The outbox never blocks."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Trio-websocket is done; the socket is the connection's to close."""
        await trio.lowlevel.checkpoint()
