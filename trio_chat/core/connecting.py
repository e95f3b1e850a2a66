"""The life of a session: `connect`, resume, the take-over of a guest's name, detaching, and the end.

A session is one connection and those that resume it. A name belongs to whoever holds it: a *detached* guest loses it
to the next who asks, a *live* one only when it shows no life within `PROBE_SECONDS`.
"""

from __future__ import annotations

from trio_chat.core.chat import Chat, refuse
from trio_chat.core.effects import (
    ConnId,
    Cut,
    Disconnected,
    Effect,
    Ending,
    Note,
    Now,
    Probe,
    Received,
)
from trio_chat.core.errors import Close, ErrorCode, ends_session
from trio_chat.core.keeping import discard, discard_block, discard_member, keep_member, keep_session, keep_user
from trio_chat.core.membership import close, quit_room
from trio_chat.core.messages import Command, Connect
from trio_chat.core.names import RULE, Name, parse_name
from trio_chat.core.records import AccountRecord, SessionRecord, UserRecord
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import UNKNOWN, Asking, Connection, Session, User
from trio_chat.core.welcoming import settle, welcome

NAME_MISSING, NAME_WRONG = "username must be given", f"username must be {RULE}"
NAME_NOT_TOKEN = "username must be given: there are no tokens here"
NAME_RESERVED = "This name is reserved"
NAME_LIKE_ANOTHER = "Username looks like another one; choose one that nobody can take for it"  # seed clients test it


def connect(chat: Chat, connection: Connection, asked: Received, now: Now) -> list[Effect]:
    """Answer a guest's `connect`: take the name, or probe whoever holds it; again, when that probe found no life."""
    request = asked.command
    assert isinstance(request, Connect)
    if request.username is None:
        missing = NAME_MISSING if request.token is None else NAME_NOT_TOKEN
        return turn_away(chat, connection, request, ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, missing)
    try:
        name = parse_name(request.username)
    except ValueError:
        return turn_away(chat, connection, request, ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, NAME_WRONG)
    holder = chat.people.by_name.get(name.key)
    unfit = None if holder is not None and holder.guest else unfit_name(chat, name)
    if unfit is not None:
        return turn_away(chat, connection, request, *unfit)
    effects: list[Effect] = []
    if holder is not None:
        live = holder.conns
        if live and (connection.asking is None or connection.asking.probed not in live):
            return _probe(chat, connection, Asking(asked, name.key, live[0]), now)
        for conn in live:
            effects += cut(chat, conn, Close.HEARTBEAT_MISSED, now)
        for session in list(holder.sessions):
            effects += end(chat, session, now)
        effects.append(Note("%s is taken over by connection %d", (name.text, connection.id)))
    user = chat.people.new_guest(name, chat.limits.rooms_created_per_hour)
    session = chat.people.open_session(user, asked.fresh, connection.bucket_of)
    keep_user(chat, user)
    return effects + welcome(chat, session, connection, request, now, asked.fresh)


def unfit_name(
    chat: Chat, name: Name, user: User | None = None, *, admin: bool = False
) -> tuple[ErrorCode, Close, str] | None:
    """Why `user`, or somebody new, may not take a name: it is reserved, held, or looks like such a one.

    An `admin` may have a reserved name, and any that looks like another. None: it can be taken.
    """
    holder = chat.people.by_name.get(name.key)
    if holder is not None and holder is not user and not (holder.guest and not holder.conns):
        return ErrorCode.USERNAME_TAKEN, Close.NAME_TAKEN, ""
    if admin:
        return None
    if name in chat.reserved:
        return ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, NAME_RESERVED
    if chat.reserved.has_lookalike(name) or chat.people.has_lookalike(name, user):
        return ErrorCode.USERNAME_TAKEN, Close.NAME_TAKEN, NAME_LIKE_ANOTHER
    return None


def turn_away(
    chat: Chat,
    connection: Connection,
    request: Command,
    code: ErrorCode,
    close: Close,
    content: str = "",
    *,
    retry_after: float | None = None,
) -> list[Effect]:
    """Refuse a first frame, and close."""
    settle(chat, connection)
    connection.cut = True
    note = Note("connection %d from %s turned away: %s", (connection.id, connection.address, code.value))
    return [refuse(connection.id, request, code, content, retry_after=retry_after), Cut(connection.id, close), note]


def _probe(chat: Chat, connection: Connection, asking: Asking, now: Now) -> list[Effect]:
    """Let the connection wait until the holder of the name shows life, or the time is over."""
    settle(chat, connection)
    connection.asking = asking
    chat.probing.set(connection.id, now.mono)
    chat.askers.setdefault(asking.key, {})[connection.id] = asking
    return [Probe(asking.probed)]


def _askers(chat: Chat, user: User) -> list[tuple[Connection, Received]]:
    """Who waits for the user's name, and what they sent."""
    waiting = chat.askers.get(user.name.key, {})
    return [(chat.conns[conn], asking.request) for conn, asking in waiting.items()]


def alive(chat: Chat, holder: Connection) -> list[Effect]:
    """A probed holder showed life: its name stays its own, unless it lost its session meanwhile."""
    session = holder.session
    return _keep_name(chat, session.user) if session is not None and session.conn == holder.id else []


def _keep_name(chat: Chat, user: User) -> list[Effect]:
    effects: list[Effect] = []
    for connection, asked in _askers(chat, user):
        effects += turn_away(chat, connection, asked.command, ErrorCode.USERNAME_TAKEN, Close.NAME_TAKEN)
    return effects


