"""The life of a session: `connect`, resume, the take-over of a guest's name, detaching, and the end.

A session is one connection and those that resume it. A name belongs to whoever holds it: a *detached* guest loses it
to the next who asks, a *live* one only when it shows no life within `PROBE_SECONDS`.
"""

from __future__ import annotations

from trio_chat.core.chat import RECONNECT, Chat, refuse
from trio_chat.core.codec import json_size
from trio_chat.core.effects import ConnId, Cut, Disconnected, Effect, Ending, Note, Now, Probe, Received, Reply
from trio_chat.core.errors import Close, ErrorCode, ends_session
from trio_chat.core.events import System, Welcome, timestamp
from trio_chat.core.history import replay
from trio_chat.core.keeping import discard, discard_block, discard_member, keep_session, keep_user
from trio_chat.core.membership import become_member, close, describe, quit_room
from trio_chat.core.messages import Command, Connect, Position
from trio_chat.core.names import RULE, parse_name
from trio_chat.core.records import SessionRecord, UserRecord
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Asking, Connection, Session, User

PROTOCOL = 1  # its version
WELCOME_HEAD = 4096  # bytes of `welcome` beside its rooms
NAME_MISSING, NAME_WRONG = "username must be given", f"username must be {RULE}"


def connect(chat: Chat, connection: Connection, asked: Received, now: Now) -> list[Effect]:
    """Answer a `connect`: resume, take the name, or probe whoever holds it; again, when that probe found no life."""
    request = asked.command
    assert isinstance(request, Connect)
    if request.resume is not None:
        session = chat.people.find(request.resume.session)
        if session is not None:
            return resume(chat, session, connection, request, now)
    if request.username is None:
        return turn_away(chat, connection, request, ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, NAME_MISSING)
    try:
        name = parse_name(request.username)
    except ValueError:
        return turn_away(chat, connection, request, ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, NAME_WRONG)
    holder = chat.people.by_name.get(name.key)
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
    session = chat.people.open_guest(name, asked.fresh, chat.limits.rooms_created_per_hour, connection.bucket_of)
    keep_user(chat, session.user)
    return effects + _welcome(chat, session, connection, request, now, asked.fresh)


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
    _settle(chat, connection)
    connection.cut = True
    note = Note("connection %d from %s turned away: %s", (connection.id, connection.address, code.value))
    return [refuse(connection.id, request, code, content, retry_after=retry_after), Cut(connection.id, close), note]


def _probe(chat: Chat, connection: Connection, asking: Asking, now: Now) -> list[Effect]:
    """Let the connection wait until the holder of the name shows life, or the time is over."""
    _settle(chat, connection)
    connection.asking = asking
    chat.probing.set(connection.id, now.mono)
    chat.askers.setdefault(asking.key, {})[connection.id] = asking
    return [Probe(asking.probed)]


def _settle(chat: Chat, connection: Connection) -> None:
    """It has its answer, or needs none: nothing falls due for it any longer."""
    chat.connecting.discard(connection.id)
    chat.probing.discard(connection.id)
    if connection.asking is not None:
        askers = chat.askers[connection.asking.key]
        del askers[connection.id]
        if not askers:
            del chat.askers[connection.asking.key]
        connection.asking = None


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
    return effects + _welcome(chat, session, connection, request, now, request.resume.session, resumed=True)


