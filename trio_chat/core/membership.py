"""Being in rooms: `join`, `leave`, `rooms`, `users`, and telling of comings and goings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from trio_chat.core.chat import Chat, ack, refuse, room_name
from trio_chat.core.codec import json_size
from trio_chat.core.effects import ConnId, Deliver, Effect, Forget, Note, Now, Reply
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import RoomList, System, UserList, timestamp
from trio_chat.core.history import replay
from trio_chat.core.keeping import discard, discard_member, keep_member, keep_room, keep_session
from trio_chat.core.messages import Join, Leave, ListRooms, ListUsers
from trio_chat.core.names import Name
from trio_chat.core.records import RoomRecord
from trio_chat.core.rights import Refusal, barred, drop_right
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Session, User

Item = TypeVar("Item")
LIST_HEAD = 1024  # bytes of a list's frame beside its items
ROOM_BYTES = 384  # bytes of a room in a list, at most, beside its topic


def enter(chat: Chat, session: Session, conn: ConnId, name: Name, now: Now) -> Room | Refusal:
    """Make the user a member of the room, creating it if need be; or say why not, and for how long.

    Its creator owns it. All checks come before any change.
    """
    user, limits = session.user, chat.limits
    room = chat.rooms.get(name.key)
    refusal = None if room is None else barred(room, user, now)
    if refusal is not None:
        return refusal
    if len(user.rooms) >= limits.rooms_per_user:
        return ErrorCode.TOO_MANY_ROOMS, None
    if room is None:
        if len(chat.rooms.listed) >= limits.max_rooms:
            return ErrorCode.TOO_MANY_ROOMS, None
        wait = _may_create(chat, user, conn, now)
        if wait:
            return ErrorCode.RATE_LIMITED, wait
        room = chat.rooms.create(name)
    become_member(chat, user, room, now)
    drop_right(chat, room, "invited", user.id)
    return room


def become_member(chat: Chat, user: User, room: Room, now: Now) -> None:
    """Add the user, and let the user's live connections hear of the room from now on."""
    chat.rooms.enroll(user, room)
    chat.deserted.discard(room)
    if not room.owner and room is not chat.general:
        room.owner, room.deserted_at = user.id, None
        keep_room(chat, room)
    keep_member(chat, user, room)
    for session in user.sessions:
        if session.conn is not None:
            room.attach(session)
        else:
            session.positions[room.key] = room.last
            keep_session(chat, session)
    if user.conns and room.present.add(user):
        chat.tell(room, user, now.mono, joined=True)


def _may_create(chat: Chat, user: User, conn: ConnId, now: Now) -> float:
    """Count a creation for user and address. Returns the seconds to wait where it is one too many."""
    connection = chat.conns[conn]
    windows = [user.created]
    if not connection.trusted:
        windows.append(chat.rooms.creations(connection.address, now.mono))
    wait = max(window.wait(now.mono) for window in windows)
    if not wait:
        for window in windows:
            window.hit(now.mono)
    return wait


def created(room: Room, session: Session, conn: ConnId, now: Now) -> list[Effect]:
    """Tell the creator of a room."""
    told = System(
        event="room_created",
        content=f"Room {room.name} was created",
        timestamp=timestamp(now.wall),
        room=room.name,
        epoch=room.epoch,
        last=room.last,
    )
    return [Reply(conn, told), Note("%s created room %r", (session.user.name.text, room.name))]


def join(chat: Chat, session: Session, conn: ConnId, request: Join, now: Now) -> list[Effect]:
    """Become a member, and with `after` be sent what was missed; the ack comes before the replay."""
    name = room_name(request.room)
    if name is None:
        return [refuse(conn, request, ErrorCode.BAD_ROOM)]
    room = session.user.rooms.get(name.key)
    if room is not None:
        return ack(conn, request.id, room=room.name, epoch=room.epoch, last=room.last)
    is_new = chat.rooms.get(name.key) is None
    entered = enter(chat, session, conn, name, now)
    if isinstance(entered, tuple):
        return [refuse(conn, request, entered[0], retry_after=entered[1])]
    effects = ack(conn, request.id, room=entered.name, epoch=entered.epoch, last=entered.last)
    if is_new:
        effects += created(entered, session, conn, now)
    if request.after is not None:
        effects += replay(chat, session, entered, request.after, now)
    return effects


