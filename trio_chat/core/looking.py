"""What operators are shown: pages of users, rooms, connections, bans and of the audit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeAlias

from trio_chat.core import orders
from trio_chat.core.chat import Chat, room_name
from trio_chat.core.effects import Now, Page
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import timestamp
from trio_chat.core.names import name_subject
from trio_chat.core.orders import Failure, Result
from trio_chat.core.records import ServerBanRecord
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Connection, User
from trio_chat.core.welcoming import PROTOCOL

MEMBERS = 1000  # of a room that are shown
Look: TypeAlias = Callable[[Chat, Any, Now], Result]


def _time(wall: float | None) -> str | None:
    return None if wall is None else timestamp(wall)


def _info(chat: Chat, order: orders.ShowInfo, now: Now) -> Result:
    users, rooms = chat.people.by_id.values(), len(chat.rooms.listed)
    return orders.Info(
        server=chat.server,
        protocol=PROTOCOL,
        draining=False,
        users=len(users),
        sessions=sum(len(user.sessions) for user in users),
        connections=len(chat.conns),
        rooms=rooms,
        conversations=len(chat.rooms.all()) - rooms,
        bans=len(chat.bans.all(now)),
    )


def _user(user: User) -> orders.UserShown:
    return orders.UserShown(
        number=user.number,
        id=user.id,
        name=user.name.text,
        guest=user.guest,
        admin=user.admin,
        sessions=len(user.sessions),
        connections=len(user.conns),
        rooms=len(user.rooms),
    )


def _users(chat: Chat, order: orders.ListUsers, now: Now) -> Result:
    later = (user for user in chat.people.by_id.values() if user.number > order.after)
    found = sorted(later, key=lambda user: user.number)
    page = found[: order.limit]
    return orders.Users(users=[_user(user) for user in page], next=page[-1].number if len(found) > len(page) else None)


def _show_user(chat: Chat, order: orders.ShowUser, now: Now) -> Result:
    user = chat.find_user(order.user)
    if isinstance(user, ErrorCode):
        return Failure(code=user.value, message=user.text)
    bans = (chat.bans.get(subject, now) for subject in (user.id, name_subject(user.name)))
    return orders.UserDetail(
        user=_user(user),
        connections=[_connection(chat.conns[conn]) for conn in user.conns],
        rooms=[room.name for room in user.rooms.values()],
        conversations=len(user.talks),
        bans=[_ban(ban) for ban in bans if ban is not None],
    )


def _room(room: Room) -> orders.RoomShown:
    return orders.RoomShown(
        number=room.number,
        name=room.name,
        kind=room.settings.access,
        members=len(room.members),
        present=room.presence,
        epoch=room.epoch,
        first=room.first,
        last=room.last,
    )


def _rooms(chat: Chat, order: orders.ListRooms, now: Now) -> Result:
    found = chat.rooms.listed.page(order.after, order.limit + 1)
    page = found[: order.limit]
    return orders.RoomPage(
        rooms=[_room(room) for room in page], next=page[-1].number if len(found) > len(page) else None
    )


def _show_room(chat: Chat, order: orders.ShowRoom, now: Now) -> Result:
    name = room_name(order.room)
    room = chat.rooms.get(name.key) if name is not None else None
    if room is None:
        return Failure(code="no_such_room", message=ErrorCode.NO_SUCH_ROOM.text)
    owner, settings = chat.people.by_id.get(room.owner), room.settings
    return orders.RoomDetail(
        room=_room(room),
        topic=settings.topic,
        owner=None if owner is None else owner.name.text,
        slow_mode=settings.slow_mode,
        receipts=settings.receipts,
        members=[user.name.text for user in islice(room.members.values(), MEMBERS)],
        rights=[
            orders.RightShown(
                what=right.what, name=right.name, by=right.by, until=_time(right.until), reason=right.reason
            )
            for right in room.rights.values()
        ],
    )


def _connection(connection: Connection) -> orders.ConnectionShown:
    session = connection.session
    user = session.user.name.text if session is not None else None
    return orders.ConnectionShown(number=connection.id, address=connection.address, user=user)


def _connections(chat: Chat, order: orders.ListConnections, now: Now) -> Result:
    found = sorted(conn for conn, one in chat.conns.items() if conn > order.after and not one.cut)
    page = found[: order.limit]
    shown = [_connection(chat.conns[conn]) for conn in page]
    return orders.Connections(connections=shown, next=page[-1] if len(found) > len(page) else None)


def _ban(ban: ServerBanRecord) -> orders.BanShown:
    return orders.BanShown(
        subject=ban.key,
        name=ban.name,
        by=ban.by,
        at=timestamp(ban.at),
        until=_time(ban.until),
        reason=ban.reason,
    )


def _bans(chat: Chat, order: orders.ListBans, now: Now) -> Result:
    held, upto = chat.bans.all(now), order.after + order.limit
    return orders.Bans(bans=[_ban(ban) for ban in held[order.after : upto]], next=upto if len(held) > upto else None)


LOOKS: dict[type, Look] = {
    orders.ShowInfo: _info,
    orders.ListUsers: _users,
    orders.ShowUser: _show_user,
    orders.ListRooms: _rooms,
    orders.ShowRoom: _show_room,
    orders.ListConnections: _connections,
    orders.ListBans: _bans,
}


def audit_page(answer: Page) -> orders.AuditPage:
    """Entries of the audit, the newest first. What was announced or published is not shown again."""
    shown = [
        orders.AuditEntry(
            number=entry.seq,
            at=timestamp(entry.draft.at),
            by=entry.draft.sender,
            action=entry.draft.kind,
            target=entry.draft.to,
            until=_time(entry.draft.until),
            reason="" if entry.draft.kind in ("announce", "publish") else entry.draft.content,
        )
        for entry in reversed(answer.entries)
    ]
    older = bool(answer.entries) and answer.entries[0].seq > answer.first
    return orders.AuditPage(entries=shown, next=answer.entries[0].seq if older else None)
