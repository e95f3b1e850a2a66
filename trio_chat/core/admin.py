"""Operators: what they ask of the whole server.

An act is first an entry of the audit, in a room of the log that nobody can name, and takes effect when that is
committed; what must survive with it is committed with it. A look is answered at once, but for one at the audit itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trio_chat.core.anonymous import FORGOTTEN
from trio_chat.core.barring import banned_network, is_over, left
from trio_chat.core.chat import AUDIT, Chat, room_name
from trio_chat.core.codec import json_size
from trio_chat.core.connecting import cut, put_out, turn_away
from trio_chat.core.effects import (
    NOBODY,
    Answer,
    Append,
    Committed,
    Deliver,
    Discard,
    Draft,
    Effect,
    EntryKind,
    Failed,
    Keep,
    Note,
    Now,
    Page,
    Read,
    Received,
)
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import System, timestamp
from trio_chat.core.forgetting import forget, to_forget
from trio_chat.core.identity import PREFIX
from trio_chat.core.looking import LOOKS, audit_page
from trio_chat.core.messages import Connect
from trio_chat.core.names import name_subject, parse_name
from trio_chat.core.orders import (
    Announce,
    Answered,
    BanUser,
    Done,
    Failure,
    ForgetUser,
    KickUser,
    Ordered,
    Publish,
    Result,
    ShowAudit,
    StartDrain,
    Unban,
)
from trio_chat.core.posting import ENTRY_HEAD
from trio_chat.core.records import ForgetRecord, ServerBanRecord
from trio_chat.core.sessions import Connection, User

PAGE_BYTES = 256 * 1024
NO_USER = Failure(code="no_such_user", message="There is no such user")
NO_ROOM = Failure(code="no_such_room", message="There is no such room")


# --- Asked ------------------------------------------------------------------------------------------------------------


def ordered(chat: Chat, given: Ordered, now: Now) -> list[Effect]:
    """Check an order, and ask the log for its place in the audit; or answer it."""
    order = given.order
    if isinstance(order, ShowAudit):
        return [_read_audit(chat, given, order)]
    look = LOOKS.get(type(order))
    if look is not None:
        return [Answered(given.number, look(chat, order, now))]
    asked = _ASK[type(order)](chat, given, order, now)
    if isinstance(asked, Failure):
        return [Answered(given.number, asked)]
    chat.orders[given.number] = given
    return [asked]


def _read_audit(chat: Chat, given: Ordered, order: ShowAudit) -> Read:
    room, before = chat.audit, order.before
    return Read(room.key, room.epoch, NOBODY, order.limit, PAGE_BYTES, None, before, True, given.number)


def _append(given: Ordered, chat: Chat, kind: EntryKind, to: str, content: str, now: Now, **more: Any) -> Append:
    """Ask for a place in the audit."""
    until, keep, subject = more.pop("until", None), more.pop("keep", ()), more.pop("subject", "")
    draft = Draft(kind, AUDIT, given.by, content, now.wall, 2 * json_size(content) + ENTRY_HEAD, to=to, until=until)
    room = chat.audit
    return Append(room.key, room.epoch, draft, NOBODY, given.number, keep=keep, subject=subject)


def _kick(chat: Chat, given: Ordered, order: KickUser, now: Now) -> Append | Failure:
    user = chat.find_user(order.user)
    if isinstance(user, ErrorCode):
        return NO_USER
    return _append(given, chat, "kick", user.name.text, order.reason, now, subject=user.id)


def _ban(chat: Chat, given: Ordered, order: BanUser, now: Now) -> Append | Failure:
    if sum(one is not None for one in (order.user, order.id, order.net)) != 1:
        return Failure(code="bad_message", message="One of user, id and net must be given")
    try:
        subject, name = _subject(chat, order)
    except ValueError as error:
        return Failure(code="bad_message", message=str(error))
    gone = chat.bans.make_room(subject, now)
    if gone is None:
        return Failure(code="too_many_bans", message="There are as many bans as there may be (max_bans); lift some")
    until = None if order.duration is None else now.wall + order.duration
    ban = ServerBanRecord(key=subject, name=name, by=given.by, at=now.wall, until=until, reason=order.reason)
    keep = (*(Discard(ServerBanRecord.kind, old) for old in gone), Keep(ban))
    return _append(given, chat, "ban", name, order.reason, now, until=until, keep=keep, subject=subject)


def _subject(chat: Chat, order: BanUser) -> tuple[str, str]:
    """What a ban is kept under, and how that is called. Raises ValueError: there can be no such user or network."""
    if order.net is not None:
        try:
            net = banned_network(order.net)
        except ValueError as hint:
            raise ValueError(f"net must be an address, or a network such as 10.0.0.0/8{hint}") from None
        return f"net:{net}", str(net)
    if order.id is not None:
        if not order.id.startswith(tuple(PREFIX.values())):
            raise ValueError(f"id must begin with {', '.join(PREFIX.values())}, as the ids of users do")
        return order.id, order.id
    assert order.user is not None
    user = chat.find_user(order.user)
    if isinstance(user, User):
        return user.subject, user.name.text
    try:
        name = parse_name(order.user)
    except ValueError as error:
        raise ValueError(f"user must be {error}") from None
    return name_subject(name), name.text


def _unban(chat: Chat, given: Ordered, order: Unban, now: Now) -> Append | Failure:
    ban = chat.bans.get(order.subject, now)
    if ban is None:
        return Failure(code="no_such_ban", message="There is no such ban")
    keep = (Discard(ServerBanRecord.kind, ban.key),)
    return _append(given, chat, "unban", ban.name, order.reason, now, keep=keep, subject=ban.key)


def _forget(chat: Chat, given: Ordered, order: ForgetUser, now: Now) -> Append | Failure:
    if (order.user is None) == (order.id is None):
        return Failure(code="bad_message", message="One of user and id must be given")
    record = to_forget(chat, order.user, order.id, now)
    if record is None:
        return NO_USER
    if record.key in chat.admins:  # else whoever takes the name next would be an admin
        return Failure(code="forbidden", message="This user is named in `admins`: take the name out of there first")
    return _append(given, chat, "forget", FORGOTTEN, order.reason, now, keep=(Keep(record),))


def _announce(chat: Chat, given: Ordered, order: Announce, now: Now) -> Append | Failure:
    return _append(given, chat, "announce", "", order.content, now)


def _publish(chat: Chat, given: Ordered, order: Publish, now: Now) -> Append | Failure:
    name = room_name(order.room)
    room = chat.rooms.get(name.key) if name is not None else None
    if room is None:
        return NO_ROOM
    if json_size(order.content) + ENTRY_HEAD > chat.limits.max_message_bytes:
        return Failure(code="too_large", message=ErrorCode.TOO_LARGE.text)
    return _append(given, chat, "publish", room.name, order.content, now, subject=room.key)


def _drain(chat: Chat, given: Ordered, order: StartDrain, now: Now) -> Append | Failure:
    return _append(given, chat, "drain", "", order.reason, now)


_ASK: dict[type, Callable[[Chat, Ordered, Any, Now], Append | Failure]] = {
    KickUser: _kick,
    BanUser: _ban,
    Unban: _unban,
    ForgetUser: _forget,
    Announce: _announce,
    Publish: _publish,
    StartDrain: _drain,
}


# --- Answered by the log ----------------------------------------------------------------------------------------------


def answered(chat: Chat, answer: Answer, now: Now) -> list[Effect]:
    """The log answered what was asked for an operator: do it, or say why not."""
    request = answer.request
    number = request.answer_to
    assert isinstance(number, int)
    if isinstance(answer, Page):
        return [Answered(number, audit_page(answer))]
    given = chat.orders.pop(number, None)
    if not isinstance(answer, Committed):
        after = answer.retry_after if isinstance(answer, Failed) else 1.0
        text = ErrorCode.UNAVAILABLE.text
        return [Answered(number, Failure(code="unavailable", message=text, retry_after=after))]
    assert given is not None
    if answer.request.room != AUDIT:  # what was published; that it was to be is in the audit before it
        return [Answered(number, Done(audit=chat.audit.last, seq=answer.entry.seq))]
    chat.audit.last, chat.audit.first = answer.entry.seq, answer.first
    draft = answer.request.draft
    note = Note("%s: %s %s (audit %d)", (given.by, draft.kind, draft.to, answer.entry.seq))
    return [note, *_DO[draft.kind](chat, given, answer, now)]


def _done(given: Ordered, answer: Committed, **more: Any) -> Effect:
    result: Result = Done(audit=answer.entry.seq, **more)
    return Answered(given.number, result)


def _kicked(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    user = chat.people.by_id.get(answer.request.subject)
    closed = len(user.conns) if user is not None else 0
    return [*put_out(chat, user, Close.KICKED, now), _done(given, answer, connections=closed)]


def _banned(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    effects: list[Effect] = []
    subject, closed = answer.request.subject, 0
    for change in answer.request.keep:
        if isinstance(change, Keep):
            assert isinstance(change.record, ServerBanRecord)
            chat.bans.add(change.record)
        else:
            chat.bans.drop(change.key)
    if subject.startswith("net:"):
        for connection in [one for one in chat.conns.values() if not one.cut]:
            if chat.bans.of_address(connection.address, now) is not None:
                effects += cut(chat, connection.id, Close.BANNED, now)
                closed += 1
    else:
        key = subject.removeprefix("name:")
        user = chat.people.by_name.get(key) if subject != key else chat.people.by_id.get(subject)
        closed = len(user.conns) if user is not None else 0
        effects = put_out(chat, user, Close.BANNED, now)
        for conn, asking in list(chat.askers.get(key, {}).items()) if subject != key else ():
            effects += refuse_banned(chat, chat.conns[conn], asking.request, now)
    until = answer.request.draft.until
    told = None if until is None else timestamp(until)
    return [*effects, _done(given, answer, subject=subject, until=told, connections=closed)]


def _unbanned(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    chat.bans.drop(answer.request.subject)
    return [_done(given, answer, subject=answer.request.subject)]


def _forgotten(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    (change,) = answer.request.keep
    assert isinstance(change, Keep)
    assert isinstance(change.record, ForgetRecord)
    user = chat.people.of_subject(change.record.key)
    closed = len(user.conns) if user is not None else 0
    return [*forget(chat, change.record, now), _done(given, answer, connections=closed, known=user is not None)]


def _announced(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    to = tuple(conn for conn, one in chat.conns.items() if one.session is not None and not one.cut)
    content = answer.request.draft.content
    told = System(event="announcement", content=content, timestamp=timestamp(now.wall))
    return [*([Deliver(to, told)] if to else ()), _done(given, answer)]


def _published(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    """The message itself: it is delivered when it is committed, as any other."""
    room = chat.rooms.get(answer.request.subject)
    if room is None:  # closed meanwhile
        return [Answered(given.number, NO_ROOM)]
    content = answer.request.draft.content
    size = json_size(content) + ENTRY_HEAD
    draft = Draft("message", AUDIT, AUDIT, content, now.wall, size, room=room.name)
    room.pending += 1
    chat.orders[given.number] = given
    return [Append(room.key, room.epoch, draft, NOBODY, given.number)]


def _drained(chat: Chat, given: Ordered, answer: Committed, now: Now) -> list[Effect]:
    """Who asked begins the drain, which is more than the chat's."""
    return [_done(given, answer)]


