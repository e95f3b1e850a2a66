"""Rooms: who is a member, who hears of an entry, and what is to be told of comings and goings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import Generic, Protocol, TypeVar

import attrs

from trio_chat.core.effects import ConnId, Draft
from trio_chat.core.limits import Window
from trio_chat.core.names import Name
from trio_chat.core.records import Right, RightRecord
from trio_chat.core.sessions import Mark, Session, User
from trio_chat.core.settings import Settings

MOST_CREATORS = (
    32_768  # addresses whose creations are counted; with one more, who created none for longest is forgotten
)


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


Item = TypeVar("Item", bound=_Numbered)


class Roll(Generic[Item]):
    """Items by ascending number: a page from any point costs its own length, however long the whole is."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __len__(self) -> int:
        """How many."""
        return len(self._items)

    def add(self, item: Item) -> bool:
        """Put `item` in its place; False where it is there already."""
        if not self._items or self._items[-1].number < item.number:  # most are the newest: 0.3 µs against 2
            self._items.append(item)
            return True
        at = bisect_left(self._items, item.number, key=_number)
        if at < len(self._items) and self._items[at] is item:
            return False
        self._items.insert(at, item)
        return True

    def remove(self, item: Item) -> bool:
        """Take `item` out; False where it was not there."""
        at = bisect_left(self._items, item.number, key=_number)
        if at < len(self._items) and self._items[at] is item:
            del self._items[at]
            return True
        return False

    def page(self, after: int, limit: int) -> list[Item]:
        """At most `limit` items whose number is above `after`."""
        at = bisect_right(self._items, after, key=_number)
        return self._items[at : at + limit]


def _number(item: _Numbered) -> int:
    return item.number


@attrs.frozen
class Change:
    """Of a room's settings: as the log was `asked` for it, and as it is `meant` if its author was forgotten since."""

    asked: Draft
    meant: Draft


@attrs.define(eq=False)
class Room:
    """A room, or (`between` is set) a private conversation: a logged room of two.

    Of its members' connections, those in `catching` (with the last `seq` they were sent) are being replayed to; all
    the others are the audience of the next entry. `last` is the last committed `seq`, `first` the oldest still held.
    """

    key: str
    name: str
    number: int
    epoch: str
    between: tuple[User, User] | None = None
    owner: str = ""  # the user id; a conversation, and `general`, have none
    settings: Settings = attrs.field(factory=Settings)
    changes: list[Change] = attrs.field(factory=list)  # of settings, that the log has not answered yet
    rights: dict[tuple[Right, str], RightRecord] = attrs.field(factory=dict)  # by their holder, the last given last
    spoken: dict[str, float] = attrs.field(factory=dict)  # user id → when; in slow mode, the longest ago first
    deserted_at: float | None = None  # seconds since 1970: since then it has no members, but entries
    first: int = 1
    last: int = 0
    pending: int = 0  # appends that the log has not answered
    members: dict[str, User] = attrs.field(factory=dict)
    conns: dict[ConnId, Session] = attrs.field(factory=dict)
    catching: dict[ConnId, int] = attrs.field(factory=dict)
    present: Roll[User] = attrs.field(factory=Roll)
    news: dict[str, tuple[str, bool]] = attrs.field(factory=dict)  # name → (its key, joined rather than left)
    _audience: tuple[ConnId, ...] | None = None

    def audience(self) -> tuple[ConnId, ...]:
        """The connections that get the next entry live, in the order in which they came."""
        if self._audience is None:
            self._audience = tuple(conn for conn in self.conns if conn not in self.catching)
        return self._audience

    def name_for(self, user: User) -> str:
        """How `user` calls the room: a conversation is called after the other."""
        if self.between is None:
            return self.name
        one, other = self.between
        return f"@{(other if user is one else one).name.text}"

    @property
    def guarded(self) -> bool:
        """Whether not everybody may come in, and say something at any time."""
        return bool(self.rights) or self.settings.access != "public" or self.settings.slow_mode > 0

    @property
    def planned(self) -> Settings:
        """The settings that it is about to have."""
        settings = self.settings
        for change in self.changes:
            settings = settings.changed(change.meant)
        return settings

    def answered(self, asked: Draft) -> Draft:
        """The log answered what was asked of it so: the change waits no longer. Returns what is meant by it now.

        Not always the first: a log that is full refuses at once what comes behind others that it has not answered.
        """
        change = next(change for change in self.changes if change.asked == asked)
        self.changes.remove(change)
        return change.meant

    @property
    def presence(self) -> int:
        """How many of its members have a live connection."""
        return len(self.present) if self.between is None else sum(bool(user.conns) for user in self.between)

    def attach(self, session: Session, position: int | None = None) -> None:
        """Let the session's connection hear: from now on, or from after `position` on by replay."""
        assert session.conn is not None
        self.conns[session.conn] = session
        self._audience = None
        if position is not None and position < self.last:
            self.catching[session.conn] = position
        else:
            self.catching.pop(session.conn, None)

    def caught_up(self, conn: ConnId) -> None:
        """The replay reached the last entry: hear live from now on."""
        del self.catching[conn]
        self._audience = None

    def detach(self, conn: ConnId) -> int:
        """Stop a connection from hearing. Returns the last `seq` it was sent."""
        self.conns.pop(conn, None)
        self._audience = None
        return self.catching.pop(conn, self.last)

    def tell(self, user: User, *, joined: bool) -> None:
        """Note a coming or going, to be told with the others; one undone in time is told to nobody."""
        if user.name.text in self.news:  # comings and goings take turns, so this undoes what was noted
            del self.news[user.name.text]
        else:
            self.news[user.name.text] = (user.name.key, joined)

    def empty(self) -> bool:
        """Whether nothing would be lost with it: no member, no entry, and none on its way."""
        return not self.members and self.first > self.last and not self.pending


