"""Moderation of a room, by those who have the rank: `kick`, `mute`, `ban` and their inverses, `room`, `invite`.

A verdict is an entry of the room's log, and takes effect where it stands there (see `verdicts`). It concerns that room
alone, and closes no connection. `block` and `unblock` are everybody's, and concern private messages.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from trio_chat.core.chat import Chat, ack, refuse, room_name
from trio_chat.core.codec import json_size
from trio_chat.core.effects import Append, ConnId, Deliver, Discard, Draft, Effect, Keep, Now, Verdict
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import System, timestamp
from trio_chat.core.keeping import discard_block, keep_block, room_record
from trio_chat.core.messages import Block, Invite, Judge, SetRoom, Unblock
from trio_chat.core.names import parse_name
from trio_chat.core.posting import ENTRY_HEAD
from trio_chat.core.records import MemberRecord, Right, RightRecord, member_key, right_key
from trio_chat.core.rights import MAX_RIGHTS, Rank, give_right, has_space, holder, named, rank, standing
from trio_chat.core.rooms import Change, Room
from trio_chat.core.sessions import Session, User
from trio_chat.core.verdicts import EXPELS, GIVES, LIFTS, TAKES

INVITED_SECONDS = 7 * 86_400.0  # for which an invitation holds
MAX_BLOCKED = 1000  # users, of one user
FULL = f"At most {MAX_RIGHTS} users can be so in one room"


@attrs.frozen
class _Case:
    """A verdict that was asked for, in a room that it may be asked for in."""

    chat: Chat
    session: Session
    conn: ConnId
    room: Room
    request: Judge
    now: Now

    @property
    def kind(self) -> Verdict:
        """Of a `Judge`, the type is one."""
        return self.request.type  # type: ignore[return-value]  # a str for mypy

    def refuse(self, code: ErrorCode, content: str = "") -> list[Effect]:
        """Answer so."""
        return [refuse(self.conn, self.request, code, content)]


def judge(chat: Chat, session: Session, conn: ConnId, request: Judge, now: Now) -> list[Effect]:
    """Ask the log for the verdict's place. All checks are made now; it takes effect when it is committed."""
    room = _moderated(chat, session.user, request.room)
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    case = _Case(chat, session, conn, room, request, now)
    if room is chat.general and case.kind in EXPELS:
        return case.refuse(ErrorCode.BAD_ROOM, "Everyone is in this room")
    return _lift(case) if case.kind in LIFTS else _pass(case)


def _moderated(chat: Chat, user: User, written: str) -> Room | ErrorCode:
    """The room, if the user has a rank in it; an admin need not be a member."""
    if written.startswith("@"):
        return ErrorCode.BAD_ROOM
    room = chat.find_room(user, written)
    if isinstance(room, ErrorCode) and user.admin:
        name = room_name(written)
        room = (chat.rooms.get(name.key) if name is not None else None) or room
    if isinstance(room, Room) and rank(room, user) is Rank.MEMBER:
        return ErrorCode.FORBIDDEN
    return room


def _pass(case: _Case) -> list[Effect]:
    """A verdict on a user who is there."""
    chat, room, user, kind, request = case.chat, case.room, case.session.user, case.kind, case.request
    target = chat.find_user(request.user)
    if isinstance(target, ErrorCode):
        return case.refuse(target)
    own, other = rank(room, user), rank(room, target)
    if other >= own and not (kind == "demote" and target is user):
        return case.refuse(ErrorCode.FORBIDDEN)
    if kind in ("kick", "promote") and target.id not in room.members:
        return case.refuse(ErrorCode.NO_SUCH_USER, "This user is not in the room")
    is_moderator = ("moderator", target.id) in room.rights
    if (kind == "promote" and other > Rank.MEMBER) or (kind == "demote" and not is_moderator):
        return ack(case.conn, request.id, room=room.name)  # it is so already
    what = GIVES.get(kind)
    if what is None:
        return _append(case, target.name.text, target.id)
    subject = holder(what, target)
    if not has_space(chat, room, what, subject, case.now):
        return case.refuse(ErrorCode.FORBIDDEN, FULL)
    right = _right(case.session, room, what, target, case.now, request.duration, request.reason)
    return _append(case, target.name.text, subject, right)


def _lift(case: _Case) -> list[Effect]:
    """Take back a mute or a ban; who is not here any longer is known by the name that it was given under."""
    name, what = room_name(case.request.user), TAKES[case.kind]
    right = None if name is None else named(case.chat, case.room, what, name.key, case.now)
    if right is None:
        return case.refuse(ErrorCode.NO_SUCH_USER, f"No user of this name is {what} here")
    return _append(case, right.name, right.subject)


def _right(
    session: Session, room: Room, what: Right, target: User, now: Now, duration: float | None, reason: str = ""
) -> RightRecord:
    return RightRecord(
        what=what,
        room=room.key,
        subject=holder(what, target),
        name=target.name.text,
        name_key=target.name.key,
        by=session.user.name.text,
        at=now.wall,
        until=None if duration is None else now.wall + duration,
        reason=reason,
    )


