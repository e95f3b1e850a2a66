"""What the protocol document promises, each sentence under a short name: whatever is found is a breach of one of these.

The numbers are those of its section "Promises"; the others are named for the section that they stand in. A test holds
that each sentence stands there word for word.
"""

from __future__ import annotations

from typing import NamedTuple


class Promise(NamedTuple):
    """A promise: where it stands in docs/protocol.md, and its words."""

    name: str
    text: str

    def __str__(self) -> str:
        """For people."""
        return f"promise {self.name}" if self.name[0].isdigit() else f"the section {self.name!r}"


class Broken(Exception):
    """A promise was broken; `what` says how, in one line."""

    def __init__(self, promise: Promise, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise, self.what = promise, what


ORDER = Promise(
    "1",
    "Order: every member of a room sees its entries in `seq` order, without gaps or doubles while connected.",
)
SURVIVES = Promise("2", "what was not acked is in the log at most once.")
RESUME = Promise(
    "3",
    "Resume (`resume`, or `join` with `after`) gives each entry since then exactly once, before any newer one.",
)
LAGGED = Promise(
    "3, lagged",
    "Where the log no longer reaches back, the epoch changed, or `seq` is beyond `last`: first `lagged`, then what is "
    "still held from `first` on.",
)
MEMBERS = Promise(
    "4",
    "A user hears of its own join first, and gets nothing of a room before joining it or after leaving it.",
)
ANSWER = Promise("5", "Exactly one answer per `id` while the connection lives.")
ANY_BYTES = Promise(
    "7",
    "Any bytes at all: the server answers by this document and stays up; one session's input never harms another's.",
)
PRESENCE = Promise(
    "8",
    "Joins and leaves are coalesced per room (at most one `joined`, `left` and list each `presence_interval`; a room "
    "of more than 1000 waits for that long by the 1000)",
)
ALONE = Promise("8, alone", "A `joined` that names one user only is not sent to that user")

FRAMES = Promise("Transport", "WebSocket (RFC 6455) at the path `/ws`, text frames, one JSON object a frame.")
UNKNOWN = Promise("Transport, unknown", "Unknown fields are ignored, by both sides; an unknown `type` is the error")
REFUSED = Promise("Transport, refused", "Refused before the upgrade, over HTTP, each with a short text")
SIZES = Promise("Transport, sizes", "over either: `too_large`.")
NAMES = Promise("Who is who, names", "Names of users and rooms: 1–32 letters")
SESSION = Promise("Who is who, sessions", "`resume` carries a session on: same user, same rooms.")
GUEST = Promise("Who is who, guests", "A **guest** is the chain of sessions that resume one another.")
OWNER = Promise("Who is who, owners", "Who creates a room **owns** it.")
TALK = Promise("Who is who, conversations", "A **private conversation** is a logged room of two")
WHERE = Promise("Who is who, where one is not", "Where a user isn't: `message` joins;")
FIRST = Promise("Client to server, first", "Before `welcome`, each failure is its `error` and then a close")
COMMAND = Promise("Client to server", "A command with an `id` gets exactly one answer that carries it")
KEY = Promise(
    "Client to server, key",
    "the same key and content again from the same user in the same room within `dedupe_window` is acked with the first "
    "`seq` and posted once; another content is `key_reused`.",
)
REFERS = Promise("Client to server, edits", "`edit`, `delete` and `react` name a `message` or `private` by its `seq`")
READ = Promise(
    "Client to server, read",
    "`read` beyond the last entry is `no_such_entry`; its ack says where the marker stands, which only moves forward.",
)
TYPING = Promise(
    "Client to server, typing",
    "`typing`: at most one a second per target is passed on, a stop always.",
)
RIGHTS = Promise("Rights in rooms", "A room has members, moderators, and an owner")
BAN = Promise("Rights in rooms, ban", "`ban` takes out and keeps out: `join` and `message` are `banned`")
BLOCK = Promise("Rights in rooms, block", "what that user writes in private is acked, and kept for its author only")
WELCOME = Promise("Server to client", "`welcome` is the first frame.")
ACK_FIRST = Promise("Server to client, ack", "An `ack` precedes the sender's own copy of what it made.")
SAME = Promise(
    "Server to client, replay",
    "The `entries` of `history`, ascending by `seq`, are the frames that members got live; a replay sends the same "
    "frames one by one.",
)
LOG = Promise("The log", "they take a `seq`, which starts at 1 in an `epoch` and has no gaps")
PAGES = Promise("The log, pages", "`first` and `last` are the log's, not the page's")
PRESENT = Promise("The log, present state", "Read back, an entry is in its present state")
GONE = Promise("The log, deleted", "its content is gone everywhere, from its edits too (an `edited` without `content`)")
CLOSES = Promise("Close codes", "The range is the verdict")

PROMISES: dict[str, Promise] = {one.name: one for one in list(globals().values()) if isinstance(one, Promise)}
