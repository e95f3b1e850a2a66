"""What a client is told: events of the wire as values, answers to its commands, and its own news of the connection.

A private conversation is a room called `@` and the other's name. Times are texts, as the wire has them. Fields that
are not known are ignored, and an event of an unknown type is `Unknown`: a newer server breaks no client.
"""

from __future__ import annotations

from typing import Any, TypeVar

import attrs
import msgspec

from trio_chat.core.messages import Position

T = TypeVar("T")


class Refused(Exception):
    """The server answered a command with an error, or would: nothing was done.

    `code` is one of the protocol's error codes, `content` says it for people; `retry_after`: seconds, or None.
    """

    def __init__(self, code: str, content: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {content}")
        self.code, self.content, self.retry_after = code, content, retry_after


class OutcomeUnknown(Exception):
    """A message was sent, the connection was lost before its answer came, and it cannot be asked for again.

    It may be in the log or not: the session it was sent in is over (a guest of a new one is another user to the server,
    who could post it twice), or the server now refuses it.
    """


class ConnectionEnded(Exception):
    """The connection is over, and coming back is no use.

    `code`: a close code (1000: we closed it; 4500-4999: the server said stop), an HTTP status, or None where there
    was no connection at all. `reason` says it for people.
    """

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason if code is None else f"{code}: {reason}")
        self.code, self.reason = code, reason

    def again(self) -> ConnectionEnded:
        """The same for one more who is to hear of it: an exception that is raised twice has a mixed traceback."""
        return ConnectionEnded(self.code, self.reason)


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened."""


# --- The connection ------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Welcomed(Event):
    """We are connected, as `user`; `rooms` are those we are in, and where we stand in each.

    `resumed`: the session goes on, and what was missed follows. Otherwise it is a new one: we are in `rooms` only, and
    `lost` has where we stood in those of the old session. `join(room, after=lost[room])` gets what was missed there.
    """

    user: str
    resumed: bool
    rooms: dict[str, Position]
    lost: dict[str, Position] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Disconnected(Event):
    """The connection is gone, or could not be made; the next try is in `delay` seconds.

    `code`: a close code (1006: none came), an HTTP status, or None where the server was not reached.
    """

    code: int | None
    reason: str
    delay: float


@attrs.frozen(kw_only=True)
class Lagged(Event):
    """Entries of a room were missed, and are no longer held; what is held, from `first` on, follows."""

    room: str
    epoch: str
    first: int
    last: int


# --- Entries of a room's log: each comes once, in the order of `seq` ------------------------------------------------


@attrs.frozen(kw_only=True)
class Entry(Event):
    """What has a place in the log of a room: `seq`, in an `epoch` (None where we were never told it)."""

    room: str
    epoch: str | None = None
    seq: int
    sender: str
    timestamp: str


@attrs.frozen(kw_only=True)
class Reaction:
    """How often one emoji was put to an entry, and by whom (not all, where there are many)."""

    count: int
    users: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Message(Entry):
    """A message. Where it was read back: `edited`, when it was last changed, and `reactions` by emoji."""

    content: str
    reply_to: int | None = None
    edited: str | None = None
    reactions: dict[str, Reaction] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Private(Message):
    """A message of a private conversation, to the user `to`; our own come, too."""

    to: str


@attrs.frozen(kw_only=True)
class Edited(Entry):
    """The message `of` has a new content; None where it was deleted since."""

    of: int
    content: str | None = None


@attrs.frozen(kw_only=True)
class Deleted(Entry):
    """The message `of` was deleted. Read back, it stands where the message stood: `seq` and `of` are the same."""

    of: int


@attrs.frozen(kw_only=True)
class Reacted(Entry):
    """A reaction to the message `of` was put, or with `remove` taken back."""

    of: int
    emoji: str
    remove: bool = False


@attrs.frozen(kw_only=True)
class TopicSet(Entry):
    """A room has a new topic."""

    topic: str


@attrs.frozen(kw_only=True)
class Moderated(Entry):
    """`sender` did `action` (`kick`, `mute`, …) to `user`, `until` a time where it is not for good.

    The `action` `room` is none on a user, but sets one or more of the last three.
    """

    action: str
    user: str = ""
    until: str | None = None
    reason: str | None = None
    kind: str | None = None
    slow_mode: float | None = None
    receipts: bool | None = None


# --- What is not kept ------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Read(Event):
    """`sender` has read a room up to `seq`."""

    room: str
    seq: int
    sender: str
    timestamp: str


@attrs.frozen(kw_only=True)
class Typing(Event):
    """`sender` is typing, or stopped."""

    room: str
    sender: str
    typing: bool


@attrs.frozen(kw_only=True)
class UserList(Event):
    """Who is present in a room, `total` in all; `cursor` leads on where the list is cut."""

    room: str = "general"
    users: list[str]
    total: int = 0
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class System(Event):
    """Anything else that the server tells: `event` (`joined`, `left`, …) for programs, `content` for people.

    `fields` is the whole frame.
    """

    event: str
    content: str = ""
    room: str | None = None
    fields: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Failure(Event):
    """An error that answers no command of ours."""

    code: str
    content: str
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class Unknown(Event):
    """A frame of a type that this client does not know, or one that is not what its type says."""

    frame: dict[str, Any]


# --- Answers ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Posted:
    """A message has its place in the log."""

    seq: int
    room: str
    epoch: str


@attrs.frozen(kw_only=True)
class Joined:
    """We are in a room; `last` is the last `seq` of its log so far."""

    room: str
    epoch: str
    last: int


@attrs.frozen(kw_only=True)
class HistoryPage:
    """Entries of a room, ascending. `first` and `last` are the log's; `more`: it holds more in that direction."""

    room: str
    epoch: str
    entries: list[Event]
    first: int
    last: int
    more: bool


