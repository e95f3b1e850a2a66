"""Reading the log back: `history`, the replay of what a session missed, and `read`, how far its user has read.

Replay is pulled (promise 3): each `Read` waits until the outbox has room, and its `Page` asks for the next one. In
the turn in which the position equals the last committed `seq`, the connection is attached and hears live.
"""

from __future__ import annotations

from trio_chat.core.chat import Chat, ack, failure, refuse
from trio_chat.core.effects import ConnId, Deliver, Effect, Failed, Now, Page, Read, Reply, Stale
from trio_chat.core.entries import entry_event
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import HistoryPage, ReadShown, System, timestamp
from trio_chat.core.keeping import keep_member
from trio_chat.core.messages import GetHistory, MarkRead, Position
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Session

PAGE_ENTRIES = 200
PAGE_BYTES = 256 * 1024
PAGE_HEAD = 4096  # bytes of a `history` frame beside its entries


def history(chat: Chat, session: Session, conn: ConnId, request: GetHistory, now: Now) -> list[Effect]:
    """Ask the log for a page; members only."""
    room = chat.find_room(session.user, request.room)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    return [
        Read(
            room.key,
            room.epoch,
            conn,
            request.limit,
            max_bytes=chat.limits.max_message_bytes - PAGE_HEAD,
            after=request.after,
            before=request.before,
            history=True,
            answer_to=request.id,
        )
    ]


def replay(chat: Chat, session: Session, room: Room, since: Position | int, now: Now) -> list[Effect]:
    """Attach the session's connection to `room`, first sending it what came since a position.

    Where the log does not reach back to it, `lagged` says so, and the replay begins at what is still held.
    """
    assert session.conn is not None
    seq = since if isinstance(since, int) else since.seq
    known = isinstance(since, int) or since.epoch == room.epoch
    effects: list[Effect] = []
    if not known or seq > room.last or seq + 1 < room.first:
        effects.append(lagged(session.conn, session, room, now))
        seq = room.first - 1
    mark = session.user.marks[room.key]
    mark.since = min(mark.since, seq)
    room.attach(session, seq)
    if session.conn in room.catching:
        effects.append(_next_read(room, session.conn, seq))
    return effects


def lagged(conn: ConnId, session: Session, room: Room, now: Now) -> Reply:
    """Tell that there is a gap: what is still held goes from `first` to `last`."""
    return Reply(
        conn,
        System(
            event="lagged",
            content="Some earlier messages are no longer held",
            timestamp=timestamp(now.wall),
            room=room.name_for(session.user),
            epoch=room.epoch,
            first=room.first,
            last=room.last,
        ),
    )


def _next_read(room: Room, conn: ConnId, after: int) -> Read:
    return Read(room.key, room.epoch, conn, PAGE_ENTRIES, PAGE_BYTES, after=after)


def page(chat: Chat, answer: Page, now: Now) -> list[Effect]:
    """The log answered a `Read`."""
    request = answer.request
    room, connection = chat.rooms.get(request.room), chat.conns.get(request.conn)
    session = connection.session if connection is not None else None
    if session is None:
        return []
    if room is not None and room.epoch == request.epoch:
        room.first = max(room.first, answer.first)
    if not request.history:
        return _replayed(room, session, answer, now) if room is not None and awaits(room, request) else []
    if room is None or session.user.id not in room.members:  # it left while the log was busy (promise 4)
        return [failure(request.conn, request.answer_to, ErrorCode.NOT_IN_ROOM if room else ErrorCode.NO_SUCH_ROOM)]
    called = room.name_for(session.user)
    shown = HistoryPage(
        id=request.answer_to,
        room=called,
        epoch=request.epoch,
        entries=[entry_event(entry, called, session.user.id) for entry in answer.entries],
        first=answer.first,
        last=answer.last,
        more=_more(answer),
    )
    return [Reply(request.conn, shown)]


def _more(answer: Page) -> bool:
    """Whether the log holds more in the direction that was asked for."""
    if answer.request.after is not None:
        reached = answer.entries[-1].seq if answer.entries else max(answer.request.after, answer.first - 1)
        return reached < answer.last
    return bool(answer.entries) and answer.entries[0].seq > answer.first


def awaits(room: Room, request: Read) -> bool:
    """Whether the answer to a replay's `Read` is still wanted: not if its connection left, or began anew, since."""
    return room.epoch == request.epoch and room.catching.get(request.conn, -1) == request.after


def _replayed(room: Room, session: Session, answer: Page, now: Now) -> list[Effect]:
    conn = answer.request.conn
    after = room.catching[conn]
    effects: list[Effect] = []
    if after + 1 < answer.first:  # trimmed under our feet
        effects.append(lagged(conn, session, room, now))
    called, reader = room.name_for(session.user), session.user.id
    effects += [Deliver((conn,), entry_event(entry, called, reader), room.epoch, entry.seq) for entry in answer.entries]
    reached = answer.entries[-1].seq if answer.entries else room.last
    if reached >= room.last:
        room.caught_up(conn)
    else:
        room.catching[conn] = reached
        effects.append(_next_read(room, conn, reached))
    return effects


def failed(chat: Chat, answer: Failed | Stale) -> list[Effect]:
    """The log cannot answer a `history`: refuse it."""
    request = answer.request
    assert isinstance(request, Read)
    retry_after = answer.retry_after if isinstance(answer, Failed) else 1.0
    if request.conn not in chat.conns:
        return []
    return [failure(request.conn, request.answer_to, ErrorCode.UNAVAILABLE, retry_after=retry_after)]


def read(chat: Chat, session: Session, conn: ConnId, request: MarkRead, now: Now) -> list[Effect]:
    """Move the user's marker forward, and tell the user's other sessions. The ack says where it stands."""
    user = session.user
    room = chat.find_room(user, request.room)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    if request.seq > room.last:
        return [refuse(conn, request, ErrorCode.NO_SUCH_ENTRY)]
    mark, called = user.marks[room.key], room.name_for(user)
    moved = request.seq > mark.read
    mark.read = max(mark.read, request.seq)
    effects = ack(conn, request.id, room=called, seq=mark.read)
    told = room.conns if room.settings.receipts else user.conns
    others = tuple(other for other in told if other != conn)
    if moved:
        keep_member(chat, user, room)
    if moved and others:
        shown = ReadShown(room=called, seq=mark.read, sender=user.name.text, timestamp=timestamp(now.wall))
        effects.append(Deliver(others, shown))
    return effects
