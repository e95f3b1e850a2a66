"""What the log is asked for and waits for room: nothing is fetched that nobody has room for (promises 3 and 6).

A connection has one page, or one search, on its way at a time, and all connections together have `IN_FLIGHT` pages: so
what waits in memory is bounded, whoever asks for how much, and a post waits for `IN_FLIGHT` pages at most. Searches
have a queue of their own in the log, which is bounded there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import attrs

from trio_chat.core.effects import ConnId, Read, Search
from trio_chat.server.outbox import Outbox

IN_FLIGHT = 16  # pages, of at most `max_message_bytes` each, that the log was asked for and that did not come yet
COMMANDS = 64  # `history` and `search` of one connection that may wait; replays are one for each of its rooms


@attrs.define(eq=False)
class _Reader:
    """A connection that waits for pages."""

    outbox: Outbox
    waiting: deque[Read | Search] = attrs.field(factory=deque)
    commands: int = 0  # of those that wait


class Reads:
    """What is to be read for whom. `ring` is called when something can be read again. Nothing here blocks."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._readers: dict[ConnId, _Reader] = {}
        self._asked: dict[ConnId, None] = {}  # their answer is on its way; they may be gone meanwhile
        self._pages = 0  # of those
        self._ready: dict[ConnId, None] = {}  # to be looked at, who waited longest first

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._readers)

    @property
    def more(self) -> bool:
        """Whether `take` would return something, as far as is known without a look at the outboxes."""
        return bool(self._ready) and self._pages < IN_FLIGHT

    def ask(self, request: Read | Search, outbox: Outbox) -> bool:
        """Put a request in its connection's line. False: too many wait there already."""
        conn = request.conn
        reader = self._readers.get(conn)
        if reader is None:
            reader = self._readers[conn] = _Reader(outbox)
        is_command = _is_command(request)
        if is_command and reader.commands >= COMMANDS:
            return False
        reader.commands += is_command
        reader.waiting.append(request)
        if len(reader.waiting) == 1 and conn not in self._asked:
            self._ready[conn] = None
        return True

    def take(self) -> list[Read | Search]:
        """What is to be asked now; each is to be told to `answered`. Who has no room comes back when there is."""
        found: list[Read | Search] = []
        while self.more:
            conn = next(iter(self._ready))
            del self._ready[conn]
            reader = self._readers[conn]
            if reader.outbox.half_full:
                reader.outbox.on_room = partial(self._has_room, conn)
                continue
            self._asked[conn] = None
            request = reader.waiting.popleft()
            if isinstance(request, Read):
                self._pages += 1
            if _is_command(request):
                reader.commands -= 1
                found.append(request)
            else:
                assert isinstance(request, Read)
                found.append(_fitting(request, reader.outbox))
        return found

    def answered(self, request: Read | Search) -> None:
        """What was asked is there, or never will be."""
        conn = request.conn
        del self._asked[conn]
        if isinstance(request, Read):
            self._pages -= 1
        reader = self._readers.get(conn)
        if reader is None:
            return
        if reader.waiting:
            self._ready[conn] = None
        else:
            del self._readers[conn]

    def waits(self, conn: ConnId) -> bool:
        """Whether something is still to be asked or answered for `conn`."""
        return conn in self._readers

    def keep_commands(self, conn: ConnId) -> None:
        """It is replayed to no longer; what it asked for itself it is to get."""
        reader = self._readers.get(conn)
        if reader is None:
            return
        reader.waiting = deque(request for request in reader.waiting if _is_command(request))
        if not reader.waiting and conn not in self._asked:
            self.forget(conn)

    def forget(self, conn: ConnId) -> None:
        """Nobody waits there any longer."""
        self._readers.pop(conn, None)
        self._ready.pop(conn, None)

    def _has_room(self, conn: ConnId) -> None:
        if conn in self._readers:
            self._ready[conn] = None
            self._ring()


def _is_command(request: Read | Search) -> bool:
    """Whether somebody asked for it, rather than a replay."""
    return isinstance(request, Search) or request.history


def _fitting(request: Read, outbox: Outbox) -> Read:
    """A page of a replay, no larger than what its outbox may be filled with at once."""
    frames, size = outbox.page
    return attrs.evolve(request, limit=min(request.limit, frames), max_bytes=min(request.max_bytes, size))
