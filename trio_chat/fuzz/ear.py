"""What one connection may hear, must hear yet, and must not: each frame that comes is held against the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from trio_chat.fuzz.entries import compare, is_entry, shown
from trio_chat.fuzz.model import Entry, Json, Person, Room, World
from trio_chat.fuzz.peer import Peer
from trio_chat.fuzz.promises import (
    ACK_FIRST,
    ALONE,
    ANSWER,
    LAGGED,
    MEMBERS,
    ORDER,
    PRESENCE,
    RESUME,
    SAME,
    WELCOME,
    Broken,
    Promise,
)
from trio_chat.fuzz.shapes import check

Then: TypeAlias = Callable[[Json], None]
ANSWERS = ("ack", "error", "pong", "history", "search_result", "room_list", "user_list")
PASSING = ("typing", "read")


@attrs.define(eq=False)
class Due:
    """A frame that is no entry, and is to come; `must`: else it only may."""

    frame: Json
    must: bool
    promise: Promise


@attrs.define(eq=False)
class Ear:
    """A connection behind its welcome. `hearing`: the rooms that it hears of, and the last `seq` it has of each."""

    person: Person
    peer: Peer
    world: World
    hearing: dict[Room, int] = attrs.field(factory=dict)
    replaying: dict[Room, int] = attrs.field(factory=dict)  # up to which seq entries are shown in their present state
    lagging: dict[Room, Promise] = attrs.field(factory=dict)  # whose `lagged` must come before anything else of them
    asked: dict[str | int, Then | None] = attrs.field(factory=dict)
    due: list[Due] = attrs.field(factory=list)
    believed: dict[tuple[Room, str], bool] = attrs.field(factory=dict)  # who is present, by what was told
    own: dict[tuple[Room, int], str | int] = attrs.field(factory=dict)  # places of ours → the id whose ack comes first
    unnamed: list[str] = attrs.field(factory=list)  # codes of errors without an id that must come
    tolerant: bool = False  # of errors without an id: what was sent may be one frame, or many

    @property
    def who(self) -> str:
        """For people."""
        return self.peer.who

    def take(self) -> None:
        """Judge all that came, in order.

        Raises:
            Broken: something of it breaks a promise.
        """
        frames, self.peer.frames = self.peer.frames, []
        for frame in frames:
            check(self.who, frame)
            self._judge(frame)

    def _judge(self, frame: Json) -> None:
        kind = frame["type"]
        if "id" in frame and kind in ANSWERS:
            self._answered(frame)
        elif kind == "ack":
            raise Broken(ANSWER, f"{self.who}: an ack carries no id")
        elif kind == "error":
            self._unnamed(frame)
        elif is_entry(frame):
            self._entry(frame)
        elif kind in PASSING:
            self._passing(frame)
        elif kind == "user_list":
            self._in_room(frame)
        elif kind == "system":
            self._system(frame)
        elif kind in ANSWERS:
            raise Broken(ANSWER, f"{self.who}: {kind!r} came, and nobody had asked without an id")

    def _answered(self, frame: Json) -> None:
        answer_to = frame["id"]
        if answer_to not in self.asked:
            raise Broken(ANSWER, f"{self.who}: the id {answer_to!r} was answered again, or never asked: {frame}")
        then = self.asked.pop(answer_to)
        for place in [place for place, other in self.own.items() if other == answer_to]:
            del self.own[place]
        if then is not None:
            then(frame)

    def _unnamed(self, frame: Json) -> None:
        if not self.unnamed and self.tolerant:
            return
        if not self.unnamed:
            raise Broken(ANSWER, f"{self.who}: an error without an id came, and nothing was wrong: {frame}")
        expected = self.unnamed.pop(0)
        if frame["code"] != expected:
            raise Broken(ANSWER, f"{self.who}: the error should be {expected}: {frame}")

    def _room(self, called: Any) -> Room | None:
        """The room that a frame names, among those that this connection hears of."""
        return next((room for room in self.hearing if room.called(self.person) == called), None)

    def _in_room(self, frame: Json) -> Room | None:
        if "room" not in frame:
            return None
        room = self._room(frame["room"])
        if room is None:
            raise Broken(MEMBERS, f"{self.who} is not in {frame['room']!r}, and hears of it: {frame}")
        return room

    def _entry(self, frame: Json) -> None:
        if frame["type"] == "private":
            other = frame["to"] if frame["sender"] == self.person.name else frame["sender"]
            room = self._room(f"@{other}")
        else:
            room = self._room(frame["room"])
        if room is None:
            raise Broken(MEMBERS, f"{self.who} hears what it is no member of: {frame}")
        seq, has = frame["seq"], self.hearing[room]
        replayed = seq <= self.replaying.get(room, 0)
        if room in self.lagging:
            raise Broken(self.lagging[room], f"{self.who}: no 'lagged' came before {frame}")
        if seq != has + 1:
            promise = RESUME if has < self.replaying.get(room, 0) else ORDER
            raise Broken(promise, f"{self.who} had seq {has} of {frame.get('room', 'the conversation')}, and got {seq}")
        if seq > room.last:
            if not room.open or frame.get("sender", frame.get("by")) in self.world.people:
                raise Broken(ANSWER, f"{self.who}: nobody did what is told as {frame}")
            room.append(Entry("stranger", None, {}), seq)
        if (room, seq) in self.own:
            raise Broken(ACK_FIRST, f"{self.who}: its own seq {seq} came before the ack of {self.own[room, seq]!r}")
        if room.holds(seq):
            fault = compare(frame, shown(room, seq, self.person, live=not replayed))
            if fault is not None:
                raise Broken(fault[0] or SAME, f"{self.who}: {fault[1]}: {frame}")
        self.hearing[room] = seq
        expelled = frame.get("action") in ("kick", "ban") and frame.get("user") == self.person.name
        if expelled and seq == room.last and room not in self.person.rooms:
            self.loses(room)

    def loses(self, room: Room) -> None:
        """From here on nothing of the room may come."""
        self.hearing.pop(room, None)
        self.replaying.pop(room, None)
        self.lagging.pop(room, None)
        self.believed = {place: told for place, told in self.believed.items() if place[0] is not room}

    def gains(self, room: Room, after: int | None = None) -> None:
        """From here on it hears of a room: from its end, or with a replay of what comes after a `seq`."""
        self.loses(room)
        self.hearing[room] = room.last if after is None else after
        if after is not None:
            self.replaying[room] = room.last

    def _passing(self, frame: Json) -> None:
        if "room" in frame and not str(frame["room"]).startswith("@"):
            self._in_room(frame)
        for due in self.due:
            if frame == frame | due.frame:
                self.due.remove(due)
                return
        raise Broken(MEMBERS, f"{self.who}: this was not for it, or is too much: {frame}")

    def _system(self, frame: Json) -> None:
        match frame["event"]:
            case "welcome":
                raise Broken(WELCOME, f"{self.who} is welcomed again")
            case "joined" | "left" as event:
                room = self._in_room(frame)
                if room is not None:
                    self._told(room, frame.get("users"), came=event == "joined")
            case "lagged":
                self._lagged(frame)
            case "invited":
                self._passing({name: value for name, value in frame.items() if name != "room"})
            case "room_created":
                self._in_room(frame)

    def _told(self, room: Room, users: list[str] | None, *, came: bool) -> None:
        """Somebody came or left. Counts alone may mean anybody: from then on nothing is known of who is there.

        A list would not tell, either: it may show who came or left before that is told, which is no second telling.
        """
        if users is None:
            self.believed = {place: told for place, told in self.believed.items() if place[0] is not room}
            return
        if came and users == [self.person.name]:
            raise Broken(ALONE, f"{self.who} is told of its own coming to {room.name}")
        for name in users:
            if self.believed.get((room, name)) is came and name != self.person.name:
                how = "came" if came else "left"
                raise Broken(PRESENCE, f"{self.who} is told twice that {name} {how}, in {room.name}")
            self.believed[room, name] = came

    def _lagged(self, frame: Json) -> None:
        room = self._in_room(frame)
        if room is None or room not in self.lagging:
            raise Broken(LAGGED, f"{self.who}: nothing is missing, but {frame} came")
        del self.lagging[room]
        if (frame["epoch"], frame["last"]) != (room.epoch, room.last):
            raise Broken(LAGGED, f"{self.who}: the log is at {room.epoch} {room.last}, not as {frame} says")
        self.hearing[room] = frame["first"] - 1

    def lacks(self) -> Broken | None:
        """What must come yet, as the promise that is broken if it does not."""
        if self.peer.closed is not None:
            return None
        for asked in self.asked:
            if not str(asked).startswith("barrier"):
                return Broken(ANSWER, f"{self.who}: the id {asked!r} was never answered")
        for room, promise in self.lagging.items():
            return Broken(promise, f"{self.who}: 'lagged' did not come for {room.name}")
        for room, seq in self.hearing.items():
            if seq < room.last:
                promise = RESUME if seq < self.replaying.get(room, 0) else ORDER
                return Broken(promise, f"{self.who} never got seq {seq + 1} of {room.name}, the last is {room.last}")
        for due in self.due:
            if due.must:
                return Broken(due.promise, f"{self.who} never got {due.frame}")
        if self.unnamed:
            return Broken(ANSWER, f"{self.who}: the error {self.unnamed[0]} never came")
        if self.asked:
            return Broken(ANSWER, f"{self.who}: a ping was never answered")
        return None

    def settled(self) -> None:
        """All came that had to; what may have come meanwhile may no longer."""
        self.due.clear()
        self.own.clear()
        self.tolerant = False
        for room in [room for room in self.hearing if room not in self.person.rooms]:
            self.loses(room)
