"""Looking whether a log file is sound: its pages, and whether what stands in it fits together."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec

from trio_chat.core.records import RECORDS
from trio_chat.core.words import words_of
from trio_chat.log.database import said
from trio_chat.log.schema import EDIT, KINDS, META, SEQ_BITS, SEQ_MASK, VERSION
from trio_chat.log.spans import RoomSpan
from trio_chat.log.tools import EVERY, STRANGE, Report, holder, interrupted, reading

MOST = 100  # findings that are told; a file with more of them has enough
_ENTRIES = """
    SELECT id, kind, content, at, target, emoji, remove, edited, erased, author, sender, room, "to" FROM entries
    WHERE id BETWEEN ? AND ? ORDER BY id
"""
_REACTIONS = f"""
    SELECT r.target, r.seq FROM reactions AS r
    LEFT JOIN entries AS t ON t.id = r.target
    LEFT JOIN entries AS e ON e.id = (r.target & ~{SEQ_MASK}) | r.seq
    WHERE t.id IS NULL OR t.kind > 1 OR t.erased OR e.id IS NULL OR e.kind != {KINDS.index("react")} OR e.remove
       OR e.target IS NOT r.target OR e.emoji != r.emoji OR e.author != r.author OR r.place > r.seq
    LIMIT ?
"""
_EDITS = f"""
    SELECT t.id FROM (SELECT max(id) AS id, target FROM entries WHERE kind = {EDIT} GROUP BY target) AS last
    JOIN entries AS e ON e.id = last.id JOIN entries AS t ON t.id = last.target
    WHERE e.content != t.content OR e.erased != t.erased OR (NOT t.erased AND t.edited IS NOT e.at)
    LIMIT ?
"""
_KEYS = f"""
    SELECT k.id FROM keys AS k LEFT JOIN rooms AS r ON r.id = k.room
    WHERE k.room != k.id >> {SEQ_BITS} OR length(k.digest) NOT IN (0, 16)
       OR (NOT EXISTS (SELECT 1 FROM doomed WHERE k.id BETWEEN low AND high)
           AND (r.id IS NULL OR k.id & {SEQ_MASK} NOT BETWEEN 1 AND r.last))
    LIMIT ?
