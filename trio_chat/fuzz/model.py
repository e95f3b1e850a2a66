"""What the protocol document says there is: rooms with their entries, and people in them. Nothing here knows a server.

It follows what was acked, one thing after the other; what may be refused, and why, is said in `laws`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from trio_chat.fuzz.promises import LOG, Broken

Json: TypeAlias = dict[str, Any]


@attrs.define(eq=False)
class Person:
    """A guest: a name, and the session behind it."""

    name: str
    session: str
    rooms: dict[Room, int] = attrs.field(factory=dict)  # → how far one has read
    blocked: set[str] = attrs.field(factory=set)  # names
    live: bool = True
    sure: bool = True  # that the server knows whether we are live: not after a cut
    had: dict[Room, int] = attrs.field(factory=dict)  # while it is not live: the last `seq` that it has of each room


@attrs.define(eq=False)
class Entry:
    """An entry of a log, in its present state. `author` is None for what strangers wrote before or beside us."""

    kind: str  # of its frame, or `moderation`, `topic`, `stranger`
    author: Person | None
    fields: Json
    of: int = 0
    edited: bool = False
    erased: bool = False
    hidden: bool = False  # from the other of a conversation, who blocked its author
    original: str = ""  # its content, when it was posted
    reactions: dict[tuple[str, Person], int] = attrs.field(factory=dict)  # emoji, who → seq


@attrs.define(eq=False)
class Room:
    """A room or, where it is `between` two, a conversation. `base`: the last `seq` that was before us."""

    name: str
    open: bool = False  # strangers may write here, too
    between: tuple[Person, Person] | None = None
    epoch: str | None = None
    base: int = 0
    entries: list[Entry] = attrs.field(factory=list)
    members: list[Person] = attrs.field(factory=list)  # in the order of joining
    owner: Person | None = None
    moderators: list[Person] = attrs.field(factory=list)
    muted: set[str] = attrs.field(factory=set)  # names: of a guest, they hold the name
    banned: set[str] = attrs.field(factory=set)
    invited: set[Person] = attrs.field(factory=set)
    kind: str = "public"
    receipts: bool = False
    topic: str = ""
    keys: dict[tuple[Person, str], int] = attrs.field(factory=dict)  # → seq

    @property
    def last(self) -> int:
        """The last `seq`."""
        return self.base + len(self.entries)

    def __getitem__(self, seq: int) -> Entry:
        """The entry at a place that is held."""
        return self.entries[seq - self.base - 1]

    def holds(self, seq: int) -> bool:
        """Whether we know what is there."""
        return self.base < seq <= self.last

    def called(self, person: Person) -> str:
        """What a member calls it."""
        if self.between is None:
            return self.name
        return "@" + (self.between[1] if person is self.between[0] else self.between[0]).name

    def rank(self, person: Person) -> int:
        """0 member or nobody, 1 moderator, 2 owner."""
        if person is self.owner:
            return 2
        return int(person in self.moderators)

    def append(self, entry: Entry, seq: int) -> None:
        """An entry takes its place. Where strangers write, too, the places before it may be theirs."""
        while self.open and self.last + 1 < seq:
            self.entries.append(Entry("stranger", None, {}))
        if seq != self.last + 1:
            raise Broken(LOG, f"an entry of {self.name} was given seq {seq}, and the last one was {self.last}")
        self.entries.append(entry)

    def messages(self) -> list[int]:
        """The places of all that can be edited, deleted and reacted to, or could once."""
        return [seq for seq in range(self.base + 1, self.last + 1) if self[seq].kind in ("message", "private")]

    def loses(self, person: Person) -> None:
        """Somebody is no member any longer."""
        self.members.remove(person)
        if person in self.moderators:
            self.moderators.remove(person)
        if person is self.owner:
            self.owner = next(iter([*self.moderators, *self.members]), None)
            if self.owner in self.moderators:
                self.moderators.remove(self.owner)


@attrs.define
class World:
    """All that we made, and `general`."""

    general: Room
    rooms: dict[str, Room] = attrs.field(factory=dict)
    talks: list[Room] = attrs.field(factory=list)
    people: dict[str, Person] = attrs.field(factory=dict)  # those whose session lives
    gone: list[Person] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        """`general` is one of the rooms."""
        self.rooms[self.general.name] = self.general

    def find(self, name: str) -> Room | None:
        """A room that is no conversation."""
        return self.rooms.get(name)

    def talk(self, one: Person, other: Person) -> Room | None:
        """The conversation of two."""
        pair = {one.name, other.name}
        return next((talk for talk in self.talks if {person.name for person in talk.between or ()} == pair), None)

    def begin_talk(self, one: Person, other: Person) -> Room:
        """The same; it begins with its first message."""
        talk = self.talk(one, other)
        if talk is None:
            talk = Room(f"@{one.name}+{other.name}", between=(one, other), members=[one, other])
            self.talks.append(talk)
            one.rooms[talk] = other.rooms[talk] = 0
        return talk

    def enter(self, person: Person, name: str) -> Room:
        """A person is in a room, and owns it if nobody was there."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name)
        if person not in room.members:
            room.members.append(person)
            person.rooms[room] = 0
            room.invited.discard(person)
            if room.owner is None and room is not self.general:
                room.owner = person
        return room

    def leave(self, person: Person, room: Room) -> None:
        """A person is in a room no longer; one without members and entries is closed."""
        room.loses(person)
        del person.rooms[room]
        if not room.members and not room.entries and room is not self.general:
            del self.rooms[room.name]

    def end(self, person: Person) -> None:
        """A guest's session is over, and so is the guest."""
        for room in list(person.rooms):
            if room.between is None:
                self.leave(person, room)
            else:
                self.talks.remove(room)
                for one in room.between:
                    del one.rooms[room]
        del self.people[person.name]
        person.live = False
        self.gone.append(person)

    def edit(self, room: Room, seq: int, content: str) -> None:
        """The content of an entry is another."""
        room[seq].fields["content"], room[seq].edited = content, True

    def delete(self, room: Room, seq: int) -> None:
        """An entry's content is gone, from its edits, too."""
        for entry in room.entries:
            if entry is room[seq] or (entry.kind == "edited" and entry.of == seq):
                entry.erased = True
                entry.fields.pop("content", None)

    def judge(self, room: Room, verb: str, person: Person | None, name: str) -> None:
        """A verdict takes effect."""
        match verb:
            case "mute":
                room.muted.add(name)
            case "unmute":
                room.muted.discard(name)
            case "ban":
                room.banned.add(name)
            case "unban":
                room.banned.discard(name)
            case "promote" if person is not None:
                room.moderators.append(person)
            case "demote" if person is not None:
                room.moderators.remove(person)
        if verb in ("kick", "ban") and person is not None and person in room.members:
            self.leave(person, room)