def public_room(chat: Chat, user: User, written: str) -> Room | ErrorCode:
    """The room that `user` is in; a conversation is none for what may not be done there."""
    return ErrorCode.BAD_ROOM if written.startswith("@") else chat.find_room(user, written)


def leave(chat: Chat, session: Session, conn: ConnId, request: Leave, now: Now) -> list[Effect]:
    """Stop being a member; nothing of the room comes after the ack (promise 4)."""
    room = public_room(chat, session.user, request.room)
    if room is chat.general:
        room = ErrorCode.BAD_ROOM
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    effects = ack(conn, request.id, room=room.name)
    return effects + expel(chat, session.user, room, now)


def expel(chat: Chat, user: User, room: Room, now: Now) -> list[Effect]:
    """Take the user out; the user's connections hear nothing of the room from now on."""
    for live in user.conns:
        room.detach(live)
    return quit_room(chat, user, room, now)


def quit_room(chat: Chat, user: User, room: Room, now: Now) -> list[Effect]:
    """Take the user out; a room without members and entries is closed, and one with entries when the last expires."""
    del room.members[user.id], user.rooms[room.key], user.marks[room.key]
    discard_member(chat, user, room)
    for session in user.sessions:
        session.positions.pop(room.key, None)
    if room.present.remove(user):
        chat.tell(room, user, now.mono, joined=False)
    drop_right(chat, room, "moderator", user.id)
    if room.owner == user.id:
        succeed(chat, room, now)
    return close_if_empty(chat, room)


def succeed(chat: Chat, room: Room, now: Now) -> None:
    """Its owner is gone: the longest moderator owns it, or the longest member; where nobody is, who comes next."""
    moderators = (user for what, user in room.rights if what == "moderator")
    room.owner = next(moderators, None) or next(iter(room.members), "")
    drop_right(chat, room, "moderator", room.owner)
    if room.members:
        room.deserted_at = None
    else:
        room.deserted_at = room.deserted_at or now.wall
        chat.deserted.set(room, now.mono)
    keep_room(chat, room)


def close_if_empty(chat: Chat, room: Room) -> list[Effect]:
    """Close a room that nobody and nothing is in; `general` stays."""
    if room is chat.general or not room.empty():
        return []
    return close(chat, room)


def close(chat: Chat, room: Room) -> list[Effect]:
    """Close a room without members: nothing of it is left."""
    chat.rooms.close(room)
    chat.stirred.discard(room)
    chat.deserted.discard(room)
    discard(chat, RoomRecord, room.key)
    for what, subject in list(room.rights):
        drop_right(chat, room, what, subject)
    return [Forget(room.key, room.epoch)]


def expire(chat: Chat, room: Room, now: Now) -> list[Effect]:
    """The last entry of a deserted room is too old: close it, unless the log is about to take another."""
    if room.pending:
        chat.deserted.set(room, now.mono)
        return []
    return close(chat, room)


def rooms(chat: Chat, session: Session, conn: ConnId, request: ListRooms, now: Now) -> list[Effect]:
    """A page of rooms, by age; `mine` lists one's own, conversations too."""
    after = _cursor(request.cursor)
    if after is None:
        return [refuse(conn, request, ErrorCode.BAD_MESSAGE, "cursor must be one that the server sent")]
    user, limit = session.user, request.limit
    if request.mine:
        own = sorted((room for room in user.everywhere() if room.number > after), key=lambda room: room.number)
        found = own[: limit + 1]
    else:
        found = chat.rooms.listed.page(after, limit + 1)
    count = _fit(found[:limit], chat.limits.max_message_bytes - LIST_HEAD, room_size)
    shown = [describe(room, user, listed=True) for room in found[:count] if _is_shown(room, user)]
    cursor = str(found[count - 1].number) if count < len(found) else None
    return [Reply(conn, RoomList(id=request.id, rooms=shown, cursor=cursor))]


