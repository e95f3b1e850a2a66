"""What is kept beside the entries: rooms, users, sessions and memberships, as plain values.

The log keeps the newest record of each key. It is what a server that was started anew knows of the one before it.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import attrs

from trio_chat.core.identity import PREFIX
from trio_chat.core.names import name_subject, parse_name
from trio_chat.core.values import frozen

Access: TypeAlias = Literal["public", "private", "readonly"]
Right: TypeAlias = Literal["moderator", "invited", "muted", "banned"]


@attrs.frozen(kw_only=True)
class RoomRecord:
    """A room or, with `between` (two user ids), a private conversation.

    `deserted_at`: since when nobody is a member of it. `access`: the `kind` that its owner gave it. `topic_by`: whose
    words the topic is, see `author_subject`.
    """

    kind: ClassVar[str] = "room"
    key: str
    name: str
    number: int
    epoch: str
    owner: str = ""
    topic: str = ""
    between: tuple[str, str] | None = None
    deserted_at: float | None = None  # seconds since 1970
    access: Access = "public"
    slow_mode: float = 0.0  # seconds
    receipts: bool = False
    topic_by: str = ""


@attrs.frozen(kw_only=True)
class UserRecord:
    """Somebody: `key` is the user id. `admin`: the last token claimed that. `earlier`: keys of names it had before."""

    kind: ClassVar[str] = "user"
    key: str
    number: int
    name: str
    guest: bool = True
    admin: bool = False
    earlier: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class AccountRecord:
    """The password of the account whose user id is `key`, as Argon2 writes a hash."""

    kind: ClassVar[str] = "account"
    key: str
    hash: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class MemberRecord:
    """`user` is a member of `room`, in the order of `number`, and has read it up to `read`.

    `sent`: see `sessions.Mark`.
    """

    kind: ClassVar[str] = "member"
    user: str
    room: str
    number: int
    read: int = 0
    sent: int | None = None

    @property
    def key(self) -> str:
        """Both; neither holds a line break but a conversation's key, which is the last."""
        return member_key(self.user, self.room)


@attrs.frozen(kw_only=True)
class SessionRecord:
    """A session: `key` is the SHA-256 of its token, in hex, so that whoever reads the file cannot resume it.

    `detached_at` and `positions` (room key → last seq sent) are None while it is live: of a session that was live when
    the process died, nobody knows what it was sent. `expires`: when its last token does.
    """

    kind: ClassVar[str] = "session"
    key: str
    number: int
    user: str
    bucket_of: str
    detached_at: float | None = None  # seconds since 1970
    positions: dict[str, int] | None = None
    cut: int | None = None
    expires: float | None = None  # seconds since 1970


@attrs.frozen(kw_only=True)
class RightRecord:
    """What `subject` may do, or may not, in `room`, until `until`; given by the user named `by`.

    `subject`: a user id or, of a guest who is muted or banned, `name:KEY`. `name`, `name_key`: as it was called.
    """

    kind: ClassVar[str] = "right"
    what: Right
    room: str
    subject: str
    name: str
    name_key: str
    by: str
    at: float  # seconds since 1970
    until: float | None = None  # likewise
    reason: str = ""

    @property
    def key(self) -> str:
        """All three."""
        return right_key(self.room, self.what, self.subject)

    @property
    def number(self) -> float:
        """Its place: they are in the order in which they were given."""
        return self.at


@attrs.frozen(kw_only=True)
class BlockRecord:
    """`user` wants to hear nothing in private of `subject` (a user id or, of a guest, `name:KEY`), called `name`."""

    kind: ClassVar[str] = "block"
    user: str
    subject: str
    name: str
    number: int = 0

    @property
    def key(self) -> str:
        """Both."""
        return block_key(self.user, self.subject)


@attrs.frozen(kw_only=True)
class ServerBanRecord:
    """Who may not come to this server until `until`, by an operator called `by`.

    `key`: a user id, `name:` and a name's key, or `net:` and a network. `name`: as it was given.
    """

    kind: ClassVar[str] = "server_ban"
    key: str
    name: str
    by: str
    at: float  # seconds since 1970
    until: float | None = None  # likewise
    reason: str = ""

    @property
    def number(self) -> float:
        """Its place: they are in the order in which they were given."""
        return self.at


@attrs.frozen(kw_only=True)
class ForgetRecord:
    """Whatever `key` (a user id or, of guests, `name:KEY`) wrote until `at` is to be erased.

    `name_key`: the key of its name; `earlier`: of those that it had before.

    `settled`: nothing more can come of it, and all that the core knew is gone. Then the log does its part, by and by,
    and drops this record when that is done.
    """

    kind: ClassVar[str] = "forget"
    key: str
    name_key: str
    at: float  # seconds since 1970
    settled: bool = False
    earlier: tuple[str, ...] = ()

    @property
    def number(self) -> float:
        """Its place: they are in the order in which they were given."""
        return self.at


Record: TypeAlias = (
    RoomRecord
    | UserRecord
    | AccountRecord
    | MemberRecord
    | SessionRecord
    | RightRecord
    | BlockRecord
    | ServerBanRecord
    | ForgetRecord
)
RECORDS: tuple[type[Record], ...] = (
    *(RoomRecord, UserRecord, AccountRecord, MemberRecord),
    *(SessionRecord, RightRecord, BlockRecord),
    *(ServerBanRecord, ForgetRecord),
)


def member_key(user: str, room: str) -> str:
    """The key of a membership."""
    return f"{user}\n{room}"


def right_key(room: str, what: Right, subject: str) -> str:
    """The key of a right."""
    return f"{what}\n{room}\n{subject}"


def author_subject(author: str, sender: str) -> str:
    """Under what is kept who wrote: a user id or, of a guest, `name:KEY`."""
    return name_subject(parse_name(sender)) if author.startswith(PREFIX["guest"]) else author


def block_key(user: str, subject: str) -> str:
    """The key of a block."""
    return f"{user}\n{subject}"


@frozen
class Keep:
    """Keep `record`, in place of what was kept under its kind and key."""

    record: Record


@frozen
class Discard:
    """Keep nothing under this kind and key any longer."""

    kind: str
    key: str


@attrs.frozen(kw_only=True)
class Span:
    """What a log holds of a room: `first` … `last` (`first` = `last` + 1 where it is empty), in `epoch`."""

    epoch: str
    first: int
    last: int


@attrs.frozen(kw_only=True)
class Restored:
    """What a log knew when it was opened.

    `trusted`: it is what the last process left. Else its tail may be lost, or it is another's copy, and each room needs
    a new epoch; the log has given one to each in `spans`.
    """

    records: tuple[Record, ...] = ()
    spans: dict[str, Span] = attrs.field(factory=dict)  # room key → what is held
    secret: bytes = b""  # 32 bytes that sign tickets; empty: make some
    trusted: bool = True
