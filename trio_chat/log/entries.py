"""Entries of a log file: appended, changed by later ones, and read."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from typing import Any

import attrs

from trio_chat.core.effects import (
    Append,
    Committed,
    Draft,
    Duplicate,
    Entry,
    Forget,
    KeyReused,
    Now,
    Page,
    Reaction,
    Read,
    Rejected,
    Stale,
)
from trio_chat.core.errors import ErrorCode
from trio_chat.core.words import words_of
from trio_chat.log.database import Database, undecodable
from trio_chat.log.marks import digest, shown_size
from trio_chat.log.reactions import react, reacted, reactions
from trio_chat.log.schema import EDIT, KINDS, SEQ_MASK
from trio_chat.log.spans import RoomSpan, Spans

log = logging.getLogger(__name__)
COLUMNS = (
    'entries.id, kind, author, sender, content, at, size, room, "to", reply_to, target, emoji, remove, edited, erased,'
    " until, hidden"
)
_INSERT = f"INSERT INTO entries VALUES ({', '.join('?' * 17)})"
_KIND = {kind: number for number, kind in enumerate(KINDS)}
_PAGE = f"SELECT {COLUMNS} FROM entries WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
_BACK = f"SELECT {COLUMNS} FROM entries WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
_EDITS = f"SELECT id FROM entries WHERE kind = {EDIT} AND target = ?"
ERASED = 100_000  # deleted entries whose keys are known in full; of the others, any retry is a duplicate
ERASE = "UPDATE meta SET value = 1 WHERE key = 'erase' AND value = 0"  # content must also go from where it was


def entry_of(row: Any, epoch: str, shown: dict[int, tuple[Reaction, ...]]) -> Entry:
    """The entry of a row of `COLUMNS`."""
    place, kind, author, sender, content, at, size, room, to, reply_to, target, emoji, remove, edited, erased, *new = (
        row
    )
    of = None if target is None else target & SEQ_MASK
    until, hidden = new
    refers = (reply_to, of, emoji, bool(remove), until, bool(hidden))
    draft = Draft(KINDS[kind], author, sender, content, at, size, room, to, *refers)  # type: ignore[arg-type]
    return Entry(place & SEQ_MASK, epoch, draft, edited, bool(erased), shown.get(place, ()))


class Unreadable:
    """Tells operators of entries that hold a text that is not UTF-8: once a room, and never what they say."""

    MOST = 1000  # rooms that are remembered

    def __init__(self) -> None:
        self._told: set[str] = set()

    def met(self, room: str, entries: Iterable[Entry]) -> None:
        """Some of these entries were read with U+FFFD in place of what can't be decoded."""
        seqs = [entry.seq for entry in entries]
        if not seqs or room in self._told or len(self._told) >= self.MOST:
            return
        self._told.add(room)
        log.warning(
            "log: room %r has a text that is not UTF-8, among the entries %d to %d; they are shown as far as they can"
            " be read",
            room,
            min(seqs),
            max(seqs),
        )


def index(db: Database, entry: int, content: str) -> None:
    """Let a search find an entry."""
    words = words_of(content)
    if words:
        db.execute("INSERT INTO search(rowid, words) VALUES (?, ?)", (entry, " ".join(words)))


def unindex(db: Database, entry: int, content: str) -> None:
    """Let no search find an entry any longer that was indexed with exactly this content (FTS5, 4.4.3)."""
    words = words_of(content)
    if words:
        db.execute("INSERT INTO search(search, rowid, words) VALUES ('delete', ?, ?)", (entry, " ".join(words)))


def erase(db: Database, entry: int, message: int, size: int) -> Iterable[int]:
    """Take the content of an entry away, with the edits of the `message` that it is of; returns whose it was."""
    edits = [place for (place,) in db.rows(_EDITS, (message,))]
    places = dict.fromkeys((entry, *edits))
    for place in places:
        db.execute("UPDATE entries SET content = '', size = ?, erased = 1, edited = NULL WHERE id = ?", (size, place))
    db.execute("DELETE FROM reactions WHERE target = ?", (entry,))
    return places


