"""All that the screen shows, and what each event makes of it. Pure: no Trio, no Textual, no clock.

`hear` changes the model and returns what is now to be asked of the server, as values: whoever owns the model asks it.
"""

from __future__ import annotations

import math
import re

import attrs

from trio_chat.client import (
    Disconnected,
    Entry,
    Event,
    HistoryPage,
    Lagged,
    Message,
    Moderated,
    Private,
    Read,
    RoomPage,
    System,
    Typing,
    UserList,
    Welcomed,
)
from trio_chat.client.positions import key_of
from trio_chat.terminal.room import Room

MAX_TOLD = 5  # notes of what others do


@attrs.frozen
class Join:
    """Go (back) into a room."""

    room: str


@attrs.frozen
class Load:
    """Read the newest entries of a room."""

    room: str


@attrs.frozen
class LookAround:
    """Ask who is in a room."""

    room: str


@attrs.frozen
class ListRooms:
    """Ask for our rooms, with topics and read markers."""


@attrs.frozen
class Ring:
    """Somebody wants us: in private, or by our name."""


Wish = Join | Load | LookAround | ListRooms | Ring


class Model:
    """Rooms, the one that is looked at, and how the connection is."""

    def __init__(self, room: str) -> None:
        self.user = ""
        self.state = "connecting …"
        self.retry_at = math.inf
        self.online = False
        self.notes: list[str] = []  # below the rows, until the next command
        self.rooms: dict[str, Room] = {}  # by key; general, then the others as they came
        self.current = self.room(room)
        self._first = True
        self._told: list[str] = []

    def room(self, name: str) -> Room:
        """The room, which is made where it is new to us."""
        return self.rooms.setdefault(key_of(name), Room(name))

    def known(self, name: str) -> Room | None:
        """The room, or None."""
        return self.rooms.get(key_of(name))

    def listed(self) -> list[Room]:
        """Rooms, then private conversations, each by name."""
        return sorted(self.rooms.values(), key=lambda room: (room.private, key_of(room.name)))

    def show(self, name: str) -> list[Wish]:
        """Look at a room."""
        self.current = room = self.room(name)
        room.unread = 0
        self.notes.clear()
        return self._needs(room)

    def drop(self, name: str) -> list[Wish]:
        """We are no longer in a room. One with unsent messages stays, so that they are not lost."""
        room = self.known(name)
        if room is None:
            return []
        if not room.unsent:
            del self.rooms[key_of(name)]
        if room is self.current:
            return self.show(next((one.name for one in self.listed()), "general"))
        return []

    def status(self, now: float) -> str:
        """The connection in words."""
        left = self.retry_at - now
        if self.online or left == math.inf:
            return self.state
        return f"{self.state}; trying again {f'in {left:.0f} s' if left >= 1 else 'now'}"

    def ended(self, why: str) -> None:
        """The connection is over for good: what was not sent stays, and is marked."""
        self.state, self.online, self.retry_at = f"the connection has ended: {why}", False, math.inf
        for room in self.rooms.values():
            for one in room.unsent:
                one.trouble = one.trouble or "not sent"

    def hear(self, event: Event, now: float) -> list[Wish]:
        """Take an event."""
        match event:
            case Welcomed():
                return self._welcomed(event)
            case Disconnected():
                self.state, self.online = f"not connected ({event.reason})", False
                self.retry_at = now + event.delay
            case Lagged():
                room = self.room(event.room)
                room.forget()
                return self._needs(room)
            case Moderated(action="kick" | "ban") if key_of(event.user) == key_of(self.user):
                return self._sent_out(event.room, f"{event.sender} sent you out of {event.room}: {event.action}")
            case Entry():
                return self._entry(event)
            case Typing() if (known := self.known(event.room)) is not None:  # a stranger who types is no conversation
                known.types(event.sender, event.typing, now)
            case UserList():
                room = self.room(event.room)
                room.present, room.total = dict.fromkeys(event.users), event.total
            case Read() if event.sender == self.user:
                room = self.room(event.room)
                room.marked = max(room.marked, event.seq)
                room.unread = 0 if event.seq >= room.last else room.unread
            case System():
                return self._system(event)
        return []

    def paged(self, room: Room, page: HistoryPage, *, newest: bool) -> None:
        """Take a page of history: the newest one, or the one before the oldest row."""
        if room.epoch not in (None, page.epoch):
            room.forget()
        room.epoch = page.epoch
        room.merge(page.entries, more=page.more, newest=newest)

    def listing(self, page: RoomPage) -> None:
        """Take a list of our rooms."""
        for info in page.rooms:
            room = self.room(info.room)
            room.epoch, room.last, room.topic = info.epoch, max(room.last, info.last), info.topic or ""
            room.marked = max(room.marked, info.read or 0)
            if room is not self.current and (info.read is not None or room.private):
                room.unread = max(room.unread, info.last - room.marked)

    def _welcomed(self, event: Welcomed) -> list[Wish]:
        self.user, self.online, self.retry_at = event.user, True, math.inf
        self.state = f"connected as {event.user}"
        for name, place in event.rooms.items():
            self.room(name).last = max(self.room(name).last, place.seq)
        if event.resumed:
            return [LookAround(room.name) for room in self.rooms.values() if room.present]
        kept = {key_of(name) for name in event.rooms}
        lost = [room for key, room in self.rooms.items() if key not in kept and not room.private]
        for room in self.rooms.values():
            room.forget()
            room.present = {}
        wishes: list[Wish] = [ListRooms(), *(Join(room.name) for room in lost)]
        if self.current not in lost:
            wishes += self._needs(self.current)
        return wishes

    def _needs(self, room: Room) -> list[Wish]:
        """What has to be asked to show a room."""
        if not self.online:
            return []
        wishes: list[Wish] = [] if room.loaded else [Load(room.name)]
        if not room.private and not room.present:
            wishes.append(LookAround(room.name))
        return wishes

    def _sent_out(self, room: str, why: str) -> list[Wish]:
        wishes = self.drop(room)
        self._tell(why)
        return wishes

    def _tell(self, words: str) -> None:
        """Note what others do: once, and few of it, so that it does not push what is said from the screen."""
        self._told = [*(one for one in self._told if one != words), words]
        gone = {words, *self._told[:-MAX_TOLD]}
        self._told = self._told[-MAX_TOLD:]
        self.notes = [*(note for note in self.notes if note not in gone), words]

    def _entry(self, entry: Entry) -> list[Wish]:
        room = self.room(entry.room)
        wishes: list[Wish] = []
        if room.epoch not in (None, entry.epoch) and entry.epoch is not None:
            room.forget()
            wishes += self._needs(room) if room is self.current else []
        room.hear(entry)
        others = isinstance(entry, Message) and entry.sender != self.user
        if others and room is not self.current:
            room.unread += 1
        if others and (isinstance(entry, Private) or _names(self.user, entry)):
            wishes.append(Ring())
        return wishes

    def _system(self, event: System) -> list[Wish]:
        users = event.fields.get("users")
        names = [name for name in users if isinstance(name, str)] if isinstance(users, list) else []
        room = self.known(event.room or "general")
        total = event.fields.get("total")
        match event.event:
            case "joined" | "left" if room is not None:
                for name in names:
                    room.present.pop(name, None)
                    room.typing.pop(name, None)
                if event.event == "joined":
                    room.present |= dict.fromkeys(names)
                room.total = total if isinstance(total, int) else len(room.present)
            case "room_created" if event.room:
                self.room(event.room)
            case "room_closed" if event.room:
                return self._sent_out(event.room, event.content)
            case "invited" if event.room:
                self._tell(f"{event.content}. /join {event.room} goes there.")
            case "announcement" | "draining":
                self._tell(event.content)
        return []


def _names(user: str, entry: Entry) -> bool:
    """Whether a message has our name in it, as a word."""
    word = rf"(?<!\w){re.escape(user.casefold())}(?!\w)"
    return isinstance(entry, Message) and re.search(word, entry.content.casefold()) is not None
