"""What must be kept of a state, made from the state alone: to be compared with what was noted change by change."""

from __future__ import annotations

import attrs

from tests.core.driver import Driver
from trio_chat.core.chat import Chat
from trio_chat.core.records import (
    AccountRecord,
    BlockRecord,
    MemberRecord,
    Record,
    RoomRecord,
    SessionRecord,
    UserRecord,
)
from trio_chat.core.sessions import UNKNOWN, Session

Records = dict[tuple[str, str], Record]


def records_of(chat: Chat) -> Records:
    """All records but the sessions'."""
    made: list[Record] = []
    for room in chat.rooms.all():
        between = None if room.between is None else (room.between[0].id, room.between[1].id)
        made.append(
            RoomRecord(
                key=room.key,
                name=room.name,
                number=room.number,
                epoch=room.epoch,
                owner=room.owner,
                between=between,
                deserted_at=room.deserted_at,
                **attrs.asdict(room.planned),
            )
        )
        made.extend(room.rights.values())
    for user in chat.people.by_id.values():
        made.append(
            UserRecord(
                key=user.id,
                number=user.number,
                name=user.name.text,
                guest=user.guest,
                admin=user.claims_admin,
                earlier=user.earlier,
            )
        )
        if user.id in chat.accounts:
            made.append(AccountRecord(key=user.id, hash=chat.accounts[user.id]))
        for room in user.everywhere():
            mark = user.marks[room.key]
            made.append(MemberRecord(user=user.id, room=room.key, number=mark.number, read=mark.read, sent=mark.sent))
        made += [BlockRecord(user=user.id, subject=subject, name=name) for subject, name in user.blocked.items()]
    return {(record.kind, record.key): record for record in made}


def check_kept(driver: Driver) -> None:
    """Another process would know what this one does."""
    chat = driver.state.chat
    sessions = {name: record for name, record in driver.kept.items() if isinstance(record, SessionRecord)}
    others = {name: record for name, record in driver.kept.items() if not isinstance(record, SessionRecord)}
    assert others == records_of(chat)
    expected = {session.key: session for user in chat.people.by_id.values() for session in user.sessions}
    assert {key for _, key in sessions} == set(expected)
    for record in sessions.values():
        check_session(record, expected[record.key])


def check_session(record: SessionRecord, session: Session) -> None:
    """Of a room that a detached session left or that is gone, an old position may stay: it says nothing any longer."""
    live = session.conn is not None
    assert (record.number, record.user, record.bucket_of) == (session.number, session.user.id, session.bucket_of)
    assert record.detached_at == (None if live else session.detached_at)
    assert record.expires == session.expires
    assert record.cut == (None if session.cut is None else int(session.cut))
    if live or session.leaving:
        assert record.positions is None
        return
    assert record.positions is not None
    for room in session.user.everywhere():
        known = session.positions[room.key]
        assert record.positions.get(room.key, UNKNOWN if room.last else 0) == known


def check_sound(driver: Driver) -> None:
    """What holds of any state, whatever it was restored from."""
    chat = driver.state.chat
    for user in chat.people.by_id.values():
        assert user.sessions or not user.guest
        assert chat.people.by_name[user.name.key] is user
        assert chat.general.key in user.rooms
        for room in user.everywhere():
            assert chat.rooms.get(room.key) is room
            assert room.members[user.id] is user
    assert len(chat.people.by_name) == len(chat.people.by_id)
    for room in chat.rooms.all():
        assert room.first <= room.last + 1
        if room.between is not None:
            assert set(room.members) == {user.id for user in room.between}
            assert all(chat.people.by_id[user.id] is user for user in room.between)
        elif room is not chat.general:
            assert room.owner in room.members if room.members else room.owner == ""
            assert (room.deserted_at is None) == bool(room.members)
            assert (room in chat.deserted) == (not room.members)
            assert room.members or not room.empty()
    for one in (
        [room.number for room in chat.rooms.all()],
        [room.epoch for room in chat.rooms.all()],
        [session.number for user in chat.people.by_id.values() for session in user.sessions],
        [mark.number for user in chat.people.by_id.values() for mark in user.marks.values()],
    ):
        assert len(one) == len(set(one))