def _welcome(
    chat: Chat,
    session: Session,
    connection: Connection,
    request: Connect,
    now: Now,
    token: str,
    *,
    resumed: bool = False,
) -> list[Effect]:
    """Bind session and connection: `welcome` first, then `closed_before`, then room by room what was missed."""
    user = session.user
    _settle(chat, connection)
    if connection.queued:
        chat.to_unqueue.append(connection)
    connection.session, session.conn, session.last_conn = session, connection.id, connection.id
    if not resumed:
        become_member(chat, user, chat.general, now)
    rooms = user.everywhere()
    shown = [describe(room, user) for room in rooms]
    fitting, used = 0, WELCOME_HEAD
    for room in shown:
        used += json_size(room["room"]) + 128
        if used > chat.limits.max_message_bytes:
            break
        fitting += 1
    welcome = Welcome(
        event="welcome",
        content=f"Welcome {user.name.text}!",
        timestamp=timestamp(now.wall),
        id=request.id,
        user=user.name.text,
        session=token,
        ticket=chat.people.ticket(session),
        server=chat.server,
        protocol=PROTOCOL,
        heartbeat={"interval": chat.heartbeat.ping_interval, "timeout": chat.heartbeat.ping_timeout},
        reconnect=RECONNECT,
        limits=_told_limits(chat),
        resumed=resumed,
        rooms=shown[:fitting],
        more=True if fitting < len(shown) else None,
    )
    how = "resumed" if resumed else "connected"
    note = Note("%s %s, connection %d from %s", (user.name.text, how, connection.id, connection.address))
    effects: list[Effect] = [Reply(connection.id, welcome), note]
    closed_before, session.cut, session.leaving = session.cut, None, False
    keep_session(chat, session)
    if not resumed:
        return effects
    if closed_before is not None:
        effects.append(Reply(connection.id, _closed_before(closed_before, now)))
    given = request.resume.rooms if request.resume else {}
    return effects + _catch_up(chat, session, rooms, given, now)


def _told_limits(chat: Chat) -> dict[str, float]:
    limits = chat.limits
    return {
        "message_bytes": limits.max_message_bytes,
        "content_chars": limits.content_chars,
        "rooms_per_user": limits.rooms_per_user,
        "messages_per_second": limits.messages_per_second,
        "messages_burst": limits.messages_burst,
    }


def _closed_before(code: Close, now: Now) -> System:
    return System(
        event="closed_before",
        content=f"The last connection was closed: {code.reason}",
        timestamp=timestamp(now.wall),
        code=int(code),
        reason=code.reason,
    )


def _catch_up(chat: Chat, session: Session, rooms: list[Room], given: dict[str, Position], now: Now) -> list[Effect]:
    """Replay each room from the position that the client gave, else from the last that it was sent."""
    effects: list[Effect] = []
    said = {id(room): at for name, at in given.items() if isinstance(room := chat.find_room(session.user, name), Room)}
    for room in rooms:
        if room.between is None and room.present.add(session.user):
            chat.tell(room, session.user, now.mono, joined=True)
        kept = session.positions.pop(room.key, room.last)
        effects += replay(chat, session, room, said.get(id(room), kept), now)
    return effects


def cut(chat: Chat, conn: ConnId, code: Close, now: Now) -> list[Effect]:
    """Close a connection: from here on it gets nothing more; its session is detached or ended, as the code says."""
    connection = chat.conns[conn]
    connection.cut = True
    _settle(chat, connection)
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
    _settle(chat, connection)
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
    session.conn, session.detached_at, session.leaving = None, now.wall, True
    if ends:
        return [note, *end(chat, session, now)]
    chat.detached.set(session, now.mono)
    keep_session(chat, session)
    if not user.conns:
        for room in user.rooms.values():
            room.present.remove(user)
            chat.tell(room, user, now.mono, joined=False)
    return [note]


def end(chat: Chat, session: Session, now: Now) -> list[Effect]:
    """The session is over; with a guest's last session the guest is, and what only the guest could reach."""
    user = session.user
    chat.detached.discard(session)
    chat.people.end(session)
    discard(chat, SessionRecord, session.key)
    return [] if user.sessions else end_user(chat, user, now)


def end_user(chat: Chat, user: User, now: Now) -> list[Effect]:
    """Nobody can come back as this user: the name is free."""
    effects: list[Effect] = []
    chat.people.remove_user(user)
    discard(chat, UserRecord, user.id)
    for subject in user.blocked:
        discard_block(chat, user, subject)
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
