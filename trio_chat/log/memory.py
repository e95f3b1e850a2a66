"""The log kind `memory`: answers at once, and ends with the process."""

from __future__ import annotations

import hashlib
from collections import deque
from itertools import islice

import attrs

from trio_chat.config import History
from trio_chat.core.effects import (
    Answer,
    Append,
    Committed,
    Draft,
    Duplicate,
    Entry,
    Forget,
    KeyReused,
    Now,
    Page,
    Read,
    Stale,
)

DAY = 86_400.0
TOTAL_BYTES = 512 * 1024 * 1024  # of all entries; over it, the room that was written to loses its oldest


@attrs.define(eq=False)
class _RoomLog:
    """The entries of one room, `first` … `last`; all of a deque's ends are cheap, and its middle is not needed."""

    epoch: str
    last: int = 0
    entries: deque[Entry] = attrs.field(factory=deque)
    # (author, key) → (seq, digest of the content, when it is forgotten), oldest first
    keys: dict[tuple[str, str], tuple[int, bytes, float]] = attrs.field(factory=dict)

    @property
    def first(self) -> int:
        return self.last - len(self.entries) + 1


class MemoryLog:
    """Keeps `history_limit` entries a room for `history_days`, and `total_bytes` in all."""

    def __init__(self, config: History, total_bytes: int = TOTAL_BYTES) -> None:
        self._config, self._total_bytes = config, total_bytes
        self._rooms: dict[str, _RoomLog] = {}
        self.bytes = 0

    def submit(self, request: Append | Read, now: Now) -> Answer:
        """Answer at once; see `Log`."""
        room = self._rooms.get(request.room)
        if room is None:
            if isinstance(request, Read):  # it makes no room: a replay may ask for one that was forgotten since
                return Page(request, (), 1, 0)
            room = self._rooms[request.room] = _RoomLog(request.epoch)
        if room.epoch != request.epoch:
            return Stale(request)
        self._trim(room, now.wall)
        return self._append(room, request, now) if isinstance(request, Append) else _read(room, request)

    def forget(self, request: Forget) -> None:
        """Drop a room and its entries."""
        room = self._rooms.pop(request.room, None)
        if room is not None:
            self.bytes -= sum(entry.draft.size for entry in room.entries)

    def _append(self, room: _RoomLog, request: Append, now: Now) -> Answer:
        if request.key is not None:
            digest = _digest(request.draft)
            known = room.keys.get((request.draft.author, request.key))
            if known is not None and known[2] > now.mono:
                return Duplicate(request, known[0]) if known[1] == digest else KeyReused(request)
            forgotten = now.mono + self._config.dedupe_window
            room.keys.pop((request.draft.author, request.key), None)
            room.keys[request.draft.author, request.key] = (room.last + 1, digest, forgotten)
        room.last += 1
        entry = Entry(room.last, room.epoch, request.draft)
        room.entries.append(entry)
        self.bytes += request.draft.size
        for key in [key for key, (_, _, until) in islice(room.keys.items(), 2) if until <= now.mono]:
            del room.keys[key]  # two a time: faster than they come, and never a pause
        self._trim(room, now.wall)
        return Committed(request, entry, room.first)

    def _trim(self, room: _RoomLog, wall: float) -> None:
        oldest = wall - self._config.history_days * DAY
        entries = room.entries
        while entries and (
            len(entries) > self._config.history_limit
            or entries[0].draft.at < oldest
            or (self.bytes > self._total_bytes and len(entries) > 1)
        ):
            self.bytes -= entries.popleft().draft.size


def _digest(draft: Draft) -> bytes:
    """What must be the same for a key to be the same message."""
    return hashlib.blake2b(f"{draft.reply_to}\n{draft.content}".encode(), digest_size=16).digest()


def _read(room: _RoomLog, request: Read) -> Page:
    first, last = room.first, room.last
    if request.after is not None:
        start, stop = max(request.after + 1, first), last + 1
    else:
        start, stop = first, min(last + 1, request.before or last + 1)
    backwards = request.after is None
    found: list[Entry] = []
    size = 0
    for entry in _walk(room, start, stop, backwards=backwards, limit=request.limit):
        size += entry.draft.size
        if size > request.max_bytes and found:
            break
        found.append(entry)
    return Page(request, tuple(reversed(found) if backwards else found), first, last)


def _walk(room: _RoomLog, start: int, stop: int, *, backwards: bool, limit: int) -> list[Entry]:
    """At most `limit` entries of `start` ≤ seq < `stop`: the first, or `backwards` the last and these first.

    The deque is walked from the end that is nearer: who comes back from a short absence asks for the newest.
    """
    count = min(limit, max(0, stop - start))
    if not count:
        return []
    lowest = stop - count if backwards else start
    before, behind = lowest - room.first, room.last + 1 - lowest - count  # entries on both sides of those wanted
    if before < behind:
        found = list(islice(room.entries, before, before + count))
        return found[::-1] if backwards else found
    found = list(islice(reversed(room.entries), behind, behind + count))
    return found if backwards else found[::-1]
