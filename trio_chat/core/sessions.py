"""Who is here: connections, the sessions they carry, and the users that own things."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import attrs

from trio_chat.core.effects import ConnId, Received
from trio_chat.core.errors import Close
from trio_chat.core.limits import TokenBucket, Window
from trio_chat.core.names import Name

if TYPE_CHECKING:  # rooms know users, and users their rooms: only the types go round
    from trio_chat.core.rooms import Room


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
    session: Session | None = None
    asking: Asking | None = None
    queued: list[Received] = attrs.field(factory=list)  # what it sent behind that `connect`
    cut: bool = False  # we closed it; only its `Disconnected` is awaited


@attrs.define(eq=False)
class User:
    """Somebody: `id` owns, `name` is shown. A guest is the chain of sessions that resume one another."""

    number: int
    id: str
    name: Name
    created: Window  # rooms
    sessions: list[Session] = attrs.field(factory=list)
    rooms: dict[str, Room] = attrs.field(factory=dict)
    talks: dict[str, Room] = attrs.field(factory=dict)  # private conversations

    @property
    def conns(self) -> tuple[ConnId, ...]:
        """The live connections."""
        return tuple(session.conn for session in self.sessions if session.conn is not None)

    def everywhere(self) -> list[Room]:
        """Rooms and conversations, in the order of joining."""
        return [*self.rooms.values(), *self.talks.values()]


@attrs.define(eq=False)
class Session:
    """A connection and those that resume it. Detached while `conn` is None; then `positions` say what it was sent."""

    number: int
    token: str
    user: User
    conn: ConnId | None = None
    last_conn: ConnId | None = None
    positions: dict[str, int] = attrs.field(factory=dict)  # room key → last seq sent
    bucket_of: str = ""  # where the attempts with its ticket are counted
    cut: Close | None = None  # the code with which we closed the last connection
    typed: dict[str, float] = attrs.field(factory=dict)  # target → when its typing was last passed on


class People:
    """All users and sessions, by name, by token and by number."""

    def __init__(self, boot: str, ticket_key: bytes) -> None:
        self._boot, self._ticket_key = boot, ticket_key
        self._numbers = 0
        self.by_name: dict[str, User] = {}
        self.by_token: dict[str, Session] = {}
        self._by_number: dict[int, Session] = {}

    def open_guest(self, name: Name, token: str, rooms_per_hour: int, bucket_of: str | None = None) -> Session:
        """A new user under a free name, with a session.

        `bucket_of`: of the ticket that it came in with. It is handed on: else each session that was opened by a ticket
        would bring a fresh one, and one admission would be admissions without end.
        """
        self._numbers += 1
        user = User(self._numbers, f"guest:{self._boot}:{self._numbers}", name, Window(rooms_per_hour, 3600))
        session = Session(self._numbers, token, user, bucket_of=bucket_of or f"session {self._numbers}")
        user.sessions.append(session)
        self.by_name[name.key] = user
        self.by_token[token] = session
        self._by_number[session.number] = session
        return session

    def end(self, session: Session) -> None:
        """Forget a session; a guest ends with it, and the name is free."""
        del self.by_token[session.token]
        del self._by_number[session.number]
        session.user.sessions.remove(session)
        if not session.user.sessions:
            del self.by_name[session.user.name.key]

    def ticket(self, session: Session) -> str:
        """The session's number, signed. It is good as long as the session is: live, or to be resumed."""
        return f"{session.number}.{self._sign(str(session.number))}"

    def holder(self, ticket: str | None) -> Session | None:
        """The session of a ticket, or None for one that is forged, expired or whose session has ended."""
        number, _, signature = (ticket or "").partition(".")
        if not number.isascii() or not number.isdecimal() or len(number) > 20:
            return None
        if not hmac.compare_digest(self._sign(number).encode(), signature.encode("utf-8", "replace")):
            return None
        return self._by_number.get(int(number))

    def _sign(self, number: str) -> str:
        return hmac.new(self._ticket_key, number.encode(), hashlib.sha256).hexdigest()[:40]
