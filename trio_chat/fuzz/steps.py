"""What somebody does, one step at a time. A plan of steps can be made at random, written to a file, and cut down.

Who and where are small numbers, so that every step is possible in every plan: `client` is one of `CLIENTS`; `room` is
`general`, one of two rooms that are new in each run, one that is nobody's yet, or behind those the conversation with
another client. Whoever was never there comes first, and whoever was lost resumes first.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

CLIENTS = 4
ROOMS = 3  # general, and two of our own; from here on it is conversations
PLACES = ROOMS + CLIENTS
MAX_BURST = 130  # messages in one step: some faults show at the hundredth only

Chunks: TypeAlias = tuple[int, ...]
Verb: TypeAlias = Literal["kick", "mute", "unmute", "ban", "unban", "promote", "demote"]
Ending: TypeAlias = Literal["done", "away", "no code", "cut"]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """What `client` does. `chunks`: where its bytes are cut (see `Peer.send`); `extra`: with a field nobody knows."""

    client: int = 0
    chunks: Chunks = ()
    extra: bool = False


class Say(Step, tag="say", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Post to a room `times` times without waiting; `key`: 0 for none, else one of a few; `reply`: to the nth last."""

    room: int = 1
    times: int = 1
    key: int = 0
    word: int = 0
    reply: int = 0


class Together(Step, tag="together", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """All who are in a room post to it `times` times, at once."""

    room: int = 1
    times: int = 1


class Tell(Step, tag="tell", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Write to another client in private."""

    to: int = 1
    key: int = 0
    word: int = 0


class Enter(Step, tag="join", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Join a room; `back` entries of it are to be replayed, where that is not None, and -1 is too far."""

    room: int = 1
    back: int | None = None


class Leave(Step, tag="leave", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Leave a room."""

    room: int = 1


class Edit(Step, tag="edit", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Edit the `nth` last message of a room."""

    room: int = 1
    nth: int = 0
    word: int = 0


class Delete(Step, tag="delete", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Delete the `nth` last message of a room."""

    room: int = 1
    nth: int = 0


class React(Step, tag="react", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """React to the `nth` last message of a room."""

    room: int = 1
    nth: int = 0
    emoji: int = 0
    remove: bool = False


class MarkRead(Step, tag="read", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Say that one has read a room, but for the last `nth`; -1 is beyond the last."""

    room: int = 1
    nth: int = 0


class History(Step, tag="history", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Ask for a page: before or after the `nth` last entry, or the newest."""

    room: int = 1
    way: Literal["newest", "before", "after"] = "newest"
    nth: int = 0
    limit: int = 0


class Search(Step, tag="search", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Ask for messages with a word."""

    word: int = 0


class SetTopic(Step, tag="topic", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Set a room's topic."""

    room: int = 1
    owner: bool = False  # it is the room's owner who does it, whoever `client` is
    word: int = 0


class Judge(Step, tag="judge", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Kick, mute, ban … another client."""

    room: int = 1
    owner: bool = False  # it is the room's owner who does it, whoever `client` is
    verb: Verb = "kick"
    user: int = 1


class SetRoom(Step, tag="room", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Set a room's kind, or its receipts."""

    room: int = 1
    owner: bool = False  # it is the room's owner who does it, whoever `client` is
    kind: Literal["public", "private", "readonly"] | None = None
    receipts: bool | None = None


class Invite(Step, tag="invite", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Invite another client."""

    room: int = 1
    owner: bool = False  # it is the room's owner who does it, whoever `client` is
    user: int = 1


class Block(Step, tag="block", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Block another client, or unblock it."""

    user: int = 1
    undo: bool = False


class Rooms(Step, tag="rooms", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Ask for the rooms."""

    mine: bool = False


class Users(Step, tag="users", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Ask who is present."""

    room: int = 1


class Typing(Step, tag="typing", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Type in a room or conversation, or stop."""

    room: int = 1
    stop: bool = False


class Drop(Step, tag="drop", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Close the connection, with `words` posted to `general` just before; or cut it."""

    how: Ending = "away"
    words: int = 0


class Resume(Step, tag="resume", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Come back, live or not: from `back` entries before what one has; `given`: which positions are said."""

    back: int = 0
    given: Literal["all", "none", "too far", "other epoch"] = "all"


class Fresh(Step, tag="connect", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Come anew, under one's own name or that of another client, perhaps with a session that nobody knows."""

    name: int | None = None
    forged: bool = False


class Odd(Step, tag="odd", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Send what a client must not at this time."""

    what: Literal["connect", "register", "login", "refresh", "password"] = "connect"


class Malformed(Step, tag="malformed", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Send frames that are no valid message, `times` in a row; `text` is JSON or not, `code` what it must be called."""

    text: str
    code: str
    answered: bool = False  # whether the text carries a valid id, as "?"
    times: int = 1


class Huge(Step, tag="huge", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Post more than may be: one code point over `content_chars`."""


class Bytes(Step, tag="bytes", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Send bytes (hexadecimal) that are not what a WebSocket client may send; the code must be one of `closes`."""

    data: str
    closes: tuple[int, ...] = ()


class FirstFrame(Step, tag="first", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Open a connection and say something else than a good `connect`; the error and close that must come."""

    text: str
    code: str
    close: int = 4501


class Knock(Step, tag="knock", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Ask over HTTP for what is refused; the status must be one of `statuses`."""

    head: str
    statuses: tuple[int, ...]


class Wait(Step, tag="wait", frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Wait until all comings and goings were told."""


AnyStep: TypeAlias = (
    Say
    | Together
    | Tell
    | Enter
    | Leave
    | Edit
    | Delete
    | React
    | MarkRead
    | History
    | Search
    | SetTopic
    | Judge
    | SetRoom
    | Invite
    | Block
    | Rooms
    | Users
    | Typing
    | Drop
    | Resume
    | Fresh
    | Odd
    | Malformed
    | Huge
    | Bytes
    | FirstFrame
    | Knock
    | Wait
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Who is there from the beginning, and what is done then."""

    crowd: int = 2
    steps: tuple[AnyStep, ...] = ()

    def __len__(self) -> int:
        """How many steps it takes, those of coming included."""
        return self.crowd + len(self.steps)
