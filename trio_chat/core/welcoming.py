"""The answer to whoever comes in: `welcome`, and then what was missed."""

from __future__ import annotations

from trio_chat.core.chat import RECONNECT, Chat
from trio_chat.core.codec import json_size
from trio_chat.core.effects import Effect, Note, Now, Reply
from trio_chat.core.errors import Close
from trio_chat.core.events import System, Welcome, timestamp
from trio_chat.core.history import replay
from trio_chat.core.keeping import keep_session
from trio_chat.core.membership import become_member, describe
from trio_chat.core.messages import Command, Connect, Position
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Connection, Session

PROTOCOL = 1  # its version
WELCOME_HEAD = 4096  # bytes of `welcome` beside its rooms


def settle(chat: Chat, connection: Connection) -> None:
    """It has its answer, or needs none: nothing falls due for it any longer."""
    chat.connecting.discard(connection.id)
    chat.probing.discard(connection.id)
    if connection.asking is not None:
        askers = chat.askers[connection.asking.key]
        del askers[connection.id]
        if not askers:
            del chat.askers[connection.asking.key]
        connection.asking = None


def welcome(
    chat: Chat,
    session: Session,
    connection: Connection,
    request: Command,
    now: Now,
    token: str,
    *,
    resumed: bool = False,
) -> list[Effect]:
    """Bind session and connection: `welcome` first, then `closed_before`, then room by room what was missed."""
    user = session.user
    settle(chat, connection)
    if connection.queued:
        chat.to_unqueue.append(connection)
    connection.session, session.conn, session.last_conn = session, connection.id, connection.id
    chat.watch(session, now)
    if not resumed:
        _begin(chat, session, now)
    rooms = user.everywhere()
    shown = [describe(room, user) for room in rooms]
    for talk, here in zip(rooms, shown, strict=True):
        if not resumed and (since := _missed_from(session, talk)) is not None:
            here["after"] = max(0, since)
    fitting, used = 0, WELCOME_HEAD
    for room in shown:
        used += json_size(room["room"]) + 128
        if used > chat.limits.max_message_bytes:
            break
        fitting += 1
    told = Welcome(
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
    effects: list[Effect] = [Reply(connection.id, told), note]
    closed_before, session.cut, session.leaving = session.cut, None, False
    keep_session(chat, session)
    if not resumed:
        return effects + _hand_over(chat, session, now)
    if closed_before is not None:
        effects.append(Reply(connection.id, _closed_before(closed_before, now)))
    given = request.resume.rooms if isinstance(request, Connect) and request.resume else {}
    return effects + _catch_up(chat, session, rooms, given, now)


def _begin(chat: Chat, session: Session, now: Now) -> None:
    """A new session hears of all rooms of its user, from now on."""
    user = session.user
    if chat.general.key not in user.rooms:
        become_member(chat, user, chat.general, now)
    for room in user.everywhere():
        room.attach(session)
        if room.between is None and room.present.add(user):
            chat.tell(room, user, now.mono, joined=True)


def _missed_from(session: Session, talk: Room) -> int | None:
    """After which `seq` a proven user who begins a session heard nothing of a conversation, on any connection."""
    user = session.user
    others = [other for other in user.sessions if other is not session]
    if talk.between is None or any(other.conn is not None for other in others):
        return None
    ended = user.marks[talk.key].sent
    heard = [other.positions[talk.key] for other in others] + ([] if ended is None else [ended])
    return max(heard, default=None)


def _hand_over(chat: Chat, session: Session, now: Now) -> list[Effect]:
    """Replay what was written to a proven user who was away, and does not resume."""
    effects: list[Effect] = []
    for talk in session.user.talks.values():
        since = _missed_from(session, talk)
        if since is not None:
            effects += replay(chat, session, talk, since, now)
    return effects


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