def _append(case: _Case, name: str, subject: str, right: RightRecord | None = None) -> list[Effect]:
    """Ask for a place; with the entry goes all that must not be lost without it."""
    chat, room, kind, request = case.chat, case.room, case.kind, case.request
    keep: list[Keep | Discard] = []
    if right is not None:
        keep.append(Keep(right))
    if kind in TAKES:
        keep.append(Discard(RightRecord.kind, right_key(room.key, TAKES[kind], subject)))
    target = chat.people.of_subject(subject)
    if kind in EXPELS and target is not None:
        keep.append(Discard(MemberRecord.kind, member_key(target.id, room.key)))
    draft = _draft(kind, case.session, room, request.reason, case.now)
    draft = attrs.evolve(draft, to=name, until=None if right is None else right.until)
    room.pending += 1
    return [Append(room.key, room.epoch, draft, case.conn, request.id, keep=tuple(keep), subject=subject)]


def _draft(kind: Verdict, session: Session, room: Room, content: str, now: Now) -> Draft:
    """Its frame says the content twice, once for people."""
    user, size = session.user, 2 * json_size(content) + ENTRY_HEAD
    return Draft(kind, user.id, user.name.text, content, now.wall, size, room.name)


def configure(chat: Chat, session: Session, conn: ConnId, request: SetRoom, now: Now) -> list[Effect]:
    """Ask the log to change the room's settings; by its owner."""
    room = _moderated(chat, session.user, request.room)
    if isinstance(room, Room) and rank(room, session.user) < Rank.OWNER:
        room = ErrorCode.FORBIDDEN
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    if room is chat.general and request.kind == "private":
        return [refuse(conn, request, ErrorCode.BAD_ROOM, "Everyone is in this room")]
    given = {"kind": request.kind, "slow_mode": request.slow_mode, "receipts": request.receipts}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    draft = _draft("room", session, room, json.dumps(changes), now)
    room.pending += 1
    room.changes.append(Change(draft, draft))
    return [Append(room.key, room.epoch, draft, conn, request.id, keep=(Keep(room_record(room)),))]


def invite(chat: Chat, session: Session, conn: ConnId, request: Invite, now: Now) -> list[Effect]:
    """Let a user come into a private room, once and within `INVITED_SECONDS`, and tell the user."""
    user = session.user
    room, target = _moderated(chat, user, request.room), chat.find_user(request.user)
    if isinstance(room, Room) and room.settings.access != "private":
        room = ErrorCode.BAD_ROOM
    if isinstance(room, ErrorCode):
        return [refuse(conn, request, room)]
    if isinstance(target, ErrorCode):
        return [refuse(conn, request, target)]
    done = ack(conn, request.id, room=room.name)
    if target.id in room.members or user.subject in target.blocked:
        return done
    if standing(room, "banned", target, now) is not None:
        return [refuse(conn, request, ErrorCode.BANNED, "This user is banned from the room")]
    if not has_space(chat, room, "invited", target.id, now):
        return [refuse(conn, request, ErrorCode.FORBIDDEN, FULL)]
    give_right(chat, room, _right(session, room, "invited", target, now, INVITED_SECONDS))
    if target.conns:
        told = System(
            event="invited",
            content=f"{user.name.text} invites you to {room.name}",
            timestamp=timestamp(now.wall),
            room=room.name,
            by=user.name.text,
        )
        done.append(Deliver(target.conns, told))
    return done


def block(chat: Chat, session: Session, conn: ConnId, request: Block, now: Now) -> list[Effect]:
    """Hear nothing more in private of a user, who is not told."""
    user, target = session.user, chat.find_user(request.user)
    if target is user:
        target = ErrorCode.NO_SUCH_USER
    if isinstance(target, ErrorCode):
        return [refuse(conn, request, target)]
    if target.subject not in user.blocked:
        if len(user.blocked) >= MAX_BLOCKED:
            return [refuse(conn, request, ErrorCode.FORBIDDEN, f"At most {MAX_BLOCKED} users can be blocked")]
        user.blocked[target.subject] = target.name.text
        keep_block(chat, user, target.subject)
    return ack(conn, request.id)


def unblock(chat: Chat, session: Session, conn: ConnId, request: Unblock, now: Now) -> list[Effect]:
    """Hear of a user again, from now on."""
    user = session.user
    try:
        key = parse_name(request.user).key
    except ValueError:
        key = ""
    called = chat.people.by_name.get(key)
    subjects = (called.subject,) if called is not None and called.subject in user.blocked else ()
    found = subjects or [subject for subject, name in user.blocked.items() if parse_name(name).key == key]
    for subject in found:
        del user.blocked[subject]
        discard_block(chat, user, subject)
    return ack(conn, request.id) if found else [refuse(conn, request, ErrorCode.NO_SUCH_USER)]