"""


@attrs.define
class Checked:
    """What was looked at, and what is wrong: a line each. `more`: there were more than `MOST` findings."""

    looked: list[str] = attrs.field(factory=list)
    findings: list[str] = attrs.field(factory=list)
    more: bool = False


def check(path: Path, report: Report) -> Checked:
    """Look through a log file, which a server may have open; nothing is written.

    Raises:
        ToolError: it is no log file that can be read.
    """
    checked = Checked()
    size = path.stat().st_size if path.exists() else 0
    with reading(path) as db:
        held = holder(path)
        where = f"open in process {held}" if held else "not open"
        checked.looked.append(f"file: a log of version {VERSION}, {size:,} bytes, {where}")
        look_through(db, checked, report)
    return checked


def look_through(db: sqlite3.Connection, checked: Checked, report: Report) -> None:
    """Look through an open log file, and put into `checked` what is to be told."""
    _Check(db, checked, report).run()


class _EnoughError(Exception):
    """There are `MOST` findings."""


@attrs.define(eq=False)
class _Check:
    db: sqlite3.Connection
    checked: Checked
    report: Report
    _words: int = 0  # different words of all entries that are indexed, summed up
    _entries: int = 0

    def run(self) -> None:
        steps: list[tuple[str, Callable[[], str]]] = [
            ("pages", self._pages),
            ("meta", self._meta),
            ("rooms", self._rooms),
            ("edits", self._edits),
            ("reactions", self._reactions),
            ("keys", self._keys),
            ("index", self._index),
            ("records", self._records),
        ]
        try:
            for name, step in steps:
                try:
                    self.checked.looked.append(f"{name}: {step()}")
                except sqlite3.Error as error:
                    if interrupted(error):
                        raise
                    self._found(f"{name}: cannot be read: {said(error)}")
                except STRANGE as error:
                    self._found(f"{name}: there is a value that no log writes: {error}")
                if name == "pages" and self.checked.findings:
                    break  # what else would be found follows from it
        except _EnoughError:
            self.checked.more = True

    def _found(self, line: str) -> None:
        if len(self.checked.findings) >= MOST:
            raise _EnoughError
        self.checked.findings.append(line)

    def _one(self, sql: str, *values: int | str) -> Any:
        return self.db.execute(sql, values).fetchone()

    def _pages(self) -> str:
        (pages,) = self._one("PRAGMA page_count")
        self.report("pages", 0, 1)  # SQLite does not tell how far it is
        for (verdict,) in self.db.execute(f"PRAGMA integrity_check({MOST + 1})"):
            if verdict != "ok":
                self._found(f"pages: {' '.join(verdict.split())}")
        self.report("pages", 1, 1)
        return f"{pages:,}, with all indexes"

    def _meta(self) -> str:
        meta = dict(self.db.execute("SELECT key, value FROM meta").fetchall())
        for key, kind in META.items():
            if not isinstance(meta.get(key), kind):
                self._found(f"meta: {key} is missing or no {kind.__name__}")
        if isinstance(meta.get("secret"), bytes) and len(meta["secret"]) != 32:
            self._found("meta: secret has not 32 bytes")
        return f"{len(meta)} values"

    # --- Entries -----------------------------------------------------------------------------------------------------

    def _rooms(self) -> str:
        (total,) = self._one("SELECT count(*) FROM entries")
        rooms = 0
        sql = "SELECT id, key, epoch, first, last, swept, indexed, latest, disorder FROM rooms ORDER BY id"
        for row in self.db.execute(sql):
            self._room(RoomSpan(*row), total)
            rooms += 1
        known = self._entries
        doomed = "SELECT low, high, indexed FROM doomed ORDER BY low"
        for low, high, indexed in self.db.execute(doomed):
            known += self._one("SELECT count(*) FROM entries WHERE id BETWEEN ? AND ?", low, high)[0]
            contents = self.db.execute(
                "SELECT content FROM entries WHERE id BETWEEN ? AND ? AND kind <= 1", (low, min(high, indexed))
            )
            self._words += sum(len(set(words_of(content))) for (content,) in contents)
        if known != total:
            self._found(f"entries: {total - known} are of no room")
        self.report("entries", total, total)
        return f"{rooms:,}, with {total:,} entries"

    def _room(self, room: RoomSpan, total: int) -> None:
        name = f"room {room.key!r}"
        if not (1 <= room.swept <= room.first <= room.last + 1 and room.swept - 1 <= room.indexed <= room.last):
            numbers = f"first {room.first}, last {room.last}, swept {room.swept}, indexed {room.indexed}"
            self._found(f"{name}: these do not fit together: {numbers}")
            return
        if not room.epoch:
            self._found(f"{name}: it has no epoch")
        expected = room.base + room.swept
        latest = 0.0
        for row in self.db.execute(_ENTRIES, (expected, room.base + room.last)):
            if row[0] != expected:
                self._gap(name, expected - room.base, row[0] - 1 - room.base)
            expected = row[0] + 1
            self._entries += 1
            wrong = self._wrong(row, room)
            if wrong:
                self._found(f"{name}: entry {row[0] - room.base}: {wrong}")
            elif row[3] > latest:
                latest = row[3]
            if row[1] in (0, 1) and row[0] - room.base <= room.indexed and isinstance(row[2], str):
                self._words += len(set(words_of(row[2])))
            if self._entries % EVERY == 0:
                self.report("entries", self._entries, total)
        if expected != room.base + room.last + 1:
            self._gap(name, expected - room.base, room.last)
        if latest > room.latest:
            self._found(f"{name}: an entry is later than the latest")

    def _gap(self, name: str, first: int, last: int) -> None:
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self._found(f"{name}: {which} missing")

    def _wrong(self, row: Any, room: RoomSpan) -> str | None:
        """What is wrong with an entry, if anything is."""
        place, kind, content, at, target, emoji, remove, edited, erased, *names = row
        if kind not in range(len(KINDS)):
            return f"it is of the unknown kind {kind!r}"
        if not isinstance(content, str) or not isinstance(at, float) or not abs(at) < 1e300:
            return "its content or time is none"
        if not all(isinstance(text, str) for text in (emoji, *names)):
            return "one of its names is none"
        if erased and (content or edited is not None or kind not in (0, 1, EDIT)):
            return "it is deleted, and there is something left of it"
        refers = KINDS[kind] in ("edit", "delete", "react")
        if refers != (target is not None) or (KINDS[kind] == "react") != bool(emoji) or (remove and not emoji):
            return "it refers to nothing, or to what it must not"
        if refers:
            return self._wrong_reference(place, kind, target, erased, room)
        return None

    def _wrong_reference(self, place: int, kind: int, target: int, erased: int, room: RoomSpan) -> str | None:
        if not room.base < target < place:
            return "it refers to none of the entries before it"
        if target < room.base + room.swept:
            return None
        of = self._one("SELECT kind, erased FROM entries WHERE id = ?", target)
        if of is None or of[0] > 1:
            return f"it refers to {target - room.base}, which is no message"
        if KINDS[kind] == "delete" and not of[1]:
            return f"it deletes {target - room.base}, which is not deleted"
        if kind == EDIT and of[1] and not erased:
            return f"it is an edit of {target - room.base}, which is deleted"
        return None

    # --- What is beside them -----------------------------------------------------------------------------------------

    def _edits(self) -> str:
        for (place,) in self.db.execute(_EDITS, (MOST + 1,)):
            self._found(f"{self._name(place)} is not what its last edit made of it")
        return f"{self._one(f'SELECT count(*) FROM entries WHERE kind = {EDIT}')[0]:,}"

    def _reactions(self) -> str:
        for target, seq in self.db.execute(_REACTIONS, (MOST + 1,)):
            self._found(f"{self._name(target)} has a reaction that is not entry {seq}")
        return f"{self._texts('SELECT emoji, author, sender FROM reactions'):,}"

    def _keys(self) -> str:
        for (place,) in self.db.execute(_KEYS, (MOST + 1,)):
            self._found(f"keys: one is of no entry that ever was: {self._name(place)}")
        return f"{self._texts('SELECT author, key FROM keys'):,}"

    def _texts(self, sql: str) -> int:
        """Read texts, each of which must be one; returns how many rows there are."""
        count = 0
        for row in self.db.execute(sql):
            if not all(isinstance(text, str) for text in row):
                raise TypeError("a text is none")
            count += 1
        return count

    def _name(self, place: int) -> str:
        row = self._one("SELECT key FROM rooms WHERE id = ?", place >> SEQ_BITS)
        return f"room {row[0]!r}: entry {place & SEQ_MASK}" if row else f"a closed room: entry {place & SEQ_MASK}"

    def _index(self) -> str:
        """Read all of it, and compare how many words it has with what the entries say."""
        self.report("index", 0, 1)
        self.db.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, search, 'row')")
        different, words = self._one("SELECT count(*), ifnull(sum(doc), 0) FROM temp.vocabulary")
        (made_by,) = self._one("SELECT value FROM meta WHERE key = 'words'") or ("",)
        if made_by != unicodedata.unidata_version:
            return f"{different:,} words, {words:,} times, by Unicode {made_by}; the next start makes it anew"
        if words != self._words:
            self._found(f"index: it has {words:,} words, and the entries have {self._words:,}")
        self.report("index", 1, 1)
        return f"{different:,} words, {words:,} times"

    def _records(self) -> str:
        decoders = {record.kind: msgspec.json.Decoder(record) for record in RECORDS}
        counts = dict.fromkeys(decoders, 0)
        for kind, key, value in self.db.execute("SELECT kind, key, value FROM kept ORDER BY kind, key"):
            shown = f"record {kind} {key!r}" if kind != "session" else "a record of a session"
            if kind not in decoders:
                self._found(f"{shown}: its kind is unknown")
                continue
            counts[kind] += 1
            try:
                if decoders[kind].decode(value).key != key:
                    self._found(f"{shown}: it has another key")
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                self._found(f"{shown}: {error}")
        return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
