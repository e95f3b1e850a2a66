"""What everybody must have seen, as plain lists: what was said in each room and what became of it, and who was there.

It knows nothing of how the server does it: frames are made by hand, as the protocol writes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from tests.core.driver import Client

Frame = dict[str, Any]
DID = {
    "kick": "kicked {}",
    "mute": "muted {}",
    "unmute": "unmuted {}",
    "ban": "banned {}",
    "unban": "unbanned {}",
    "promote": "made {} a moderator",
    "demote": "made {} a moderator no longer",
}


@attrs.define(eq=False)
class Entry:
    """An entry, in its present state. `at`, `edited`: seconds since 1970."""

    kind: str
    author: Person
    at: float
    content: str = ""
    to: str = ""
    of: int = 0
    emoji: str = ""
    remove: bool = False
    edited: float | None = None
    erased: bool = False
    reactions: dict[str, dict[Person, int]] = attrs.field(factory=dict)  # emoji → who, and the seq of it


@attrs.define(eq=False)
class Said:
    """A room's log as a list: its `seq` are 1, 2, 3 …. A conversation has no name; `members` are of rooms only."""

    number: int
    name: str
    epoch: str
    topic: str = ""
    entries: list[Entry] = attrs.field(factory=list)
    members: list[Person] = attrs.field(factory=list)  # in the order of joining
    owner: Person | None = None
    moderators: list[Person] = attrs.field(factory=list)  # in the order of promotion
    muted: set[str] = attrs.field(factory=set)  # names, as all here are guests
    banned: set[str] = attrs.field(factory=set)

    @property
    def last(self) -> int:
        return len(self.entries)

    def rank(self, person: Person) -> int:
        return 2 if person is self.owner else int(person in self.moderators)

    def unsayable(self, person: Person) -> str | None:
        """Why the person may not say anything here."""
        if person.name in self.banned and person not in self.members:
            return "banned"
        return "muted" if person.name in self.muted else None

    def loses(self, person: Person) -> None:
        """The person is a member no longer; an owner is succeeded."""
        self.members.remove(person)
        if person in self.moderators:
            self.moderators.remove(person)
        if person is self.owner:
            self.owner = next(iter([*self.moderators, *self.members]), None)
            if self.owner in self.moderators:
                self.moderators.remove(self.owner)

    def verdict(self, entry: Entry) -> str | int | None:
        """What is to be said of an entry that refers to another: refused, or a duplicate of `seq`, or taken."""
        target = self.entries[entry.of - 1] if entry.of <= self.last else None
        if target is None or target.erased or target.kind not in ("message", "private"):
            return "no_such_entry"
        if entry.kind == "react":
            before = target.reactions.get(entry.emoji, {}).get(entry.author)
            return None if entry.remove and before else "no_such_entry" if entry.remove else before
        return None if target.author is entry.author or self.rank(entry.author) else "forbidden"

    def add(self, entry: Entry) -> None:
        """Put it behind the others, and do what it says."""
        self.entries.append(entry)
        if entry.kind == "topic":
            self.topic = entry.content
        if not entry.of:
            return
        target = self.entries[entry.of - 1]
        if entry.kind == "edit":
            target.content, target.edited = entry.content, entry.at
        elif entry.kind == "delete":
            for one in self.entries:
                if one is target or (one.kind == "edit" and one.of == entry.of):
                    one.erased = True
        elif not entry.remove:
            target.reactions.setdefault(entry.emoji, {})[entry.author] = self.last
        else:
            del target.reactions[entry.emoji][entry.author]
            if not target.reactions[entry.emoji]:
                del target.reactions[entry.emoji]

    def frame(self, seq: int, called: str) -> Frame:
        """What a member who calls the room so gets of an entry."""
        entry = self.entries[seq - 1]
        sender = entry.author.name
        frame: Frame = {"sender": sender, "timestamp": written(entry.at), "seq": seq}
        if entry.kind in ("message", "private"):
            if entry.erased:
                return frame | {"type": "deleted", "room": called, "of": seq}
            frame |= {"type": entry.kind, "content": entry.content}
            if entry.kind == "message":
                frame["room"] = called
            else:
                frame |= {"from": sender, "to": entry.to, "epoch": self.epoch}
            if entry.edited is not None:
                frame["edited"] = written(entry.edited)
            if entry.reactions:
                frame["reactions"] = {
                    emoji: {"count": len(users), "users": [user.name for user in users]}
                    for emoji, users in entry.reactions.items()
                }
            return frame
        frame["room"] = called
        match entry.kind:
            case "topic":
                del frame["sender"]
                did = f"set the topic: {entry.content}" if entry.content else "took the topic away"
                said = {"content": f"{sender} {did}", "topic": entry.content}
                return frame | {"type": "system", "event": "topic", "by": sender} | said
            case "kick" | "mute" | "unmute" | "ban" | "unban" | "promote" | "demote" as action:
                del frame["sender"]
                said = {"content": f"{sender} {DID[action].format(entry.to)}", "action": action, "user": entry.to}
                return frame | {"type": "system", "event": "moderation", "by": sender} | said
            case "edit":
                return frame | {"type": "edited", "of": entry.of} | ({} if entry.erased else {"content": entry.content})
            case "delete":
                return frame | {"type": "deleted", "of": entry.of}
            case _:
                taken = {"remove": True} if entry.remove else {}
                return frame | {"type": "reacted", "of": entry.of, "emoji": entry.emoji} | taken

    def found(self, words: list[str]) -> list[int]:
        """The messages that hold all of `words`, by `seq`."""
        return [
            seq
            for seq, entry in enumerate(self.entries, 1)
            if entry.kind in ("message", "private")
            and not entry.erased
            and set(words) <= set(entry.content.lower().split())
        ]


