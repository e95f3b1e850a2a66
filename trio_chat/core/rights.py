"""Who may do what in a room: ranks, and what was given to or taken from single users.

A mute and a ban are of a `User.subject`: a guest's holds the name, for whoever else takes it would be the same guest
again. Moderators and the invited are users, by their id: nobody becomes one by taking a name.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from trio_chat.core.barring import is_over, left
from trio_chat.core.chat import Chat
from trio_chat.core.effects import Now
from trio_chat.core.errors import ErrorCode
from trio_chat.core.keeping import discard_right, keep_right
from trio_chat.core.records import Right, RightRecord
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import User

MAX_RIGHTS = 1000  # of a kind, in a room
Refusal: TypeAlias = tuple[ErrorCode, float | None]  # the float: seconds after which it may go


class Rank(IntEnum):
    """Who may act on whom in a room: only on those below."""

    MEMBER = 0
    MODERATOR = 1
    OWNER = 2
    ADMIN = 3  # of the server; in a private conversation nobody is


def rank(room: Room, user: User) -> Rank:
    """What the user is in the room, member or not."""
    if room.between is not None:
        return Rank.MEMBER
    if user.admin:
        return Rank.ADMIN
    if room.owner == user.id:
        return Rank.OWNER
    return Rank.MODERATOR if ("moderator", user.id) in room.rights else Rank.MEMBER


def holder(what: Right, user: User) -> str:
    """What a right of `user` is kept under."""
    return user.subject if what in ("muted", "banned") else user.id


def standing(room: Room, what: Right, user: User, now: Now) -> RightRecord | None:
    """The user's right, unless it is over."""
    right = room.rights.get((what, holder(what, user)))
    return None if right is None or is_over(right, now) else right


def named(chat: Chat, room: Room, what: Right, key: str, now: Now) -> RightRecord | None:
    """The right of somebody of that name (its key): who has it now, or had it and may be gone."""
    user = chat.people.by_name.get(key)
    right = None if user is None else standing(room, what, user, now)
    if right is not None:
        return right
    found = (right for (kind, _), right in room.rights.items() if kind == what and right.name_key == key)
    return next((right for right in found if not is_over(right, now)), None)


def has_space(chat: Chat, room: Room, what: Right, subject: str, now: Now) -> bool:
    """Whether one more may be given; those that are over make way."""
    held = [right for (kind, _), right in room.rights.items() if kind == what]
    if (what, subject) in room.rights or len(held) < MAX_RIGHTS:
        return True
    over = [right for right in held if is_over(right, now)]
    for right in over:
        drop_right(chat, room, what, right.subject)
    return bool(over)


def give_right(chat: Chat, room: Room, right: RightRecord) -> None:
    """Give it, in place of what was there before."""
    room.rights.pop((right.what, right.subject), None)  # the last given is the last
    room.rights[right.what, right.subject] = right
    keep_right(chat, right)


def drop_right(chat: Chat, room: Room, what: Right, subject: str) -> None:
    """Take it away, if it is there."""
    if room.rights.pop((what, subject), None) is not None:
        discard_right(chat, room.key, what, subject)


def barred(room: Room, user: User, now: Now) -> Refusal | None:
    """Why the user may not come in. A private room does not even tell that it is there."""
    if rank(room, user) is Rank.ADMIN:
        return None
    if room.settings.access == "private" and standing(room, "invited", user, now) is None:
        return ErrorCode.NO_SUCH_ROOM, None
    banned = standing(room, "banned", user, now)
    return None if banned is None else (ErrorCode.BANNED, left(banned, now))


def silenced(room: Room, user: User, now: Now) -> Refusal | None:
    """Why the user may not say anything here."""
    muted = standing(room, "muted", user, now)
    if muted is not None:
        return ErrorCode.MUTED, left(muted, now)
    if room.settings.access == "readonly" and rank(room, user) is Rank.MEMBER:
        return ErrorCode.FORBIDDEN, None
    return None


def slowed(room: Room, user: User, now: Now) -> Refusal | None:
    """Count a message, unless it comes too soon after the user's last one; moderators need not wait."""
    seconds, spoken = room.settings.slow_mode, room.spoken
    if not seconds or rank(room, user) is not Rank.MEMBER:
        return None
    wait = spoken.get(user.id, now.mono - seconds) + seconds - now.mono
    if wait > 0:
        return ErrorCode.SLOW_MODE, wait
    spoken.pop(user.id, None)
    spoken[user.id] = now.mono
    while next(iter(spoken.values())) + seconds <= now.mono:  # never the one that was just put in
        del spoken[next(iter(spoken))]
    return None
