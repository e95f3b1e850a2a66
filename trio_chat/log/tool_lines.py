"""The lines of an exported log: JSON objects, whose `type` says what they are.

First a `log`, then each `record`, then each `room` with its `entry`s in order and its `key`s, at last an `end`. What
has its default is left out. All but the time in the first line follows from what is in the log, so two exports of the
same are the same. Sessions, passwords and the secret that signs tickets are not exported.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from trio_chat.core.effects import EntryKind
from trio_chat.core.records import RECORDS, AccountRecord, Record, SessionRecord
from trio_chat.log.schema import SEQ_MASK

VERSION = 2  # of this format; what is new in it since 1 has defaults
MAX_LINE = 128 * 1024 * 1024  # bytes; the largest entry takes half of it

Seq: TypeAlias = Annotated[int, Meta(ge=1, le=SEQ_MASK)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Digest: TypeAlias = Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")]
SECRET = (SessionRecord, AccountRecord)
EXPORTED: dict[str, type[Record]] = {record.kind: record for record in RECORDS if record not in SECRET}


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    pass


class Log(_Line, tag="log", frozen=True, kw_only=True):
    """The first line: what follows, and when it was exported."""

    version: int
    exported_at: str
    rooms: Count
    entries: Count


class Kept(_Line, tag="record", frozen=True, kw_only=True):
    """A record that is kept beside the entries; `value` is of the class in `EXPORTED`."""

    kind: str
    value: msgspec.Raw


class Room(_Line, tag="room", frozen=True, kw_only=True):
    """A room: the entries that follow are its, from `first` to `last` without gaps."""

    key: Text
    epoch: Text
    first: Seq
    last: Count


class Entry(_Line, tag="entry", frozen=True, kw_only=True):
    """An entry in its present state; the fields are those of `Draft` and `Entry`."""

    seq: Seq
    kind: EntryKind
    author: str
    sender: str
    content: str = ""
    at: float
    size: Count
    room: str = ""
    to: str = ""
    reply_to: Seq | None = None
    of: Seq | None = None
    emoji: str = ""
    remove: bool = False
    edited: float | None = None
    erased: bool = False
    until: float | None = None
    hidden: bool = False


class Key(_Line, tag="key", frozen=True, kw_only=True):
    """The `key` that an entry, which may be trimmed, was posted with; no `digest`: it was deleted since."""

    seq: Seq
    author: str
    key: str
    digest: Digest = ""
    until: float


class End(_Line, tag="end", frozen=True, kw_only=True):
    """The last line: nothing is missing; `lines` are before it."""

    lines: Count


Line: TypeAlias = Log | Kept | Room | Entry | Key | End
