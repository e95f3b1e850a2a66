"""What goes into `ChatState.apply`, and what comes out of it.

Plain values, so that a fuzz machine, a replay or a reader with a pencil sees the same lists.

In come *inputs* (a connection asks, a frame came, the log answered, time passed); out come *effects*. The log is the
order: an `Append` is only a wish, and what it changes changes when its `Committed` is applied.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import Event
from trio_chat.core.identity import Identity
from trio_chat.core.messages import Command, CommandId
from trio_chat.core.orders import Answered, Ordered
from trio_chat.core.records import Discard as Discard
from trio_chat.core.records import Keep as Keep
from trio_chat.core.records import Restored
from trio_chat.core.values import frozen

ConnId: TypeAlias = int
Verdict: TypeAlias = Literal["kick", "mute", "unmute", "ban", "unban", "promote", "demote", "room"]
Office: TypeAlias = Literal["announce", "publish", "drain", "forget"]  # of operators, in the audit
EntryKind: TypeAlias = Literal["message", "private", "edit", "delete", "react", "topic", Verdict, Office]

NOBODY: ConnId = 0  # asks for an operator: no connection does


class Now(NamedTuple):
    """The time of an input: `mono` seconds that never go back, `wall` seconds since 1970 UTC."""

    mono: float
    wall: float


@frozen
class Draft:
    """An entry before it has a place: who said what. `size`: bytes that its frame takes at most.

    `edit`, `delete` and `react` refer to the message or private `of`. `content` is the topic of a `topic`, the reason
    of a verdict of a moderator on `to`, what a `room` changes (JSON), and empty for `delete` and `react`.
    """

    kind: EntryKind
    author: str
    sender: str
    content: str
    at: float
    size: int
    room: str = ""  # its name when it was posted; in a conversation `to`
    to: str = ""
    reply_to: int | None = None
    of: int | None = None
    emoji: str = ""
    remove: bool = False  # the reaction
    until: float | None = None  # seconds since 1970; of a mute or ban: when it ends
    hidden: bool = False  # the one whom it was written to had blocked its author: it is shown to its author only


@frozen
class Reaction:
    """How many reacted to an entry with `emoji`, and the names of the first of them."""

    emoji: str
    count: int
    users: tuple[str, ...]


@frozen
class Entry:
    """A draft with its place in the log of its room: for ever.

    Read back, it is in its present state: the content is the last edit's, `edited` is when that was (seconds since
    1970); `erased`: it, or what it is an edit of, was deleted, and its content is gone.
    """

    seq: int
    epoch: str
    draft: Draft
    edited: float | None = None
    erased: bool = False
    reactions: tuple[Reaction, ...] = ()


# --- Inputs ----------------------------------------------------------------------------------------------------------


@frozen
class Admit:
    """An upgrade request asks to come in. `address` and `site` are counted unless `trusted`.

    `site`: the IPv6 /48 around the address, else empty. `own_origin`: the page is our own.
    """

    conn: ConnId
    address: str
    site: str = ""
    trusted: bool = False
    modern: bool = True  # it offered the subprotocol
    origin: str | None = None
    own_origin: bool = False
    ticket: str | None = None


@frozen
class Attempted:
    """A request head never got whole: that counts as an attempt of `address`."""

    address: str
    trusted: bool = False


@frozen
class Received:
    """A connection sent a command, in a frame of `size`. `fresh`: an unguessable token for a session it may open.

    `identity`: what its token or password proved.
    """

    conn: ConnId
    command: Command
    fresh: str = ""
    size: int = 0
    identity: Identity | None = None


@frozen
class Alive:
    """A connection that was probed gave a sign of life."""

    conn: ConnId


@frozen
class Ending:
    """A connection hears nothing more, for the reason that `Disconnected` tells when its socket is gone."""

    conn: ConnId
    code: int | None = None
    cut: Close | None = None


@frozen
class Disconnected:
    """A connection is over: `code` is the client's (None: it left without any), `cut` ours, if we closed it.

    `unsent`: of each room, by the epoch of its log, the first `seq` in the outbox that never reached the socket.
    """

    conn: ConnId
    code: int | None = None
    cut: Close | None = None
    unsent: tuple[tuple[str, int], ...] = ()


@frozen
class Drain:
    """Begin to go away: refuse newcomers, tell all, close them in batches over `seconds`."""

    seconds: float


@frozen
class Tick:
    """Time passed: `next_due()` is reached."""


# --- Effects on connections ------------------------------------------------------------------------------------------


@frozen
class Admitted:
    """The upgrade may go on."""

    conn: ConnId


@frozen
class Refused:
    """The upgrade is answered over HTTP with `status` and `text`; `retry_after` in seconds."""

    conn: ConnId
    status: int
    text: str
    retry_after: float | None = None


@frozen
class Reply:
    """Send `event` to one connection."""

    conn: ConnId
    event: Event


@frozen
class Deliver:
    """Send `event` to all of `conns`, encoded once. `epoch` and `seq` where it is an entry of a log."""

    conns: tuple[ConnId, ...]
    event: Event
    epoch: str = ""
    seq: int = 0


@frozen
class Cut:
    """Close a connection with a code of `errors.Close`."""

    conn: ConnId
    code: Close


@frozen
class Probe:
    """Ping a connection; its next byte is answered with `Alive`."""

    conn: ConnId


@frozen
class Banned:
    """`address` is banned until `until` (monotonic seconds), or no longer where that is None."""

    address: str
    until: float | None


@frozen
class Note:
    """A line for the operator's log; never the content of a message."""

    text: str
    args: tuple[object, ...] = ()
    warning: bool = False


