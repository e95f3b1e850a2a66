"""Who is here: connections, the sessions they carry, and the users that own things."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import attrs

from trio_chat.core.effects import ConnId, Received
from trio_chat.core.errors import Close
from trio_chat.core.identity import PREFIX
from trio_chat.core.limits import TokenBucket, Window
from trio_chat.core.lookalikes import looks
from trio_chat.core.names import Name, name_subject

if TYPE_CHECKING:  # rooms know users, and users their rooms: only the types go round
    from trio_chat.core.rooms import Room


EARLIER_NAMES = 32
UNKNOWN = -1  # of a position: the process died before it was kept


def digest(token: str) -> str:
    """What is kept of a session's token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@attrs.frozen
class Asking:
    """A `connect` that waits for the name `key`, while the connection `probed`, which holds it, is to show life."""

    request: Received
    key: str
    probed: ConnId


@attrs.define(eq=False)
class Connection:
    """One admitted socket. `modern`: it offered the subprotocol; else it is treated as a seed client."""

    id: ConnId
    address: str
    trusted: bool
    modern: bool
    bucket: TokenBucket
    limited: Window  # its `rate_limited` answers
    malformed: int = 0  # bad frames since the last valid one
    bucket_of: str | None = None  # the ticket that it came in with: where its attempts are counted
    attempted_at: float = 0.0  # when its attempt was counted (monotonic)
    session: Session | None = None
    asking: Asking | None = None
    queued: list[Received] = attrs.field(factory=list)  # what it sent behind that `connect`
    cut: bool = False  # we closed it; only its `Disconnected` is awaited


@attrs.define
class Mark:
    """A user's place in a room: `number` counts all joins there ever were, `read` is the last `seq` that was read.

    `since`: after which `seq` the user was to hear of it; nothing before that is sent again. `sent`: of a proven
    user's conversation, the last `seq` that any session was sent which has ended.
    """

    number: int
    read: int = 0
    since: int = 0
    sent: int | None = None


@attrs.define(eq=False)
class User:
    """Somebody: `id` owns, `name` is shown. A guest is the chain of sessions that resume one another.

    All others were proven, and live on without a session. `claims_admin`: the last token did. `earlier`: the keys of
    names it had before, for when it is to be forgotten; of more than `EARLIER_NAMES`, the last.
    """

    number: int
    id: str
    name: Name
    created: Window  # rooms
    guest: bool = True
    claims_admin: bool = False
    earlier: tuple[str, ...] = ()
    admin: bool = False  # of the server: by that claim, or by the configuration
    sessions: list[Session] = attrs.field(factory=list)
    rooms: dict[str, Room] = attrs.field(factory=dict)
    talks: dict[str, Room] = attrs.field(factory=dict)  # private conversations
    marks: dict[str, Mark] = attrs.field(factory=dict)  # of both, by the room's key
    blocked: dict[str, str] = attrs.field(factory=dict)  # subject → name, of whom it wants to hear nothing in private

    @property
    def subject(self) -> str:
        """What mutes, bans and blocks are of: the user; of a guest, who comes back as another, the name."""
        return name_subject(self.name) if self.guest else self.id

    @property
    def conns(self) -> tuple[ConnId, ...]:
        """The live connections."""
        return tuple(session.conn for session in self.sessions if session.conn is not None)

    def everywhere(self) -> list[Room]:
        """Rooms and conversations, in the order of joining."""
        return [*self.rooms.values(), *self.talks.values()]


@attrs.define(eq=False)
class Session:
    """A connection and those that resume it. Detached while `conn` is None; then `positions` say what it was sent.

    Its token itself is nowhere: `key` is a digest of it, so that nobody who reads the log's file can resume it.
    """

    number: int
    key: str
    user: User
    conn: ConnId | None = None
    last_conn: ConnId | None = None
    positions: dict[str, int] = attrs.field(factory=dict)  # room key → last seq sent, or `UNKNOWN`
    detached_at: float = 0.0  # seconds since 1970
    leaving: bool = False  # its connection hears nothing more, but may still write: `positions` may be too high
    bucket_of: str = ""  # where the attempts with its ticket are counted
    cut: Close | None = None  # the code with which we closed the last connection
    expires: float | None = None  # seconds since 1970: when its last token does
    warn_at: float | None = None  # when its client is to be told so; None: it was
    typed: dict[str, float] = attrs.field(factory=dict)  # target → when its typing was last passed on


