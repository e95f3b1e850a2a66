"""Conversations with a guest who was several users: each is a log of its own, told by its epoch.

A guest's conversations end with the guest, and who comes next under that name has new ones, of the same names. When
that was, the others are not told. But what tells of a conversation says its epoch, or comes behind what did: so each is
judged as a room of its own, here called `@@ann+ben/EPOCH`. Only whether one that is gone in the end should be there is
not known of all: of those it is that the last users of both names were seen in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import attrs

from trio_chat.witness.transcript import Connection, Frame, Line, is_entry, room_key, room_of


def is_part(room: str) -> bool:
    """Whether a room is one of several conversations of the same two names."""
    return room.startswith("@@")


def whole(room: str) -> str:
    """The room of both names, whichever of their conversations it is."""
    return room[1:].partition("/")[0] if is_part(room) else room


class Talks:
    """All conversations, of which those of the names `several` are told apart.

    `unplaced`: entries that came before anything said of which they are.
    """

    def __init__(self, connections: Iterable[Connection], several: Collection[str]) -> None:
        self._several = frozenset(name.casefold() for name in several)
        self.unplaced = 0
        self._last: dict[str, Connection] = {}  # of each name, the last connection …
        self._since: dict[str, float] = {}  # … and when its last user came
        self._met: set[tuple[str, str]] = set()  # name whose last user was seen in a part, and that
        for connection in connections:
            self._last[connection.name.casefold()] = connection
            welcome = connection.welcome
            if welcome is not None and not welcome["resumed"]:
                self._since[connection.name.casefold()] = connection.opened_at

    def apart(self, connection: Connection) -> Connection:
        """The same connection, in which these conversations have names of their own."""
        return _Renaming(self, connection).renamed() if self._several else connection

    def part(self, room: str, epoch: str) -> str:
        """What a room is called: what is one of several has a name of its own."""
        return f"@{room}/{epoch}" if self.is_between(room) else room

    def is_between(self, room: str) -> bool:
        """Whether a room, as `room_key` calls it, is a conversation with one of these names."""
        return room.startswith("@") and not is_part(room) and not self._several.isdisjoint(room[1:].split("+"))

    def met(self, part: str, connection: Connection) -> None:
        """Somebody was seen in a conversation."""
        name = connection.name.casefold()
        if connection.opened_at >= self._since.get(name, float("inf")):
            self._met.add((name, part))

    def lasts(self, part: str) -> bool:
        """Whether a conversation is surely there in the end: both of its users are."""
        names = whole(part)[1:].split("+")
        return all((name, part) in self._met and self._last[name].settled for name in names)


class _Renaming:
    """Goes through one connection. `_now`: the conversation that each room is at this moment, by its epoch."""

    def __init__(self, talks: Talks, connection: Connection) -> None:
        self._talks, self._connection, self._me = talks, connection, connection.name
        heard = [line.frame for line in connection.lines if not line.ours]
        self._answers = {frame["id"]: frame["epoch"] for frame in heard if "id" in frame and "epoch" in frame}
        self._now: dict[str, str] = {}
        self._known: set[tuple[str, str]] = set()

    def renamed(self) -> Connection:
        lines = []
        for line in self._connection.lines:
            frame = self._ours(line.frame) if line.ours else self._heard(line.frame)
            if frame is not None:
                lines.append(Line(line.at, line.ours, frame))
        return attrs.evolve(self._connection, lines=lines)

    def _ours(self, frame: Frame) -> Frame:
        """A command: of the conversation that its answer names, else of the one that it must have meant."""
        if frame["type"] == "connect":
            return self._connect(frame)
        written = f"@{frame['to']}" if frame["type"] == "private" else frame.get("room", "")
        room = room_key(written, self._me)
        if not self._talks.is_between(room):
            return frame
        epoch = self._answers.get(frame.get("id"), self._now.get(room, "?"))
        return {**frame, "room": self._talks.part(room, epoch)}

    def _connect(self, frame: Frame) -> Frame:
        """Positions are meant for what the welcome lists, whatever their epoch."""
        given: dict[str, Any] = frame.get("resume", {}).get("rooms", {})
        told = {room_key(one["room"], self._me): one for one in (self._connection.welcome or {}).get("rooms", ())}
        rooms = {}
        for written, position in given.items():
            room = room_key(written, self._me)
            if not self._talks.is_between(room):
                rooms[written] = position
            elif room in told:
                rooms[self._talks.part(room, told[room]["epoch"])] = position
        return {**frame, "resume": {**frame["resume"], "rooms": rooms}} if given else frame

    def _heard(self, frame: Frame) -> Frame | None:
        for name in ("rooms", "hits"):
            if isinstance(frame.get(name), list):
                frame = {**frame, name: [self._listed(one) for one in frame[name]]}
        room = room_of(frame, self._me)
        if room is None or not self._talks.is_between(room):
            return frame
        epoch = self._epoch(room, frame.get("epoch"))
        if epoch is None:
            self._talks.unplaced += is_entry(frame)
            return None
        return {**frame, "room": self._seen(room, epoch)}

    def _listed(self, one: Frame) -> Frame:
        room = room_key(one["room"], self._me)
        if not self._talks.is_between(room):
            return one
        self._epoch(room, one["epoch"])
        return {**one, "room": self._seen(room, one["epoch"])}

    def _epoch(self, room: str, said: str | None) -> str | None:
        """Of what is told of a room. One that is new is the room's from now on; an older one does not come back."""
        if said is not None and (room, said) not in self._known:
            self._known.add((room, said))
            self._now[room] = said
        return said or self._now.get(room)

    def _seen(self, room: str, epoch: str) -> str:
        part = self._talks.part(room, epoch)
        self._talks.met(part, self._connection)
        return part
