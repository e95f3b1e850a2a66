"""`ChatState`: the whole chat as one pure function of its inputs.

`apply(input, now)` returns what must happen; `next_due()` says until when nothing will, unless an input comes. The
same inputs at the same times give the same effects, in the same order, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from trio_chat.config import Admission, Auth, Heartbeat, History, Limits
from trio_chat.core import admin, connecting, history, posting, proving, restoring, searching
from trio_chat.core.barring import left
from trio_chat.core.chat import Chat, Secrets, refuse
from trio_chat.core.commands import HANDLERS, PROOFS
from trio_chat.core.effects import (
    NOBODY,
    Admit,
    Admitted,
    Alive,
    Answer,
    Attempted,
    Change,
    Changed,
    Committed,
    ConnId,
    Deliver,
    Disconnected,
    Drain,
    Duplicate,
    Effect,
    Ending,
    Failed,
    Found,
    Input,
    KeyReused,
    Note,
    Now,
    Page,
    Read,
    Received,
    Refused,
    Rejected,
    Search,
    Stale,
    Tick,
)
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import System, timestamp
from trio_chat.core.limits import TokenBucket, Window
from trio_chat.core.membership import expire, tell_news
from trio_chat.core.messages import Bad, Connect, Denied, Login, Register
from trio_chat.core.orders import Ordered
from trio_chat.core.records import Restored
from trio_chat.core.sessions import Connection

FLOOD_ANSWERS, FLOOD_SECONDS = 100, 60.0  # `rate_limited` answers within seconds, after which 4005
MALFORMED_IN_A_ROW = 20  # bad frames without a valid one between, after which 4508
QUEUED_BYTES = 65_536  # of commands behind a `connect` that waits for its name; one more than fits is refused
DRAIN_BATCHES = 20  # a drain closes this many times
DRAIN_RETRY = 1.0  # seconds after which to come back
COMEBACKS_PER_SECOND = 500.0  # that the jitter of a drain aims at, so that the next server is not stormed


class ChatState:
    """Owns all room, user and ban state."""

    def __init__(
        self,
        *,
        secrets: Secrets,
        admission: Admission | None = None,
        limits: Limits | None = None,
        history: History | None = None,
        heartbeat: Heartbeat | None = None,
        connect_timeout: float = 15,
        server: str = "trio_chat",
        auth: Auth | None = None,
    ) -> None:
        self.chat = Chat(
            admission or Admission(),
            limits or Limits(),
            history or History(),
            heartbeat or Heartbeat(),
            connect_timeout,
            secrets,
            server,
            auth or Auth(),
        )
        self.draining = False  # newcomers are refused, because the server goes away
        self._drain_next: float | None = None  # when the next batch is closed
        self._drain_every = 0.0
        self._drain_batch = 0
        self._appliers = self._table()

    def _table(self) -> dict[type[Input], Callable[[Any, Now], list[Effect]]]:
        """Who takes which input."""
        chat = self.chat
        return {
            Received: self._received,
            Committed: partial(self._answered, partial(posting.committed, chat)),
            Duplicate: partial(posting.committed, chat),
            KeyReused: partial(posting.not_committed, chat),
            Rejected: partial(posting.not_committed, chat),
            Stale: partial(self._answered, self._refused),
            Failed: partial(self._answered, self._refused),
            Page: partial(self._answered, partial(history.page, chat)),
            Found: partial(searching.found, chat),
            Changed: partial(proving.password_changed, chat),
            Admit: self._admit,
            Ending: self._ended,
            Disconnected: self._ended,
            Alive: self._alive,
            Attempted: self._attempted,
            Tick: self._tick,
            Drain: self._drain,
            Ordered: partial(admin.ordered, chat),
            Restored: self._restored,
        }

    def apply(self, given: Input, now: Now) -> list[Effect]:
        """Take one input. Returns what must happen, in order; never raises for anything that a peer can send.

        What is to be kept comes first, so that it is in the log before the entries that follow from it.
        """
        effects = self._appliers[type(given)](given, now)
        if self.chat.changes:
            effects = [*self.chat.changes.values(), *effects]
            self.chat.changes.clear()
        return effects

    def _answered(self, apply: Callable[[Any, Now], list[Effect]], given: Answer, now: Now) -> list[Effect]:
        """The log answered; perhaps what was asked for an operator."""
        effects = apply(given, now)
        return effects + admin.answered(self.chat, given, now) if given.request.conn == NOBODY else effects

    def _refused(self, given: Stale | Failed, now: Now) -> list[Effect]:
        """The log cannot, or not any more."""
        match given.request:
            case Read() as request:
                return self._unread(given, request, now)
            case Search() as request:
                assert isinstance(given, Failed)
                return searching.not_found(self.chat, given, request)
            case Change():
                assert isinstance(given, Failed)
                return proving.not_changed(self.chat, given)
            case _:
                return posting.not_committed(self.chat, given, now)

    def _alive(self, given: Alive, now: Now) -> list[Effect]:
        holder = self.chat.conns.get(given.conn)
        return connecting.alive(self.chat, holder) if holder else []

    def _attempted(self, given: Attempted, now: Now) -> list[Effect]:
        return [] if given.trusted else self.chat.gate.attempt(given.address, now.mono)

    def _restored(self, given: Restored, now: Now) -> list[Effect]:
        return [*restoring.restore(self.chat, given, now), *self._tick(Tick(), now)]

    def _ended(self, given: Ending | Disconnected, now: Now) -> list[Effect]:
        connection = self.chat.conns.get(given.conn)
        if connection is None:
            return []
        if isinstance(given, Ending):
            effects = connecting.ending(self.chat, connection, given, now)
        else:
            effects = connecting.disconnected(self.chat, connection, given, now)
        return effects + self._unqueue(now)

    def resumed(self, given: Received, now: Now) -> ConnId | None:
        """The last connection of the session that a first frame will carry on, if it does. Changes nothing."""
        command, connection = given.command, self.chat.conns.get(given.conn)
        if type(command) is not Connect or command.resume is None:
            return None
        if connection is None or connection.cut or connection.session is not None or connection.asking is not None:
            return None
        session = self.chat.people.find(command.resume.session)
        if session is None or proving.not_resumed(self.chat, session, given, now) is not None:
            return None
        return session.last_conn

    def next_due(self) -> float | None:
        """The monotonic time at which a `Tick` is due, or None."""
        chat = self.chat
        dues = (
            chat.connecting.next(),
            chat.probing.next(),
            chat.detached.next(),
            chat.expiring.next(),
            chat.stirred.next(),
            chat.deserted.next(),
            chat.gate.next_due(),
            self._drain_next,
        )
        return min((due for due in dues if due is not None), default=None)

    def barred(self, ask: Admit, now: Now) -> Refused | None:
        """The refusal, where an operator keeps the address out."""
        ban = self.chat.bans.of_address(ask.address, now)
        return None if ban is None else Refused(ask.conn, 403, "This address is banned", left(ban, now))

    def _admit(self, ask: Admit, now: Now) -> list[Effect]:
        chat = self.chat
        if self.draining:
            return [Refused(ask.conn, 503, "The server is going away", DRAIN_RETRY)]
        barred = self.barred(ask, now)
        if barred is not None:
            return [barred]
        holder = chat.people.holder(ask.ticket)
        bucket_of = holder.bucket_of if holder else None
        effects = chat.gate.admit(ask, bucket_of, now.mono)
        if any(isinstance(effect, Admitted) for effect in effects):
            limits = chat.limits
            chat.conns[ask.conn] = Connection(
                ask.conn,
                ask.address,
                ask.trusted,
                ask.modern,
                TokenBucket(limits.messages_per_second, limits.messages_burst, now.mono),
                Window(FLOOD_ANSWERS - 1, FLOOD_SECONDS),
                bucket_of=bucket_of,
                attempted_at=now.mono,
            )
            chat.connecting.set(ask.conn, now.mono)
        return effects

    def _received(self, given: Received, now: Now) -> list[Effect]:
        """Check what every command needs, then hand it to its handler; no handler checks any of it again."""
        connection = self.chat.conns.get(given.conn)
        if connection is None or connection.cut:
            return []  # it was on its way when we closed
        command, session = given.command, connection.session
        if session is None:
            return self._greet(connection, given, now)
        if type(command) is Bad:
            return self._bad(connection, command, now)
        connection.malformed = 0
        wait = connection.bucket.take(now.mono)
        if wait:
            return self._limited(connection, given, wait, now)
        handler = HANDLERS.get(type(command))
        if handler is not None:
            return handler(self.chat, session, given.conn, command, now)
        proof = PROOFS.get(type(command))
        if proof is not None:
            return proof(self.chat, session, given, now)
        return [refuse(given.conn, command, ErrorCode.ALREADY_CONNECTED)]

    def _greet(self, connection: Connection, given: Received, now: Now) -> list[Effect]:
        """Before `welcome` only a first frame is taken, and each failure is its error and then a close."""
        command = given.command
        if connection.asking is not None:  # its name is being probed: what it sends meanwhile waits its turn
            queued = connection.queued
            size = given.size + sum(waiting.size for waiting in queued)
            if len(queued) < self.chat.limits.messages_burst and size <= QUEUED_BYTES:
                queued.append(given)
                return []
            code, close, wait = ErrorCode.RATE_LIMITED, Close.BAD_HANDSHAKE, 1 / self.chat.limits.messages_per_second
            return connecting.turn_away(self.chat, connection, command, code, close, retry_after=wait)
        banned = admin.refuse_banned(self.chat, connection, given, now)
        if banned:
            return banned
        if isinstance(command, Connect | Register | Login):
            return proving.greet(self.chat, connection, given, now)
        if isinstance(command, Bad):
            close = _CLOSES.get(command.code, Close.BAD_HANDSHAKE)
            after = command.retry_after if isinstance(command, Denied) else None
            return connecting.turn_away(
                self.chat, connection, command, command.code, close, command.content, retry_after=after
            )
        return connecting.turn_away(self.chat, connection, command, ErrorCode.NOT_CONNECTED, Close.BAD_HANDSHAKE)

    def _unqueue(self, now: Now) -> list[Effect]:
        """Take what a connection sent while its name was probed, now that it has its welcome."""
        effects: list[Effect] = []
        while self.chat.to_unqueue:
            connection = self.chat.to_unqueue.pop(0)
            queued, connection.queued = connection.queued, []
            for given in queued:
                effects += self._received(given, now)
        return effects

    def _bad(self, connection: Connection, command: Bad, now: Now) -> list[Effect]:
        effects: list[Effect] = [refuse(connection.id, command, command.code, command.content)]
        if command.code is ErrorCode.UNSUPPORTED_DATA:
            return effects + connecting.cut(self.chat, connection.id, Close.UNSUPPORTED_DATA, now)
        if command.code is not ErrorCode.TOO_LARGE:
            connection.malformed += 1
        if connection.malformed >= MALFORMED_IN_A_ROW:
            effects += connecting.cut(self.chat, connection.id, Close.BAD_INPUT, now)
        return effects

    def _limited(self, connection: Connection, given: Received, wait: float, now: Now) -> list[Effect]:
        effects: list[Effect] = [refuse(given.conn, given.command, ErrorCode.RATE_LIMITED, retry_after=wait)]
        if not connection.limited.hit(now.mono):
            effects += connecting.cut(self.chat, given.conn, Close.FLOODING, now)
        return effects

    def _unread(self, given: Stale | Failed, request: Read, now: Now) -> list[Effect]:
        """The log cannot be read: refuse a `history`; whoever is replayed to is to come back and go on from there."""
        if request.history:
            return history.failed(self.chat, given)
        room = self.chat.rooms.get(request.room)
        if room is None or not history.awaits(room, request):
            return []
        return connecting.cut(self.chat, request.conn, Close.UNAVAILABLE, now)

    def _tick(self, given: Tick, now: Now) -> list[Effect]:
        """Do all that is due."""
        chat = self.chat
        effects = chat.gate.tick(now.mono)
        for conn in chat.connecting.pop(now.mono):
            effects += connecting.cut(self.chat, conn, Close.CONNECT_TIMEOUT, now)
        for conn in chat.probing.pop(now.mono):
            connection = chat.conns[conn]
            assert connection.asking is not None
            effects += connecting.connect(chat, connection, connection.asking.request, now)
        effects += self._unqueue(now)
        for session in chat.detached.pop(now.mono):
            effects.append(Note("%s left: nobody came back", (session.user.name.text,)))
            effects += connecting.end(chat, session, now)
        for conn in chat.expiring.pop(now.mono):
            effects += proving.expiring(chat, conn, now)
        for room in chat.stirred.pop(now.mono):
            effects += tell_news(chat, room, now)
        for room in chat.deserted.pop(now.mono):
            effects += expire(chat, room, now)
        if self._drain_next is not None and now.mono >= self._drain_next:
            effects += self._drain_some(now)
        return effects

    def _drain(self, given: Drain, now: Now) -> list[Effect]:
        """Tell everybody, then close in batches, so that not all come back in one moment; at once who has no session.

        So none gets a `welcome` from a server that is about to go.
        """
        if self.draining:
            return []
        self.draining = True
        conns = [conn for conn, connection in self.chat.conns.items() if not connection.cut]
        to = tuple(conn for conn in conns if self.chat.conns[conn].session is not None)
        self._drain_every = given.seconds / DRAIN_BATCHES
        self._drain_next = now.mono + self._drain_every if to else None
        self._drain_batch = -(-len(to) // DRAIN_BATCHES)
        told = System(
            event="draining",
            content="The server is going away; please come back in a moment",
            timestamp=timestamp(now.wall),
            retry_after=DRAIN_RETRY,
            jitter=round(max(1.0, len(conns) / COMEBACKS_PER_SECOND), 3),
        )
        effects: list[Effect] = [Note("draining: %d connections are told, and closed in batches", (len(conns),))]
        if to:
            effects.append(Deliver(to, told))
        for conn in conns:
            if self.chat.conns[conn].session is None:
                effects += connecting.cut(self.chat, conn, Close.DRAINING, now)
        return effects

    def _drain_some(self, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        open_still = [conn for conn, connection in self.chat.conns.items() if not connection.cut]
        for conn in open_still[: self._drain_batch]:
            effects += connecting.cut(self.chat, conn, Close.DRAINING, now)
        self._drain_next = now.mono + self._drain_every if len(open_still) > self._drain_batch else None
        return effects


_CLOSES = {
    ErrorCode.TOO_LARGE: Close.TOO_LARGE,
    ErrorCode.UNSUPPORTED_DATA: Close.UNSUPPORTED_DATA,
    ErrorCode.BAD_TOKEN: Close.BAD_TOKEN,
    ErrorCode.UNAVAILABLE: Close.UNAVAILABLE,
}