@attrs.define(eq=False)
class Person:
    """A guest. Of each room: after which `seq` it was to hear, what it heard so far, and what it has read."""

    name: str
    client: Client
    modern: bool
    token: str
    since: dict[str, int] = attrs.field(factory=dict)
    heard: dict[str, list[int]] = attrs.field(factory=dict)
    read: dict[str, int] = attrs.field(factory=dict)
    epochs: dict[str, str] = attrs.field(factory=dict)  # that it was told
    unsure: set[str] = attrs.field(factory=set)  # rooms of which the server does not know what it was sent
    stream: list[tuple[str, int]] = attrs.field(factory=list)  # entries that its connection received, in order
    looked: int = 0  # events of its connection that were looked at
    live: bool = True

    def enters(self, room: str, epoch: str, since: int) -> None:
        self.since[room], self.heard[room], self.read[room], self.epochs[room] = since, [], 0, epoch

    def leaves(self, room: str) -> None:
        del self.since[room], self.heard[room], self.read[room], self.epochs[room]
        self.unsure.discard(room)
        self.stream = [(other, seq) for other, seq in self.stream if other != room]

    def begins_again(self, room: str, at: int) -> None:
        """It said that it was at `at`, or must take what is held from there on."""
        self.since[room] = min(at, self.since[room])
        self.heard[room] = [seq for seq in self.heard[room] if seq <= at]


@attrs.define(eq=False)
class World:
    """All people, rooms and conversations."""

    people: dict[str, Person] = attrs.field(factory=dict)
    logs: dict[str, Said] = attrs.field(factory=dict)
    talks: dict[frozenset[str], Said] = attrs.field(factory=dict)
    epochs: set[str] = attrs.field(factory=set)
    made: int = 0

    def begin(self, name: str, epoch: str) -> Said:
        """A log that was not there before."""
        self.made += 1
        said = Said(self.made, name, "")
        self.renew(said, epoch)
        return said

    def renew(self, said: Said, epoch: str) -> None:
        assert epoch not in self.epochs, "an epoch was used again"
        self.epochs.add(epoch)
        said.epoch = epoch

    def log_of(self, person: Person, room: str) -> Said:
        return self.talks[frozenset((person.name, room[1:]))] if room.startswith("@") else self.logs[room]

    def live(self) -> list[Person]:
        return [person for person in self.people.values() if person.live]

    def away(self) -> list[Person]:
        return [person for person in self.people.values() if not person.live]

    def present(self, room: str) -> set[str]:
        return {person.name for person in self.live() if room in person.since}

    def missing(self, person: Person, room: str) -> str | None:
        """Why the person is not in a room, or None."""
        if room in person.since:
            return None
        if not room.startswith("@"):
            return "not_in_room" if room in self.logs else "no_such_room"
        if room[1:] == person.name:
            return "bad_room"
        return "no_such_room" if room[1:] in self.people else "no_such_user"

    def ends(self, person: Person) -> None:
        del self.people[person.name]
        for room in [room for room in person.since if not room.startswith("@")]:
            self.leaves(person, room)
        for pair in [pair for pair in self.talks if person.name in pair]:
            del self.talks[pair]
            (other,) = pair - {person.name}
            self.people[other].leaves(f"@{person.name}")

    def leaves(self, person: Person, room: str) -> None:
        """A room without members and entries is closed."""
        person.leaves(room)
        log = self.logs[room]
        log.loses(person)
        if not log.members and not log.entries and room != "general":
            del self.logs[room]

    def shown(self, room: str, said: Said, person: Person, present: int) -> Frame:
        """A room in a list."""
        listed: Frame = {"room": room, "members": present, "epoch": said.epoch, "last": said.last}
        listed["kind"] = "private" if room.startswith("@") else "public"
        if said.topic:
            listed["topic"] = said.topic
        if room in person.read:
            listed["read"] = person.read[room]
        return listed


def written(wall: float) -> str:
    """Seconds since 1970 as the wire writes them."""
    at = datetime.fromtimestamp(wall, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
