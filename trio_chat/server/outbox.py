"""What waits to be written to one connection: bounded in frames and bytes, and never waited for.

Whoever has a frame puts it in; once a turn the outbox is flushed, everything joined into one write. What the socket
does not take goes through a channel to the connection's writer task, and until that has written it, only the writer
writes.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_chat.core.values import frozen
from trio_chat.server.wire import Wire

ABANDON_BYTES = 65_536  # of a chunk that was begun, when its reader is cut for being slow


@frozen
class Frame:
    """One whole WebSocket frame, shared by all who get it; `epoch` and `seq` where it is an entry of a log."""

    data: bytes
    epoch: str = ""
    seq: int = 0


class Buffered:
    """All bytes that the server holds for slow peers, and of unfinished messages. `limit` in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0

    @property
    def over(self) -> bool:
        """Whether somebody has to be cut."""
        return self.bytes > self.limit


class Outbox:
    """The frames on their way to one peer.

    Args:
        wire: where they go.
        chunks: the way to the writer task; it holds one chunk, and there is never a second.
        max_frames, max_bytes: what may wait.
        buffered: the server's account.
    """

    def __init__(
        self,
        wire: Wire,
        chunks: trio.MemorySendChannel[memoryview],
        *,
        max_frames: int,
        max_bytes: int,
        buffered: Buffered,
    ) -> None:
        self._wire, self._chunks = wire, chunks
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._buffered = buffered
        self._queue: list[Frame] = []
        self._queued = 0
        self._frames_free, self._bytes_free = max_frames, max_bytes  # of the queue
        self._writing: list[Frame] = []  # what the writer's chunk is made of
        self._left: memoryview = memoryview(b"")  # of that chunk
        self._accounted = 0
        self._ended = False
        self._forgotten: dict[str, int] = {}  # of each room, the first `seq` of what will never be written
        self.dropped = False  # the peer was cut for being slow
        self.abandoned = False  # in the middle of a frame: nothing may be written any longer
        self.on_room: Callable[[], None] | None = None  # called once, when the outbox is under half full

    @property
    def waiting(self) -> int:
        """Bytes that wait; those of a peer that was cut count no longer."""
        return 0 if self.dropped else self._queued + len(self._left)

    @property
    def unwritten(self) -> bool:
        """Whether something that was put in did not wholly go out, and perhaps never will."""
        return bool(self._queue or self._left or self._forgotten)

    @property
    def half_full(self) -> bool:
        """Whether a replay should wait."""
        frames = len(self._queue) + len(self._writing)
        return frames * 2 >= self._max_frames or self.waiting * 2 >= self._max_bytes

    @property
    def page(self) -> tuple[int, int]:
        """Frames and bytes that a page of a replay may add to an outbox that is not half full."""
        return self._max_frames // 4, self._max_bytes // 4

    def put(self, frame: Frame) -> bool:
        """Add a frame. False where that is more than the peer may let wait: it is too slow."""
        # Called for each frame of each member: with a call in it for the limits, and sums, it took 1.7 times as long.
        if self._ended:  # nobody is waiting for it any longer
            return True
        queue = self._queue
        queue.append(frame)
        self._queued += len(frame.data)
        if len(queue) <= self._frames_free and self._queued <= self._bytes_free:
            return True
        self.flush()  # the limit is on what the socket did not take, not on one busy turn
        return len(self._queue) <= self._frames_free and self._queued <= self._bytes_free

    def flush(self) -> None:
        """Write all that waits, if nothing earlier is still being written. Never blocks, never raises."""
        # Called once a turn for each member: nearly always all of it goes out, and nothing needs to be noted then.
        queue = self._queue
        if not queue:
            return
        if self._left:
            self._account()
            return
        chunk = _joined(queue)
        try:
            written = self._wire.try_send(chunk)
        except trio.BrokenResourceError:
            written = 0  # the writer, and the reader, find out by themselves and end the connection
        self._queued = 0
        if written == len(chunk):
            queue.clear()
            if self._accounted:
                self._account()
            return
        self._writing, self._queue = queue, []
        self._writes(memoryview(chunk)[written:])
        self._chunks.send_nowait(self._left)
        self._account()

    def _writes(self, left: memoryview) -> None:
        """`left` is what the writer still has to write; the rest of the limits is the queue's."""
        self._left = left
        if not left:
            self._writing = []
        self._frames_free = self._max_frames - len(self._writing)
        self._bytes_free = self._max_bytes - len(left)

    def _take(self) -> bytes:
        self._writing, self._queue, self._queued = self._queue, [], 0
        return _joined(self._writing)

    def wrote(self, count: int) -> memoryview:
        """The writer wrote `count` more bytes. Returns what it is to write next; empty: it may rest."""
        if self.abandoned:
            return self._left
        self._writes(self._left[count:])
        if not self._left and self._queue:
            self._writes(memoryview(self._take()))
        self._account()
        if self.on_room is not None and not self.half_full:
            told, self.on_room = self.on_room, None
            told()
        return self._left

    def _account(self) -> None:
        now = self.waiting
        self._buffered.bytes += now - self._accounted
        self._accounted = now

    def farewell(self, last: bytes, *, drop: bool = False) -> memoryview:
        """Take no more after `last`; `drop` what was not begun. Returns what is to be written first, then `wrote`."""
        if drop:
            self._forget()
        self._queue.append(Frame(last))
        self._queued += len(last)
        self._ended = True
        if not self._left:
            self._writes(memoryview(self._take()))
        return self._left

    def drop(self) -> bool:
        """The peer is cut: forget what was not begun, take no more, and count no longer.

        Returns whether what was begun may still be written. If that is much, it is forgotten, too: who does not read
        would not read it in the time that is left, and meanwhile it takes memory that others have to go for.
        """
        self._ended = self.dropped = True
        if len(self._left) > ABANDON_BYTES:
            self._queue[:0] = self._begun()
            self._writes(memoryview(b""))
            self.abandoned = True
        self._forget()
        self._account()
        return not self.abandoned

    def unsent(self) -> tuple[tuple[str, int], ...]:
        """Of each room, the first `seq` that did not wholly go out; as long as there is a writer, that may change."""
        return tuple(_first({**self._forgotten}, self._begun() + self._queue).items())

    def _begun(self) -> list[Frame]:
        """The frames that the writer's chunk is made of, and that are not wholly out."""
        left = len(self._left)
        at = len(self._writing)
        while left > 0:
            at -= 1
            left -= len(self._writing[at].data)
        return self._writing[at:]

    def _forget(self) -> None:
        """Never write what waits behind the writer's chunk."""
        _first(self._forgotten, self._queue)
        self._queue, self._queued = [], 0

    def close(self) -> None:
        """The connection is over: hold nothing for it."""
        self._ended = True
        self._queue, self._writing, self._left, self._queued = [], [], memoryview(b""), 0
        self._account()
        self._chunks.close()


def _first(known: dict[str, int], frames: list[Frame]) -> dict[str, int]:
    """`known`, with the first `seq` of each room among `frames`, too."""
    for frame in frames:
        if frame.seq:
            known[frame.epoch] = min(frame.seq, known.get(frame.epoch, frame.seq))
    return known


def _joined(frames: list[Frame]) -> bytes:
    return frames[0].data if len(frames) == 1 else b"".join([frame.data for frame in frames])
