"""What the handlers share: the state of the chat, and how a command is refused or acked."""

from __future__ import annotations

from math import ceil
from typing import Any

import attrs

from trio_chat.config import Admission, Auth, Heartbeat, History, Limits
from trio_chat.core.bans import Gate
from trio_chat.core.barring import Bans
from trio_chat.core.effects import ConnId, Discard, Effect, Keep, Now, Reply
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import Ack, Error
from trio_chat.core.identity import PREFIX, account_id, subject_id
from trio_chat.core.limits import Alarms, Deadlines
from trio_chat.core.messages import Command, CommandId
from trio_chat.core.names import Name, parse_name
from trio_chat.core.naming import Reserved
from trio_chat.core.orders import Ordered
from trio_chat.core.rooms import Room, Rooms, talk_key
from trio_chat.core.sessions import Asking, Connection, People, Session, User

GENERAL = "general"
AUDIT = "#server"  # the key of the room that operators' decisions are logged in, and the sender of what they publish
DAY = 86_400.0  # seconds
PROBE_SECONDS = 2.0  # for a live guest to show life, when another asks for the name (PROTOCOL, "Who is who")
CROWD = 1000  # present in a room: those of more are told by so much less often of who comes and goes
WARN_SECONDS = 60.0  # before a token expires; or, if less is left of it, half of that
RECONNECT = {"base": 1.0, "max": 30.0, "jitter": 1.0}  # seconds; what a client is told to back off by


@attrs.frozen(kw_only=True)
class Secrets:
    """The randomness of one start. `boot` names it in epochs and ids; `ticket_key` signs tickets."""

    boot: str
    ticket_key: bytes


