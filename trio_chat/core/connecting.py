"""The life of a session: `connect`, resume, the take-over of a guest's name, detaching, and the end.

A session is one connection and those that resume it. A name belongs to whoever holds it: a *detached* guest loses it
to the next who asks, a *live* one only when it shows no life within `PROBE_SECONDS`.
"""

from __future__ import annotations

from trio_chat.core.chat import RECONNECT, Chat, refuse
from trio_chat.core.codec import json_size
from trio_chat.core.effects import ConnId, Cut, Disconnected, Effect, Forget, Note, Now, Probe, Received, Reply
from trio_chat.core.errors import Close, ErrorCode, ends_session
from trio_chat.core.history import replay
from trio_chat.core.membership import become_member, describe, quit_room
from trio_chat.core.messages import Command, Connect, Position, System, Welcome, timestamp
from trio_chat.core.names import RULE, parse_name
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Connection, Session

WELCOME_HEAD = 4096  # bytes of `welcome` beside its rooms


def connect(chat: Chat, connection: Connection, asked: Received, now: Now, *, force: bool = False) -> list[Effect]:
    """Answer a `connect`: resume, take the name, or probe whoever holds it. `force`: the probe found no life."""
    request = asked.command
    assert isinstance(request, Connect)
    if request.resume is not None:
        session = chat.people.by_token.get(request.resume.session)
        if session is not None:
            return resume(chat, session, connection, request, now)
    if request.username is None:
        return turn_away(connection, request, ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, "username must be given")
    try:
        name = parse_name(request.username)
    except ValueError:
        return turn_away(connection, request, ErrorCode.BAD_USERNAME, Close.BAD_HANDSHAKE, f"username must be {RULE}")
    holder = chat.people.by_name.get(name.key)
    effects: list[Effect] = []
    if holder is not None:
        live = holder.conns
        if live and not force:
            connection.asking = asked
            chat.connecting.discard(connection.id)
            chat.probing.set(connection.id, now.mono)
            return [Probe(live[0])]
        for conn in live:
            effects += cut(chat, conn, Close.HEARTBEAT_MISSED, now)
        for session in list(holder.sessions):
            effects += end(chat, session, now)
        effects.append(Note("%s is taken over by connection %d", (name.text, connection.id)))
    session = chat.people.open_guest(name, asked.fresh, chat.limits.rooms_created_per_hour)
    return effects + _welcome(chat, session, connection, request, now)


def turn_away(
    connection: Connection, request: Command, code: ErrorCode, close: Close, content: str = ""
) -> list[Effect]:
    """Refuse a first frame, and close."""
    connection.cut = True
    return [refuse(connection.id, request, code, content), Cut(connection.id, close)]


def alive(chat: Chat, holder: Connection) -> list[Effect]:
    """A probed holder showed life: its name stays its own."""
    effects: list[Effect] = []
    for connection in _asking_for(chat, holder.session):
        assert connection.asking is not None
        chat.probing.discard(connection.id)
        request = connection.asking.command
        effects += turn_away(connection, request, ErrorCode.USERNAME_TAKEN, Close.NAME_TAKEN)
    return effects


def _asking_for(chat: Chat, session: Session | None) -> list[Connection]:
    """Connections that wait for the name of `session`."""
    if session is None:
        return []
    key = session.user.name.key
    return [chat.conns[conn] for conn in chat.probing if _asks_for(chat.conns[conn]) == key]


def _asks_for(connection: Connection) -> str | None:
    asked = connection.asking.command if connection.asking else None
    if not isinstance(asked, Connect) or asked.username is None or connection.cut:
        return None
    return parse_name(asked.username).key


def resume(chat: Chat, session: Session, connection: Connection, request: Connect, now: Now) -> list[Effect]:
    """Carry the session on, on a new connection; a live old one is replaced."""
    effects: list[Effect] = []
    if session.conn is not None:
        effects = cut(chat, session.conn, Close.REPLACED, now)
    chat.detached.discard(session)
    return effects + _welcome(chat, session, connection, request, now, resumed=True)