class Rooms:
    """All rooms by key, and by number for lists; conversations by key only."""

    def __init__(self, boot: str, created_per_hour: int) -> None:
        self._boot, self._per_hour = boot, created_per_hour
        self._numbers = self._joins = 0
        self._by_key: dict[str, Room] = {}
        self.listed: Roll[Room] = Roll()
        self._created: dict[str, Window] = {}  # by address, the one that asked last at the end

    def get(self, key: str) -> Room | None:
        """The room or conversation with this key."""
        return self._by_key.get(key)

    def create(self, name: Name) -> Room:
        """A new room, empty, in an epoch of its own."""
        room = self._new(name.key, name.text)
        self.listed.add(room)
        return room

    def talk(self, one: User, other: User) -> Room:
        """The conversation of two users; new where there is none."""
        key = talk_key(one, other)
        room = self._by_key.get(key)
        if room is None:
            room = self._new(key, "", between=(one, other))
            for user in (one, other):
                self.enroll(user, room)
                if not user.sessions:
                    user.marks[key].sent = 0
                for session in user.sessions:
                    if session.conn is not None:
                        room.attach(session)
                    else:
                        session.positions[key] = 0
        return room

    def enroll(self, user: User, room: Room, mark: Mark | None = None) -> None:
        """Make the user a member; `mark` where it was one before."""
        if mark is None:
            mark = Mark(self._joins + 1, since=room.last)
        self._joins = max(self._joins, mark.number)
        room.members[user.id] = user
        user.marks[room.key] = mark
        (user.rooms if room.between is None else user.talks)[room.key] = room

    def restore(self, room: Room) -> None:
        """Take in a room that was here before; an epoch that is empty is made anew."""
        self._numbers = max(self._numbers, room.number)
        room.epoch = room.epoch or f"{self._boot}-{room.number}"
        self._by_key[room.key] = room
        if room.between is None:
            self.listed.add(room)

    def all(self) -> list[Room]:
        """Rooms and conversations."""
        return list(self._by_key.values())

    def close(self, room: Room) -> None:
        """Take a room out."""
        del self._by_key[room.key]
        self.listed.remove(room)

    def creations(self, address: str, now: float) -> Window:
        """The rooms that an address created within the hour."""
        window = self._created.pop(address, None) or Window(self._per_hour, 3600)
        for old in [old for old, created in islice(self._created.items(), 2) if created.idle(now)]:
            del self._created[old]  # two a time: faster than they come, and never a pause
        if len(self._created) >= MOST_CREATORS:
            del self._created[next(iter(self._created))]
        self._created[address] = window
        return window

    def _new(self, key: str, name: str, between: tuple[User, User] | None = None) -> Room:
        self._numbers += 1
        room = Room(key, name, self._numbers, f"{self._boot}-{self._numbers}", between)
        self._by_key[key] = room
        return room


def talk_key(one: User, other: User) -> str:
    """The key of the conversation of two; no room's name holds an `@`."""
    low, high = (one, other) if one.number < other.number else (other, one)
    return f"@{low.id}\n{high.id}"