@attrs.frozen(kw_only=True)
class Hit:
    """An entry that was found."""

    room: str
    epoch: str
    entry: Event


@attrs.frozen(kw_only=True)
class SearchPage:
    """What was found; `cursor` leads on where there is more."""

    hits: list[Hit]
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class RoomInfo:
    """A room of a list, its `members` being those who are present; `read` is our own marker."""

    room: str
    epoch: str
    last: int
    members: int = 0
    kind: str = "public"
    topic: str | None = None
    read: int | None = None


@attrs.frozen(kw_only=True)
class RoomPage:
    """A list of rooms; `cursor` leads on where it is cut."""

    rooms: list[RoomInfo]
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class Answered(Event):
    """For the driver: the command `id` was done, with this result."""

    id: int
    result: Any


@attrs.frozen(kw_only=True)
class Failed(Event):
    """For the driver: the command `id` ends with this error."""

    id: int
    error: Exception


ENTRIES: dict[str, type[Entry]] = {
    "message": Message,
    "private": Private,
    "edited": Edited,
    "deleted": Deleted,
    "reacted": Reacted,
    "system/topic": TopicSet,
    "system/moderation": Moderated,
}


def kind_of(frame: dict[str, Any]) -> str:
    """The type of a frame, for `system` with its event: `system/joined`."""
    kind = frame.get("type")
    return f"system/{frame.get('event')}" if kind == "system" else str(kind)


def read_as(cls: type[T], frame: dict[str, Any]) -> T:
    """A frame as an instance of `cls`.

    Raises:
        msgspec.ValidationError: a field is missing, or no such value.
    """
    return msgspec.convert(frame, cls)


def room_of(frame: dict[str, Any], user: str) -> str:
    """The room that a frame belongs to, for `user`: that of a private one is called after the other."""
    if frame.get("type") == "private":
        sender = frame.get("from", frame.get("sender"))
        return f"@{frame.get('to') if sender == user else sender}"
    return str(frame.get("room", "general"))


def entry_of(frame: dict[str, Any], room: str, epoch: str | None) -> Event:
    """A frame of the log as an event; `Unknown` where it is not what it says."""
    cls = ENTRIES.get(kind_of(frame))
    if cls is None:
        return Unknown(frame=frame)
    try:
        return read_as(cls, {"sender": frame.get("by"), **frame, "room": room, "epoch": epoch})
    except msgspec.ValidationError:
        return Unknown(frame=frame)


def passing_of(frame: dict[str, Any]) -> Event:
    """A frame that is no entry and no answer as an event; `Unknown` where it is not what it says."""
    kind = frame.get("type")
    try:
        if kind == "system":
            return read_as(System, frame | {"fields": frame})
        if kind == "typing":
            room = frame.get("room") or f"@{frame.get('from')}"
            return read_as(Typing, frame | {"room": room, "typing": frame.get("isTyping", True)})
        if kind == "user_list":
            return read_as(UserList, {"total": len(frame["users"]), **frame})
        if kind == "read":
            return read_as(Read, frame)
        if kind == "error":
            return read_as(Failure, {"code": "", **frame})
    except (msgspec.ValidationError, KeyError, TypeError):
        pass
    return Unknown(frame=frame)
