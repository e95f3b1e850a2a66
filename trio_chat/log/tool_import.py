"""Importing a log file from lines of JSON; see `tool_lines`. What is wrong is refused, with the number of its line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs
import msgspec

from trio_chat.config import History
from trio_chat.core.words import words_of
from trio_chat.log import MAX_EMOJI
from trio_chat.log.schema import KINDS
from trio_chat.log.spans import RoomSpan
from trio_chat.log.store import Store
from trio_chat.log.tool_lines import EXPORTED, MAX_LINE, VERSION, End, Entry, Kept, Key, Line, Log, Room
from trio_chat.log.tools import EVERY, Report, ToolError, disown, drafting, free

_KIND = {kind: number for number, kind in enumerate(KINDS)}
_INSERT = f"INSERT INTO entries VALUES ({', '.join('?' * 17)})"


class WrongLineError(ValueError):
    """What is wrong with a line, for people."""


def import_file(path: Path, source: BinaryIO, report: Report) -> tuple[int, int]:
    """Make the log file `path` of exported lines; returns how many rooms and entries it has.

    What is cut short or refused leaves nothing behind. A server that opens the file gives each room a new epoch.

    Raises:
        ToolError: `path` is there already or cannot be written, or a line is wrong.
    """
    free(path)
    with drafting(path) as draft:
        Store.open(draft, history=History(), sync="normal", boot="", wall=0.0).close()
        db = sqlite3.connect(draft, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = OFF")  # if it is not whole in the end, it is gone
            db.execute("PRAGMA temp_store = MEMORY")
            db.execute("PRAGMA cache_size = -65536")  # KiB
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("BEGIN")
            made = _Import(db)
            _take(made, source, report)
            db.execute("UPDATE meta SET value = '' WHERE key IN ('boot_id', 'sync')")  # of the last use: there was none
            disown(db)
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode = WAL")
        finally:
            db.close()
    return made.rooms, made.entries


def _take(made: _Import, source: BinaryIO, report: Report) -> None:
    decode = msgspec.json.Decoder(Line).decode
    number = 1
    try:
        for raw in _raw_lines(source):
            made.take(number, decode(raw))
            if number % EVERY == 0:
                report("entries", made.entries, made.expected)
            number += 1
        made.ended()
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise ToolError(f"line {number}: {error}") from None
    except sqlite3.IntegrityError:
        raise ToolError(f"line {number}: what it says was said before") from None


def _raw_lines(source: BinaryIO) -> Iterator[bytes]:
    while raw := source.readline(MAX_LINE + 1):
        if len(raw) > MAX_LINE:
            raise WrongLineError(f"longer than {MAX_LINE} bytes")
        yield raw


@attrs.define(eq=False)
class _Import:
    """Takes line after line; `room` is the one that the entries belong to."""

    db: sqlite3.Connection
    expected: int = 0
    rooms: int = 0
    entries: int = 0
    _head: Log | None = None
    _over: bool = False
    _room: RoomSpan | None = None
    _upto: int = 0

    def take(self, number: int, line: Line) -> None:
        """Raises ValueError, msgspec.MsgspecError or sqlite3.IntegrityError: the line is wrong."""
        if (self._head is None) != isinstance(line, Log):
            raise WrongLineError("the first line, and no other, must say of what `log` it is")
        if self._over:
            raise WrongLineError("nothing must follow the `end`")
        match line:
            case Entry():
                self._entry(line)
            case Key():
                self._key(line)
            case Room():
                self._begin(line)
            case Kept():
                self._record(line)
            case Log():
                if not 1 <= line.version <= VERSION:
                    raise WrongLineError(f"the format has version {line.version}; known is {VERSION}")
                self._head, self.expected = line, line.entries
            case End():
                self._end(number, line)

    def ended(self) -> None:
        """There is no more line."""
        if not self._over:
            raise WrongLineError("there must be more: the `end` is missing")

    def _record(self, line: Kept) -> None:
        if self._room is not None:
            raise WrongLineError("a record must come before the rooms")
        if line.kind not in EXPORTED:
            raise WrongLineError(f"`kind` of a record must be one of {', '.join(EXPORTED)}")
        record = msgspec.json.decode(line.value, type=EXPORTED[line.kind])
        value = msgspec.json.encode(record)
        self.db.execute("INSERT INTO kept VALUES (?, ?, ?)", (record.kind, record.key, value))

    def _end(self, number: int, line: End) -> None:
        assert self._head is not None
        self._complete()
        if line.lines != number - 1:
            raise WrongLineError(f"there must be {line.lines} lines before it")
        if (self.rooms, self.entries) != (self._head.rooms, self._head.entries):
            raise WrongLineError("the first line says another number of rooms or entries")
        self._over = True

    # --- A room ------------------------------------------------------------------------------------------------------

    def _begin(self, line: Room) -> None:
        self._complete()
        if line.first > line.last + 1:
            raise WrongLineError("`first` must be at most `last` + 1")
        self.rooms += 1
        self._room = RoomSpan(self.rooms, line.key, line.epoch, line.first, line.first - 1, line.first)
        self._upto = line.last
        self.db.execute(
            "INSERT INTO rooms VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)",
            (self.rooms, line.key, line.epoch, line.first, line.last, line.first, line.last),
        )

    def _complete(self) -> None:
        """No more entries of the room come."""
        room = self._room
        if room is None:
            return
        if room.last != self._upto:
            raise WrongLineError(f"the entries {room.last + 1} to {self._upto} of {room.key!r} must come first")
        self.db.execute("UPDATE rooms SET latest = ?, disorder = ? WHERE id = ?", (room.latest, room.disorder, room.id))

    def _key(self, line: Key) -> None:
        self._complete()
        if self._room is None or line.seq > self._room.last:
            raise WrongLineError("`seq` of a key must be an entry's")
        self.db.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?)",
            (self._room.base + line.seq, self._room.id, line.author, line.key, bytes.fromhex(line.digest), line.until),
        )

    def _entry(self, line: Entry) -> None:
        room = self._room
        if room is None or line.seq != room.last + 1 or line.seq > self._upto:
            raise WrongLineError("`seq` of an entry must be the next of its room")
        _check(line)
        target = None if line.of is None else room.base + line.of
        place = room.base + line.seq
        row = (place, _KIND[line.kind], line.author, line.sender, line.content, line.at, line.size, line.room, line.to)
        refers = (line.reply_to, target, line.emoji, line.remove, line.edited, line.erased, line.until, line.hidden)
        self.db.execute(_INSERT, row + refers)
        room.took(line.at)
        self.entries += 1
        if target is not None and line.of is not None and line.of >= room.first:
            self._refer(line, target)
        elif line.kind in ("message", "private"):
            words = words_of(line.content)
            if words:
                self.db.execute("INSERT INTO search(rowid, words) VALUES (?, ?)", (place, " ".join(words)))

    # --- What refers to another entry --------------------------------------------------------------------------------

    def _refer(self, line: Entry, target: int) -> None:
        """The entry `of` is held: it must be in the state that this one put it in."""
        kind, erased = self.db.execute("SELECT kind, erased FROM entries WHERE id = ?", (target,)).fetchone()
        if kind > 1:
            raise WrongLineError("`of` must be a message's or private's")
        if line.kind == "delete" and not erased:
            raise WrongLineError("`of` must be `erased`, which this deletes")
        if line.kind == "edit" and bool(erased) != line.erased:
            raise WrongLineError("an edit must be `erased` where the entry `of` is, and only there")
        if line.kind == "react" and not erased:
            self._react(line, target)

    def _react(self, line: Entry, target: int) -> None:
        if line.remove:
            sql = "DELETE FROM reactions WHERE target = ? AND emoji = ? AND author = ?"
            if not self.db.execute(sql, (target, line.emoji, line.author)).rowcount:
                raise WrongLineError("there is no such reaction to take back")
            return
        places = dict(
            self.db.execute("SELECT DISTINCT emoji, place FROM reactions WHERE target = ?", (target,)).fetchall()
        )
        if line.emoji not in places and len(places) >= MAX_EMOJI:
            raise WrongLineError(f"an entry must have at most {MAX_EMOJI} different reactions")
        self.db.execute(
            "INSERT INTO reactions VALUES (?, ?, ?, ?, ?, ?)",
            (target, places.get(line.emoji, line.seq), line.seq, line.emoji, line.author, line.sender),
        )


def _check(line: Entry) -> None:
    """What must hold for an entry by itself."""
    refers = line.kind in ("edit", "delete", "react")
    if refers != (line.of is not None):
        raise WrongLineError("`of` must be there for an edit, a delete and a react, and for nothing else")
    if line.of is not None and line.of >= line.seq:
        raise WrongLineError("`of` must be an earlier entry's")
    if (line.kind == "react") != bool(line.emoji) or (line.remove and line.kind != "react"):
        raise WrongLineError("`emoji` must be there for a react, and `remove` for nothing else")
    if line.edited is not None and (line.erased or line.kind not in ("message", "private")):
        raise WrongLineError("`edited` must be a message's or private's that is not `erased`")
    if line.erased and line.kind not in ("message", "private", "edit"):
        raise WrongLineError("`erased` must be a message, a private or an edit")
    if line.content and (line.erased or line.kind in ("delete", "react")):
        raise WrongLineError("`content` must be empty for a delete, a react and what is `erased`")
