"""Every command (client to server) as a value; the events are in `events`.

A message that exists is a valid message. Sizes against the configuration are the codec's to check.
Of each class, the docstring's first line is what the generated documents say of it.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import attrs

from trio_chat.core import rules
from trio_chat.core.errors import ErrorCode
from trio_chat.core.rules import MAX_ID

CommandId: TypeAlias = str | int
ID_RULE = "a string of 1-64 characters, or an integer from 0 to 2**53 - 1"


def valid_id(value: object) -> bool:
    """A string of 1-64 characters, or an integer from 0 to 2**53 - 1 (and no boolean)."""
    if isinstance(value, str):
        return 1 <= len(value) <= 64
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID


@attrs.frozen(kw_only=True)
class Position:
    """Where a client is in a room's log: the last `seq` it has, in an `epoch`."""

    epoch: str
    seq: int = attrs.field(validator=rules.position)


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
    """The first frame: take a name, or bring a token, or resume a session; answered by `welcome`."""

    type = "connect"
    username: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    resume: Resume | None = None


@attrs.frozen(kw_only=True)
class Register(Command):
    """The first frame, in place of `connect`, where accounts are on: make one, and come in; answered by `welcome`."""

    type = "register"
    username: str
    password: str = attrs.field(validator=rules.new_password, repr=False)


@attrs.frozen(kw_only=True)
class Login(Command):
    """The first frame, in place of `connect`, where accounts are on: come in; answered by `welcome`."""

    type = "login"
    username: str
    password: str = attrs.field(validator=rules.password, repr=False)


@attrs.frozen(kw_only=True)
class Refresh(Command):
    """Bring a new token of the same user, before the last one expires."""

    type = "refresh"
    token: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ChangePassword(Command):
    """Set a new password, where accounts are on; it ends one's other sessions."""

    type = "password"
    password: str = attrs.field(validator=rules.password, repr=False)
    new_password: str = attrs.field(validator=rules.new_password, repr=False)


@attrs.frozen(kw_only=True)
class Message(Command):
    """Post `content` to `room`, joining (and creating) it first."""

    type = "message"
    content: str = attrs.field(validator=rules.full)
    room: str = "general"
    key: str | None = attrs.field(default=None, validator=rules.short)
    reply_to: int | None = attrs.field(default=None, validator=rules.seq)


@attrs.frozen(kw_only=True)
class Private(Command):
    """Post `content` to the conversation with the user `to`."""

    type = "private"
    to: str
    content: str = attrs.field(validator=rules.full)
    key: str | None = attrs.field(default=None, validator=rules.short)
    reply_to: int | None = attrs.field(default=None, validator=rules.seq)


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
    before: int | None = attrs.field(default=None, validator=rules.seq)
    after: int | None = attrs.field(default=None, validator=rules.position)
    limit: int = attrs.field(default=50, validator=rules.limit)

    def __attrs_post_init__(self) -> None:
        """Check that there is one direction at most."""
        if self.before is not None and self.after is not None:
            raise ValueError("before and after must not be given both")


@attrs.frozen(kw_only=True)
class Find(Command):
    """Ask for messages with all the words of `query`, in one room or in all that one is in, the newest first."""

    type = "search"
    query: str = attrs.field(validator=rules.query)
    room: str | None = None
    limit: int = attrs.field(default=50, validator=rules.limit)
    cursor: str | None = attrs.field(default=None, validator=rules.short)


@attrs.frozen(kw_only=True)
class Edit(Command):
    """Replace the content of a message; by its author or a moderator."""

    type = "edit"
    room: str
    seq: int = attrs.field(validator=rules.seq)
    content: str = attrs.field(validator=rules.full)


@attrs.frozen(kw_only=True)
class Delete(Command):
    """Delete a message, for good; by its author or a moderator."""

    type = "delete"
    room: str
    seq: int = attrs.field(validator=rules.seq)


@attrs.frozen(kw_only=True)
class React(Command):
    """React to a message with `emoji`, or take that back."""

    type = "react"
    room: str
    seq: int = attrs.field(validator=rules.seq)
    emoji: str = attrs.field(validator=rules.emoji)
    remove: bool = False


@attrs.frozen(kw_only=True)
class MarkRead(Command):
    """Say that one has read `room` up to `seq`; it only moves forward."""

    type = "read"
    room: str
    seq: int = attrs.field(validator=rules.seq)


