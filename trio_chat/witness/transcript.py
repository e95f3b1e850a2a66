"""What clients said and heard, as they recorded it: all that the checker knows of a server."""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Any, TypeAlias

import attrs

Frame: TypeAlias = dict[str, Any]
ENTRIES = ("message", "private", "edited", "deleted", "reacted")
SHOWN = (
    "id",
    "room",
    "to",
    "of",
    "emoji",
    "remove",
    "key",
    "content",
    "sender",
    "code",
    "epoch",
    "seq",
    "first",
    "last",
)


class End(Enum):
    """How a connection ended."""

    OPEN = auto()  # not yet
    LOST = auto()  # by a kill or a cut: what was on its way is lost
    AWAY = auto()  # we closed it with 1001 and read up to the server's close frame: all that it sent was read
    LEFT = auto()  # the same with 1000: the session is over


@attrs.frozen
class Line:
    """A frame, at `at` (monotonic seconds, one clock for all clients). `ours`: we sent it."""

    at: float
    ours: bool
    frame: Frame


@attrs.define(eq=False)
class Connection:
    """One connection of the user `name` to the server process number `process`, its lines in order.

    `patient`: every answer had been awaited when it ended. `settled`: so had every entry, while nobody wrote.
    """

    name: str
    process: int
    lines: list[Line] = attrs.field(factory=list)
    end: End = End.OPEN
    ended_at: float = 0.0
    patient: bool = False
    settled: bool = False
    goodbye: bool = False  # we closed it with 1000, whether or not that arrived

    @property
    def opened_at(self) -> float:
        """When its `connect` was sent."""
        return self.lines[0].at if self.lines else 0.0

    @property
    def welcome(self) -> Frame | None:
        """Its welcome, if that came."""
        heard = next((line.frame for line in self.lines if not line.ours), None)
        return heard if heard is not None and heard.get("event") == "welcome" else None

    def sent(self, at: float, type: str, **fields: Any) -> Frame:
        """Note what we send."""
        frame = {"type": type, **fields}
        self.lines.append(Line(at, True, frame))
        return frame

    def got(self, at: float, frame: Frame) -> None:
        """Note what came."""
        self.lines.append(Line(at, False, frame))


@attrs.frozen
class Place:
    """An entry's place: for ever the same entry, or a server lied."""

    room: str
    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.room} {self.epoch}:{self.seq}"


def room_key(written: str, me: str) -> str:
    """What `me` calls `written`, as all would call it: a conversation is named for both.

    What `talks` calls a part is called so by all.
    """
    if written.startswith("@@"):
        return written
    if written.startswith("@"):
        return "@" + "+".join(sorted((written[1:].casefold(), me.casefold())))
    return written.casefold()


def room_of(frame: Frame, me: str) -> str | None:
    """The room that a frame concerns, or None."""
    if frame["type"] == "private" and "room" not in frame:
        other = frame["to"] if frame.get("sender", me) == me else frame["sender"]
        return room_key(f"@{other}", me)
    room = frame.get("room")
    if room is None:
        return "general" if frame["type"] == "message" else None
    return room_key(room, me)


def is_entry(frame: Frame) -> bool:
    """Whether a frame of the server's is an entry of a log."""
    if frame["type"] == "system":
        return frame["event"] in ("topic", "moderation") and "seq" in frame
    return frame["type"] in ENTRIES


def brief(frame: Frame) -> str:
    """A frame in a line, for people."""
    shown = {name: frame[name] for name in SHOWN if name in frame}
    if isinstance(shown.get("content"), str):
        shown["content"] = shown["content"][:40]
    kind = frame.get("event", frame["type"])
    return f"{kind} {json.dumps(shown, ensure_ascii=False)}"