def _welcome(
    chat: Chat, session: Session, connection: Connection, request: Connect, now: Now, *, resumed: bool = False
) -> list[Effect]:
    """Bind session and connection: `welcome` first, then `closed_before`, then room by room what was missed."""
    user = session.user
    chat.connecting.discard(connection.id)
    chat.probing.discard(connection.id)
    connection.asking = None
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
        content=f"Welcome {user.name.text}!",
        timestamp=timestamp(now.wall),
        id=request.id,
        user=user.name.text,
        session=session.token,
        ticket=chat.people.ticket(session),
        server=chat.server,
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
    if not resumed:
        return effects
    if session.cut is not None:
        effects.append(Reply(connection.id, _closed_before(session.cut, now)))
        session.cut = None
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
        if room.between is None:
            room.present.add(session.user)
            chat.tell(room, session.user, now.mono, joined=True)
        kept = session.positions.pop(room.key, room.last)
        effects += replay(chat, session, room, said.get(id(room), kept), now)
    return effects


def cut(chat: Chat, conn: ConnId, code: Close, now: Now) -> list[Effect]:
    """Close a connection: from here on it gets nothing more; its session is detached or ended, as the code says."""
    connection = chat.conns[conn]
    if connection.cut:
        return []
    connection.cut = True
    chat.connecting.discard(conn)
    chat.probing.discard(conn)
    effects: list[Effect] = [Cut(conn, code)]
    session = connection.session
    if session is not None and session.conn == conn:
        session.cut = None if code == Close.REPLACED else code
        effects += _lose(chat, session, now, ends=ends_session(None, code))
    return effects


def disconnected(chat: Chat, connection: Connection, ended: Disconnected, now: Now) -> list[Effect]:
    """A connection is over: detach or end its session, and give back what it was not sent."""
    del chat.conns[connection.id]
    chat.gate.closed(connection.id)
    chat.connecting.discard(connection.id)
    chat.probing.discard(connection.id)
    session = connection.session
    if session is None or session.last_conn != connection.id:
        return []
    effects: list[Effect] = []
    if session.conn == connection.id:
        waiting = _asking_for(chat, session)
        session.cut = ended.cut
        effects = _lose(chat, session, now, ends=ends_session(ended.code, ended.cut))
        for asker in waiting:
            if asker.asking is not None:
                effects += connect(chat, asker, asker.asking, now)
    for key, seq in ended.unsent:
        if session.positions.get(key, 0) >= seq:
            session.positions[key] = seq - 1
    return effects


def _lose(chat: Chat, session: Session, now: Now, *, ends: bool) -> list[Effect]:
    """The session's connection is gone."""
    conn, user = session.conn, session.user
    assert conn is not None
    for room in user.everywhere():
        session.positions[room.key] = room.detach(conn)
    session.conn = None
    if ends:
        return end(chat, session, now)
    chat.detached.set(session, now.mono)
    if not user.conns:
        for room in user.rooms.values():
            if room.present.remove(user):
                chat.tell(room, user, now.mono, joined=False)
    return [Note("%s detached", (user.name.text,))]


def end(chat: Chat, session: Session, now: Now) -> list[Effect]:
    """The session is over; with a guest's last session the guest is, and what only the guest could reach."""
    user = session.user
    chat.detached.discard(session)
    chat.people.end(session)
    effects: list[Effect] = [Note("%s left", (user.name.text,))]
    if user.sessions:
        return effects
    for room in list(user.rooms.values()):
        effects += quit_room(chat, user, room, now)
    for talk in list(user.talks.values()):
        effects += _close_talk(chat, talk)
    return effects


def _close_talk(chat: Chat, talk: Room) -> list[Effect]:
    assert talk.between is not None
    for user in talk.between:
        user.talks.pop(talk.key, None)
        for session in user.sessions:
            session.positions.pop(talk.key, None)
    chat.rooms.close(talk)
    return [Forget(talk.key, talk.epoch)]
