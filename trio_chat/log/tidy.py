"""The upkeep of a log file, in slices: each a transaction of its own, short enough to be slipped in anywhere.

What is gone for the readers goes from the file; what was said lately gets into the index of words (in a transaction of
its own that costs 60 µs an entry, a hundred together 6); and what was erased is erased from where it was, too.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

import attrs

from trio_chat.core.effects import Now
from trio_chat.log.database import Database
from trio_chat.log.entries import index, unindex
from trio_chat.log.forgetting import Forgetting
from trio_chat.log.scrub import ScrubError, scrub
from trio_chat.log.spans import RoomSpan, Spans

log = logging.getLogger(__name__)
SLICE = 0.01  # seconds of work after which a slice ends
ROWS = 64  # rows that are read at once
ROOMS = 256  # rooms that are looked at in one slice
MERGE_PAGES = 16  # of the index, merged at once
ERASE_EVERY = 20.0  # seconds, at least, between the beginnings of two erasures: each reads the whole file
ERASE_RETRY = 0.5  # seconds after which it is tried again when another reads
PATROL_EVERY = 60.0  # seconds, at least, between two rounds for what became too old
PATROL_ROWS = 1000  # keys that are looked at in one slice


@attrs.define
class Erasure:
    """How far the erasing is: first the index is merged, then the pages are scrubbed."""

    again: float  # the next one begins then, at the earliest: monotonic seconds
    merged: bool = False
    merging: bool = False  # the first step of the merge is done
    page: int = 2


class Tidy:
    """Jobs that take turns, so that none starves another."""

    def __init__(self, db: Database, spans: Spans, file: int, forgetting: Forgetting) -> None:
        self._db, self._spans, self._file, self._forgetting = db, spans, file, forgetting
        self._unindexed: dict[str, None] = {}  # rooms that may have entries no search finds, and …
        self._unswept: dict[str, None] = {}  # … rows of what is no longer held
        self._doomed = True  # there may be rows of closed rooms
        self._erasure: Erasure | None = None
        self._wanted = True  # to be looked up: something may have been erased
        self._erase_at = self._patrol_at = -1e9
        self._room = self._key = -1  # how far the patrol is; -1: it rests
        self._jobs: deque[Callable[[Now, float], bool]] = deque(
            (self._index, self._sweep, self._doom, self._forget, self._erase, self._patrol)
        )

    def notice(self, rooms: Iterable[RoomSpan]) -> None:
        """These rooms were changed, and that is committed."""
        for room in rooms:
            if room.indexed < room.last:
                self._unindexed[room.key] = None
            if room.swept < room.first:
                self._unswept[room.key] = None

    def erased(self) -> None:
        """Something was erased, and that is committed."""
        self._wanted = self._doomed = True

    def rolled_back(self) -> None:
        """A transaction failed, perhaps one of an erasure: that begins anew, if need be."""
        self._erasure, self._wanted = None, True

    def again(self) -> None:
        """Begin with the job that was the last."""
        self._jobs.rotate(1)

    def slice(self, now: Now) -> bool:
        """Do the next thing there is to do. Returns whether there may be more."""
        until = time.perf_counter() + SLICE
        for _ in range(len(self._jobs)):
            job = self._jobs[0]
            self._jobs.rotate(-1)
            if job(now, until):
                return True
        return False

    @property
    def due(self) -> float:
        """When there is more, after a `slice` that found nothing; monotonic seconds."""
        return min(self._patrol_at, self._erase_at if self._wanted or self._erasure else math.inf)

    def catch_up(self, now: Now) -> bool:
        """Index a slice of what waits for it, while nobody searches. Returns whether there is more."""
        if self._erasure is not None and self._erasure.merged:
            self._erase_at = now.mono
            self._erase(now, 0.0)  # one search after the other must not keep it waiting
        self._index(now, time.perf_counter() + SLICE)
        return bool(self._unindexed)

    # --- The jobs; each returns whether it did something -------------------------------------------------------------

    def _index(self, _now: Now, until: float) -> bool:
        return self._work_off(self._unindexed, self._index_some, until)

    def _sweep(self, _now: Now, until: float) -> bool:
        return self._work_off(self._unswept, self._sweep_some, until)

    def _work_off(self, keys: dict[str, None], work: Callable[[RoomSpan, float], None], until: float) -> bool:
        """Do `work` in one room after the other. A room with more to do is put behind the others."""
        if not keys:
            return False
        self._db.begin()
        seen = []
        for key in tuple(islice(keys, ROOMS)):
            seen.append(key)
            room = self._spans.find(key)
            if room is not None:
                work(room, until)
            if time.perf_counter() >= until:
                break
        self._spans.save()
        self._db.commit()
        for key in seen:
            del keys[key]
        self.notice(self._spans.committed())
        return True

    def _index_some(self, room: RoomSpan, until: float) -> None:
        """Let searches find the entries of a room, until it is time."""
        while room.indexed < room.last:
            low = max(room.indexed + 1, room.swept)
            high = min(low + ROWS - 1, room.last)
            rows = self._db.rows(
                "SELECT id, kind, content FROM entries WHERE id BETWEEN ? AND ?", (room.base + low, room.base + high)
            )
            self._spans.touch(room)
            for entry, kind, content in rows:
                if kind <= 1:
                    index(self._db, entry, content)
                room.indexed = entry - room.base
                if time.perf_counter() >= until:
                    return
            room.indexed = high

    def _sweep_some(self, room: RoomSpan, until: float) -> None:
        """Delete the rows of what was trimmed, until it is time."""
        if room.swept < room.first:
            self._spans.touch(room)
            done = self._delete(room.base + room.swept, room.base + room.first - 1, room.base + room.indexed, until)
            room.swept = done - room.base + 1
            room.indexed = max(room.indexed, room.swept - 1)

    def _doom(self, _now: Now, until: float) -> bool:
        """Delete the rows of rooms that were closed."""
        row = self._db.row("SELECT low, high, indexed FROM doomed ORDER BY low LIMIT 1") if self._doomed else None
        self._doomed = row is not None
        if row is None:
            return False
        low, high, indexed = row
        self._db.begin()
        done = self._delete(low, high, indexed, until)
        self._db.execute("DELETE FROM keys WHERE id BETWEEN ? AND ?", (low, done))
        self._db.execute("DELETE FROM doomed WHERE low = ?", (low,))
        if done < high:
            self._db.execute("INSERT INTO doomed VALUES (?, ?, ?)", (done + 1, high, indexed))
        self._commit()
        return True

    def _forget(self, _now: Now, until: float) -> bool:
        """Forget whoever is to be forgotten; an erasure waits for the end of it."""
        if not self._forgetting.busy:
            return False
        if self._forgetting.slice(until):
            self.erased()
        return True

    def _delete(self, low: int, high: int, indexed: int, until: float) -> int:
        """Delete entries from `low` on, until it is time; returns the last id that is gone."""
        done = low - 1
        while done < high and (done < low or time.perf_counter() < until):
            upto = min(done + ROWS, high)
            rows = self._db.rows(
                "SELECT id, content FROM entries WHERE id BETWEEN ? AND ? AND kind <= 1", (done + 1, min(upto, indexed))
            )
            for entry, content in rows:
                unindex(self._db, entry, content)
                if time.perf_counter() >= until:
                    upto = entry
                    break
            self._db.execute("DELETE FROM entries WHERE id BETWEEN ? AND ?", (done + 1, upto))
            self._db.execute("DELETE FROM reactions WHERE target BETWEEN ? AND ?", (done + 1, upto))
            done = upto
        return done

    def _patrol(self, now: Now, _until: float) -> bool:
        """Look at all rooms and keys, some at a time, for what nobody asks for any longer and is too old."""
        if self._room < 0:
            if now.mono < self._patrol_at:
                return False
            self._room = self._key = 0
            self._patrol_at = now.mono + PATROL_EVERY
        self._db.begin()
        rooms = self._db.rows(
            "SELECT id, key FROM rooms WHERE id > ? AND first <= last ORDER BY id LIMIT ?", (self._room, ROOMS)
        )
        for _, key in rooms:
            room = self._spans.find(key)
            if room is not None:
                self._spans.trim(room, now.wall)
        keys = self._db.rows("SELECT id, until FROM keys WHERE id > ? ORDER BY id LIMIT ?", (self._key, PATROL_ROWS))
        gone = [(entry,) for entry, until in keys if until <= now.wall]
        self._db.executemany("DELETE FROM keys WHERE id = ?", gone)
        self._commit()
        if not rooms and not keys:
            self._room = -1
            return False
        self._room = rooms[-1][0] if rooms else self._room
        self._key = keys[-1][0] if keys else self._key
        return True

    def _commit(self) -> None:
        self._spans.save()
        self._db.commit()
        self.notice(self._spans.committed())

    # --- Erasing -----------------------------------------------------------------------------------------------------

    def _erase(self, now: Now, until: float) -> bool:
        """The content of what was deleted must not stay in the index, the -wal or the gaps of pages."""
        if now.mono < self._erase_at:
            return False
        if self._erasure is None:
            if not self._wanted or self._doomed or self._forgetting.busy:
                return False
            self._wanted = False
            if not self._db.row("SELECT value FROM meta WHERE key = 'erase'")[0]:
                return False
            self._erasure = Erasure(now.mono + ERASE_EVERY)
        if not self._erasure.merged:
            self._erasure.merged = self._merge(self._erasure, until)
            return True
        return self._scrub(self._erasure, now)

    def _merge(self, erasure: Erasure, until: float) -> bool:
        """Rewrite the index without what is deleted in it (FTS5, 6.8); returns whether that is done."""
        self._db.begin()
        while True:
            before = self._db.changes
            pages = MERGE_PAGES if erasure.merging else -MERGE_PAGES  # negative: begin with all there is
            self._db.execute("INSERT INTO search(search, rank) VALUES ('merge', ?)", (pages,))
            done, erasure.merging = erasure.merging and self._db.changes - before < 2, True
            if done or time.perf_counter() >= until:
                break
        self._db.commit()
        return done

    def _scrub(self, erasure: Erasure, now: Now) -> bool:
        try:
            page = scrub(self._db, self._file, erasure.page, SLICE)
        except ScrubError as error:
            log.warning("log: deleted messages may still be in the file, which cannot be scrubbed: %s", error)
            self._erasure, self._erase_at = None, erasure.again
            return False
        if page is None:
            self._erase_at = now.mono + ERASE_RETRY
            return False
        (pages,) = self._db.row("PRAGMA page_count")
        erasure.page = page
        if page > pages:
            self._erasure, self._erase_at = None, erasure.again
            if not self._wanted:  # nothing was erased since it began
                self._db.execute("UPDATE meta SET value = 0 WHERE key = 'erase'")
        return True
