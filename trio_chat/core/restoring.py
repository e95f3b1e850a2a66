"""What is taken over from the process before: its rooms, users, memberships and sessions, all of them detached.

A record may be missing, for that process may have died between two of them: what refers to nothing is dropped.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from trio_chat.core.admin import restore_bans
from trio_chat.core.barring import is_over
from trio_chat.core.chat import AUDIT, Chat
from trio_chat.core.connecting import end_user
from trio_chat.core.effects import Effect, Forget, Note, Now
from trio_chat.core.errors import Close
from trio_chat.core.forgetting import forget
from trio_chat.core.keeping import discard, keep_member, keep_room, keep_session
from trio_chat.core.limits import Window
from trio_chat.core.membership import close_if_empty, succeed
from trio_chat.core.names import parse_name
from trio_chat.core.records import (
    AccountRecord,
    BlockRecord,
    ForgetRecord,
    MemberRecord,
    Record,
    Restored,
    RightRecord,
    RoomRecord,
    ServerBanRecord,
    SessionRecord,
    Span,
    UserRecord,
)
from trio_chat.core.rooms import Room
from trio_chat.core.sessions import UNKNOWN, Mark, Session, User
from trio_chat.core.settings import Settings

Numbered: TypeAlias = (
    RoomRecord | UserRecord | MemberRecord | SessionRecord | RightRecord | BlockRecord | ServerBanRecord | ForgetRecord
)
Kept = TypeVar("Kept", bound=Numbered)


def restore(chat: Chat, given: Restored, now: Now) -> list[Effect]:
    """Take over what the log knew; before anything else is applied."""
    for user in _of(given, UserRecord):
        _keep_or_drop(chat, user, taken=_user(chat, user))
    for account in given.records:
        if isinstance(account, AccountRecord):
            _keep_or_drop(chat, account, taken=_account(chat, account))
    _general(chat, given)
    _audit(chat, given)
    for over in restore_bans(chat, _of(given, ServerBanRecord), now):
        discard(chat, ServerBanRecord, over)
    for room in _of(given, RoomRecord):
        _keep_or_drop(chat, room, taken=room.key == chat.general.key or _room(chat, given, room))
    for member in _of(given, MemberRecord):
        _keep_or_drop(chat, member, taken=_member(chat, given, member))
    for one in chat.rooms.all():
        if one is chat.general or one.between is not None:
            _complete(chat, one)
    detached: list[Session] = []
    for right in _of(given, RightRecord):
        _keep_or_drop(chat, right, taken=_right(chat, right, now))
    for block in _of(given, BlockRecord):
        _keep_or_drop(chat, block, taken=_block(chat, block))
    for session in _of(given, SessionRecord):
        _keep_or_drop(chat, session, taken=_session(chat, given, session, detached, now))
    for back in sorted(detached, key=lambda session: session.detached_at):
        chat.detached.set(back, _mono(back.detached_at, now))
    effects: list[Effect] = [
        Forget(key, span.epoch)
        for key, span in given.spans.items()
        if key != AUDIT and not _is_of(chat.rooms.get(key), span)
    ]
    for record in _of(given, ForgetRecord):
        if not record.settled:  # that process died before
            effects += forget(chat, record, now)
    effects += _settle(chat, now)
    if chat.people.by_id:
        found = len(chat.people.by_id), len(chat.rooms.listed), "" if given.trusted else ", each in a new epoch"
        effects.append(Note("log: users who may come back: %d; rooms: %d%s", found))
    return effects


def _of(given: Restored, kind: type[Kept]) -> list[Kept]:
    """The records of one kind, the oldest first."""
    return sorted((record for record in given.records if isinstance(record, kind)), key=lambda record: record.number)


def _keep_or_drop(chat: Chat, record: Record, *, taken: bool) -> None:
    if not taken:
        discard(chat, type(record), record.key)


def _mono(wall: float, now: Now) -> float:
    """When that was, on the clock of now; a wall clock that was set back cannot make it lie ahead."""
    return now.mono - max(0.0, now.wall - wall)


def _user(chat: Chat, record: UserRecord) -> bool:
    name = parse_name(record.name)
    if name.key in chat.people.by_name:
        return False
    user = User(record.number, record.key, name, Window(chat.limits.rooms_created_per_hour, 3600), record.guest)
    user.earlier = record.earlier
    chat.set_admin(user, claimed=record.admin)
    chat.people.add_user(user)
    return True


def _account(chat: Chat, record: AccountRecord) -> bool:
    if record.key not in chat.people.by_id:
        return False
    chat.accounts[record.key] = record.hash
    return True


def _general(chat: Chat, given: Restored) -> None:
    """`general` is there in any case; it is kept anew, for it may be the first time."""
    general = chat.general
    fresh, general.epoch = general.epoch, ""
    for record in _of(given, RoomRecord):
        if record.key == general.key:
            general.settings = _settings(record)
            general.epoch = record.epoch if given.trusted else ""
    _span(given, general)
    general.epoch = general.epoch or fresh
    keep_room(chat, general)


def _audit(chat: Chat, given: Restored) -> None:
    """What operators did is held on to, in the epoch that the log has it in."""
    room, span = chat.audit, given.spans.get(AUDIT)
    if span is not None:
        room.epoch, room.first, room.last = span.epoch, span.first, span.last


def _settings(record: RoomRecord) -> Settings:
    return Settings(record.topic, record.access, record.slow_mode, record.receipts, record.topic_by)


def _span(given: Restored, room: Room) -> None:
    """What the log holds of the room; not what it holds of another that had its name."""
    span = given.spans.get(room.key)
    if span is not None and span.epoch == (room.epoch or span.epoch):
        room.epoch, room.first, room.last = span.epoch, span.first, span.last


def _is_of(room: Room | None, span: Span) -> bool:
    return room is not None and room.epoch == span.epoch


def _room(chat: Chat, given: Restored, record: RoomRecord) -> bool:
    room = Room(record.key, record.name, record.number, record.epoch if given.trusted else "")
    room.owner, room.settings, room.deserted_at = record.owner, _settings(record), record.deserted_at
    if record.between is not None:
        one, other = (chat.people.by_id.get(user) for user in record.between)
        if one is None or other is None:
            return False
        room.between = one, other
    _span(given, room)
    chat.rooms.restore(room)
    if room.epoch != record.epoch:
        keep_room(chat, room)
    return True


def _member(chat: Chat, given: Restored, record: MemberRecord) -> bool:
    user, room = chat.people.by_id.get(record.user), chat.rooms.get(record.room)
    if user is None or room is None or (room.between is not None and user not in room.between):
        return False
    mark = Mark(record.number, min(record.read, room.last) if given.trusted else 0, sent=record.sent)
    if mark.sent is not None:
        mark.sent = min(mark.sent, room.last) if given.trusted else UNKNOWN
    chat.rooms.enroll(user, room, mark)
    if (mark.read, mark.sent) != (record.read, record.sent):
        keep_member(chat, user, room)
    return True


def _right(chat: Chat, record: RightRecord, now: Now) -> bool:
    room = chat.rooms.get(record.room)
    if room is None or room.between is not None or is_over(record, now):
        return False
    if record.what == "moderator" and record.subject not in room.members:
        return False
    room.rights[record.what, record.subject] = record
    return True


def _block(chat: Chat, record: BlockRecord) -> bool:
    user = chat.people.by_id.get(record.user)
    if user is None:
        return False
    user.blocked[record.subject] = record.name
    return True


def _session(chat: Chat, given: Restored, record: SessionRecord, detached: list[Session], now: Now) -> bool:
    user = chat.people.by_id.get(record.user)
    if user is None:
        return False
    session = chat.people.add_session(Session(record.number, record.key, user, bucket_of=record.bucket_of))
    session.expires = record.expires
    session.cut = None if record.cut is None else Close(record.cut)  # type: ignore[call-arg]  # mypy takes it for a new member
    session.detached_at = now.wall if record.detached_at is None else record.detached_at
    sent = record.positions if given.trusted else None
    for room in user.everywhere():
        unknown = UNKNOWN if room.last or not given.trusted else 0  # what is held comes again, after `lagged`
        if sent is None:
            session.positions[room.key] = unknown
        else:
            session.positions[room.key] = min(sent.get(room.key, unknown), room.last)
    detached.append(session)
    if sent is None:
        keep_session(chat, session)
    return True


def _complete(chat: Chat, room: Room) -> None:
    """Everybody is in `general`, and both are in a conversation, whatever the records say."""
    for user in room.between or tuple(chat.people.by_id.values()):
        if room.key not in user.marks:
            chat.rooms.enroll(user, room)
            keep_member(chat, user, room)


def _settle(chat: Chat, now: Now) -> list[Effect]:
    """Drop who can never come back, then the rooms that nobody and nothing is left in."""
    effects: list[Effect] = []
    for user in list(chat.people.by_id.values()):
        if user.guest and not user.sessions:
            effects += end_user(chat, user, now)
    rooms = [room for room in chat.rooms.all() if room is not chat.general and room.between is None]
    for room in rooms:
        if room.owner not in room.members:
            succeed(chat, room, now)
        effects += close_if_empty(chat, room)
    for room in sorted(chat.deserted, key=lambda room: room.deserted_at or now.wall):
        chat.deserted.set(room, _mono(room.deserted_at or now.wall, now))
    return effects
