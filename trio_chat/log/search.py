"""Searching a log file: of each room the newest first, and the rooms merged by time.

A search reads on a connection of its own, in a transaction that sees one state of the file.
"""

from __future__ import annotations

import heapq
import logging
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, TypeAlias

from trio_chat.config import History
from trio_chat.core.effects import Entry, Failed, Found, Now, Search
from trio_chat.log.database import Database, undecodable, why
from trio_chat.log.entries import COLUMNS, Unreadable, entry_of
from trio_chat.log.marks import shown_size
from trio_chat.log.reactions import reactions
from trio_chat.log.schema import SEQ_MASK
from trio_chat.log.spans import RoomSpan, load

log = logging.getLogger(__name__)
SEARCH_SECONDS = 2.0  # after which a search fails rather than keep the others waiting
_LOOK_EVERY = 10_000  # instructions of SQLite's machine between two looks at the clock
_HITS = f"""
    SELECT {COLUMNS} FROM search CROSS JOIN entries ON entries.id = search.rowid
    WHERE search MATCH ? AND search.rowid BETWEEN ? AND ? ORDER BY search.rowid DESC
"""

Place: TypeAlias = tuple[float, int, int]  # time, room number, seq
Hit: TypeAlias = tuple[Place, RoomSpan, Any]


class Finder:
    """For one thread at a time."""

    def __init__(self, db: Database, history: History) -> None:
        self._db, self._history = db, history
        self._unreadable = Unreadable()
        self._stopped = False

    def search(self, request: Search, now: Now) -> Found | Failed:
        """Answer a search; what takes more than `SEARCH_SECONDS` fails."""
        deadline = time.monotonic() + SEARCH_SECONDS
        try:
            self._db.guard(lambda: time.monotonic() > deadline, _LOOK_EVERY)
            self._db.execute("BEGIN")
            found = self._anyway(request, now)
            self._db.guard(None, 0)
            self._db.rollback()
        except Exception as error:  # it took too long, or the file is damaged
            if not self._stopped:
                late = time.monotonic() > deadline
                reason = f"it took more than {SEARCH_SECONDS:g} s" if late else why(error)
                log.warning("log: a search failed: %s", reason)
            self._recover()
            return Failed(request)
        return found

    def _anyway(self, request: Search, now: Now) -> Found:
        """What is found, with what can be read of a text that is not UTF-8."""
        try:
            return self._found(request, now)
        except (sqlite3.OperationalError, UnicodeDecodeError) as error:
            if not undecodable(error):
                raise
        with self._db.tolerant():
            found = self._found(request, now)
        rooms: dict[str, list[Entry]] = {}
        for key, entry in found.hits:
            rooms.setdefault(key, []).append(entry)
        for key, entries in rooms.items():
            if any("\ufffd" in text for one in entries for text in (one.draft.content, one.draft.sender)):
                self._unreadable.met(key, entries)
        return found

    def _recover(self) -> None:
        try:
            with suppress(sqlite3.Error):  # it may be closed, and is made anew by the next line
                self._db.guard(None, 0)
            self._db.rollback()
        except sqlite3.Error as error:  # the file is gone: the next search says so again
            log.debug("log: cannot be opened any more: %s", error)

    def stop(self) -> None:
        """Let the search that is under way fail. For any thread."""
        self._stopped = True
        self._db.interrupt()

    def close(self) -> None:
        """Close its connection."""
        self._db.close()

    def _found(self, request: Search, now: Now) -> Found:
        query = " ".join(f'"{word}"' for word in request.words)  # a word has no quote in it (FTS5, 3.1)
        streams = []
        for number, key, epoch in request.rooms if query else ():
            room = load(self._db, key)
            if room is not None and room.epoch == epoch:
                room.trim(self._db, self._history, now.wall)
                streams.append(self._hits(query, number, room, request.before))
        hits = heapq.merge(*streams, key=lambda hit: hit[0], reverse=True)
        taken: list[tuple[str, Entry]] = []
        size = 0
        more = False
        for _, room, row in islice(hits, request.limit + 1):
            entry = entry_of(row, room.epoch, reactions(self._db, row[0], row[0]))
            size += shown_size(entry)
            more = len(taken) == request.limit or (size > request.max_bytes and bool(taken))
            if more:
                break
            taken.append((room.key, entry))
        for stream in streams:
            stream.close()
        return Found(request, tuple(taken), more)

    def _hits(self, query: str, number: int, room: RoomSpan, before: Place | None) -> Generator[Hit, None, None]:
        """A room's hits in the order of the search, each read when it is asked for."""
        last = room.last
        ordered = room.disorder < room.first
        if before is not None and ordered:
            last = self._last_until(room, before[0])
        cursor = self._db.execute(_HITS, (query, room.base + room.first, room.base + last))
        try:
            hits: Iterator[Hit] = (((row[5], number, row[0] & SEQ_MASK), room, row) for row in cursor)
            if not ordered:  # the clock went back: seq and time are not the same order
                hits = iter(sorted(hits, key=lambda hit: hit[0], reverse=True))
            for hit in hits:
                if before is None or hit[0] < before:
                    yield hit
        finally:
            cursor.close()

    def _last_until(self, room: RoomSpan, at: float) -> int:
        """The last `seq` whose time is not after `at`; a page far back does not pass all that is newer."""
        seqs = range(room.first, room.last + 1)
        return room.first + bisect_right(seqs, at, key=lambda seq: self._at(room.base + seq)) - 1

    def _at(self, entry: int) -> float:
        at: float = self._db.row("SELECT at FROM entries WHERE id = ?", (entry,))[0]
        return at
