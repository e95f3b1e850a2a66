"""Saying something: `message`, `private`, `typing`, `ping`, and what the log answers."""

from __future__ import annotations

import attrs

from trio_chat.core.chat import Chat, ack, failure, refuse, room_name
from trio_chat.core.codec import json_size
from trio_chat.core.effects import (
    Append,
    Committed,
    ConnId,
    Deliver,
    Draft,
    Duplicate,
    Effect,
    Entry,
    Failed,
    KeyReused,
    Now,
    Rejected,
    Reply,
    Stale,
)
from trio_chat.core.entries import entry_event
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import Pong, TypingShown, timestamp
from trio_chat.core.keeping import keep_member, keep_room, keep_session
from trio_chat.core.membership import close_if_empty, created, enter
from trio_chat.core.messages import Message, Ping, Private, Typing
from trio_chat.core.rights import Refusal, barred, silenced, slowed
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Session, User
from trio_chat.core.verdicts import VERDICTS, carry_out

ENTRY_HEAD = 1024  # bytes of an entry's frame beside its content, at most: three names of 130, and the rest
TYPING_SECONDS = 1.0  # between two typings to one target that are passed on
TYPING_TARGETS = 128  # remembered of one session
SETTINGS = ("topic", "room")  # the entries that change a room's settings


def message(chat: Chat, session: Session, conn: ConnId, request: Message, now: Now) -> list[Effect]:
    """Ask the log for a place in the room; the sender joins it first."""
    name = room_name(request.room)
    if name is None:
        return [refuse(conn, request, ErrorCode.BAD_ROOM)]
    effects: list[Effect] = []
    user = session.user
    room = user.rooms.get(name.key)
    known = room or chat.rooms.get(name.key)
    refusal = _refusal(known, user, request.reply_to, now)
    if refusal is not None:
        return [refuse(conn, request, refusal[0], retry_after=refusal[1])]
    if room is None:
        entered = enter(chat, session, conn, name, now)
        if isinstance(entered, tuple):
            return [refuse(conn, request, entered[0], retry_after=entered[1])]
        room = entered
        if known is None:
            effects = created(room, session, conn, now)
    draft = Draft(
        "message",
        user.id,
        user.name.text,
        request.content,
        now.wall,
        json_size(request.content) + ENTRY_HEAD,
        room=room.name,
        reply_to=request.reply_to,
    )
    effects.append(_append(room, draft, conn, request))
    return effects


def _refusal(room: Room | None, user: User, reply_to: int | None, now: Now) -> Refusal | None:
    """Why the user may not say this in a room, which may be a new one."""
    if room is None or not room.guarded:
        return None if held(room, reply_to) else (ErrorCode.NO_SUCH_ENTRY, None)
    kept_out = None if user.id in room.members else barred(room, user, now)
    refusal = kept_out or silenced(room, user, now)
    if refusal is not None:
        return refusal
    return slowed(room, user, now) if held(room, reply_to) else (ErrorCode.NO_SUCH_ENTRY, None)


def private(chat: Chat, session: Session, conn: ConnId, request: Private, now: Now) -> list[Effect]:
    """Ask the log for a place in the conversation with `to`."""
    user, other = session.user, chat.find_user(request.to)
    if isinstance(other, ErrorCode):
        return [refuse(conn, request, other)]
    if other is user:
        return [refuse(conn, request, ErrorCode.BAD_ROOM)]
    if request.reply_to is not None:
        talk = chat.find_room(user, f"@{request.to}")
        if not held(talk if isinstance(talk, Room) else None, request.reply_to):
            return [refuse(conn, request, ErrorCode.NO_SUCH_ENTRY)]
    room = chat.find_talk(user, other)
    if room is None:
        room = chat.rooms.talk(user, other)
        keep_room(chat, room)
        for one in (user, other):
            keep_member(chat, one, room)
            for detached in one.sessions:
                if detached.conn is None:
                    keep_session(chat, detached)
    draft = Draft(
        "private",
        user.id,
        user.name.text,
        request.content,
        now.wall,
        json_size(request.content) + ENTRY_HEAD,
        to=other.name.text,
        reply_to=request.reply_to,
    )
    if other.blocked and user.subject in other.blocked:
        draft = attrs.evolve(draft, hidden=True)
    return [_append(room, draft, conn, request)]


def held(room: Room | None, seq: int | None) -> bool:
    """Whether an entry that is referred to is still held; there is nothing to hold without one."""
    return seq is None or (room is not None and room.first <= seq <= room.last)


def _append(room: Room, draft: Draft, conn: ConnId, request: Message | Private) -> Append:
    room.pending += 1
    return Append(room.key, room.epoch, draft, conn, request.id, request.key)