def _is_shown(room: Room, user: User) -> bool:
    """Private rooms are told to members only; a page may so be shorter than it might be."""
    return room.settings.access != "private" or user.id in room.members or user.admin


def describe(room: Room, user: User, *, listed: bool = False) -> dict[str, Any]:
    """A room as `room_list` and `welcome` say it; `read` only to its members."""
    described: dict[str, Any] = {"room": room.name_for(user)}
    if listed:
        described["members"] = room.presence
        described["kind"] = room.settings.access if room.between is None else "private"
        if room.settings.topic:
            described["topic"] = room.settings.topic
    described |= {"epoch": room.epoch, "last": room.last}
    if room.key in user.marks:
        described["read"] = user.marks[room.key].read
    return described


def room_size(room: Room) -> int:
    """Bytes of a described room, at most."""
    return ROOM_BYTES + (json_size(room.settings.topic) if room.settings.topic else 0)


def users(chat: Chat, session: Session, conn: ConnId, request: ListUsers, now: Now) -> list[Effect]:
    """A page of who is present in a room one is in."""
    room = public_room(chat, session.user, request.room)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    after = _cursor(request.cursor)
    if after is None:
        return [refuse(conn, request, ErrorCode.BAD_MESSAGE, "cursor must be one that the server sent")]
    return [Reply(conn, user_list(chat, room, request.limit, now, after=after, answer_to=request.id))]


def user_list(
    chat: Chat, room: Room, limit: int, now: Now, *, after: int = 0, answer_to: str | int | None = None
) -> UserList:
    """Who is present, cut by number and by bytes."""
    found = room.present.page(after, limit + 1)
    count = _fit(found[:limit], chat.limits.max_message_bytes - LIST_HEAD, lambda user: json_size(user.name.text) + 1)
    cut = count < len(found)
    return UserList(
        id=answer_to,
        users=[user.name.text for user in found[:count]],
        timestamp=timestamp(now.wall),
        room=room.name,
        total=len(room.present),
        cursor=str(found[count - 1].number) if cut else None,
    )


def _cursor(written: str | None) -> int | None:
    """The number behind a cursor; 0 where there is none, None where it is not one of ours."""
    if written is None:
        return 0
    return int(written) if written.isascii() and written.isdecimal() else None


def _fit(items: Sequence[Item], max_bytes: int, size: Callable[[Item], int]) -> int:
    """How many of `items` fit into `max_bytes`, one at least."""
    used = 0
    for count, item in enumerate(items):
        used += size(item)
        if used > max_bytes and count:
            return count
    return len(items)


def tell_news(chat: Chat, room: Room, now: Now) -> list[Effect]:
    """Tell all comings and goings since the last time at once: one `left`, one `joined`, one list (promise 8)."""
    news, room.news = room.news, {}
    if not news:
        return []
    listed = len(room.members) <= chat.limits.presence_limit
    effects: list[Effect] = []
    for joined in (False, True):
        names = {name: key for name, (key, came) in news.items() if came == joined}
        if names:
            effects += _comings(chat, room, names, now, joined=joined, listed=listed)
    if listed:
        to = tuple(conn for conn in room.conns if chat.conns[conn].modern or room is chat.general)
        if to:
            effects.append(Deliver(to, user_list(chat, room, chat.limits.presence_limit, now)))
    return effects


def _comings(chat: Chat, room: Room, names: dict[str, str], now: Now, *, joined: bool, listed: bool) -> list[Effect]:
    to = tuple(room.conns)
    if joined and len(names) == 1:  # it is not told to the one whom it names
        (key,) = names.values()
        to = tuple(conn for conn, session in room.conns.items() if session.user.name.key != key)
    some = sum(map(json_size, names)) <= chat.limits.max_message_bytes // 2
    only = next(iter(names)) if len(names) == 1 and listed else None
    who = only or f"{len(names)} user{'s' if len(names) > 1 else ''}"
    told = System(
        event="joined" if joined else "left",
        content=f"{who} {'joined' if joined else 'left'}",
        timestamp=timestamp(now.wall),
        room=room.name,
        users=list(names) if listed and some else None,
        count=len(names),
        total=len(room.present),
    )
    return [Deliver(to, told)] if to else []
