"""Every message of the wire, as values: commands (client to server) and events (server to client).

A message that exists is a valid message. Sizes against the configuration are the codec's to check.
Of each class, the docstring's first line is what the generated documents say of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeAlias

import attrs

from trio_chat.core.errors import ErrorCode

CommandId: TypeAlias = str | int
MAX_ID = 2**53 - 1  # the largest integer that JavaScript holds exactly
ID_RULE = "a string of 1-64 characters, or an integer from 0 to 2**53 - 1"


@attrs.frozen(eq=False)
class Rule:
    """What a field's value must be: a validator, with its words for people and its JSON Schema for programs."""

    must: str
    good: Callable[[Any], bool]
    schema: dict[str, Any]

    def __call__(self, _instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Check; what is None was left out. The message goes out as it is."""
        if value is not None and not self.good(value):
            raise ValueError(f"{attribute.name} must be {self.must}")


def valid_id(value: object) -> bool:
    """A string of 1-64 characters, or an integer from 0 to 2**53 - 1 (and no boolean)."""
    if isinstance(value, str):
        return 1 <= len(value) <= 64
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID


_short = Rule("a string of 1-64 characters", lambda value: 1 <= len(value) <= 64, {"minLength": 1, "maxLength": 64})
_full = Rule("a string that is not empty", bool, {"minLength": 1})
_seq = Rule("an integer >= 1", lambda value: 1 <= value <= MAX_ID, {"minimum": 1, "maximum": MAX_ID})
_position = Rule("an integer >= 0", lambda value: 0 <= value <= MAX_ID, {"minimum": 0, "maximum": MAX_ID})
_limit = Rule("an integer from 1 to 200", lambda value: 1 <= value <= 200, {"minimum": 1, "maximum": 200})


@attrs.frozen(kw_only=True)
class Position:
    """Where a client is in a room's log: the last `seq` it has, in an `epoch`."""

    epoch: str
    seq: int = attrs.field(validator=_position)


@attrs.frozen(kw_only=True)
class Resume:
    """What a returning client says: its session, and how far it came in its rooms."""

    session: str
    rooms: dict[str, Position] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Command:
    """What every command may carry: an `id` to be answered under."""

    type: ClassVar[str]
    id: str | int | None = None


@attrs.frozen(kw_only=True)
class Connect(Command):
    """The first frame: take a name, or resume a session; answered by `welcome`."""

    type = "connect"
    username: str | None = None
    resume: Resume | None = None


@attrs.frozen(kw_only=True)
class Message(Command):
    """Post `content` to `room`, joining (and creating) it first."""

    type = "message"
    content: str = attrs.field(validator=_full)
    room: str = "general"
    key: str | None = attrs.field(default=None, validator=_short)
    reply_to: int | None = attrs.field(default=None, validator=_seq)


@attrs.frozen(kw_only=True)
class Private(Command):
    """Post `content` to the conversation with the user `to`."""

    type = "private"
    to: str
    content: str = attrs.field(validator=_full)
    key: str | None = attrs.field(default=None, validator=_short)
    reply_to: int | None = attrs.field(default=None, validator=_seq)


@attrs.frozen(kw_only=True)
class Ping(Command):
    """Ask for a `pong`."""

    type = "ping"


@attrs.frozen(kw_only=True)
class Typing(Command):
    """Say that one is typing, or stopped, to the user `to` or in `room`; never stored."""

    type = "typing"
    to: str | None = None
    room: str | None = None
    isTyping: bool = True  # noqa: N815  (its name on the wire)

    def __attrs_post_init__(self) -> None:
        """Check that there is one target."""
        if (self.to is None) == (self.room is None):
            raise ValueError("to or room must be given, and not both")


@attrs.frozen(kw_only=True)
class Join(Command):
    """Join `room`, creating it if need be; with `after`, get what was missed since."""

    type = "join"
    room: str
    after: Position | None = None


@attrs.frozen(kw_only=True)
class Leave(Command):
    """Leave `room`."""

    type = "leave"
    room: str


@attrs.frozen(kw_only=True)
class GetHistory(Command):
    """Ask for entries of a room one is in: before or after a `seq`, or the newest."""

    type = "history"
    room: str
    before: int | None = attrs.field(default=None, validator=_seq)
    after: int | None = attrs.field(default=None, validator=_position)
    limit: int = attrs.field(default=50, validator=_limit)

    def __attrs_post_init__(self) -> None:
        """Check that there is one direction at most."""
        if self.before is not None and self.after is not None:
            raise ValueError("before and after must not be given both")


@attrs.frozen(kw_only=True)
class ListRooms(Command):
    """Ask which rooms there are, or with `mine` which of them one is in."""

    type = "rooms"
    mine: bool = False
    limit: int = attrs.field(default=50, validator=_limit)
    cursor: str | None = attrs.field(default=None, validator=_short)


@attrs.frozen(kw_only=True)
class ListUsers(Command):
    """Ask who is present in a room one is in."""

    type = "users"
    room: str = "general"
    limit: int = attrs.field(default=50, validator=_limit)
    cursor: str | None = attrs.field(default=None, validator=_short)


@attrs.frozen(kw_only=True)
class Bad(Command):
    """A frame that is no valid message: the codec's verdict on it. It never comes over the wire as such."""

    type = ""
    code: ErrorCode
    content: str


# --- Server to client. A field that is None is not sent; `from_` is `from` on the wire. -----------------------------


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
    """A message of a room."""

    type = "message"
    content: str
    sender: str
    room: str
    timestamp: str
    seq: int
    reply_to: int | None = None


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
class RoomList(Event):
    """Rooms, each with its members' number and where its log stands; `cursor` where the list is cut."""

    type = "room_list"
    id: CommandId | None = None
    rooms: list[dict[str, Any]]
    cursor: str | None = None


COMMANDS: tuple[type[Command], ...] = (
    Connect,
    Message,
    Private,
    Ping,
    Typing,
    Join,
    Leave,
    GetHistory,
    ListRooms,
    ListUsers,
)
EVENTS: tuple[type[Event], ...] = (
    System,
    Welcome,
    UserList,
    Posted,
    PrivatePosted,
    Error,
    Pong,
    TypingShown,
    Ack,
    HistoryPage,
    RoomList,
)


def timestamp(wall: float) -> str:
    """Seconds since 1970 as the wire writes them: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
