"""The contract in plain lists: everything that was ever committed, looked through from its beginning each time."""

from __future__ import annotations

from typing import Any

import attrs

from tests.log.kinds import DAY
from trio_chat.core.effects import (
    Answer,
    Append,
    Change,
    Changed,
    Committed,
    Discard,
    Draft,
    Duplicate,
    Entry,
    Forget,
    Found,
    Keep,
    KeyReused,
    Now,
    Page,
    Reaction,
    Read,
    Rejected,
    Request,
    Search,
    Stale,
)
from trio_chat.core.errors import ErrorCode
from trio_chat.core.records import Record, Span
from trio_chat.core.words import words_of
from trio_chat.log import MAX_EMOJI, REACTIONS_BYTES

LIMIT, WINDOW = 6, 600
OPTIONS: dict[str, Any] = {"history_limit": LIMIT, "history_days": 1, "dedupe_window": WINDOW}


@attrs.define
class Room:
    """What was committed, the first at 0, and of it what is held: from the seq `first` on."""

    epoch: str
    drafts: list[Draft] = attrs.field(factory=list)
    first: int = 1
    keys: list[tuple[str, str, int, float]] = attrs.field(factory=list)  # author, key, seq, until
    unknown: list[int] = attrs.field(factory=list)  # what was deleted when the log was opened anew

    @property
    def last(self) -> int:
        return len(self.drafts)

    def trim(self, wall: float) -> None:
        self.first = max(self.first, self.last - LIMIT + 1)
        while self.first <= self.last and self.drafts[self.first - 1].at < wall - DAY:
            self.first += 1

    def of(self, seq: int, *kinds: str) -> list[tuple[int, Draft]]:
        return [(n, one) for n, one in enumerate(self.drafts, 1) if one.of == seq and one.kind in kinds]

    def edits(self, seq: int) -> list[int]:
        return [number for number, _ in self.of(seq, "edit")]

    def reacted(self, seq: int) -> dict[str, list[tuple[int, Draft]]]:
        shown: dict[str, list[tuple[int, Draft]]] = {}
        for number, one in self.of(seq, "react"):
            users = shown.setdefault(one.emoji, [])
            if one.remove:
                users[:] = [user for user in users if user[1].author != one.author]
            else:
                users.append((number, one))
            if not users:
                del shown[one.emoji]
        return shown

    def entry(self, seq: int) -> Entry:
        made = self.drafts[seq - 1]
        gone = self.of(seq, "delete")
        if made.kind == "edit" and made.of:  # it goes with its message, or with another edit of that
            gone = next(filter(None, (self.of(one, "delete") for one in (made.of, *self.edits(made.of)))), [])
        if gone:
            return Entry(seq, self.epoch, attrs.evolve(made, content="", size=gone[0][1].size), erased=True)
        edited = None
        for _, edit in self.of(seq, "edit"):
            made, edited = attrs.evolve(made, content=edit.content, size=edit.size), edit.at
        reactions = tuple(
            Reaction(emoji, len(users), tuple(one.sender for _, one in users))
            for emoji, users in self.reacted(seq).items()
        )
        return Entry(seq, self.epoch, made, edited, reactions=reactions)

    def held(self) -> list[Entry]:
        return [self.entry(seq) for seq in range(self.first, self.last + 1)]


