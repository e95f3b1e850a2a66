"""Forgetting a user: what the core knows goes at once, what the log has in its own time.

First an entry of the audit is committed, and with it a `ForgetRecord`: from then on it cannot be lost. When that is
answered, the core forgets and keeps the record as `settled`, behind whatever the user may still have asked the log for.
A process that starts between the two does it then (see `restoring`).
"""

from __future__ import annotations

import attrs

from trio_chat.core.anonymous import FORGOTTEN, anonymous, is_called
from trio_chat.core.chat import Chat
from trio_chat.core.connecting import end_user, put_out
from trio_chat.core.effects import Effect, Keep, Now
from trio_chat.core.errors import Close
from trio_chat.core.identity import PREFIX
from trio_chat.core.keeping import discard, discard_block, keep_right, keep_room
from trio_chat.core.names import name_subject, parse_name
from trio_chat.core.records import ForgetRecord, RightRecord, ServerBanRecord
from trio_chat.core.rights import drop_right
from trio_chat.core.rooms import Change, Room
from trio_chat.core.sessions import User


def to_forget(chat: Chat, name: str | None, id: str | None, now: Now) -> ForgetRecord | None:
    """Who is to be forgotten, by one of the two. None: there is no such user, and was no such guest."""
    user = chat.people.by_id.get(id or "") if name is None else chat.find_user(name)
    if isinstance(user, User):
        return ForgetRecord(key=user.subject, name_key=user.name.key, at=now.wall, earlier=user.earlier)
    if name is None:
        return _gone(id or "", now)
    try:
        parsed = parse_name(name)
    except ValueError:
        return None
    if chat.auth.auth != "guest":
        return None
    return ForgetRecord(key=name_subject(parsed), name_key=parsed.key, at=now.wall)


def _gone(id: str, now: Now) -> ForgetRecord | None:
    """Somebody who is not here any longer, by the id."""
    if not id.startswith((PREFIX["jwt"], PREFIX["accounts"])):
        return None
    name_key = id.removeprefix(PREFIX["accounts"])
    return ForgetRecord(key=id, name_key="" if name_key == id else name_key, at=now.wall)


def forget(chat: Chat, record: ForgetRecord, now: Now) -> list[Effect]:
    """Let nothing of whoever is forgotten be left in here; then let the log do the same."""
    user = chat.people.of_subject(record.key)
    effects = put_out(chat, user, Close.KICKED, now)
    if user is not None and user.id in chat.people.by_id:  # a guest has ended with the last session
        effects += end_user(chat, user, now)
    settled = attrs.evolve(record, at=now.wall, settled=True)
    for room in chat.rooms.all():
        _forget_in(chat, room, settled)
    for other in chat.people.by_id.values():
        if other.blocked.pop(record.key, None) is not None:
            discard_block(chat, other, record.key)
    for ban in chat.bans.all(now):
        if not ban.key.startswith("net:") and (is_called(ban.key, record) or is_called(ban.name, record)):
            chat.bans.drop(ban.key)
            discard(chat, ServerBanRecord, ban.key)
    return [*effects, Keep(settled)]


def _forget_in(chat: Chat, room: Room, record: ForgetRecord) -> None:
    """Rights, of the user and by the user, and the topic: as it is, or as the log is about to take it."""
    for (what, subject), right in list(room.rights.items()):
        if _is_of(right, record):
            drop_right(chat, room, what, subject)
        elif is_called(right.by, record):
            room.rights[what, subject] = attrs.evolve(right, by=FORGOTTEN, reason="")
            keep_right(chat, room.rights[what, subject])
    changes = [Change(change.asked, anonymous(change.meant, record)) for change in room.changes]
    if changes != room.changes or room.settings.topic_by == record.key:
        room.changes = changes
        if room.settings.topic_by == record.key:
            room.settings = attrs.evolve(room.settings, topic="", topic_by="")
        keep_room(chat, room)


def _is_of(right: RightRecord, record: ForgetRecord) -> bool:
    """A guest's rights are of the name, or of one of those who had it."""
    if right.subject == record.key:
        return True
    guests = record.key == f"name:{record.name_key}"
    return guests and right.name_key == record.name_key and right.subject.startswith(PREFIX["guest"])
