"""What a token says beside who it is: an admin of the server, and rooms to be in."""

from __future__ import annotations

from trio_chat.core.chat import Chat
from trio_chat.core.effects import Effect, Note, Now
from trio_chat.core.identity import Identity
from trio_chat.core.keeping import keep_user
from trio_chat.core.membership import become_member
from trio_chat.core.names import Name, parse_name
from trio_chat.core.records import RightRecord
from trio_chat.core.rights import Rank, give_right, has_space, rank, standing
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import User


def apply_claims(chat: Chat, user: User, identity: Identity, now: Now) -> list[Effect]:
    """Make the user what the token claims. What it claimed before and does not now, rooms and ranks in them, stays.

    A claim opens a private room, but no ban is lifted by it. Who comes into a room that nobody owns owns it; any other
    `owner` is a moderator there.
    """
    if (user.claims_admin, user.admin) != (identity.admin, identity.admin or user.id in chat.admins):
        chat.set_admin(user, claimed=identity.admin)
        keep_user(chat, user)
    effects: list[Effect] = []
    for written, role in identity.rooms.items():
        room = _enter(chat, user, parse_name(written), now)
        if room is None:
            told = "%s cannot join room %r, as a token claims: too many rooms, or banned there"
            effects.append(Note(told, (user.name.text, written)))
        elif role != "member" and rank(room, user) is Rank.MEMBER and has_space(chat, room, "moderator", user.id, now):
            give_right(chat, room, _moderator(room, user, now))
    return effects


def _enter(chat: Chat, user: User, name: Name, now: Now) -> Room | None:
    room = chat.rooms.get(name.key)
    if name.key in user.rooms:
        return room
    banned = room is not None and standing(room, "banned", user, now) is not None
    full = room is None and len(chat.rooms.listed) >= chat.limits.max_rooms
    if banned or full or len(user.rooms) >= chat.limits.rooms_per_user:
        return None
    room = room or chat.rooms.create(name)
    become_member(chat, user, room, now)
    return room


def _moderator(room: Room, user: User, now: Now) -> RightRecord:
    return RightRecord(
        what="moderator",
        room=room.key,
        subject=user.id,
        name=user.name.text,
        name_key=user.name.key,
        by=user.name.text,
        at=now.wall,
        reason="as a token claims",
    )