@attrs.frozen(kw_only=True)
class SetTopic(Command):
    """Set the topic of a room; by its owner. An empty one takes it away."""

    type = "topic"
    room: str
    topic: str = attrs.field(validator=rules.topic)


@attrs.frozen(kw_only=True)
class Judge(Command):
    """What the verdicts have in common: on whom, where, and why."""

    room: str
    user: str
    reason: str = attrs.field(default="", validator=rules.topic)
    duration: ClassVar[float | None] = None


@attrs.frozen(kw_only=True)
class Kick(Judge):
    """Take `user` out of `room`; by its owner or a moderator."""

    type = "kick"


@attrs.frozen(kw_only=True)
class Mute(Judge):
    """Let `user` say nothing in `room`, for `duration` seconds or for good; by its owner or a moderator."""

    type = "mute"
    duration: float | None = attrs.field(default=None, validator=rules.duration)  # type: ignore[misc]  # no class's own here


@attrs.frozen(kw_only=True)
class Unmute(Judge):
    """Take a mute back; by the owner or a moderator."""

    type = "unmute"


@attrs.frozen(kw_only=True)
class Ban(Judge):
    """Take `user` out of `room` and not in again, for `duration` seconds or for good; by its owner or a moderator."""

    type = "ban"
    duration: float | None = attrs.field(default=None, validator=rules.duration)  # type: ignore[misc]  # no class's own here


@attrs.frozen(kw_only=True)
class Unban(Judge):
    """Take a ban back; by the owner or a moderator."""

    type = "unban"


@attrs.frozen(kw_only=True)
class Promote(Judge):
    """Make a member of `room` a moderator; by its owner or a moderator."""

    type = "promote"


@attrs.frozen(kw_only=True)
class Demote(Judge):
    """Make a moderator one no longer; by the owner, or by the moderator."""

    type = "demote"


@attrs.frozen(kw_only=True)
class SetRoom(Command):
    """Set who comes into `room` and speaks there, its slow mode (seconds, 0: off), its receipts; by its owner."""

    type = "room"
    room: str
    kind: str | None = attrs.field(default=None, validator=rules.access)
    slow_mode: float | None = attrs.field(default=None, validator=rules.slow)
    receipts: bool | None = None

    def __attrs_post_init__(self) -> None:
        """Check that there is something to set."""
        if self.kind is None and self.slow_mode is None and self.receipts is None:
            raise ValueError("kind, slow_mode or receipts must be given")


@attrs.frozen(kw_only=True)
class Invite(Command):
    """Let `user` come into a private `room`; by its owner or a moderator."""

    type = "invite"
    room: str
    user: str


@attrs.frozen(kw_only=True)
class Block(Command):
    """Hear nothing more in private of `user`, who is not told."""

    type = "block"
    user: str


@attrs.frozen(kw_only=True)
class Unblock(Command):
    """Hear of `user` again."""

    type = "unblock"
    user: str


@attrs.frozen(kw_only=True)
class ListRooms(Command):
    """Ask which rooms there are, or with `mine` which of them one is in."""

    type = "rooms"
    mine: bool = False
    limit: int = attrs.field(default=50, validator=rules.limit)
    cursor: str | None = attrs.field(default=None, validator=rules.short)


@attrs.frozen(kw_only=True)
class ListUsers(Command):
    """Ask who is present in a room one is in."""

    type = "users"
    room: str = "general"
    limit: int = attrs.field(default=50, validator=rules.limit)
    cursor: str | None = attrs.field(default=None, validator=rules.short)


@attrs.frozen(kw_only=True)
class Bad(Command):
    """A frame that is no valid message: the codec's verdict on it. It never comes over the wire as such."""

    type = ""
    code: ErrorCode
    content: str


@attrs.frozen(kw_only=True)
class Denied(Bad):
    """A command whose token or password proved nothing: the connection's verdict on it."""

    retry_after: float | None = None


JUDGES: tuple[type[Judge], ...] = (Kick, Mute, Unmute, Ban, Unban, Promote, Demote)
COMMANDS: tuple[type[Command], ...] = (
    Connect,
    Register,
    Login,
    Refresh,
    ChangePassword,
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
    *JUDGES,
    SetRoom,
    Invite,
    Block,
    Unblock,
    ListRooms,
    ListUsers,
)
