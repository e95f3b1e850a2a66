"""Exporting a log file as lines of JSON; see `tool_lines`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from trio_chat.core.events import timestamp
from trio_chat.core.names import parse_name
from trio_chat.core.records import BlockRecord, MemberRecord, Record, RightRecord, RoomRecord, UserRecord
from trio_chat.log.schema import KINDS, SEQ_BITS, SEQ_MASK
from trio_chat.log.tool_lines import EXPORTED, VERSION, End, Entry, Kept, Key, Line, Log, Room
from trio_chat.log.tools import EVERY, STRANGE, Report, ToolError, drafting, reading

_BUFFER = 1024 * 1024  # bytes that are written at once
_ENTRIES = """
    SELECT id, kind, author, sender, content, at, size, room, "to", reply_to, target, emoji, remove, edited, erased,
        until, hidden
    FROM entries WHERE id BETWEEN ? AND ? ORDER BY id
"""


def export_file(path: Path, output: Path, rooms: Sequence[str], report: Report, *, force: bool = False) -> None:
    """Export into a new file that only its owner can read. What is cut short leaves nothing behind."""
    if path.resolve() == output.resolve():
        raise ToolError(f"{output} is the log itself", usage=True)
    with drafting(output, force=force) as draft, draft.open("wb", buffering=_BUFFER) as file:
        export(path, file, rooms, report)


def export(path: Path, file: BinaryIO, rooms: Sequence[str], report: Report) -> None:
    """Write the lines of one state of a log; with `rooms`, of those only, and of their members.

    While that lasts, a server that has the log open cannot shorten its -wal.

    Raises:
        ToolError: it cannot be read, is damaged, or has no such room.
        OSError: of `file`.
    """
    encode = msgspec.json.Encoder().encode
    with reading(path) as db:
        count = 0
        try:
            for line in _lines(db, path, rooms, report):
                file.write(encode(line))
                file.write(b"\n")
                count += 1
        except STRANGE:
            raise ToolError(f"{path} is damaged: `trio-chat log check` may tell where") from None
        file.write(encode(End(lines=count)))
        file.write(b"\n")
        file.flush()


def _lines(db: sqlite3.Connection, path: Path, names: Sequence[str], report: Report) -> Iterator[Line]:
    wanted = {_room_key(db, path, name) for name in names}
    marks = ", ".join("?" * len(wanted))
    which = f"WHERE key IN ({marks})" if wanted else ""
    keys = sorted(wanted)
    rooms, total = db.execute(f"SELECT count(*), ifnull(sum(last - first + 1), 0) FROM rooms {which}", keys).fetchone()
    now = timestamp(datetime.now(UTC).timestamp())
    yield Log(version=VERSION, exported_at=now, rooms=rooms, entries=total)
    yield from _records(db, path, wanted)
    done = 0
    sql = f"SELECT id, key, epoch, first, last FROM rooms {which} ORDER BY key"
    for number, key, epoch, first, last in db.execute(sql, keys):
        yield Room(key=key, epoch=epoch, first=first, last=last)
        seq = first
        for line in _entries(db, number, first, last):
            if line.seq != seq:
                break
            yield line
            seq += 1
            done += 1
            if done % EVERY == 0:
                report("entries", done, total)
        if seq != last + 1:
            raise ToolError(f"{path} is damaged: room {key!r} has no entry {seq}")
        yield from _keys(db, number)
    report("entries", total, total)


def _room_key(db: sqlite3.Connection, path: Path, name: str) -> str:
    """The key of a room, of its name or key."""
    candidates = [name]
    with suppress(ValueError):  # a conversation's key is no name
        candidates.append(parse_name(name).key)
    known = "SELECT 1 FROM rooms WHERE key = ?1 UNION ALL SELECT 1 FROM kept WHERE kind = 'room' AND key = ?1"
    for key in candidates:
        if db.execute(known, (key,)).fetchone():
            return key
    raise ToolError(f"--room: {name!r} is no room in {path}", usage=True)


def _records(db: sqlite3.Connection, path: Path, wanted: set[str]) -> Iterator[Kept]:
    users: set[str] = set()
    if wanted:
        members = _decoded(db, path, "member")
        users = {record.user for record in members if isinstance(record, MemberRecord) and record.room in wanted}
    for kind in EXPORTED:
        for record in _decoded(db, path, kind):
            if not wanted or _concerns(record, wanted, users):
                yield Kept(kind=kind, value=msgspec.Raw(msgspec.json.encode(record, order="sorted")))


def _decoded(db: sqlite3.Connection, path: Path, kind: str) -> Iterator[Record]:
    decode = msgspec.json.Decoder(EXPORTED[kind]).decode
    for key, value in db.execute("SELECT key, value FROM kept WHERE kind = ? ORDER BY key", (kind,)):
        try:
            yield decode(value)
        except msgspec.MsgspecError as error:
            raise ToolError(f"{path} is damaged: record {kind} {key!r}: {error}") from None


def _concerns(record: Record, rooms: set[str], users: set[str]) -> bool:
    match record:
        case RoomRecord():
            return record.key in rooms
        case MemberRecord():
            return record.room in rooms
        case RightRecord():
            return record.room in rooms
        case UserRecord():
            return record.key in users
        case BlockRecord():
            return record.user in users
        case _:  # pragma: no cover  (sessions and accounts are not read)
            return False


def _entries(db: sqlite3.Connection, number: int, first: int, last: int) -> Iterator[Entry]:
    base = number << SEQ_BITS
    return map(_entry, db.execute(_ENTRIES, (base + first, base + last)))


def _entry(row: Any) -> Entry:
    place, kind, author, sender, content, at, size, room, to, reply_to, target, emoji, remove, edited, erased, *new = (
        row
    )
    until, hidden = new
    return Entry(
        seq=place & SEQ_MASK,
        kind=KINDS[kind],  # type: ignore[arg-type]  # one of them
        author=author,
        sender=sender,
        content=content,
        at=at,
        size=size,
        room=room,
        to=to,
        reply_to=reply_to,
        of=None if target is None else target & SEQ_MASK,
        emoji=emoji,
        remove=bool(remove),
        edited=edited,
        erased=bool(erased),
        until=until,
        hidden=bool(hidden),
    )


def _keys(db: sqlite3.Connection, number: int) -> Iterator[Key]:
    low, high = number << SEQ_BITS, (number + 1) << SEQ_BITS
    sql = "SELECT id, author, key, digest, until FROM keys WHERE id BETWEEN ? AND ? ORDER BY id"
    for place, author, key, digest, until in db.execute(sql, (low, high - 1)):
        yield Key(seq=place & SEQ_MASK, author=author, key=key, digest=digest.hex(), until=until)