_DO: dict[str, Callable[[Chat, Ordered, Committed, Now], list[Effect]]] = {
    "kick": _kicked,
    "ban": _banned,
    "unban": _unbanned,
    "forget": _forgotten,
    "announce": _announced,
    "publish": _published,
    "drain": _drained,
}


# --- What a ban keeps out ---------------------------------------------------------------------------------------------


def refuse_banned(chat: Chat, connection: Connection, given: Received, now: Now) -> list[Effect]:
    """Turn a first frame away if who sent it is banned; else nothing."""
    request = given.command
    if not len(chat.bans):
        return []
    identity, resume = given.identity, request.resume if isinstance(request, Connect) else None
    session = chat.people.find(resume.session) if resume is not None else None
    user = session.user if session is not None else chat.people.by_id.get(identity.id) if identity is not None else None
    subjects = [] if identity is None else [identity.id]
    written = [] if identity is None else [identity.name]
    if user is not None:
        subjects.append(user.id)
        written.append(user.name.text)
    elif isinstance(request, Connect):
        written.append(request.username)
    subjects += [name_subject(name) for one in written if one and (name := room_name(one)) is not None]
    ban = next((ban for subject in subjects if (ban := chat.bans.get(subject, now)) is not None), None)
    if ban is None:
        return []
    content = f"{ErrorCode.BANNED.text}: {ban.reason}" if ban.reason else ""
    after = left(ban, now)
    return turn_away(chat, connection, request, ErrorCode.BANNED, Close.BANNED, content, retry_after=after)


def restore_bans(chat: Chat, records: list[ServerBanRecord], now: Now) -> list[str]:
    """Take over the bans of the process before; returns the subjects of those that are over."""
    for ban in records:
        if not is_over(ban, now):
            chat.bans.add(ban)
    return [ban.key for ban in records if is_over(ban, now)]
