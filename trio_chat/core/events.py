"""Every event (server to client) as a value. A field that is None is not sent; `from_` is `from` on the wire.

Of each class, the docstring's first line is what the generated documents say of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar

import attrs

from trio_chat.core.messages import CommandId


@attrs.frozen(kw_only=True)
class Event:
    """A frame that the server sends; `type` names it."""

    type: ClassVar[str]


@attrs.frozen(kw_only=True)
class System(Event):
    """Something happened: `event` says what, `content` says it for people."""

    type = "system"
    content: str
    event: str
    timestamp: str
    room: str | None = None
    users: list[str] | None = None
    count: int | None = None
    total: int | None = None
    epoch: str | None = None
    first: int | None = None
    last: int | None = None
    seq: int | None = None
    by: str | None = None
    topic: str | None = None
    code: int | None = None
    reason: str | None = None
    retry_after: float | None = None
    jitter: float | None = None


@attrs.frozen(kw_only=True)
class Welcome(Event):
    """The answer to `connect`, and the first frame: a `system` frame whose `event` is `welcome`."""

    type = "system"
    event: str = "welcome"
    content: str
    timestamp: str
    id: CommandId | None = None
    user: str
    session: str
    ticket: str
    server: str
    protocol: int = 1
    heartbeat: dict[str, float]
    reconnect: dict[str, float]
    limits: dict[str, float]
    resumed: bool
    rooms: list[dict[str, Any]]
    more: bool | None = None


@attrs.frozen(kw_only=True)
class UserList(Event):
    """Who is present in a room; `cursor` where the list is cut."""

    type = "user_list"
    id: CommandId | None = None
    users: list[str]
    timestamp: str
    room: str
    total: int
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class Posted(Event):
    """A message of a room; read back, `edited` says when its content was last replaced."""

    type = "message"
    content: str
    sender: str
    room: str
    timestamp: str
    seq: int
    reply_to: int | None = None
    edited: str | None = None
    reactions: dict[str, Any] | None = None


@attrs.frozen(kw_only=True)
class PrivatePosted(Event):
    """A message of a private conversation; `from` and `sender` are the same name."""

    type = "private"
    from_: str
    sender: str
    to: str
    content: str
    timestamp: str
    seq: int
    epoch: str
    reply_to: int | None = None
    edited: str | None = None
    reactions: dict[str, Any] | None = None


@attrs.frozen(kw_only=True)
class Edited(Event):
    """The content of the message `of` was replaced; no `content`: that was deleted since."""

    type = "edited"
    room: str
    seq: int
    of: int
    content: str | None = None
    sender: str
    timestamp: str


@attrs.frozen(kw_only=True)
class Deleted(Event):
    """The message `of` was deleted; read back, a deleted message is shown so, too: in its own place, `seq` = `of`."""

    type = "deleted"
    room: str
    seq: int
    of: int
    sender: str
    timestamp: str


@attrs.frozen(kw_only=True)
class Reacted(Event):
    """Somebody reacted to the message `of`, or took it back."""

    type = "reacted"
    room: str
    seq: int
    of: int
    emoji: str
    remove: bool | None = None
    sender: str
    timestamp: str


@attrs.frozen(kw_only=True)
class ReadShown(Event):
    """Another session of the same user has read `room` up to `seq`."""

    type = "read"
    room: str
    seq: int
    sender: str
    timestamp: str


@attrs.frozen(kw_only=True)
class Error(Event):
    """A command or a frame was refused: `code` for programs, `content` for people."""

    type = "error"
    content: str
    code: str
    id: CommandId | None = None
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class Pong(Event):
    """The answer to `ping`."""

    type = "pong"
    timestamp: str
    id: CommandId | None = None


@attrs.frozen(kw_only=True)
class TypingShown(Event):
    """Somebody is typing, or stopped."""

    type = "typing"
    from_: str
    sender: str
    to: str | None = None
    room: str | None = None
    isTyping: bool  # noqa: N815  (its name on the wire)


@attrs.frozen(kw_only=True)
class Ack(Event):
    """The command with this `id` was done; what it made."""

    type = "ack"
    id: CommandId
    seq: int | None = None
    room: str | None = None
    epoch: str | None = None
    last: int | None = None


@attrs.frozen(kw_only=True)
class HistoryPage(Event):
    """Entries of a room, ascending: the frames that members got live."""

    type = "history"
    id: CommandId | None = None
    room: str
    epoch: str
    entries: list[Event]
    first: int
    last: int
    more: bool


@attrs.frozen(kw_only=True)
class Hit:
    """A message that was found, as `history` would show it, and where it is."""

    room: str
    epoch: str
    entry: Event


@attrs.frozen(kw_only=True)
class SearchResult(Event):
    """Messages that were found, the newest first; `cursor` where there are more."""

    type = "search_result"
    id: CommandId | None = None
    hits: list[Hit]
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class RoomList(Event):
    """Rooms, each with its members' number and where its log stands; `cursor` where the list is cut."""

    type = "room_list"
    id: CommandId | None = None
    rooms: list[dict[str, Any]]
    cursor: str | None = None


EVENTS: tuple[type[Event], ...] = (
    System,
    Welcome,
    UserList,
    Posted,
    PrivatePosted,
    Edited,
    Deleted,
    Reacted,
    ReadShown,
    Error,
    Pong,
    TypingShown,
    Ack,
    HistoryPage,
    SearchResult,
    RoomList,
)


@lru_cache(maxsize=64)  # all that happens in one turn has one time
def timestamp(wall: float) -> str:
    """Seconds since 1970 as the wire writes them: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
