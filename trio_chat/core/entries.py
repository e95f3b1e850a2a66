"""What an entry looks like on the wire: the same live, in a replay, in `history` and in `search`."""

from __future__ import annotations

from trio_chat.core.effects import Draft, Entry
from trio_chat.core.events import Deleted, Edited, Event, Posted, PrivatePosted, Reacted, System, timestamp


def entry_event(entry: Entry, called: str) -> Event:
    """The frame of an entry, in its present state. `called`: what its reader calls the room."""
    draft, when = entry.draft, timestamp(entry.draft.at)
    match draft.kind:
        case "message" | "private" if entry.erased:
            return Deleted(room=called, seq=entry.seq, of=entry.seq, sender=draft.sender, timestamp=when)
        case "message":
            return _message(entry, when)
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
        case _:
            return _topic(entry, called, when)


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


def _of(draft: Draft) -> int:
    assert draft.of is not None
    return draft.of


def _reactions(entry: Entry) -> dict[str, object] | None:
    if not entry.reactions:
        return None
    return {one.emoji: {"count": one.count, "users": list(one.users)} for one in entry.reactions}
