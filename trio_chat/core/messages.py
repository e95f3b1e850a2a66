"""Every command (client to server) as a value; the events are in `events`.

A message that exists is a valid message. Sizes against the configuration are the codec's to check.
Of each class, the docstring's first line is what the generated documents say of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import attrs

from trio_chat.core.errors import ErrorCode
from trio_chat.core.names import INVISIBLE

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
_seq = Rule("an integer from 1 to 2**53 - 1", lambda value: 1 <= value <= MAX_ID, {"minimum": 1, "maximum": MAX_ID})
_position = Rule(
    "an integer from 0 to 2**53 - 1", lambda value: 0 <= value <= MAX_ID, {"minimum": 0, "maximum": MAX_ID}
)
_topic = Rule(
    "a string of at most 250 characters, without control characters and bidirectional overrides",
    lambda value: len(value) <= 250 and not any(map(_is_control, value)),
    {"maxLength": 250},
)
_emoji = Rule(
    "a string of 1-32 characters and at most 64 bytes, something to see among them, and no space, quote or backslash",
    lambda value: 1 <= len(value) <= 32 and len(value.encode()) <= 64 and _is_emoji(value),
    {"minLength": 1, "maxLength": 32},
)
_query = Rule("a string of 1-256 characters", lambda value: 1 <= len(value) <= 256, {"minLength": 1, "maxLength": 256})
_limit = Rule("an integer from 1 to 200", lambda value: 1 <= value <= 200, {"minimum": 1, "maximum": 200})


JOINERS = {"\u200d", *map(chr, range(0xE0020, 0xE0080))}  # between the parts of an emoji: joiner and tags
BLANK = INVISIBLE | {"\u2800"}
OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e")  # they would turn round what stands behind them, too


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Zl", "Zp") or char in OVERRIDES


def _is_emoji(text: str) -> bool:
    """There is something to see, nothing unseen but what joins, and nothing that needs an escape in JSON."""
    if any(char in '"\\' or (unicodedata.category(char)[0] in "CZ" and char not in JOINERS) for char in text):
        return False
    return any(unicodedata.category(char)[0] in "LNPS" and char not in BLANK for char in text)


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
class Find(Command):
    """Ask for messages with all the words of `query`, in one room or in all that one is in, the newest first."""

    type = "search"
    query: str = attrs.field(validator=_query)
    room: str | None = None
    limit: int = attrs.field(default=50, validator=_limit)
    cursor: str | None = attrs.field(default=None, validator=_short)


@attrs.frozen(kw_only=True)
class Edit(Command):
    """Replace the content of a message; by its author or a moderator."""

    type = "edit"
    room: str
    seq: int = attrs.field(validator=_seq)
    content: str = attrs.field(validator=_full)


@attrs.frozen(kw_only=True)
class Delete(Command):
    """Delete a message, for good; by its author or a moderator."""

    type = "delete"
    room: str
    seq: int = attrs.field(validator=_seq)


@attrs.frozen(kw_only=True)
class React(Command):
    """React to a message with `emoji`, or take that back."""

    type = "react"
    room: str
    seq: int = attrs.field(validator=_seq)
    emoji: str = attrs.field(validator=_emoji)
    remove: bool = False


@attrs.frozen(kw_only=True)
class MarkRead(Command):
    """Say that one has read `room` up to `seq`; it only moves forward."""

    type = "read"
    room: str
    seq: int = attrs.field(validator=_seq)


@attrs.frozen(kw_only=True)
class SetTopic(Command):
    """Set the topic of a room; by its owner. An empty one takes it away."""

    type = "topic"
    room: str
    topic: str = attrs.field(validator=_topic)


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


COMMANDS: tuple[type[Command], ...] = (
    Connect,
    Message,
    Private,
    Ping,
    Typing,
    Join,
    Leave,
    GetHistory,
    Find,
    Edit,
    Delete,
    React,
    MarkRead,
    SetTopic,
    ListRooms,
    ListUsers,
)