@attrs.frozen
class Target:
    """The entry that another refers to. `message`: itself, or what it is an edit of."""

    id: int
    message: int
    author: str
    content: str
    indexed: bool


class Entries:
    """What changes belongs in a transaction of `db`."""

    def __init__(self, db: Database, spans: Spans, dedupe_window: float) -> None:
        self._db, self._spans, self._dedupe_window = db, spans, dedupe_window
        self._unreadable = Unreadable()
        self._erased: dict[int, bytes] = {}  # digests of what was deleted, the oldest first: in no file any longer

    # --- Reading ---------------------------------------------------------------------------------------------------

    def read(self, request: Read, now: Now) -> Page | Stale:
        """A page, of what is held at `now`. What is not UTF-8 is replaced where it is not."""
        try:
            return self._read(request, now)
        except (sqlite3.OperationalError, UnicodeDecodeError) as error:
            if not undecodable(error):
                raise
        with self._db.tolerant():
            page = self._read(request, now)
        if isinstance(page, Page):
            self._unreadable.met(request.room, page.entries)
        return page

    def _read(self, request: Read, now: Now) -> Page | Stale:
        room = self._spans.find(request.room)
        if room is None:
            return Page(request, (), 1, 0)
        if room.epoch != request.epoch:
            return Stale(request)
        self._spans.trim(room, now.wall)
        backwards = request.after is None
        start = room.first if request.after is None else max(request.after + 1, room.first)
        stop = room.last + 1
        if request.after is None and request.before is not None:
            stop = min(stop, request.before)
        rows = self._rows(room, start, stop, request, backwards=backwards) if start < stop else []
        shown = reactions(self._db, min(rows[0][0], rows[-1][0]), max(rows[0][0], rows[-1][0])) if rows else {}
        entries = _fitting((entry_of(row, room.epoch, shown) for row in rows), request.max_bytes)
        if backwards:
            entries.reverse()
        return Page(request, tuple(entries), room.first, room.last)

    def _rows(self, room: RoomSpan, start: int, stop: int, request: Read, *, backwards: bool) -> list[Any]:
        """As many rows as may be in the page; reactions are not counted yet."""
        cursor = self._db.execute(
            _BACK if backwards else _PAGE, (room.base + start, room.base + stop, max(0, request.limit))
        )
        found: list[Any] = []
        size = 0
        for row in cursor:
            size += row[6]
            if size > request.max_bytes and found:
                break
            found.append(row)
        cursor.close()
        return found

    # --- Appending -------------------------------------------------------------------------------------------------

    def append(self, request: Append, now: Now) -> Committed | Duplicate | KeyReused | Rejected | Stale:
        """Take an entry, if nothing speaks against it. All checks come before the first change but `make`'s."""
        draft = request.draft
        room = self._spans.find(request.room)
        if room is None:
            room = self._spans.make(request.room, request.epoch)
        elif room.epoch != request.epoch:
            return Stale(request)
        self._spans.trim(room, now.wall)
        said = b""
        if request.key is not None:
            said = digest(draft)
            known = self._known(room, request, said, now)
            if known is not None:
                return known
        target = self._target(room, request) if draft.kind in ("edit", "delete", "react") else None
        if isinstance(target, Duplicate | Rejected):
            return target
        entry = self._insert(room, draft)
        if request.key is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?)",
                (room.base + entry.seq, room.id, draft.author, request.key, said, now.wall + self._dedupe_window),
            )
        if target is not None:
            self._apply(request, target, entry)
        self._spans.touch(room)
        self._spans.trim(room, now.wall)
        return Committed(request, entry, room.first)

    def _known(self, room: RoomSpan, request: Append, said: bytes, now: Now) -> Duplicate | KeyReused | None:
        row = self._db.row(
            "SELECT id, digest FROM keys WHERE room = ? AND author = ? AND key = ? AND until > ?",
            (room.id, request.draft.author, request.key, now.wall),
        )
        if row is None:
            return None
        place, known = row
        known = known or self._erased.get(place, said)
        return Duplicate(request, place & SEQ_MASK) if known == said else KeyReused(request)

    def _target(self, room: RoomSpan, request: Append) -> Target | Duplicate | Rejected:
        """The entry that the request changes, if it may."""
        draft, seq = request.draft, request.draft.of
        if seq is None or not room.first <= seq <= room.last:
            return Rejected(request, ErrorCode.NO_SUCH_ENTRY)
        place = room.base + seq
        kind, author, content, erased, of = self._db.row(
            "SELECT kind, author, content, erased, target FROM entries WHERE id = ?", (place,)
        )
        # Its message is trimmed, so that nothing else could take its text away.
        alone = draft.kind == "delete" and kind == EDIT and of < room.base + room.first
        if erased or (KINDS[kind] not in ("message", "private") and not alone):
            return Rejected(request, ErrorCode.NO_SUCH_ENTRY)
        if draft.kind == "react":
            known = reacted(self._db, request, place)
            if isinstance(known, ErrorCode):
                return Rejected(request, known)
            if known is not None:
                return Duplicate(request, known)
        elif draft.author != author and not request.moderator:
            return Rejected(request, ErrorCode.FORBIDDEN)
        if alone:
            return Target(place, of, author, content, indexed=False)
        return Target(place, place, author, content, seq <= room.indexed)

    def _insert(self, room: RoomSpan, draft: Draft) -> Entry:
        seq = room.took(draft.at)
        self._db.execute(
            _INSERT,
            (
                room.base + seq,
                _KIND[draft.kind],
                draft.author,
                draft.sender,
                draft.content,
                draft.at,
                draft.size,
                draft.room,
                draft.to,
                draft.reply_to,
                None if draft.of is None else room.base + draft.of,
                draft.emoji,
                draft.remove,
                None,
                0,
                draft.until,
                draft.hidden,
            ),
        )
        return Entry(seq, room.epoch, draft)

    # --- What an entry does to an earlier one ------------------------------------------------------------------------

    def _apply(self, request: Append, target: Target, entry: Entry) -> None:
        draft = request.draft
        if draft.kind == "react":
            react(self._db, request, target.id, entry.seq)
            return
        if target.indexed:
            unindex(self._db, target.id, target.content)
        if draft.kind == "delete":
            self._erase(target, draft.size)
            return
        self._db.execute(
            "UPDATE entries SET content = ?, edited = ?, size = ? WHERE id = ?",
            (draft.content, draft.at, draft.size, target.id),
        )
        if target.indexed:
            index(self._db, target.id, draft.content)

    def _erase(self, target: Target, size: int) -> None:
        """Nothing tells any longer what was said: nor do its edits, nor the digests by which a retry is known."""
        for place in erase(self._db, target.id, target.message, size):
            self._erase_digest(place)
        self._db.execute(ERASE)

    def _erase_digest(self, place: int) -> None:
        row = self._db.row("SELECT digest FROM keys WHERE id = ?", (place,))
        if row is not None and row[0]:
            self._erased[place] = row[0]
            self._db.execute("UPDATE keys SET digest = x'' WHERE id = ?", (place,))
            if len(self._erased) > ERASED:
                del self._erased[next(iter(self._erased))]

    def forget(self, request: Forget) -> None:
        """A room is closed: it is gone at once, its rows go by and by."""
        room = self._spans.find(request.room)
        if room is None:
            return
        self._spans.drop(room)
        self._db.execute(
            "INSERT INTO doomed VALUES (?, ?, ?)",
            (room.base + room.swept, room.base + room.last, room.base + room.indexed),
        )
        self._db.execute(ERASE)


def _fitting(entries: Iterable[Entry], max_bytes: int) -> list[Entry]:
    """The first of `entries`, one at least, that are within `max_bytes`."""
    found: list[Entry] = []
    size = 0
    for entry in entries:
        size += shown_size(entry)
        if size > max_bytes and found:
            break
        found.append(entry)
    return found
