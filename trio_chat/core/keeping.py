"""What the next process is to know: records of rooms, users, members and sessions, noted as they change.

`ChatState.apply` puts what was noted in front of its other effects, the newest of each record only. So a membership is
in the log before the first message that it allows.
"""

from __future__ import annotations

import attrs

from trio_chat.core.chat import Chat
from trio_chat.core.effects import Discard, Keep
from trio_chat.core.records import (
    AccountRecord,
    BlockRecord,
    MemberRecord,
    Record,
    Right,
    RightRecord,
    RoomRecord,
    SessionRecord,
    UserRecord,
    block_key,
    member_key,
    right_key,
)
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import Session, User


def room_record(room: Room) -> RoomRecord:
    """A room as it is kept: with the settings that it is about to get, for the log has those before this."""
    between = None if room.between is None else (room.between[0].id, room.between[1].id)
    return RoomRecord(
        key=room.key,
        name=room.name,
        number=room.number,
        epoch=room.epoch,
        owner=room.owner,
        between=between,
        deserted_at=room.deserted_at,
        **attrs.asdict(room.planned),
    )


def keep_room(chat: Chat, room: Room) -> None:
    """Note a room that is new or changed."""
    _keep(chat, room_record(room))


def keep_user(chat: Chat, user: User) -> None:
    """Note a user who is new or changed."""
    name, admin = user.name.text, user.claims_admin
    _keep(
        chat,
        UserRecord(key=user.id, number=user.number, name=name, guest=user.guest, admin=admin, earlier=user.earlier),
    )


def keep_account(chat: Chat, user: User, hash: str) -> None:
    """Note the password of an account, as a hash."""
    chat.accounts[user.id] = hash
    _keep(chat, AccountRecord(key=user.id, hash=hash))


def keep_member(chat: Chat, user: User, room: Room) -> None:
    """Note a membership, with its read marker."""
    mark = user.marks[room.key]
    _keep(chat, MemberRecord(user=user.id, room=room.key, number=mark.number, read=mark.read, sent=mark.sent))


def keep_session(chat: Chat, session: Session) -> None:
    """Note a session: live, or detached and, when that is known, with what it was sent."""
    live = session.conn is not None
    unsure = live or session.leaving
    _keep(
        chat,
        SessionRecord(
            key=session.key,
            number=session.number,
            user=session.user.id,
            bucket_of=session.bucket_of,
            detached_at=None if live else session.detached_at,
            positions=None if unsure else dict(session.positions),
            cut=None if session.cut is None else int(session.cut),
            expires=session.expires,
        ),
    )


def keep_right(chat: Chat, right: RightRecord) -> None:
    """Note a right."""
    _keep(chat, right)


def keep_block(chat: Chat, user: User, subject: str) -> None:
    """Note a block."""
    _keep(chat, BlockRecord(user=user.id, subject=subject, name=user.blocked[subject]))


def _keep(chat: Chat, record: Record) -> None:
    chat.changes[record.kind, record.key] = Keep(record)


def discard(chat: Chat, kind: type[Record], key: str) -> None:
    """Note that there is no such record any longer."""
    chat.changes[kind.kind, key] = Discard(kind.kind, key)


def discard_member(chat: Chat, user: User, room: Room) -> None:
    """Note the end of a membership."""
    discard(chat, MemberRecord, member_key(user.id, room.key))


def discard_right(chat: Chat, room: str, what: Right, subject: str) -> None:
    """Note that a right is no more."""
    discard(chat, RightRecord, right_key(room, what, subject))


def discard_block(chat: Chat, user: User, subject: str) -> None:
    """Note that a block is no more."""
    discard(chat, BlockRecord, block_key(user.id, subject))