class People:
    """All users and sessions, by name, by token and by number."""

    def __init__(self, boot: str, ticket_key: bytes) -> None:
        self._boot, self._ticket_key = boot, ticket_key
        self._numbers = 0
        self.by_name: dict[str, User] = {}
        self.by_id: dict[str, User] = {}
        self._by_looks: dict[str, dict[str, User]] = {}  # skeleton → those whose name has it, by id
        self._by_key: dict[str, Session] = {}
        self._by_number: dict[int, Session] = {}

    def new_guest(self, name: Name, rooms_per_hour: int) -> User:
        """A new user under a free name."""
        return self._new_user(f"{PREFIX['guest']}{self._boot}:{self._numbers + 1}", name, rooms_per_hour, guest=True)

    def new_proven(self, id: str, name: Name, rooms_per_hour: int) -> User:
        """A user who was never here before, under a free name."""
        return self._new_user(id, name, rooms_per_hour, guest=False)

    def _new_user(self, id: str, name: Name, rooms_per_hour: int, *, guest: bool) -> User:
        self._numbers += 1
        user = User(self._numbers, id, name, Window(rooms_per_hour, 3600), guest)
        self.add_user(user)
        return user

    def open_session(self, user: User, token: str, bucket_of: str | None = None) -> Session:
        """A new session of a user who is in. A guest has one only, with the guest's number.

        `bucket_of`: of the ticket that it came in with. It is handed on: else each session that was opened by a ticket
        would bring a fresh one, and one admission would be admissions without end.
        """
        number = user.number if user.guest else self._numbers + 1
        bucket_of = bucket_of or f"session {number}"
        return self.add_session(Session(number, digest(token), user, bucket_of=bucket_of))

    def add_user(self, user: User) -> None:
        """Take in a user, whose name is free."""
        self._numbers = max(self._numbers, user.number)
        self.by_id[user.id] = user
        self._name(user)

    def rename(self, user: User, name: Name) -> None:
        """Give a user another name, which is free or differs in letter case only."""
        self._unname(user)
        if user.name.key != name.key:
            user.earlier = (*(key for key in user.earlier if key != user.name.key), user.name.key)[-EARLIER_NAMES:]
        user.name = name
        self._name(user)

    def _name(self, user: User) -> None:
        self.by_name[user.name.key] = user
        for skeleton in looks(user.name).skeletons:
            self._by_looks.setdefault(skeleton, {})[user.id] = user

    def _unname(self, user: User) -> None:
        del self.by_name[user.name.key]
        for skeleton in looks(user.name).skeletons:
            there = self._by_looks[skeleton]
            del there[user.id]
            if not there:
                del self._by_looks[skeleton]

    def has_lookalike(self, name: Name, but: User | None = None) -> bool:
        """Whether somebody, `but` for one, has another name that looks like `name`."""
        seen = looks(name)
        return any(
            user is not but and user.name.key != name.key and looks(user.name).like(seen)
            for skeleton in seen.skeletons
            for user in self._by_looks.get(skeleton, {}).values()
        )

    def add_session(self, session: Session) -> Session:
        """Take in a session of a user who is in."""
        self._numbers = max(self._numbers, session.number)
        session.user.sessions.append(session)
        self._by_key[session.key] = session
        self._by_number[session.number] = session
        return session

    def find(self, token: str) -> Session | None:
        """The session that a token resumes."""
        return self._by_key.get(digest(token))

    def of_subject(self, subject: str) -> User | None:
        """Whom a right is of: a user id or, of a guest, `name:KEY`."""
        if not subject.startswith("name:"):
            return self.by_id.get(subject)
        user = self.by_name.get(subject.removeprefix("name:"))
        return user if user is not None and user.guest else None

    def end(self, session: Session) -> None:
        """Forget a session."""
        del self._by_key[session.key]
        del self._by_number[session.number]
        session.user.sessions.remove(session)

    def remove_user(self, user: User) -> None:
        """Forget a user; the name is free."""
        self._unname(user)
        del self.by_id[user.id]

    def ticket(self, session: Session) -> str:
        """The session's number, signed. It is good as long as the session is: live, or to be resumed."""
        return f"{session.number}.{self._sign(session)}"

    def holder(self, ticket: str | None) -> Session | None:
        """The session of a ticket, or None for one that is forged, expired or whose session has ended."""
        ticket = ticket or ""
        number = ticket.partition(".")[0]
        if not number.isascii() or not number.isdecimal() or len(number) > 20:
            return None
        session = self._by_number.get(int(number))
        if session is None or not hmac.compare_digest(self.ticket(session).encode(), ticket.encode("utf-8", "replace")):
            return None
        return session

    def _sign(self, session: Session) -> str:
        """Sign the number and the key: after a restart the number of a session that has ended may be another's."""
        signed = f"{session.number} {session.key}".encode()
        return hmac.new(self._ticket_key, signed, hashlib.sha256).hexdigest()[:40]