class Model:
    """A log with the `OPTIONS`; see `Kind`."""

    def __init__(self, **options: Any) -> None:
        assert options == OPTIONS
        self.rooms: dict[str, Room] = {}
        self.kept: dict[tuple[str, str], Record] = {}

    def submit(self, request: Request, now: Now) -> Answer:
        if isinstance(request, Search):
            return self._search(request, now)
        if isinstance(request, Change):
            for change in request.keep:
                self.keep(change)
            return Changed(request)
        room = self.rooms.get(request.room)
        if room is None:
            if isinstance(request, Read):
                return Page(request, (), 1, 0)
            room = self.rooms[request.room] = Room(request.epoch)
        if room.epoch != request.epoch:
            return Stale(request)
        room.trim(now.wall)
        return self._append(room, request, now) if isinstance(request, Append) else _read(room, request)

    def keep(self, change: Keep | Discard) -> None:
        if isinstance(change, Keep):
            self.kept[change.record.kind, change.record.key] = change.record
        else:
            self.kept.pop((change.kind, change.key), None)

    def forget(self, request: Forget) -> None:
        self.rooms.pop(request.room, None)

    def close(self) -> None:
        pass

    def reopen(self) -> None:
        for room in self.rooms.values():
            room.unknown = [seq for seq in range(1, room.last + 1) if room.entry(seq).erased]

    def spans(self, now: Now) -> dict[str, Span]:
        for room in self.rooms.values():
            room.trim(now.wall)
        return {key: Span(epoch=room.epoch, first=room.first, last=room.last) for key, room in self.rooms.items()}

    def _append(self, room: Room, request: Append, now: Now) -> Answer:
        made = request.draft
        for author, key, seq, until in room.keys:
            if (author, key) == (made.author, request.key) and until > now.mono:
                same = attrs.evolve(room.drafts[seq - 1], at=made.at) == made
                return Duplicate(request, seq) if same or seq in room.unknown else KeyReused(request)
        refused = _refused(room, request)
        if refused is not None:
            return refused
        room.drafts.append(made)
        if request.key is not None:
            room.keys.append((made.author, request.key, room.last, now.mono + WINDOW))
        for change in request.keep:
            self.keep(change)
        room.trim(now.wall)
        return Committed(request, Entry(room.last, room.epoch, made), room.first)

    def _search(self, request: Search, now: Now) -> Found:
        hits = []
        for number, key, epoch in request.rooms:
            room = self.rooms.get(key)
            if room is not None and room.epoch == epoch:
                room.trim(now.wall)
                hits += [((one.draft.at, number, one.seq), key, one) for one in room.held() if _matches(one, request)]
        hits.sort(key=lambda hit: hit[0], reverse=True)
        behind = [(key, one) for place, key, one in hits if request.before is None or place < request.before]
        count = _fitting([one for _, one in behind], request)
        return Found(request, tuple(behind[:count]), more=count < len(behind))


def _refused(room: Room, request: Append) -> Duplicate | Rejected | None:
    made = request.draft
    if made.kind not in ("edit", "delete", "react"):
        return None
    target = next((one for one in room.held() if one.seq == made.of), None)
    if target is None or target.erased:
        return Rejected(request, ErrorCode.NO_SUCH_ENTRY)
    alone = target.draft.kind == "edit" and made.kind == "delete" and (target.draft.of or 0) < room.first
    if target.draft.kind not in ("message", "private") and not alone:
        return Rejected(request, ErrorCode.NO_SUCH_ENTRY)
    if made.kind != "react":
        allowed = request.moderator or target.draft.author == made.author
        return None if allowed else Rejected(request, ErrorCode.FORBIDDEN)
    reacted = room.reacted(target.seq)
    mine = [seq for seq, one in reacted.get(made.emoji, []) if one.author == made.author]
    if made.remove:
        return None if mine else Rejected(request, ErrorCode.NO_SUCH_ENTRY)
    if mine:
        return Duplicate(request, mine[0])
    full = made.emoji not in reacted and len(reacted) == MAX_EMOJI
    return Rejected(request, ErrorCode.TOO_LARGE) if full else None


def _matches(entry: Entry, request: Search) -> bool:
    words = set(words_of(entry.draft.content))
    return entry.draft.kind in ("message", "private") and words.issuperset(request.words)


def _fitting(entries: list[Entry], request: Read | Search) -> int:
    """How many of the first of `entries` are within the limits; one at least."""
    sizes = [one.draft.size + (REACTIONS_BYTES if one.reactions else 0) for one in entries[: request.limit]]
    fits = [count for count in range(len(sizes) + 1) if sum(sizes[:count]) <= request.max_bytes or count == 1]
    return fits[-1]


def _read(room: Room, request: Read) -> Page:
    if request.after is not None:
        wanted = [one for one in room.held() if one.seq > request.after]
    else:
        wanted = [one for one in room.held()[::-1] if request.before is None or one.seq < request.before]
    shown = wanted[: _fitting(wanted, request)]
    return Page(request, tuple(sorted(shown, key=lambda one: one.seq)), room.first, room.last)