# --- Effects on the log, and its answers ------------------------------------------------------------------------------


@frozen
class Append:
    """Ask the log for a place in `room`. `conn` and `answer_to` say whom to ack; `key` makes a retry harmless.

    `moderator`: it may edit and delete what others wrote. `keep`: records that change if it is committed, with it.
    """

    room: str
    epoch: str
    draft: Draft
    conn: ConnId
    answer_to: CommandId | None = None
    key: str | None = None
    moderator: bool = False
    keep: tuple[Keep | Discard, ...] = ()
    subject: str = ""  # whom a verdict is about, see `User.subject`; a moderator: the user id


@frozen
class Read:
    """Ask the log for at most `limit` entries and `max_bytes` bytes, after or before a `seq`, or the newest.

    `history`: for a `history` command. Otherwise a replay, which waits until the outbox of `conn` has room.
    """

    room: str
    epoch: str
    conn: ConnId
    limit: int
    max_bytes: int
    after: int | None = None
    before: int | None = None
    history: bool = False
    answer_to: CommandId | None = None


@frozen
class Search:
    """Ask the log for the newest messages of `rooms` that hold all of `words`, at most `limit` and `max_bytes` bytes.

    `rooms`: (number, room key, epoch). Their order is by time, room number and seq, the newest first; `before`: only
    what comes behind that place.
    """

    rooms: tuple[tuple[int, str, str], ...]
    words: tuple[str, ...]
    limit: int
    max_bytes: int
    conn: ConnId
    before: tuple[float, int, int] | None = None
    answer_to: CommandId | None = None


@frozen
class Forget:
    """A room is closed: its log can go."""

    room: str
    epoch: str


@frozen
class Change:
    """Ask the log to keep all of `keep`, or nothing of it, and to say which. `conn`, `answer_to`: whom to ack."""

    keep: tuple[Keep | Discard, ...]
    conn: ConnId
    answer_to: CommandId | None = None


@frozen
class Changed:
    """All that a `Change` asked for is committed."""

    request: Change


@frozen
class Committed:
    """The log took an entry; `first` is the oldest that it still holds."""

    request: Append
    entry: Entry
    first: int


@frozen
class Duplicate:
    """The same key with the same content was committed before, as `seq`."""

    request: Append
    seq: int


@frozen
class KeyReused:
    """The key was committed before with another content."""

    request: Append


@frozen
class Rejected:
    """The entry refers to one that is not there or is no message, or that its author may not change."""

    request: Append
    code: ErrorCode
    content: str = ""


@frozen
class Stale:
    """The epoch that an `Append` or a `Read` was decided under has passed."""

    request: Append | Read


@frozen
class Failed:
    """The log cannot, right now; `retry_after` in seconds."""

    request: Append | Read | Search | Change
    retry_after: float = 1.0


@frozen
class Page:
    """Entries, ascending; `first` and `last` are the log's (`first` = `last` + 1 where it is empty)."""

    request: Read
    entries: tuple[Entry, ...]
    first: int
    last: int


@frozen
class Found:
    """Messages with their room's key, in the order of the search; `more`: there are others behind them."""

    request: Search
    hits: tuple[tuple[str, Entry], ...]
    more: bool = False


Request: TypeAlias = Append | Read | Search | Change
Answer: TypeAlias = Committed | Duplicate | KeyReused | Rejected | Stale | Failed | Page | Found | Changed
Input: TypeAlias = (
    Restored | Admit | Attempted | Received | Alive | Ending | Disconnected | Drain | Ordered | Tick | Answer
)
OnConnections: TypeAlias = Admitted | Refused | Reply | Deliver | Cut | Probe
OnLog: TypeAlias = Append | Read | Search | Change | Forget | Keep | Discard
Effect: TypeAlias = OnConnections | OnLog | Banned | Answered | Note
