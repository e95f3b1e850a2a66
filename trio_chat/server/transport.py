"""One peer's WebSocket, from the upgrade on: every byte of it goes through here.

Plain frames are handled here, all that are there at once. The first odd one (a fragment, a binary message, whatever
breaks a rule) and all that come after it are trio-websocket's (`odd`). At any time one task reads the wire: the
connection's reader, as long as all is plain; from the first odd frame on trio-websocket's own. So the order of messages
is the order of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import trio

from trio_chat.config import Limits
from trio_chat.core.errors import Close
from trio_chat.core.limits import TokenBucket
from trio_chat.server.frames import (
    CLOSE,
    NO_CODE,
    PING,
    Control,
    FrameError,
    FrameScanner,
    close_echo,
    pong_frame,
)
from trio_chat.server.odd import OddFrames, PeerLeft
from trio_chat.server.outbox import Buffered, Frame, Outbox
from trio_chat.server.wire import Wire

MESSAGES_AT_ONCE = 32  # that one connection hands over before others have their turn
MIN_PAUSE = 0.001  # seconds; a shorter sleep may be none, by the precision of a float
FLOOD_SECONDS = 5.0  # that a peer may be over its budget of raw frames before it is cut (PROTOCOL, 4005)
Message: TypeAlias = str | bytes


class Transport:
    """One peer's WebSocket.

    Args:
        wire: where the bytes come from.
        outbox: where they go to.
        rest: what came behind the request head in the same segment.
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
        rest: bytes = b"",
        over: Callable[[], None] = lambda: None,
        slow: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire, self._outbox = wire, outbox
        self._scanner = FrameScanner(limits.max_message_bytes)
        self._scanner.feed(rest)
        self._buffered, self._accounted, self._over, self._slow = buffered, 0, over, slow
        rate = limits.frames_per_second
        self._budget = TokenBucket(rate, rate, trio.current_time())
        self._over_since: float | None = None
        self._left: PeerLeft | None = None
        self._odd: OddFrames | None = None  # from the first odd frame on
        self.upgraded = False  # before that, what is written is HTTP
        self.last_words = b""  # the close frame that answers the peer's: nothing may follow it, so it is said last
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

    def open(self, response: bytes) -> None:
        """Answer the upgrade; behind it there are frames only. Never blocks."""
        self.queue(response)
        self.upgraded = True

    # --- Receiving -------------------------------------------------------------------------------------------------

    async def receive(self) -> list[Message]:
        """The next messages, as many as are there: text, or bytes for a binary one. Cancelled: nothing is lost.

        None at all: the next frame is odd, and `hand_over` is to be called before the next `receive`.

        Raises:
            PeerLeft: it closed, or is gone.
            FrameError: it broke a rule; the close that says so is still to be sent.
        """
        self.waited = False
        if self._odd is not None:
            return [await self._odd.receive()]
        messages: list[Message] = []
        while not messages:
            if self._left is not None:
                raise PeerLeft(self._left.code)  # a new one: it keeps the frames that it goes through
            if self._scanner.waiting and (frames := self._scanner.take(await self._allowed())):
                self._budget.spend(len(frames))
                self.unfinished_since = None
                for one in frames:
                    if isinstance(one, str):
                        messages.append(one)
                    else:
                        self._control(one)
            elif not self._scanner.plain:
                break
            elif not await self._fill():
                self._left = PeerLeft(None)
        return messages

    async def hand_over(self, nursery: trio.Nursery) -> None:
        """Let trio-websocket, in `nursery`, read from now on. Cancelled: the connection must go."""
        self._odd = OddFrames(self)
        await self._odd.open(nursery)

    async def piece(self) -> bytes:
        """The next of what trio-websocket is to see, read and paid for; empty at the end.

        Cancelled: nothing is lost.

        Raises:
            FrameError: a message is too large, or there are too many frames.
        """
        scanner = self._scanner
        while True:
            fresh = not scanner.in_frame
            if fresh:  # a frame is paid for once, in however many pieces it comes
                await self._allowed()
            found = scanner.piece()
            if found is not None:
                self._budget.spend(int(fresh))
                if scanner.between:
                    self.unfinished_since = None
                return found
            if not await self._fill():
                return b""

    def _control(self, frame: Control) -> None:
        if frame.opcode == PING:
            self.queue(pong_frame(frame.payload))
        elif frame.opcode == CLOSE:
            code = int.from_bytes(frame.payload[:2], "big") if frame.payload else NO_CODE
            self._left = PeerLeft(code)
            self.last_words = close_echo(frame.payload)

    async def _fill(self) -> bool:
        """Read more bytes; False at the end of the stream. Cancelled: nothing is lost."""
        scanner = self._scanner
        scanner.compact()
        self._account(scanner.held)
        if not scanner.unfinished:
            self.unfinished_since = None
        elif self.unfinished_since is None:
            self.unfinished_since = trio.current_time()
        self.waited = True
        try:
            data = await self._wire.receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if not data:
            return False
        self.last_byte = trio.current_time()
        if self.on_byte is not None:
            told, self.on_byte = self.on_byte, None
            told()
        scanner.feed(data)
        return True

    async def _allowed(self) -> int:
        """How many frames may be taken now, one at least; over the budget, reading pauses. Cancelled: nothing is lost.

        Raises:
            FrameError: that was so for `FLOOD_SECONDS`.
        """
        allowed = self._budget.available(trio.current_time())
        if allowed:
            self._over_since = None
            return min(allowed, MESSAGES_AT_ONCE)
        if self._over_since is None:
            self._over_since = trio.current_time()
        self.pause()
        try:
            while wait := self._budget.wait(trio.current_time()):
                if trio.current_time() - self._over_since >= FLOOD_SECONDS:
                    raise FrameError(Close.FLOODING)
                await trio.sleep(max(wait, MIN_PAUSE))
        finally:
            self.go_on()
        return 1

    def _account(self, held: int) -> None:
        more = held - self._accounted
        self._buffered.bytes += more
        self._accounted = held
        if more > 0 and self._buffered.over:
            self._over()

    # --- Sending ---------------------------------------------------------------------------------------------------

    def queue(self, whole: bytes) -> None:
        """Put one whole frame into the outbox. Never blocks."""
        if not self._outbox.put(Frame(whole)):
            self._slow()
        self._outbox.flush()

    def close(self) -> None:
        """The connection is over: hold nothing for it."""
        self._buffered.bytes -= self._accounted
        self._accounted = 0