class Chat:
    """All users, rooms and bans, and what falls due."""

    def __init__(
        self,
        admission: Admission,
        limits: Limits,
        history: History,
        heartbeat: Heartbeat,
        connect_timeout: float,
        secrets: Secrets,
        server: str,
        auth: Auth,
    ) -> None:
        self.limits, self.history, self.heartbeat, self.server = limits, history, heartbeat, server
        self.auth, self.sessions_per_user = auth, admission.sessions_per_user
        self.reserved = Reserved(auth.reserved_names)
        self.admins = _admins(auth)
        self.accounts: dict[str, str] = {}  # user id → the hash of the password
        self.gate = Gate(admission)
        self.people = People(secrets.boot, secrets.ticket_key)
        self.rooms = Rooms(secrets.boot, limits.rooms_created_per_hour)
        self.general = self.rooms.create(parse_name(GENERAL))
        self.audit = Room(AUDIT, AUDIT, 0, f"{secrets.boot}-0")  # among no other rooms: nobody can name it
        self.bans = Bans(admission.max_bans)
        self.orders: dict[int, Ordered] = {}  # that wait for the log
        self.conns: dict[ConnId, Connection] = {}
        self.askers: dict[str, dict[ConnId, Asking]] = {}  # who waits for a name that is held
        self.to_unqueue: list[Connection] = []  # welcomed after a probe, with commands that waited for it
        self.connecting: Deadlines[ConnId] = Deadlines(connect_timeout)
        self.probing: Deadlines[ConnId] = Deadlines(PROBE_SECONDS)
        self.detached: Deadlines[Session] = Deadlines(history.resume_window)
        self.expiring: Alarms[ConnId] = Alarms()  # whose token expires, or is soon to be told so
        self.deserted: Deadlines[Room] = Deadlines(history.history_days * DAY)  # without members, but with entries
        self.stirred: Alarms[Room] = Alarms()
        self.changes: dict[tuple[str, str], Keep | Discard] = {}  # of records, to be kept with the next effects

    def tell(self, room: Room, user: User, now: float, *, joined: bool) -> None:
        """Note a coming or going; all within one `presence_interval` are told together (promise 8).

        A crowd is told less often, for each time costs a frame for each of it: so n who come cost n at any size.
        """
        room.tell(user, joined=joined)
        if room not in self.stirred:
            self.stirred.set(room, now + self.limits.presence_interval * max(1.0, room.presence / CROWD))

    def find_room(self, user: User, written: str) -> Room | ErrorCode:
        """The room that `user` calls `written` and is in: `@name` is the conversation with that user."""
        if written.startswith("@"):
            other = self.find_user(written[1:])
            if isinstance(other, ErrorCode):
                return other
            if other is user:
                return ErrorCode.BAD_ROOM
            return self.find_talk(user, other) or ErrorCode.NO_SUCH_ROOM
        name = room_name(written)
        if name is None:
            return ErrorCode.BAD_ROOM
        room = user.rooms.get(name.key)
        if room is None:
            known = self.rooms.get(name.key)
            told = known is not None and known.settings.access != "private"
            return ErrorCode.NOT_IN_ROOM if told else ErrorCode.NO_SUCH_ROOM
        return room

    def find_talk(self, one: User, other: User) -> Room | None:
        """The conversation of two users, if they have one."""
        return self.rooms.get(talk_key(one, other))

    def watch(self, session: Session, now: Now) -> None:
        """Let a live session fall due when its token is about to expire, and when it does."""
        if session.expires is not None:
            left = session.expires - now.wall
            session.warn_at = session.expires - min(WARN_SECONDS, left / 2)
            self.alarm(session, now)

    def alarm(self, session: Session, now: Now) -> None:
        """Set the next of the two. It is by the wall clock, which may be set anew: whoever takes it looks again."""
        assert session.conn is not None
        due = session.expires if session.warn_at is None else session.warn_at
        assert due is not None
        self.expiring.set(session.conn, now.mono + due - now.wall)

    def admits(self, user: User) -> bool:
        """Whether this kind of user comes in here; others may be left from a time when `auth` was another."""
        return user.id.startswith(PREFIX[self.auth.auth])

    def set_admin(self, user: User, *, claimed: bool) -> None:
        """Make the user an admin of the server, or none: as the last token claims, or as the configuration says."""
        user.claims_admin, user.admin = claimed, claimed or user.id in self.admins

    def account_of(self, conn: ConnId) -> str | None:
        """The user id of the account that a connection was welcomed as."""
        connection = self.conns.get(conn)
        session = connection.session if connection is not None else None
        return session.user.id if session is not None and session.user.id in self.accounts else None

    def find_user(self, written: str) -> User | ErrorCode:
        """The user with this name, live or detached."""
        try:
            user = self.people.by_name.get(parse_name(written).key)
        except ValueError:
            user = None
        return user or ErrorCode.NO_SUCH_USER


def _admins(auth: Auth) -> frozenset[str]:
    """The user ids of those whom the configuration names."""
    ids = []
    for one in auth.admins if auth.auth != "guest" else ():
        try:
            ids.append(subject_id(one) if auth.auth == "jwt" else account_id(one))
        except ValueError:
            continue  # no account can have that name
    return frozenset(ids)


def room_name(written: str) -> Name | None:
    """The name of a public room, or None for what is none."""
    try:
        return parse_name(written)
    except ValueError:
        return None


def refuse(
    conn: ConnId, request: Command, code: ErrorCode, content: str = "", *, retry_after: float | None = None
) -> Reply:
    """The one answer to a command that changed nothing."""
    return failure(conn, request.id, code, content, retry_after=retry_after)


def failure(
    conn: ConnId, answer_to: CommandId | None, code: ErrorCode, content: str = "", *, retry_after: float | None = None
) -> Reply:
    """The same, where the command is no longer at hand. `retry_after` is rounded up: one must not come too early."""
    if retry_after is not None:
        retry_after = ceil(retry_after * 1000) / 1000
    return Reply(conn, Error(content=content or code.text, code=code.value, id=answer_to, retry_after=retry_after))


def ack(conn: ConnId, answer_to: CommandId | None, **made: Any) -> list[Effect]:
    """The one answer to a command that was done; none where it carried no `id`."""
    return [] if answer_to is None else [Reply(conn, Ack(id=answer_to, **made))]
