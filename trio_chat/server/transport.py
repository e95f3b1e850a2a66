"""Between a wire and trio-websocket: our stream, through which every byte of a WebSocket connection goes.

trio-websocket keeps the handshake, control frames, fragments, the close, and every odd case: it is given this object
as its stream. What it wants to write becomes whole frames in the outbox, so that no frame ever lands inside another;
what it reads is what `FrameScanner` left to it. Plain text frames never reach it: `receive` returns them at once.

At any time one task reads the wire: the connection's reader, as long as all is plain; from the first odd frame on
trio-websocket's own. So the order of messages is the order of the bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio
import trio_websocket

from trio_chat.config import Limits
from trio_chat.core.errors import Close
from trio_chat.core.limits import TokenBucket
from trio_chat.server.frames import CLOSE_FRAME, FrameError, FrameScanner
from trio_chat.server.outbox import Buffered, Frame, Outbox
from trio_chat.server.wire import Wire

MIN_PAUSE = 0.001  # seconds; a shorter sleep may be none, by the precision of a float
FLOOD_SECONDS = 5.0  # that a peer may be over its budget of raw frames before it is cut (PROTOCOL, 4005)
SUBPROTOCOL = "chat"


class PeerLeft(Exception):
    """The peer is gone: `code` is that of its close frame, or None where it left without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Transport(trio.abc.Stream):
    """One peer's WebSocket, from the upgrade on.

    Args:
        wire: where the bytes come from.
        outbox: where they go to.
        head: a request head that trio-websocket is to see.
        rest: what came behind it in the same segment.
        over: called when unfinished messages take more memory than there is for all.
        slow: called when the outbox has no room for a pong.
    """

    def __init__(
        self,
        wire: Wire,
        outbox: Outbox,
        limits: Limits,
        buffered: Buffered,
        *,
        head: bytes,
        rest: bytes = b"",
        over: Callable[[], None] = lambda: None,
        slow: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire, self._outbox, self._head = wire, outbox, head
        self._scanner = FrameScanner(limits.max_message_bytes)
        self._scanner.feed(rest)
        self._buffered, self._accounted, self._over, self._slow = buffered, 0, over, slow
        rate = limits.frames_per_second
        self._budget = TokenBucket(rate, rate, trio.current_time())
        self._over_since: float | None = None
        self._odd: deque[bytes] = deque()
        self._theirs = False  # the first odd frame was handed over: the wire is trio-websocket's to read
        self._turn = trio.Event()  # there is something for trio-websocket
        self._opened = trio.Event()
        self._failure: FrameError | None = None
        self._ws: trio_websocket.WebSocketConnection | None = None
        self.upgraded = False  # before that, what is written is HTTP
        self.close_sent = False
        self._pauses = 0
        self.waited = False  # since `receive` was called last: the other tasks had their turn
        self.last_byte = trio.current_time()
        self.unfinished_since: float | None = None
        self.on_byte: Callable[[], None] | None = None  # called once, at the next byte

    @property
    def held(self) -> int:
        """Bytes of an unfinished message."""
        return self._scanner.held

    @property
    def paused(self) -> bool:
        """Whether we do not read: the silence is not the peer's."""
        return self._pauses > 0

    def pause(self) -> None:
        """We do not read, until `go_on`. Two tasks may pause at a time: one for the broker, one for the budget."""
        self._pauses += 1

    def go_on(self) -> None:
        """The pause is over."""
        self._pauses -= 1
        self.last_byte = trio.current_time()

    async def open(self, nursery: trio.Nursery, subprotocol: str | None) -> None:
        """Shake hands; trio-websocket's reader runs in `nursery` from here on. Cancelled: the peer is left waiting."""
        # Its size limit counts characters, which are never more than the bytes that the scanner counts.
        request = await trio_websocket.wrap_server_stream(nursery, self, max_message_size=1 << 62)
        self._ws = await request.accept(subprotocol=subprotocol)
        self._opened.set()  # not before: what comes earlier, wsproto takes for a part of the head, and drops

    async def receive(self) -> str | bytes:
        """The next message: text, or bytes for a binary one. Cancelled: nothing is lost.

        Raises:
            PeerLeft: it closed, or is gone.
            FrameError: it broke a rule; the close that says so is still to be sent.
        """
        self.waited = False
        while not self._theirs:
            item = await self._next()
            if isinstance(item, str):
                return item
            if item is None:
                raise PeerLeft(None)
            self._odd.append(item)
            self._theirs = not self._scanner.plain  # not before: `_next` may have waited since
            self._turn.set()
        assert self._ws is not None
        try:
            return await self._ws.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise self._verdict(closed) from None

    def _verdict(self, closed: trio_websocket.ConnectionClosed) -> Exception:
        if self._failure is not None:
            return self._failure
        code = closed.reason.code if closed.reason else None
        if not self.close_sent and code in (Close.PROTOCOL_ERROR, Close.BAD_UTF8):
            return FrameError(Close(code))  # type: ignore[call-arg]  # mypy takes a look-up for a new member
        return PeerLeft(None if code == 1006 else code)

    async def _next(self) -> str | bytes | None:
        """The scanner's next item, read and paid for; None at the end of the stream."""
        scanner = self._scanner
        while True:
            fresh = not scanner.in_frame
            item = scanner.next()
            if item is not None:
                if scanner.between:
                    self.unfinished_since = None
                if fresh:  # a frame is paid for once, in however many pieces it comes
                    await self._pay()
                return item
            scanner.compact()
            self._account(scanner.held)
            now = trio.current_time()
            if not scanner.unfinished:
                self.unfinished_since = None
            elif self.unfinished_since is None:
                self.unfinished_since = now
            self.waited = True
            try:
                data = await self._wire.receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self.last_byte = trio.current_time()
            if self.on_byte is not None:
                told, self.on_byte = self.on_byte, None
                told()
            scanner.feed(data)
            self._account(scanner.held)

    async def _pay(self) -> None:
        """Take a raw frame from the budget; over it, reading pauses; after `FLOOD_SECONDS` of that it is a flood."""
        now = trio.current_time()
        wait = self._budget.take(now)
        if not wait:
            self._over_since = None
            return
        if self._over_since is None:
            self._over_since = now
        self.pause()
        try:
            while wait:
                if trio.current_time() - self._over_since >= FLOOD_SECONDS:
                    raise FrameError(Close.FLOODING)
                await trio.sleep(max(wait, MIN_PAUSE))
                wait = self._budget.take(trio.current_time())
        finally:
            self.go_on()

    def _account(self, held: int) -> None:
        more = held - self._accounted
        self._buffered.bytes += more
        self._accounted = held
        if more > 0 and self._buffered.over:
            self._over()

    # --- What trio-websocket sees --------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """First the head; then, after the handshake, what the scanner leaves to it. Cancelled: nothing is lost."""
        if self._head:
            head, self._head = self._head, b""
            return head
        await self._opened.wait()
        while True:
            if self._odd:
                return self._odd.popleft()
            if self._theirs:
                return await self._read_odd()
            self._turn = trio.Event()
            await self._turn.wait()

    async def _read_odd(self) -> bytes:
        try:
            item = await self._next()
        except FrameError as error:  # not through trio-websocket: `receive` raises it where it belongs
            self._failure = error
            return b""
        assert not isinstance(item, str)
        return item or b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Whole frames of trio-websocket's own wait their turn in the outbox. Cancelled: all is queued, or nothing."""
        await trio.lowlevel.checkpoint()
        if data and data[0] == CLOSE_FRAME:
            self.close_sent = True
        self.upgraded = True
        self.queue(bytes(data))
        if self.close_sent:
            self._outbox.end()

    def queue(self, whole: bytes) -> None:
        """Put one whole frame into the outbox. Never blocks."""
        if not self._outbox.put(Frame(whole)):
            self._slow()
        self._outbox.flush()

    async def wait_send_all_might_not_block(self) -> None:
        """The outbox never blocks."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Trio-websocket is done; the socket is the connection's to close."""
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """The connection is over: hold nothing for it."""
        self._buffered.bytes -= self._accounted
        self._accounted = 0
