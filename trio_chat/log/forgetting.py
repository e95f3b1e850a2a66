"""Forgetting a user in a log file: a job of its upkeep, in slices, which goes through all rooms once.

It is finished when its `ForgetRecord` is gone. A process that dies before leaves the rest to the next: what was done
already is done again, and changes nothing.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import attrs
import msgspec

from trio_chat.core.anonymous import TEXTS, anonymous, is_by
from trio_chat.core.codec import json_size
from trio_chat.core.effects import Draft
from trio_chat.core.identity import PREFIX
from trio_chat.core.posting import ENTRY_HEAD
from trio_chat.core.records import ForgetRecord
from trio_chat.log.database import Database
from trio_chat.log.entries import COLUMNS, ERASE, entry_of, erase, unindex
from trio_chat.log.schema import KINDS
from trio_chat.log.spans import RoomSpan, Spans

log = logging.getLogger(__name__)
ROWS = 512  # that are looked at in one go
ERASED_BYTES = json_size("") + ENTRY_HEAD
_OTHERS = ", ".join(str(number) for number, kind in enumerate(KINDS) if kind not in ("message", "private"))
# Who wrote is in each row; whom it is about, in few.
_SUSPECTS = f"""
    SELECT id FROM entries WHERE id BETWEEN ? AND ? AND at <= ?
    AND (author >= ? AND author < ? OR "to" != '' AND kind IN ({_OTHERS})) ORDER BY id
"""
_ROW = f"SELECT {COLUMNS} FROM entries WHERE id = ?"
_decode = msgspec.json.Decoder(ForgetRecord).decode


@attrs.frozen
class _Place:
    """How far it is: the entries of rooms with a lower id, and of this one those before `seq`, are done."""

    value: bytes  # the record, as it is kept
    record: ForgetRecord
    room: int = 0
    seq: int = 0


class Forgetting:
    """Everybody who is to be forgotten, one after the other."""

    def __init__(self, db: Database, spans: Spans, path: Path) -> None:
        self._db, self._spans, self._path = db, spans, path
        self._wanted = True  # to be looked up: somebody may be to be forgotten
        self._place: _Place | None = None  # of what is committed
        self._changed = 0  # entries, in this process

    @property
    def busy(self) -> bool:
        """Whether there is, or may be, something to do."""
        return self._wanted or self._place is not None

    def look(self) -> None:
        """Somebody is to be forgotten, and that is committed."""
        self._wanted = True

    def slice(self, until: float) -> bool:
        """Do what can be done until then. Returns whether somebody is wholly forgotten: all must be scrubbed."""
        place = self._place or self._next()
        if place is None:
            return False
        self._db.begin()
        done = False
        while not done and time.perf_counter() < until:
            room = self._spans.after(place.room if place.seq else place.room + 1)
            if room is None:
                self._finish(place)
                done = True
            else:
                place = self._some(room, place, until)
        self._spans.save()
        self._db.commit()
        self._spans.committed()
        self._place = None if done else place
        return done

    def _next(self) -> _Place | None:
        """Whoever is first. What is not settled is not ours yet."""
        self._wanted = False
        for (value,) in self._db.rows("SELECT value FROM kept WHERE kind = ? ORDER BY key", (ForgetRecord.kind,)):
            record = _decode(value)
            if record.settled:
                return _Place(value, record)
        return None

    def _some(self, room: RoomSpan, place: _Place, until: float) -> _Place:
        """Look through some entries of a room; returns how far it is then."""
        low = max(place.seq if room.id == place.room else 0, room.swept)
        high = min(low + ROWS - 1, room.last)
        key = place.record.key
        guests = key == f"name:{place.record.name_key}"
        authors = (PREFIX["guest"], f"{PREFIX['guest']}\U0010ffff") if guests else (key, f"{key}\0")
        for (entry,) in self._db.rows(_SUSPECTS, (room.base + low, room.base + high, place.record.at, *authors)):
            self._entry(room, entry, place.record)
            if time.perf_counter() >= until:
                return attrs.evolve(place, room=room.id, seq=entry - room.base + 1)
        if high < room.last:
            return attrs.evolve(place, room=room.id, seq=high + 1)
        return attrs.evolve(place, room=room.id, seq=0)

    def _entry(self, room: RoomSpan, place: int, record: ForgetRecord) -> None:
        row = self._db.row(_ROW, (place,))
        entry = entry_of(row, room.epoch, {})
        old, new = entry.draft, anonymous(entry.draft, record)
        if new is old:
            return
        self._changed += 1
        if is_by(old, record):
            self._db.execute("DELETE FROM keys WHERE id = ?", (place,))
            if old.kind in TEXTS and not entry.erased:
                new = self._erase(room, place, new)
            elif old.kind == "react":
                self._db.execute(
                    "DELETE FROM reactions WHERE target = ? AND emoji = ? AND author = ?",
                    (room.base + (old.of or 0), old.emoji, old.author),
                )
        self._db.execute(
            'UPDATE entries SET author = ?, sender = ?, content = ?, "to" = ?, emoji = ?, remove = ? WHERE id = ?',
            (new.author, new.sender, new.content, new.to, new.emoji, new.remove, place),
        )

    def _erase(self, room: RoomSpan, place: int, draft: Draft) -> Draft:
        """Erase a text; returns what is left of it. An edit of what another wrote is the other's."""
        message = place
        if draft.kind == "edit":
            message = room.base + (draft.of or 0)
            if self._db.row("SELECT 1 FROM entries WHERE id = ?", (message,)) is not None:
                return draft  # of one's own it was erased with the message
        elif place <= room.base + room.indexed:
            unindex(self._db, place, draft.content)
        erase(self._db, place, message, ERASED_BYTES)
        return attrs.evolve(draft, content="")

    def _finish(self, place: _Place) -> None:
        """Nothing is left to do for this record, unless it was kept anew meanwhile."""
        key = place.record.key
        self._db.execute("DELETE FROM keys WHERE author = ?", (key,))
        self._db.execute(ERASE)
        gone = (ForgetRecord.kind, key, place.value)
        self._wanted = True
        if not self._db.execute("DELETE FROM kept WHERE kind = ? AND key = ? AND value = ?", gone).rowcount:
            return
        log.info("log: a user is forgotten; entries changed: %d; the last traces go within a minute", self._changed)
        self._changed = 0
        for copy in self._path.parent.glob(f"{self._path.name}.v*.bak"):
            log.warning("log: %s is a copy from before, in which the user is not forgotten: remove it", copy)
