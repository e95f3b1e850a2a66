"""Where each room's entries begin and end, in a log file: kept in memory while the room is busy."""

from __future__ import annotations

import attrs

from trio_chat.config import History
from trio_chat.log.database import Database
from trio_chat.log.schema import SEQ_BITS

DAY = 86_400.0
CACHED = 8192  # rooms, of about 0.5 KiB: for them an append is one INSERT
LOOKAHEAD = 64  # times of entries that are read at once, to see when the oldest of them has to go
_COLUMNS = "id, key, epoch, first, last, swept, indexed, latest, disorder"


@attrs.define(eq=False)
class RoomSpan:
    """A room: what it holds is `first` … `last`; see `schema` for the rest."""

    id: int
    key: str
    epoch: str
    first: int = 1
    last: int = 0
    swept: int = 1
    indexed: int = 0
    latest: float = 0.0
    disorder: int = 0
    _ages: list[float] = attrs.field(factory=list, init=False)  # times of the entries from `_ages_from` on
    _ages_from: int = attrs.field(default=0, init=False)

    @property
    def base(self) -> int:
        """What added to a `seq` is an entry's id."""
        return self.id << SEQ_BITS

    def took(self, at: float) -> int:
        """The next `seq`, of an entry of the time `at`."""
        self.last += 1
        if at < self.latest:
            self.disorder = self.last
        else:
            self.latest = at
        return self.last

    def trim(self, db: Database, history: History, wall: float) -> bool:
        """Leave out what is too many or too old: a prefix. Returns whether there was any."""
        first = max(self.first, self.last - history.history_limit + 1)
        oldest = wall - history.history_days * DAY
        while first <= self.last and self._at(db, first) < oldest:
            first += 1
        trimmed, self.first = first != self.first, first
        return trimmed

    def _at(self, db: Database, seq: int) -> float:
        if not 0 <= seq - self._ages_from < len(self._ages):
            low = self.base + seq
            rows = db.rows("SELECT at FROM entries WHERE id BETWEEN ? AND ?", (low, low + LOOKAHEAD - 1))
            self._ages, self._ages_from = [at for (at,) in rows], seq
        return self._ages[seq - self._ages_from]


def load(db: Database, key: str) -> RoomSpan | None:
    """What the file says of a room."""
    row = db.row(f"SELECT {_COLUMNS} FROM rooms WHERE key = ?", (key,))
    return None if row is None else RoomSpan(*row)


def load_all(db: Database) -> list[RoomSpan]:
    """What the file says of all rooms. Raises ValueError: no log writes that."""
    rooms = [RoomSpan(*row) for row in db.rows(f"SELECT {_COLUMNS} FROM rooms ORDER BY id")]
    for room in rooms:
        numbers = (room.first, room.last, room.swept, room.indexed, room.disorder)
        kinds = [type(value) for value in (room.key, room.epoch, *numbers)]
        if kinds != [str, str, *[int] * len(numbers)] or not room.epoch:
            raise ValueError(f"room {room.id} has a value that no log writes")
        if not 1 <= room.swept <= room.first <= room.last + 1:
            raise ValueError(f"the numbers of room {room.key!r} do not fit together")
    return rooms


class Spans:
    """The rooms of a log file. What is changed is written by `save`, once a transaction."""

    def __init__(self, db: Database, history: History) -> None:
        self._db, self._history = db, history
        self._cache: dict[str, RoomSpan] = {}  # the one that was used last at the end
        self._changed: dict[str, RoomSpan] = {}

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return bool(self._changed)

    def find(self, key: str) -> RoomSpan | None:
        """The room, if there is one."""
        room = self._cache.pop(key, None) or load(self._db, key)
        if room is not None:
            self._cache[key] = room
        return room

    def after(self, number: int) -> RoomSpan | None:
        """The first room whose id is `number` or higher."""
        row = self._db.row("SELECT key FROM rooms WHERE id >= ? ORDER BY id LIMIT 1", (number,))
        return None if row is None else self.find(row[0])

    def make(self, key: str, epoch: str) -> RoomSpan:
        """A new room."""
        cursor = self._db.execute(
            "INSERT INTO rooms(key, epoch, first, last, swept, indexed, latest, disorder)"
            " VALUES (?, ?, 1, 0, 1, 0, 0, 0)",
            (key, epoch),
        )
        assert cursor.lastrowid is not None
        room = self._cache[key] = self._changed[key] = RoomSpan(cursor.lastrowid, key, epoch)
        return room

    def drop(self, room: RoomSpan) -> None:
        """The room is no more."""
        self._cache.pop(room.key, None)
        self._changed.pop(room.key, None)
        self._db.execute("DELETE FROM rooms WHERE id = ?", (room.id,))

    def touch(self, room: RoomSpan) -> None:
        """The room was changed."""
        self._changed[room.key] = room

    def trim(self, room: RoomSpan, wall: float) -> None:
        """Leave out what is too many or too old."""
        if room.trim(self._db, self._history, wall):
            self.touch(room)

    def save(self) -> None:
        """Write what was changed; a part of the transaction."""
        if self._changed:
            self._db.executemany(
                "UPDATE rooms SET first = ?, last = ?, swept = ?, indexed = ?, latest = ?, disorder = ? WHERE id = ?",
                [
                    (room.first, room.last, room.swept, room.indexed, room.latest, room.disorder, room.id)
                    for room in self._changed.values()
                ],
            )

    def committed(self) -> list[RoomSpan]:
        """The transaction is committed; returns the rooms that it changed."""
        changed = list(self._changed.values())
        self._changed.clear()
        while len(self._cache) > CACHED:
            del self._cache[next(iter(self._cache))]
        return changed

    def rolled_back(self) -> None:
        """It is not: what is in memory may be wrong."""
        self._cache.clear()
        self._changed.clear()
