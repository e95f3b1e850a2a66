"""Reads of the log that wait for room: no page is fetched that nobody has room for (promises 3 and 6).

A connection has one page on its way at a time, and all connections together `IN_FLIGHT`: so what waits in memory is
bounded, whoever asks for how much, and a post waits for `IN_FLIGHT` pages at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import attrs

from trio_chat.core.effects import ConnId, Read
from trio_chat.server.outbox import Outbox

IN_FLIGHT = 16  # pages, of at most `max_message_bytes` each, that the log was asked for and that did not come yet
HISTORIES = 64  # `history` commands of one connection that may wait; replays are one for each of its rooms


@attrs.define(eq=False)
class _Reader:
    """A connection that waits for pages."""

    outbox: Outbox
    waiting: deque[Read] = attrs.field(factory=deque)
    histories: int = 0  # of those that wait


class Reads:
    """What is to be read for whom. `ring` is called when something can be read again. Nothing here blocks."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._readers: dict[ConnId, _Reader] = {}
        self._asked: dict[ConnId, None] = {}  # their page is on its way; they may be gone meanwhile
        self._ready: dict[ConnId, None] = {}  # to be looked at, who waited longest first

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._readers)

    @property
    def more(self) -> bool:
        """Whether `take` would return something, as far as is known without a look at the outboxes."""
        return bool(self._ready) and len(self._asked) < IN_FLIGHT

    def ask(self, request: Read, outbox: Outbox) -> bool:
        """Put a read in its connection's line. False: too many wait there already."""
        conn = request.conn
        reader = self._readers.get(conn)
        if reader is None:
            reader = self._readers[conn] = _Reader(outbox)
        if request.history and reader.histories >= HISTORIES:
            return False
        reader.histories += request.history
        reader.waiting.append(request)
        if len(reader.waiting) == 1 and conn not in self._asked:
            self._ready[conn] = None
        return True

    def take(self) -> list[Read]:
        """What is to be read now; each is to be told to `answered`. Who has no room comes back when there is."""
        found: list[Read] = []
        while self.more:
            conn = next(iter(self._ready))
            del self._ready[conn]
            reader = self._readers[conn]
            if reader.outbox.half_full:
                reader.outbox.on_room = partial(self._has_room, conn)
                continue
            self._asked[conn] = None
            request = reader.waiting.popleft()
            reader.histories -= request.history
            found.append(request if request.history else _fitting(request, reader.outbox))
        return found

    def answered(self, conn: ConnId) -> None:
        """The page of `conn` is there, or never will be."""
        del self._asked[conn]
        reader = self._readers.get(conn)
        if reader is None:
            return
        if reader.waiting:
            self._ready[conn] = None
        else:
            del self._readers[conn]

    def forget(self, conn: ConnId) -> None:
        """Nobody waits there any longer."""
        self._readers.pop(conn, None)
        self._ready.pop(conn, None)

    def _has_room(self, conn: ConnId) -> None:
        if conn in self._readers:
            self._ready[conn] = None
            self._ring()


def _fitting(request: Read, outbox: Outbox) -> Read:
    """A page of a replay, no larger than what its outbox may be filled with at once."""
    frames, size = outbox.page
    return attrs.evolve(request, limit=min(request.limit, frames), max_bytes=min(request.max_bytes, size))