def committed(chat: Chat, answer: Committed | Duplicate, now: Now) -> list[Effect]:
    """The log said yes: ack, then deliver to those who are members now (promise 1). A duplicate is only acked."""
    request, draft = answer.request, answer.request.draft
    effects: list[Effect] = []
    if request.conn in chat.conns:
        seq = answer.seq if isinstance(answer, Duplicate) else answer.entry.seq
        name = draft.room or f"@{draft.to}"
        effects = ack(request.conn, request.answer_to, seq=seq, room=name, epoch=request.epoch)
    room = chat.rooms.get(request.room)
    if room is None or room.epoch != request.epoch:  # closed while the log was busy, and perhaps another by that name
        return effects
    room.pending -= 1
    if isinstance(answer, Duplicate):
        return effects + close_if_empty(chat, room)
    room.last, room.first = answer.entry.seq, answer.first
    if draft.kind in SETTINGS:
        room.settings = room.settings.changed(room.answered(draft))
    effects += _deliver(room, answer.entry)
    return effects + carry_out(chat, room, request, now) if draft.kind in VERDICTS else effects


def _deliver(room: Room, entry: Entry) -> list[Effect]:
    """To all at once, but for an entry that names the conversation, which each side calls by another name."""
    audience = room.audience()
    if room.between is None or (entry.draft.kind == "private" and not entry.draft.hidden):
        return [Deliver(audience, entry_event(entry, room.name), room.epoch, entry.seq)]
    return [
        Deliver(to, entry_event(entry, room.name_for(user), user.id), room.epoch, entry.seq)
        for user in room.between
        if (to := tuple(conn for conn in audience if room.conns[conn].user is user))
    ]


def not_committed(chat: Chat, answer: KeyReused | Rejected | Stale | Failed, now: Now) -> list[Effect]:
    """The log said no: the sender is told, and nothing else changes."""
    request = answer.request
    assert isinstance(request, Append)
    code, content, retry_after = ErrorCode.UNAVAILABLE, "", None
    match answer:
        case KeyReused():
            code = ErrorCode.KEY_REUSED
        case Rejected():
            code, content = answer.code, answer.content
        case Stale():
            retry_after = 1.0
        case _:
            retry_after = answer.retry_after
    effects: list[Effect] = []
    if request.conn in chat.conns:
        effects.append(failure(request.conn, request.answer_to, code, content, retry_after=retry_after))
    room = chat.rooms.get(request.room)
    if room is not None and room.epoch == request.epoch:
        room.pending -= 1
        if request.draft.kind in SETTINGS:
            room.answered(request.draft)
            keep_room(chat, room)  # another change may have been kept meanwhile, with the setting that is none now
        effects += close_if_empty(chat, room)
    return effects


def typing(chat: Chat, session: Session, conn: ConnId, request: Typing, now: Now) -> list[Effect]:
    """Pass it on to the others: at most one a second per target, a stop always."""
    user = session.user
    written = request.room if request.to is None else f"@{request.to}"
    assert written is not None
    name = user.name.text
    target: User | Room
    if written.startswith("@"):
        other = chat.find_user(written[1:])
        if isinstance(other, ErrorCode):
            return [refuse(conn, request, other)]
        if other is user:
            return [refuse(conn, request, ErrorCode.BAD_ROOM)]
        if user.subject in other.blocked:
            return ack(conn, request.id)
        target, key = other, f"@{other.name.key}"
        shown = TypingShown(from_=name, sender=name, to=other.name.text, isTyping=request.isTyping)
    else:
        room = chat.find_room(user, written)
        if isinstance(room, ErrorCode):
            return [refuse(conn, request, room)]
        refusal = silenced(room, user, now) if room.guarded else None
        if refusal is not None:
            return [refuse(conn, request, refusal[0], retry_after=refusal[1])]
        target, key = room, room.key
        shown = TypingShown(from_=name, sender=name, room=room.name, isTyping=request.isTyping)
    effects = ack(conn, request.id)
    if _passes(session, key, now.mono, stopped=not request.isTyping):
        to = target.conns if isinstance(target, User) else tuple(live for live in target.conns if live != conn)
        if to:
            effects.append(Deliver(to, shown))
    return effects


def _passes(session: Session, target: str, now: float, *, stopped: bool) -> bool:
    typed = session.typed  # the longest ago first
    if stopped:
        return True
    place = target if target in typed or len(typed) < TYPING_TARGETS else next(iter(typed))
    if place in typed and now - typed[place] < TYPING_SECONDS:
        return False
    typed.pop(place, None)
    typed[target] = now
    return True


def ping(chat: Chat, session: Session, conn: ConnId, request: Ping, now: Now) -> list[Effect]:
    """Answer at once."""
    return [Reply(conn, Pong(timestamp=timestamp(now.wall), id=request.id))]
