"""What an operator asks of the whole server, and what is answered: plain values, as the admin API writes them in JSON.

An *act* changes something, and each is an entry of the audit; a *look* changes nothing.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field

from trio_chat.core import rules
from trio_chat.core.names import MAX_RAW_CHARS
from trio_chat.core.values import frozen

Text: TypeAlias = Annotated[str, Meta(max_length=250)]
Called: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_RAW_CHARS)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=315_360_000)]
Content: TypeAlias = Annotated[str, Meta(min_length=1, max_length=16_384)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
After: TypeAlias = Annotated[int, Meta(ge=0)]


class Act(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes something."""


class Reasoned(Act, frozen=True, kw_only=True):
    """An act with a reason, which is told to clients as those of commands are, and obeys their rule."""

    reason: Text = ""

    def __post_init__(self) -> None:
        """Raises ValueError, which the decoder passes on."""
        if not rules.topic.good(self.reason):
            raise ValueError(f"reason must be {rules.topic.must}")


class KickUser(Reasoned, frozen=True, kw_only=True):
    """Close the connections of a user (4504), whose sessions end: a guest's name is free, and may come back."""

    user: Called


class BanUser(Reasoned, frozen=True, kw_only=True):
    """Ban a user: all connections are closed (4505), and neither the name nor the user may connect or resume.

    Of `user` (a name; nobody of that name needs to be here), `id` (a user id) and `net` (an address or CIDR network),
    one is given. `duration`: seconds; without it, for good.
    """

    user: Called | None = None
    id: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    net: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    duration: Seconds | None = None


class Unban(Reasoned, frozen=True, kw_only=True):
    """Lift a ban, by the `subject` that the list of bans shows."""

    subject: Annotated[str, Meta(min_length=1, max_length=520)]


class ForgetUser(Reasoned, frozen=True, kw_only=True):
    """Forget a user: what was said, the name, and all that is kept; a minute later no file of the log has any of it.

    Of `user` (a name: of guests, whoever had it) and `id` (a user id), one is given. Connections are closed (4504), and
    private conversations are gone as a whole. It cannot be undone.
    """

    user: Called | None = None
    id: Annotated[str, Meta(min_length=1, max_length=512)] | None = None


class Announce(Act, frozen=True, kw_only=True):
    """Tell everybody who is connected: `system` with the event `announcement`. It is in no room's log."""

    content: Content


class Publish(Act, frozen=True, kw_only=True):
    """Post a message to a room, whose sender is `#server`; no user can have that name."""

    room: Called
    content: Content


class StartDrain(Reasoned, frozen=True, kw_only=True):
    """Let the server go away, as SIGTERM does."""


class Look(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes nothing."""


class ShowInfo(Look, frozen=True, kw_only=True):
    """Show the server's version and how much there is of what."""


class ListUsers(Look, frozen=True, kw_only=True):
    """List users, the oldest first; `after`: the `next` of the page before."""

    after: After = 0
    limit: Limit = 100


class ShowUser(Look, frozen=True, kw_only=True):
    """Show a user's connections, rooms and bans."""

    user: Called


class ListRooms(Look, frozen=True, kw_only=True):
    """List rooms, the oldest first, without private conversations."""

    after: After = 0
    limit: Limit = 100


class ShowRoom(Look, frozen=True, kw_only=True):
    """Show a room's settings, members and rights."""

    room: Called


class ListConnections(Look, frozen=True, kw_only=True):
    """List connections, the oldest first."""

    after: After = 0
    limit: Limit = 100


class ListBans(Look, frozen=True, kw_only=True):
    """List bans, the oldest first; `after`: how many were shown."""

    after: After = 0
    limit: Limit = 100


class ShowAudit(Look, frozen=True, kw_only=True):
    """List what operators did, the newest first; `before`: the `next` of the page before."""

    before: Annotated[int, Meta(ge=1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


class Shown(Struct, frozen=True, kw_only=True):
    """An answer."""


class Done(Shown, frozen=True, kw_only=True):
    """It was done; `audit` is its place in the audit."""

    audit: int
    subject: str | None = None  # of a ban: what it is kept under
    until: str | None = None  # of a ban: when it ends
    connections: int = 0  # that were closed
    known: bool | None = None  # of a forget: whether there was such a user; if not, only the log may have something
    seq: int | None = None  # of what was published: its place in the room


class Info(Shown, frozen=True, kw_only=True):
    """What is here. `trouble`: why nothing can be posted right now."""

    server: str
    protocol: int
    draining: bool
    users: int
    sessions: int
    connections: int
    rooms: int
    conversations: int
    bans: int
    trouble: str | None = None


class UserShown(Shown, frozen=True, kw_only=True):
    """A user."""

    number: int
    id: str
    name: str
    guest: bool
    admin: bool
    sessions: int
    connections: int
    rooms: int


class ConnectionShown(Shown, frozen=True, kw_only=True):
    """A connection; without `user`, nobody has come in over it yet."""

    number: int
    address: str
    user: str | None


class BanShown(Shown, frozen=True, kw_only=True):
    """A ban. `subject`: a user id, `name:` and a name's key, or `net:` and a network; `name`: as it was given."""

    subject: str
    name: str
    by: str
    at: str
    until: str | None
    reason: str


class UserDetail(Shown, frozen=True, kw_only=True):
    """A user, and all that hangs on it."""

    user: UserShown
    connections: list[ConnectionShown]
    rooms: list[str]
    conversations: int
    bans: list[BanShown]


class RoomShown(Shown, frozen=True, kw_only=True):
    """A room; `first` … `last` is what its log holds."""

    number: int
    name: str
    kind: str
    members: int
    present: int
    epoch: str
    first: int
    last: int


class RightShown(Shown, frozen=True, kw_only=True):
    """Who is `moderator`, `invited`, `muted` or `banned` in a room."""

    what: str
    name: str
    by: str
    until: str | None
    reason: str


class RoomDetail(Shown, frozen=True, kw_only=True):
    """A room, and all that hangs on it; of its members, the first thousand."""

    room: RoomShown
    topic: str
    owner: str | None
    slow_mode: float
    receipts: bool
    members: list[str]
    rights: list[RightShown]


class Users(Shown, frozen=True, kw_only=True):
    """A page of users; `next` where there are more."""

    users: list[UserShown]
    next: int | None = None


class RoomPage(Shown, frozen=True, kw_only=True):
    """A page of rooms; `next` where there are more."""

    rooms: list[RoomShown]
    next: int | None = None


class Connections(Shown, frozen=True, kw_only=True):
    """A page of connections; `next` where there are more."""

    connections: list[ConnectionShown]
    next: int | None = None


class Bans(Shown, frozen=True, kw_only=True):
    """A page of bans; `next` where there are more."""

    bans: list[BanShown]
    next: int | None = None


class AuditEntry(Shown, frozen=True, kw_only=True):
    """What somebody did: `by` called for `action`, about `target`."""

    number: int
    at: str
    by: str
    action: str
    target: str
    until: str | None
    reason: str


class AuditPage(Shown, frozen=True, kw_only=True):
    """A page of the audit; `next` where there are older ones."""

    entries: list[AuditEntry]
    next: int | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """What went wrong: `code` for programs, `message` for people."""

    code: str
    message: str
    retry_after: float | None = field(default=None)


Result: TypeAlias = Shown | Failure


@frozen
class Ordered:
    """An operator, called `by`, asks for something of the whole server; it is answered once, with `number`."""

    number: int
    by: str
    order: Act | Look


@frozen
class Answered:
    """The answer to the operator whose `Ordered` had this `number`."""

    number: int
    result: Result
