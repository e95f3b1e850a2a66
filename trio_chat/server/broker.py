"""The broker: the one task that owns all room, user and ban state.

It takes what waits in its inboxes, lets `ChatState` decide, performs the effects, and flushes each touched outbox once.
It waits for its inboxes and for nothing else; every edge out of it is a call that cannot block. So tasks wait on the
broker, the broker waits on nobody, and there is no cycle to deadlock.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from trio_chat.config import Limits
from trio_chat.core.effects import (
    NOBODY,
    Admit,
    Admitted,
    Alive,
    Answer,
    Append,
    Attempted,
    Banned,
    Change,
    ConnId,
    Cut,
    Deliver,
    Discard,
    Disconnected,
    Drain,
    Effect,
    Ending,
    Failed,
    Forget,
    Input,
    Keep,
    Note,
    Now,
    Probe,
    Read,
    Received,
    Refused,
    Reply,
    Request,
    Search,
    Tick,
)
from trio_chat.core.errors import Close
from trio_chat.core.messages import Connect
from trio_chat.core.orders import Answered
from trio_chat.core.state import ChatState
from trio_chat.log import Log
from trio_chat.server.knocking import Knock
from trio_chat.server.orders import Orders
from trio_chat.server.outbox import Buffered
from trio_chat.server.parting import Partings
from trio_chat.server.peers import Peer, Peers
from trio_chat.server.reads import Reads

log = logging.getLogger(__name__)
INBOX = 1024  # what so many connections sent may wait; a full inbox pauses the readers, and TCP the senders
ADMISSIONS = 512  # upgrade requests that may wait; one more is answered 503
COMMANDS_A_TURN = 256  # about: few enough that what they deliver fits an outbox, and that a turn stays short
ADMISSIONS_A_TURN = 64  # so that a storm of connections leaves the chat its time
HISTORY_RETRY = 1.0  # seconds after which somebody who asked for too many pages may ask again
BUG_RETRY = 1.0  # seconds after which what failed by a bug may be tried again


class Broker:
    """Run `run` in a task; everything else is called by other tasks and never blocks, but for `commands.send`."""

    def __init__(
        self, state: ChatState, entries: Log, limits: Limits, *, wall: Callable[[], float] = time.time
    ) -> None:
        self.state = state
        self.buffered = Buffered(limits.max_buffered_bytes)
        self.banned: dict[str, float] = {}  # address → until (monotonic); for the listener to read
        self._entries, self._wall = entries, wall
        self.commands, self._commands = trio.open_memory_channel[list[Received]](INBOX)
        self._knocks_in, self._knocks = trio.open_memory_channel[Knock](ADMISSIONS)
        self._urgent: deque[Input] = deque()  # what must not wait and must not be lost: bounded by connections
        self._answers: deque[Answer] = deque()  # bounded by what the log lets wait
        self._ended: deque[tuple[int, Ending | Disconnected]] = deque()
        self._taken = 0  # from `commands`, ever
        self._now = Now(0.0, 0.0)  # of this turn
        self._peers = Peers(self.buffered, self._too_slow)
        self._knocking: dict[ConnId, Knock] = {}  # for one `apply` at a time
        self._owed: dict[ConnId, int] = {}  # answers of the log that are still to come
        self._over = False  # nobody takes turns any longer
        self._due = -math.inf  # when a `Tick` is: as of the last turn
        self._no_tick_before = -math.inf
        self._reads = Reads(self.ring)
        self._partings = Partings(self._peers, lambda conn: conn in self._owed or self._reads.waits(conn))
        self._bell = trio.Event()
        self.orders = Orders(self._urge)
        self._gone = trio.Event()  # no connection is left
        self._performers: dict[type[Effect], Callable[[Any], None]] = {
            Admitted: self._answer,
            Refused: self._answer,
            Deliver: self._deliver,
            Reply: self._reply,
            Append: self._submit,
            Change: self._submit,
            Search: self._read,
            Read: self._read,
            Cut: self._cut,
            Probe: self._probe,
            Banned: self._ban,
            Answered: self.orders.answered,
            Keep: entries.keep,
            Discard: entries.keep,
            Forget: entries.forget,
            Note: _note,
        }

    # --- Called by other tasks -------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Something waits in an inbox."""
        self._bell.set()

    async def knock(self, ask: Admit, peer: Peer) -> Admitted | Refused:
        """Ask to come in. Cancelled: call `ended`, for the answer may have been yes."""
        knock = Knock(ask, peer)
        try:
            self._knocks_in.send_nowait(knock)
        except trio.WouldBlock:
            return Refused(ask.conn, 503, "Too many are connecting right now", 5.0)
        self.ring()
        try:
            await knock.answered.wait()
        finally:
            knock.left = True
        assert knock.verdict is not None
        return knock.verdict

    def attempted(self, address: str, *, trusted: bool) -> None:
        """A head never got whole."""
        self._urge(Attempted(address, trusted))

    def _urge(self, given: Input) -> None:
        self._urgent.append(given)
        self.ring()

    def ended(self, gone: Ending | Disconnected) -> None:
        """A connection ends, or is over: applied behind the commands that it sent.

        It can't be refused: a full inbox would leave a ghost in every room.
        """
        self._ended.append((self._taken + self.commands.statistics().current_buffer_used, gone))
        self.ring()
        if self._over:
            self._peers.settle()

    def too_slow(self, conn: ConnId) -> None:
        """The outbox of `conn` is over its limit by what the connection itself put in."""
        self._peers.too_slow(conn)
        self.ring()

    def drain(self, seconds: float) -> None:
        """Begin to go away."""
        self._urge(Drain(seconds))

    @property
    def trouble(self) -> str | None:
        """Why nothing can be posted right now, for operators."""
        return self._entries.trouble

    async def empty(self) -> None:
        """Wait until no connection is left, and all that they did is applied. Cancelled: nothing is lost."""
        while self._peers or self._urgent or self._answers or self._ended:
            self._gone = trio.Event()
            self.ring()
            await self._gone.wait()

    # --- Before and after the task ---------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take over what the log knew. A bug in that is raised: better no server than one that forgets."""
        self._now = self.clock()
        for effect in self.state.apply(self._entries.restored, self._now):
            self._performers[type(effect)](effect)

    def settle(self) -> None:
        """Apply the ends of connections that came when the task was over, so that the log knows of them."""
        self._now = self.clock()
        while self._ended:
            self._end(self._ended.popleft()[1])

    # --- The task --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take turns until cancelled. Cancelled: the commands that wait are lost (none was acked); see `settle`."""
        try:
            with self._commands, self._knocks:
                while True:
                    await self._take_turns()
        finally:
            self._over = True
            self._peers.settle()

    async def _take_turns(self) -> None:
        """Take turns until one is due though nothing waits. Cancelled: nothing is lost."""
        with trio.CancelScope(deadline=self._due) as scope:
            while True:  # one scope for many turns: a new one each time cost a tenth of a private message
                await self._bell.wait()
                self._next_turn()
                if self._due != scope.deadline:
                    scope.deadline = self._due
        self._next_turn()

    def clock(self) -> Now:
        """The time."""
        return Now(trio.current_time(), self._wall())

    def _next_turn(self) -> None:
        self._bell = trio.Event()
        if self._turn(self.clock()):
            self.ring()  # there is more: let the others run, and go on

    def _turn(self, now: Now) -> bool:
        """One turn. Returns whether something was left for the next."""
        self._now = now
        more = self._take_knocks()
        while self._urgent:
            self._apply(self._urgent.popleft())
        while self._answers:
            answer = self._answers.popleft()
            self._take_answer(answer)
            self._paid(answer.request.conn)
        more = self._take_commands() or more
        while self._ended and self._ended[0][0] <= self._taken:
            self._end(self._ended.popleft()[1])
        if self._due <= now.mono:
            self._apply(Tick())
        due = self.state.next_due()
        self._due = math.inf if due is None else max(due, self._no_tick_before)
        self._peers.flush()
        if not self._peers and not self._ended:
            self._gone.set()
        if self._reads.more:
            self._read_on()
        return more or self._reads.more or bool(self._urgent) or bool(self._ended)

    def _take_knocks(self) -> bool:
        for _ in range(ADMISSIONS_A_TURN):
            try:
                knock = self._knocks.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return False
            if not knock.left:  # else its `ended` may be past
                conn = knock.ask.conn
                self._peers.add(knock.peer)
                self._knocking[conn] = knock
                self._apply(knock.ask)
                if conn in self._knocking:  # a bug, and no answer
                    self._answer(Refused(conn, 503, "Something went wrong here", BUG_RETRY))
        return True

    def _take_commands(self) -> bool:
        receive, apply = self._commands.receive_nowait, self._apply
        left = COMMANDS_A_TURN
        while left > 0:
            try:
                received = receive()
            except (trio.WouldBlock, trio.EndOfChannel):
                return False
            self._taken += 1
            left -= len(received)
            for one in received:
                if type(one.command) is Connect:
                    self._make_way(one)
                apply(one)
        return True

    def _take_answer(self, answer: Answer) -> None:
        if isinstance(answer.request, Read | Search) and answer.request.conn != NOBODY:
            self._reads.answered(answer.request)
        self._apply(answer)

    def _end(self, gone: Ending | Disconnected) -> None:
        conn = gone.conn
        self._apply(gone)
        if isinstance(gone, Disconnected):
            self._reads.forget(conn)
            self._peers.remove(conn)
            self._partings.over(conn)
        else:
            self._reads.keep_commands(conn)
            self._partings.begin(conn)

    def _too_slow(self, peer: Peer) -> None:
        self._end(Ending(peer.id, cut=Close.TOO_SLOW))

    def _make_way(self, given: Received) -> None:
        """Whoever resumes a session stops what its last connection still writes: only then is known what it wrote."""
        conn = self.state.resumed(given, self._now)
        if conn is not None and (gone := self._partings.stop(conn)) is not None:
            self._end(gone)

    # --- Deciding, and doing what was decided ------------------------------------------------------------------------

    def _apply(self, given: Input) -> None:
        """Let the state decide, and do what it says. What the log answers at once is decided in the same turn."""
        performers = self._performers
        try:
            for effect in self.state.apply(given, self._now):
                performers[type(effect)](effect)
        except Exception:  # the one place where a bug in the core is contained: its input is lost, the chat goes on
            self._contain(given)
        if self._peers.heavy:
            self._peers.flush()

    def _contain(self, given: Input) -> None:
        log.exception("bug: %s was not applied", type(given).__name__)
        peer = self._peers.get(given.conn) if isinstance(given, Received) else None
        if peer is not None:
            peer.cut(Close.INTERNAL)
        if isinstance(given, Tick):
            self._no_tick_before = self._now.mono + BUG_RETRY  # it is due still, and would be for ever

    def _answer(self, verdict: Admitted | Refused) -> None:
        if isinstance(verdict, Refused):
            self._peers.remove(verdict.conn)
        knock = self._knocking.pop(verdict.conn)
        knock.verdict = verdict
        knock.answered.set()

    def _deliver(self, effect: Deliver) -> None:
        self._peers.send(effect.conns, effect.event, effect.epoch, effect.seq)

    def _reply(self, effect: Reply) -> None:
        self._peers.send((effect.conn,), effect.event)

    def _cut(self, effect: Cut) -> None:
        self._reads.forget(effect.conn)
        peer = self._peers.get(effect.conn)
        if peer is not None:
            peer.cut(effect.code)

    def _probe(self, effect: Probe) -> None:
        peer = self._peers.get(effect.conn)
        if peer is not None:
            peer.probe(partial(self._alive, effect.conn))

    def _alive(self, conn: ConnId) -> None:
        self._urge(Alive(conn))

    def _ban(self, effect: Banned) -> None:
        if effect.until is None:
            self.banned.pop(effect.address, None)
        else:
            self.banned[effect.address] = effect.until

    # --- The log -----------------------------------------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """A log that had to wait answers; never blocks."""
        self._answers.append(answer)
        self.ring()

    def _submit(self, request: Request) -> None:
        answer = self._entries.submit(request, self._now)
        if answer is not None:
            self._take_answer(answer)
        else:
            self._owed[request.conn] = self._owed.get(request.conn, 0) + 1

    def _paid(self, conn: ConnId) -> None:
        if self._owed[conn] > 1:
            self._owed[conn] -= 1
        else:
            del self._owed[conn]
            self._partings.settle(conn)

    def _read(self, request: Read | Search) -> None:
        """Each answer waits until the outbox of its connection has room for it."""
        if request.conn == NOBODY:  # no outbox must have room for it
            self._submit(request)
            return
        peer = self._peers.get(request.conn)
        if peer is not None and not self._reads.ask(request, peer.outbox):
            self._apply(Failed(request, HISTORY_RETRY))

    def _read_on(self) -> None:
        """Ask the log for what there is room for; the others ring when they have."""
        for request in self._reads.take():
            self._submit(request)
            self._partings.settle(request.conn)
        self._peers.flush()


def _note(effect: Note) -> None:
    log.log(logging.WARNING if effect.warning else logging.INFO, effect.text, *effect.args)
