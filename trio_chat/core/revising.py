"""Entries that refer to others: `edit`, `delete`, `react`; and `topic`, which changes the room.

Whether the other is there still, and whose it is, the log knows and decides (`Rejected`).
"""

from __future__ import annotations

import attrs

from trio_chat.core.chat import Chat, refuse
from trio_chat.core.codec import json_size
from trio_chat.core.effects import Append, ConnId, Draft, Effect, EntryKind, Keep, Now
from trio_chat.core.errors import ErrorCode
from trio_chat.core.keeping import room_record
from trio_chat.core.membership import public_room
from trio_chat.core.messages import Delete, Edit, React, SetTopic
from trio_chat.core.posting import ENTRY_HEAD, held
from trio_chat.core.rights import Rank, Refusal, rank, silenced
from trio_chat.core.rooms import Change, Room
from trio_chat.core.sessions import Session


def edit(chat: Chat, session: Session, conn: ConnId, request: Edit, now: Now) -> list[Effect]:
    """Ask the log to replace a content."""
    room = _room(chat, session, request)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    refusal = _refusal(room, session, now)
    if refusal is not None:
        return [refuse(conn, request, refusal[0], retry_after=refusal[1])]
    return _refer(room, conn, request, session, _draft("edit", session, room, now, request.content))


def delete(chat: Chat, session: Session, conn: ConnId, request: Delete, now: Now) -> list[Effect]:
    """Ask the log to erase a content."""
    room = _room(chat, session, request)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    return _refer(room, conn, request, session, _draft("delete", session, room, now))


def react(chat: Chat, session: Session, conn: ConnId, request: React, now: Now) -> list[Effect]:
    """Ask the log to add a reaction, or to take it away."""
    room = _room(chat, session, request)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    refusal = _refusal(room, session, now)
    if refusal is not None and refusal[0] is not ErrorCode.FORBIDDEN:  # one may react to what is announced
        return [refuse(conn, request, refusal[0], retry_after=refusal[1])]
    draft = _draft("react", session, room, now)
    return _refer(room, conn, request, session, attrs.evolve(draft, emoji=request.emoji, remove=request.remove))


def _room(chat: Chat, session: Session, request: Edit | Delete | React) -> Room | ErrorCode:
    """Where the entry is, or why it cannot be referred to."""
    room = chat.find_room(session.user, request.room)
    return ErrorCode.NO_SUCH_ENTRY if isinstance(room, Room) and not held(room, request.seq) else room


def _refusal(room: Room, session: Session, now: Now) -> Refusal | None:
    """Why nothing may be said here, by which an old entry would say something new."""
    user = session.user
    if room.between is None:
        return silenced(room, user, now) if room.guarded else None
    one, other = room.between
    blocked = (other if user is one else one).blocked
    return (ErrorCode.NO_SUCH_ENTRY, None) if user.subject in blocked else None


def _refer(room: Room, conn: ConnId, request: Edit | Delete | React, session: Session, draft: Draft) -> list[Effect]:
    room.pending += 1
    draft = attrs.evolve(draft, of=request.seq)
    moderator = rank(room, session.user) > Rank.MEMBER
    return [Append(room.key, room.epoch, draft, conn, request.id, moderator=moderator)]


def topic(chat: Chat, session: Session, conn: ConnId, request: SetTopic, now: Now) -> list[Effect]:
    """Ask the log for the new topic's place; it is set when that is committed."""
    user = session.user
    room = public_room(chat, user, request.room)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    if rank(room, user) is Rank.MEMBER:
        return [refuse(conn, request, ErrorCode.FORBIDDEN)]
    draft = _draft("topic", session, room, now, request.topic)
    draft = attrs.evolve(draft, size=draft.size + json_size(request.topic))  # its frame says it twice, once for people
    room.pending += 1
    room.changes.append(Change(draft, draft))
    return [Append(room.key, room.epoch, draft, conn, request.id, keep=(Keep(room_record(room)),))]


def _draft(kind: EntryKind, session: Session, room: Room, now: Now, content: str = "") -> Draft:
    user = session.user
    to = "" if room.between is None else room.name_for(user).removeprefix("@")
    return Draft(kind, user.id, user.name.text, content, now.wall, json_size(content) + ENTRY_HEAD, room.name, to)
