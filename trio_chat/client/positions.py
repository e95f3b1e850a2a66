"""Where a client stands in each room: what it has, what is new, and what it must have missed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

import attrs

from trio_chat.core.messages import Position
from trio_chat.core.names import parse_name


class Verdict(Enum):
    """What an entry is to a client that stands where it stands."""

    NEW = auto()  # the next one
    OLD = auto()  # it has it already
    GAP = auto()  # one before it is missing


@attrs.define
class Place:
    """The last `seq` one has of `room`. None: not known, for we were told of the room by no frame that says it."""

    room: str
    epoch: str | None = None
    seq: int | None = None


def key_of(room: str) -> str:
    """What two ways to write the name of one room have in common; what is no name stands for itself."""
    at, name = ("@", room[1:]) if room.startswith("@") else ("", room)
    try:
        return at + parse_name(name).key
    except ValueError:
        return room


class Positions:
    """The places of one session."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def place(self, room: str) -> Place | None:
        """Where one stands in a room, or None where one was never told of it."""
        return self._places.get(key_of(room))

    def known(self) -> dict[str, Position]:
        """All places that are known, by room."""
        return {
            place.room: Position(epoch=place.epoch, seq=place.seq)
            for place in self._places.values()
            if place.epoch is not None and place.seq is not None
        }

    def put(self, room: str, epoch: str | None, seq: int | None) -> None:
        """One stands here, whatever was before."""
        self._places[key_of(room)] = Place(room, epoch, seq)

    def forget(self, room: str) -> None:
        """One is no longer in a room."""
        self._places.pop(key_of(room), None)

    def keep(self, rooms: Iterable[str]) -> None:
        """One is in these rooms only."""
        keys = {key_of(room) for room in rooms}
        self._places = {key: place for key, place in self._places.items() if key in keys}

    def told(self, room: str, epoch: str, last: int) -> None:
        """One is in a room whose log goes to `last`: from here on one hears of it, if one stood nowhere so far."""
        place = self._places.setdefault(key_of(room), Place(room))
        if place.epoch is None:
            place.epoch = epoch
        elif place.epoch != epoch:
            place.epoch, place.seq = epoch, last
        if place.seq is None:
            place.seq = last

    def lagged(self, room: str, epoch: str, first: int, last: int) -> None:
        """The log no longer reaches back to where one stands: what follows begins at `first`."""
        place = self.place(room)
        seq = first - 1
        if place is not None and place.epoch == epoch and place.seq is not None and place.seq <= last:
            seq = max(seq, place.seq)
        self.put(room, epoch, seq)

    def entry(self, room: str, seq: int, epoch: str | None = None) -> Verdict:
        """An entry came; where it is the next one, one has moved. `epoch` where the entry itself says it."""
        place = self._places.setdefault(key_of(room), Place(room))
        if epoch is not None and epoch != place.epoch:
            place.seq = None if place.epoch is not None else place.seq
            place.epoch = epoch
        if place.seq is not None and seq <= place.seq:
            return Verdict.OLD
        if place.seq is not None and place.epoch is not None and seq > place.seq + 1:
            return Verdict.GAP
        place.seq = seq
        return Verdict.NEW