def resume(chat: Chat, session: Session, connection: Connection, request: Connect, now: Now) -> list[Effect]:
    """Carry the session on, on a new connection; a live old one is replaced. That is a sign of life, too."""
    effects = _keep_name(chat, session.user)
    if session.conn is not None:
        effects += cut(chat, session.conn, Close.REPLACED, now)
    chat.detached.discard(session)
    if connection.bucket_of is None and not connection.trusted:
        chat.gate.returned(connection.address, session.bucket_of, connection.attempted_at, now.mono)
    assert request.resume is not None
    return effects + welcome(chat, session, connection, request, now, request.resume.session, resumed=True)


def cut(chat: Chat, conn: ConnId, code: Close, now: Now) -> list[Effect]:
    """Close a connection: from here on it gets nothing more; its session is detached or ended, as the code says."""
    connection = chat.conns[conn]
    connection.cut = True
    settle(chat, connection)
    effects: list[Effect] = [Cut(conn, code)]
    session = connection.session
    if session is not None:
        session.cut = None if code == Close.REPLACED else code
        effects += _lose(chat, session, now, None, code)
    else:
        effects.append(Note("connection %d %s", (conn, _why(None, code))))
    return effects


def ending(chat: Chat, connection: Connection, ended: Ending | Disconnected, now: Now) -> list[Effect]:
    """A connection hears nothing more: detach or end its session, which can be resumed from now on."""
    if connection.cut:  # by us; that is settled
        return []
    connection.cut = True
    settle(chat, connection)
    session = connection.session
    if session is None:
        return []
    session.cut = ended.cut
    effects = _lose(chat, session, now, ended.code, ended.cut)
    for asker, asked in _askers(chat, session.user):
        effects += connect(chat, asker, asked, now)
    return effects


def disconnected(chat: Chat, connection: Connection, ended: Disconnected, now: Now) -> list[Effect]:
    """A connection is over: forget it, and give back to its session what it was not sent."""
    effects = ending(chat, connection, ended, now)
    del chat.conns[connection.id]
    chat.gate.closed(connection.id)
    session = connection.session
    if session is not None and session.last_conn == connection.id and session in session.user.sessions:
        session.leaving = False
        _step_back(session, dict(ended.unsent))
        keep_session(chat, session)
    return effects


def _step_back(session: Session, unsent: dict[str, int]) -> None:
    """What was not sent is to be sent again; but nothing from before the user joined (promise 4)."""
    for room in session.user.everywhere():
        first = unsent.get(room.epoch)
        if first is not None:
            since = session.user.marks[room.key].since
            session.positions[room.key] = min(session.positions[room.key], max(first - 1, since))


def _why(code: int | None, cut: Close | None) -> str:
    """The end of a connection, for the operator's log."""
    if cut is not None:
        return f"cut: {int(cut)} {cut.reason}"
    return "lost" if code is None else f"closed by its client: {code}"


def _lose(chat: Chat, session: Session, now: Now, code: int | None, cut: Close | None) -> list[Effect]:
    """The session's connection is gone."""
    conn, user = session.conn, session.user
    assert conn is not None
    ends = ends_session(code, cut)
    how = "left" if ends else "is replaced" if cut == Close.REPLACED else "detached"
    note = Note("%s %s, connection %d %s", (user.name.text, how, conn, _why(code, cut)))
    for room in user.everywhere():
        session.positions[room.key] = room.detach(conn)
    chat.expiring.discard(conn)
    session.conn, session.detached_at, session.leaving = None, now.wall, True
    effects: list[Effect] = [note]
    if ends:
        effects += end(chat, session, now)
    else:
        chat.detached.set(session, now.mono)
        keep_session(chat, session)
    if not user.conns:
        for room in user.rooms.values():
            room.present.remove(user)
            chat.tell(room, user, now.mono, joined=False)
    return effects


def end(chat: Chat, session: Session, now: Now) -> list[Effect]:
    """The session is over; with a guest's session the guest is, and what only the guest could reach."""
    user = session.user
    chat.detached.discard(session)
    chat.people.end(session)
    discard(chat, SessionRecord, session.key)
    if user.guest:
        return [] if user.sessions else end_user(chat, user, now)
    for talk in user.talks.values():
        mark = user.marks[talk.key]
        mark.sent = max(session.positions[talk.key], UNKNOWN if mark.sent is None else mark.sent)
        keep_member(chat, user, talk)
    return []


def put_out(chat: Chat, user: User | None, code: Close, now: Now) -> list[Effect]:
    """Close all connections of a user, if there is one, and end the sessions."""
    effects: list[Effect] = []
    for session in list(user.sessions) if user is not None else ():
        effects += end(chat, session, now) if session.conn is None else cut(chat, session.conn, code, now)
    return effects


def end_user(chat: Chat, user: User, now: Now) -> list[Effect]:
    """Nobody can come back as this user: the name is free."""
    effects: list[Effect] = []
    chat.people.remove_user(user)
    discard(chat, UserRecord, user.id)
    for subject in user.blocked:
        discard_block(chat, user, subject)
    if chat.accounts.pop(user.id, None) is not None:
        discard(chat, AccountRecord, user.id)
    for room in list(user.rooms.values()):
        effects += quit_room(chat, user, room, now)
    for talk in list(user.talks.values()):
        effects += _close_talk(chat, talk)
    return effects


def _close_talk(chat: Chat, talk: Room) -> list[Effect]:
    assert talk.between is not None
    for user in talk.between:
        del user.talks[talk.key], user.marks[talk.key]
        discard_member(chat, user, talk)
        for session in user.sessions:
            session.positions.pop(talk.key, None)
    return close(chat, talk)
