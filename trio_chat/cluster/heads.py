"""An entry as Redis has it: its content by itself, and a head that the scripts can read and change."""

from __future__ import annotations

from typing import Any

import msgspec

from trio_chat.core.effects import Append, Draft, Entry, Page, Read, Stale
from trio_chat.log.marks import shown, shown_size

NOTHING = -1.0  # in place of no time


class Head(msgspec.Struct, array_like=True, frozen=True):
    """All but the content; `scripts` knows the places. Lua has no None: what is not there is 0 or `NOTHING`."""

    kind: str
    author: str
    sender: str
    at: float
    size: int
    room: str
    to: str
    reply_to: int
    of: int
    emoji: str
    remove: bool
    until: float
    hidden: bool
    edited: float
    erased: bool
    key: str  # of `keys`; empty: it had none


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Head).decode


def key_of(request: Append) -> str:
    """Under what the key of a request is remembered."""
    return "" if request.key is None else f"{request.draft.author}\0{request.key}"


def packed(draft: Draft, key: str) -> bytes:
    """The head of a new entry."""
    return _encode(
        Head(
            kind=draft.kind,
            author=draft.author,
            sender=draft.sender,
            at=draft.at,
            size=draft.size,
            room=draft.room,
            to=draft.to,
            reply_to=draft.reply_to or 0,
            of=draft.of or 0,
            emoji=draft.emoji,
            remove=draft.remove,
            until=NOTHING if draft.until is None else draft.until,
            hidden=draft.hidden,
            edited=NOTHING,
            erased=False,
            key=key,
        )
    )


def draft_of(head: Head, content: str) -> Draft:
    """What was said."""
    return Draft(
        kind=head.kind,  # type: ignore[arg-type] # what was written is one
        author=head.author,
        sender=head.sender,
        content=content,
        at=head.at,
        size=head.size,
        room=head.room,
        to=head.to,
        reply_to=head.reply_to or None,
        of=head.of or None,
        emoji=head.emoji,
        remove=head.remove,
        until=None if head.until == NOTHING else head.until,
        hidden=head.hidden,
    )


def entry_of(seq: int, epoch: str, head: bytes, content: bytes, reactions: list[list[Any]]) -> Entry:
    """An entry as it is read. `reactions`: of each emoji its place, its count and its first names."""
    found = decode(head)
    each = sorted((place, emoji.decode(), count, names) for emoji, place, count, *names in reactions)
    return Entry(
        seq,
        epoch,
        draft_of(found, content.decode()),
        None if found.edited == NOTHING else found.edited,
        found.erased,
        shown((emoji, [name.decode() for name in names], count) for _, emoji, count, names in each),
    )


def page_of(request: Read, reply: list[Any]) -> Page | Stale:
    """The answer that the script `READ` comes to."""
    match reply:
        case [b"ok", first, last, rows]:
            entries: list[Entry] = []
            size = 0
            for seq, head, content, reactions in rows:
                entry = entry_of(seq, request.epoch, head, content, reactions)
                size += shown_size(entry)
                if size > request.max_bytes and entries:
                    break
                entries.append(entry)
            return Page(request, tuple(entries if request.after is not None else reversed(entries)), first, last)
        case [b"stale"]:
            return Stale(request)
        case _:
            return Page(request, (), 1, 0)
