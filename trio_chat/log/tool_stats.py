"""What is in a log file, in numbers. Rooms are named; nothing is told of what was said in them."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec

from trio_chat.core.events import timestamp
from trio_chat.core.records import RoomRecord
from trio_chat.log.opening import machine_boot
from trio_chat.log.schema import SEQ_BITS, VERSION
from trio_chat.log.tools import STRANGE, Report, ToolError, beside, holder, reading, tokens

_OF_ROOM = "SELECT ifnull(sum(size), 0), min(at), max(at) FROM entries WHERE id BETWEEN ? AND ?"


@attrs.frozen(kw_only=True)
class RoomStats:
    """A room; `bytes` are those of its entries' frames at most, times are ISO 8601 or None where it is empty."""

    room: str
    private: bool  # a conversation of two
    entries: int
    first: int
    last: int
    bytes: int
    oldest: str | None
    newest: str | None
    epoch: str


@attrs.frozen(kw_only=True)
class Stats:
    """See the fields. Sizes are in bytes, times ISO 8601 in UTC."""

    path: str
    version: int
    file_bytes: int
    wal_bytes: int
    page_bytes: int
    pages: int
    free_pages: int
    open_in: str | None  # the process that has it open
    closed_well: bool
    sync: str  # of the last use
    trusted: bool  # it is what was used here last: a server goes on with the epochs
    rooms: int
    epochs: int  # different ones of the rooms
    entries: int
    bytes: int
    oldest: str | None
    newest: str | None
    unswept: int  # entries that nobody can read any more, and whose rows are still there
    unindexed: int  # entries that a search does not find yet
    keys: int
    reactions: int
    kept: dict[str, int]  # records of each kind
    biggest: list[RoomStats]


def stats(path: Path, most: int, report: Report) -> Stats:
    """Count what is in a log file, which a server may have open; `most`: so many of the biggest rooms are told.

    Raises:
        ToolError: it is no log file that can be read.
    """
    with reading(path) as db:
        try:
            return _stats(db, path, most, report)
        except (KeyError, *STRANGE):
            raise ToolError(f"{path} is damaged: `trio-chat log check` may tell where") from None


def _stats(db: sqlite3.Connection, path: Path, most: int, report: Report) -> Stats:
    meta: dict[str, Any] = dict(db.execute("SELECT key, value FROM meta").fetchall())
    biggest: list[tuple[int, int, RoomStats]] = []  # a heap, the smallest first
    sums = _Sums()
    for number, room in enumerate(_rooms(db, report)):
        sums.add(room)
        heapq.heappush(biggest, (room.bytes, -number, room))
        if len(biggest) > most:
            heapq.heappop(biggest)
    behind = "SELECT ifnull(sum(first - swept), 0), ifnull(sum(last - max(indexed, first - 1)), 0) FROM rooms"
    unswept, unindexed = db.execute(behind).fetchone()
    return Stats(
        path=str(path),
        version=VERSION,
        file_bytes=path.stat().st_size,
        wal_bytes=_size(beside(path, "-wal")),
        page_bytes=_number(db, "PRAGMA page_size"),
        pages=_number(db, "PRAGMA page_count"),
        free_pages=_number(db, "PRAGMA freelist_count"),
        open_in=holder(path),
        closed_well=bool(meta["clean"]),
        sync=meta["sync"],
        trusted=_trusted(meta, tokens(path)),
        rooms=sums.rooms,
        epochs=_number(db, "SELECT count(DISTINCT epoch) FROM rooms"),
        entries=sums.entries,
        bytes=sums.bytes,
        oldest=sums.oldest,
        newest=sums.newest,
        unswept=unswept + _number(db, "SELECT ifnull(sum(high - low + 1), 0) FROM doomed"),
        unindexed=unindexed,
        keys=_number(db, "SELECT count(*) FROM keys"),
        reactions=_number(db, "SELECT count(*) FROM reactions"),
        kept=dict(db.execute("SELECT kind, count(*) FROM kept GROUP BY kind ORDER BY kind").fetchall()),
        biggest=[room for _, _, room in sorted(biggest, reverse=True)],
    )


@attrs.define
class _Sums:
    rooms: int = 0
    entries: int = 0
    bytes: int = 0
    oldest: str | None = None
    newest: str | None = None

    def add(self, room: RoomStats) -> None:
        self.rooms += 1
        self.entries += room.entries
        self.bytes += room.bytes
        self.oldest = min(filter(None, (self.oldest, room.oldest)), default=None)
        self.newest = max(filter(None, (self.newest, room.newest)), default=None)


