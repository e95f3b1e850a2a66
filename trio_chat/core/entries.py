"""What an entry looks like on the wire: the same live, in a replay, in `history` and in `search`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trio_chat.core.effects import Draft, Entry
from trio_chat.core.events import Deleted, Edited, Event, Posted, PrivatePosted, Reacted, System, timestamp
from trio_chat.core.settings import settings_of


def entry_event(entry: Entry, called: str, reader: str = "") -> Event:
    """The frame of an entry, in its present state. `called`: what its reader calls the room.

    `reader`: the reader's user id; what is `hidden` is shown to its author, and to others as what was deleted is.
    """
    draft, when = entry.draft, timestamp(entry.draft.at)
    match draft.kind:
        case "message" | "private" if entry.erased:
            return Deleted(room=called, seq=entry.seq, of=entry.seq, sender=draft.sender, timestamp=when)
        case "message":
            return _message(entry, when)
        case "private" if draft.hidden and draft.author != reader:
            return Deleted(room=called, seq=entry.seq, of=entry.seq, sender=draft.sender, timestamp=when)
        case "private":
            return _private(entry, when)
        case "edit":
            content = None if entry.erased else draft.content
            of = _of(draft)
            return Edited(room=called, seq=entry.seq, of=of, content=content, sender=draft.sender, timestamp=when)
        case "delete":
            return Deleted(room=called, seq=entry.seq, of=_of(draft), sender=draft.sender, timestamp=when)
        case "react":
            return Reacted(
                room=called,
                seq=entry.seq,
                of=_of(draft),
                emoji=draft.emoji,
                remove=draft.remove or None,
                sender=draft.sender,
                timestamp=when,
            )
        case "topic":
            return _topic(entry, called, when)
        case "room":
            return _settings(entry, called, when)
        case _:
            return _verdict(entry, called, when)


def _message(entry: Entry, when: str) -> Posted:
    draft = entry.draft
    return Posted(
        content=draft.content,
        sender=draft.sender,
        room=draft.room,
        timestamp=when,
        seq=entry.seq,
        reply_to=draft.reply_to,
        edited=None if entry.edited is None else timestamp(entry.edited),
        reactions=_reactions(entry),
    )


def _private(entry: Entry, when: str) -> PrivatePosted:
    draft = entry.draft
    return PrivatePosted(
        from_=draft.sender,
        sender=draft.sender,
        to=draft.to,
        content=draft.content,
        timestamp=when,
        seq=entry.seq,
        epoch=entry.epoch,
        reply_to=draft.reply_to,
        edited=None if entry.edited is None else timestamp(entry.edited),
        reactions=_reactions(entry),
    )


def _topic(entry: Entry, called: str, when: str) -> System:
    draft = entry.draft
    done = f"set the topic: {draft.content}" if draft.content else "took the topic away"
    return System(
        event="topic",
        content=f"{draft.sender} {done}",
        timestamp=when,
        room=called,
        seq=entry.seq,
        by=draft.sender,
        topic=draft.content,
    )


_SAID = {
    "kick": "kicked {}",
    "mute": "muted {}",
    "unmute": "unmuted {}",
    "ban": "banned {}",
    "unban": "unbanned {}",
    "promote": "made {} a moderator",
    "demote": "made {} a moderator no longer",
}


def _verdict(entry: Entry, called: str, when: str) -> System:
    draft = entry.draft
    until = None if draft.until is None else timestamp(draft.until)
    said = f"{draft.sender} {_SAID[draft.kind].format(draft.to)}"
    said += f" until {until}" if until else ""
    return System(
        event="moderation",
        content=f"{said}: {draft.content}" if draft.content else said,
        timestamp=when,
        room=called,
        seq=entry.seq,
        by=draft.sender,
        action=draft.kind,
        user=draft.to,
        until=until,
        reason=draft.content or None,
    )


def _settings(entry: Entry, called: str, when: str) -> System:
    draft, changes = entry.draft, settings_of(entry.draft)
    said = ", ".join(_CHANGED[name](value) for name, value in changes.items())
    return System(
        event="moderation",
        content=f"{draft.sender} made the room {said}",
        timestamp=when,
        room=called,
        seq=entry.seq,
        by=draft.sender,
        action="room",
        **changes,
    )


_CHANGED: dict[str, Callable[[Any], str]] = {
    "kind": lambda kind: "read-only" if kind == "readonly" else str(kind),
    "slow_mode": lambda seconds: f"slow: one message in {seconds:g} s" if seconds else "no longer slow",
    "receipts": lambda on: "one that tells who has read" if on else "one that does not tell who has read",
}


def _of(draft: Draft) -> int:
    assert draft.of is not None
    return draft.of


def _reactions(entry: Entry) -> dict[str, object] | None:
    if not entry.reactions:
        return None
    return {one.emoji: {"count": one.count, "users": list(one.users)} for one in entry.reactions}