def _rooms(db: sqlite3.Connection, report: Report) -> Iterator[RoomStats]:
    total = _number(db, "SELECT ifnull(sum(last - first + 1), 0) FROM rooms")
    done = 0
    sql = """
        SELECT rooms.id, rooms.key, epoch, first, last, kept.value FROM rooms
        LEFT JOIN kept ON kept.kind = 'room' AND kept.key = rooms.key ORDER BY rooms.key
    """
    for number, key, epoch, first, last, value in db.execute(sql):
        if not isinstance(key, str) or not isinstance(epoch, str):
            raise TypeError
        base = number << SEQ_BITS
        size, oldest, newest = db.execute(_OF_ROOM, (base + first, base + last)).fetchone()
        name, private = _name(key, value)
        yield RoomStats(
            room=name,
            private=private,
            entries=last - first + 1,
            first=first,
            last=last,
            bytes=size,
            oldest=_time(oldest),
            newest=_time(newest),
            epoch=epoch,
        )
        done += last - first + 1
        report("entries", done, total)


def _name(key: str, value: bytes | None) -> tuple[str, bool]:
    """How a room is shown, and whether it is a conversation. Without a readable record it is its key."""
    try:
        record = None if value is None else msgspec.json.decode(value, type=RoomRecord)
    except msgspec.MsgspecError:
        record = None
    return (key, False) if record is None else (record.name or key, record.between is not None)


def _time(at: float | None) -> str | None:
    try:
        return None if at is None else timestamp(at)
    except (ValueError, OverflowError, OSError):  # no time that there is
        return None


def _number(db: sqlite3.Connection, sql: str) -> int:
    found: int = db.execute(sql).fetchone()[0]
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _trusted(meta: dict[str, Any], known: list[str]) -> bool:
    """What `opening` will say of it."""
    lost = not meta["clean"] and meta["sync"] == "normal" and meta["boot_id"] != (machine_boot() or None)
    return meta["generation"] in known and not lost


def table(found: Stats) -> str:
    """The same for people."""
    lines = [
        ("file", f"{found.path}, version {found.version}"),
        ("open", f"in process {found.open_in}" if found.open_in else "nowhere"),
        ("bytes", f"{found.file_bytes:,}, and {found.wal_bytes:,} in the -wal"),
        ("pages", f"{found.pages:,} of {found.page_bytes:,} bytes, {found.free_pages:,} of them free"),
        ("last use", _last_use(found)),
        ("rooms", f"{found.rooms:,}, with {found.epochs:,} different epochs"),
        ("entries", f"{found.entries:,}, of {found.bytes:,} bytes"),
        ("from", f"{found.oldest or '-'} to {found.newest or '-'}"),
        ("to do", f"{found.unswept:,} entries to sweep, {found.unindexed:,} to index"),
        ("beside", ", ".join(f"{count:,} {kind}" for kind, count in _beside(found).items())),
    ]
    text = [f"{name:8}  {value}" for name, value in lines]
    if found.biggest:
        text += ["", *_columns(found.biggest)]
    return "\n".join(text)


def _last_use(found: Stats) -> str:
    how = "closed well" if found.closed_well else "not closed"
    sync = f"sync {found.sync}, " if found.sync else "none, "
    return f"{sync}{how}; {'trusted' if found.trusted else 'the next start gives new epochs'}"


def _beside(found: Stats) -> dict[str, int]:
    return {**found.kept, "keys": found.keys, "reactions": found.reactions}


def _columns(rooms: list[RoomStats]) -> list[str]:
    head = ("biggest rooms", "entries", "first", "last", "bytes", "newest", "epoch")
    rows = [
        (
            _shown(one.room),
            f"{one.entries:,}",
            f"{one.first:,}",
            f"{one.last:,}",
            f"{one.bytes:,}",
            one.newest or "-",
            one.epoch,
        )
        for one in rooms
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    left = (0, 5, 6)
    return [
        "  ".join(
            f"{text:{width}}" if column in left else f"{text:>{width}}"
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *rows]
    ]


def _shown(name: str) -> str:
    """A conversation's key has a line break in it."""
    return "".join(one if one.isprintable() else " " for one in name)
