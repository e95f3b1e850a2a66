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
from typing import Protocol

import attrs
import trio

from trio_chat.config import Limits
from trio_chat.core.codec import encode, frame
from trio_chat.core.effects import (
    Admit,
    Admitted,
    Alive,
    Answer,
    Append,
    Attempted,
    Banned,
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
from trio_chat.core.events import Event
from trio_chat.core.state import ChatState
from trio_chat.log import Log
from trio_chat.server.outbox import Buffered, Frame, Outbox
from trio_chat.server.reads import Reads

log = logging.getLogger(__name__)
INBOX = 256  # what so many connections sent may wait; a full inbox pauses the readers, and TCP the senders
ADMISSIONS = 512  # upgrade requests that may wait; one more is answered 503
COMMANDS_A_TURN = 256  # about: few enough that what they deliver fits an outbox, and that a turn stays short
HEAVY_BYTES = 65_536  # of a frame that is not left to wait for the end of the turn
ADMISSIONS_A_TURN = 64  # so that a storm of connections leaves the chat its time
HISTORY_RETRY = 1.0  # seconds after which somebody who asked for too many pages may ask again
BUG_RETRY = 1.0  # seconds after which what failed by a bug may be tried again


class Peer(Protocol):
    """What the broker needs of a connection."""

    id: ConnId
    outbox: Outbox

    @property
    def held(self) -> int:
        """Bytes that the server holds for it."""

    def cut(self, code: Close) -> None:
        """End the connection with `code`, very soon; never blocks."""

    def probe(self, alive: Callable[[], None]) -> None:
        """Ping it, and call `alive` at its next byte."""


@attrs.frozen
class Knock:
    """A connection asks to come in, and waits for the answer."""

    ask: Admit
    peer: Peer
    answer: trio.MemorySendChannel[Admitted | Refused]


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
        self._peers: dict[ConnId, Peer] = {}
        self._touched: dict[Outbox, None] = {}
        self._heavy = False  # something large was queued since the last flush
        self._slow: dict[ConnId, None] = {}
        self._knocking: dict[ConnId, trio.MemorySendChannel[Admitted | Refused]] = {}  # for one `apply` at a time
        self._no_tick_before = -math.inf
        self._reads = Reads(self.ring)
        self._bell = trio.Event()
        self._gone = trio.Event()  # no connection is left

    # --- Called by other tasks -------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Something waits in an inbox."""
        self._bell.set()

    async def knock(self, ask: Admit, peer: Peer) -> Admitted | Refused:
        """Ask to come in. Cancelled: call `ended`, for the answer may have been yes."""
        answer, verdict = trio.open_memory_channel[Admitted | Refused](1)
        with verdict:
            try:
                self._knocks_in.send_nowait(Knock(ask, peer, answer))
            except trio.WouldBlock:
                return Refused(ask.conn, 503, "Too many are connecting right now", 5.0)
            self.ring()
            return await verdict.receive()

    def attempted(self, address: str, *, trusted: bool) -> None:
        """A head never got whole."""
        self._urgent.append(Attempted(address, trusted))
        self.ring()

    def ended(self, gone: Ending | Disconnected) -> None:
        """A connection ends, or is over: applied behind the commands that it sent.

        It can't be refused: a full inbox would leave a ghost in every room.
        """
        self._ended.append((self._taken + self.commands.statistics().current_buffer_used, gone))
        self.ring()

    def too_slow(self, conn: ConnId) -> None:
        """The outbox of `conn` is over its limit by what the connection itself put in."""
        self._slow[conn] = None
        self.ring()

    def drain(self, seconds: float) -> None:
        """Begin to go away."""
        self._urgent.append(Drain(seconds))
        self.ring()

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
        now = Now(trio.current_time(), self._wall())
        for effect in self.state.apply(self._entries.restored, now):
            self._perform(effect, now)

    def settle(self) -> None:
        """Apply the ends of connections that came when the task was over, so that the log knows of them."""
        now = Now(trio.current_time(), self._wall())
        while self._ended:
            self._end(self._ended.popleft()[1], now)

    # --- The task --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take turns until cancelled. Cancelled: the commands that wait are lost (none was acked); see `settle`."""
        with self._commands, self._knocks:
            while True:
                with trio.CancelScope(deadline=self._due()) as scope:
                    while True:  # one scope for many turns: a new one each time cost a tenth of a private message
                        await self._bell.wait()
                        # Whoever can be read from right now comes into this turn, too: a third more in 100 rooms of 10.
                        await trio.lowlevel.checkpoint()
                        self._next_turn()
                        due = self._due()
                        if due != scope.deadline:
                            scope.deadline = due
                self._next_turn()

    def _next_turn(self) -> None:
        self._bell = trio.Event()
        if self._turn(Now(trio.current_time(), self._wall())):
            self.ring()  # there is more: let the others run, and go on

    def _due(self) -> float:
        due = self.state.next_due()
        return math.inf if due is None else max(due, self._no_tick_before)

    def _turn(self, now: Now) -> bool:
        """One turn. Returns whether something was left for the next."""
        more = self._take_knocks(now)
        while self._urgent:
            self._apply(self._urgent.popleft(), now)
        while self._answers:
            self._take_answer(self._answers.popleft(), now)
            if self._heavy:
                self._flush(now)
        more = self._take_commands(now) or more
        while self._ended and self._ended[0][0] <= self._taken:
            self._end(self._ended.popleft()[1], now)
        if self._due() <= now.mono:
            self._apply(Tick(), now)
        self._flush(now)
        if not self._peers and not self._ended:
            self._gone.set()
        self._read_on(now)
        return self._reads.more or more or bool(self._urgent) or bool(self._ended)

    def _flush(self, now: Now) -> None:
        """Write what was queued, and cut whoever lets too much wait. Once a turn, and after what is heavy."""
        self._heavy = False
        self._cut_the_slow(now)
        for outbox in self._touched:
            outbox.flush()
        self._touched.clear()
        if self.buffered.over:
            self._shed(now)

    def _take_knocks(self, now: Now) -> bool:
        for _ in range(ADMISSIONS_A_TURN):
            try:
                knock = self._knocks.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return False
            if knock.answer.statistics().open_receive_channels:  # else it was cancelled, and its `ended` may be past
                conn = knock.ask.conn
                self._peers[conn], self._knocking[conn] = knock.peer, knock.answer
                self._apply(knock.ask, now)
                if conn in self._knocking:  # a bug, and no answer
                    self._answer(Refused(conn, 503, "Something went wrong here", BUG_RETRY))
        return True

    def _answer(self, verdict: Admitted | Refused) -> None:
        if isinstance(verdict, Refused):
            del self._peers[verdict.conn]
        self._knocking.pop(verdict.conn).send_nowait(verdict)

    def _take_commands(self, now: Now) -> bool:
        receive = self._commands.receive_nowait
        left = COMMANDS_A_TURN
        while left > 0:
            try:
                received = receive()
            except (trio.WouldBlock, trio.EndOfChannel):
                return False
            self._taken += 1
            left -= len(received)
            for one in received:
                self._apply(one, now)
                if self._heavy:
                    self._flush(now)
        return True

    def _end(self, gone: Ending | Disconnected, now: Now) -> None:
        if isinstance(gone, Ending) and gone.conn in self._peers:  # only now it hears nothing more
            gone = attrs.evolve(gone, unsent=self._peers[gone.conn].outbox.missed)
        self._apply(gone, now)
        self._reads.forget(gone.conn)
        if isinstance(gone, Ending):
            return
        peer = self._peers.pop(gone.conn, None)
        if peer is not None:
            self._touched.pop(peer.outbox, None)

    def _apply(self, given: Input, now: Now) -> None:
        """Let the state decide, and do what it says. What the log answers at once is decided in the same turn."""
        try:
            for effect in self.state.apply(given, now):
                self._perform(effect, now)
        except Exception:  # the one place where a bug in the core is contained: its input is lost, the chat goes on
            log.exception("bug: %s was not applied", type(given).__name__)
            conn = getattr(given, "conn", None)
            peer = self._peers.get(conn) if isinstance(given, Received) and conn is not None else None
            if peer is not None:
                peer.cut(Close.INTERNAL)
            if isinstance(given, Tick):
                self._no_tick_before = now.mono + BUG_RETRY  # it is due still, and would be for ever

    def _perform(self, effect: Effect, now: Now) -> None:
        match effect:
            case Admitted() | Refused():
                self._answer(effect)
            case Deliver():
                self._send(effect.conns, effect.event, effect.epoch, effect.seq)
            case Reply():
                self._send((effect.conn,), effect.event)
            case Append() | Search():
                self._submit(effect, now)
            case Read():
                self._read(effect, now)
            case Cut():
                self._reads.forget(effect.conn)
                if effect.conn in self._peers:
                    self._peers[effect.conn].cut(effect.code)
            case Probe():
                if effect.conn in self._peers:
                    self._peers[effect.conn].probe(lambda: self._alive(effect.conn))
            case Banned():
                if effect.until is None:
                    self.banned.pop(effect.address, None)
                else:
                    self.banned[effect.address] = effect.until
            case Keep() | Discard():
                self._entries.keep(effect)
            case Forget():
                self._entries.forget(effect)
            case Note():
                log.log(logging.WARNING if effect.warning else logging.INFO, effect.text, *effect.args)

    def _send(self, conns: tuple[ConnId, ...], event: Event, epoch: str = "", seq: int = 0) -> None:
        """Encode once, frame once; per member only a reference is queued."""
        made = Frame(frame(encode(event)), epoch, seq)
        peers, touched = self._peers, self._touched
        for conn in conns:
            peer = peers.get(conn)
            if peer is not None:
                touched[peer.outbox] = None
                if not peer.outbox.put(made):
                    self._slow[conn] = None
        self._heavy = self._heavy or len(made.data) >= HEAVY_BYTES

    def _alive(self, conn: ConnId) -> None:
        self._urgent.append(Alive(conn))
        self.ring()

    def _submit(self, request: Request, now: Now) -> None:
        answer = self._entries.submit(request, now)
        if answer is not None:
            self._take_answer(answer, now)

    def answered(self, answer: Answer) -> None:
        """A log that had to wait answers; never blocks."""
        self._answers.append(answer)
        self.ring()

    def _take_answer(self, answer: Answer, now: Now) -> None:
        if isinstance(answer.request, Read):
            self._reads.answered(answer.request.conn)
        self._apply(answer, now)

    def _read(self, request: Read, now: Now) -> None:
        """Each page waits until the outbox of its connection has room."""
        peer = self._peers.get(request.conn)
        if peer is not None and not self._reads.ask(request, peer.outbox):
            self._apply(Failed(request, HISTORY_RETRY), now)

    def _read_on(self, now: Now) -> None:
        """Ask the log for what there is room for; the others ring when they have."""
        for request in self._reads.take():
            self._submit(request, now)
            if self._heavy:
                self._flush(now)
        self._flush(now)

    def _cut_the_slow(self, now: Now) -> None:
        """Close those whose outbox is over its limit, and only those (promise 6)."""
        while self._slow:
            conn = next(iter(self._slow))
            del self._slow[conn]
            self._cut_slow(conn, now)

    def _cut_slow(self, conn: ConnId, now: Now) -> None:
        peer = self._peers.get(conn)
        if peer is None:
            return
        log.warning("connection %d is too slow: %d bytes are held for it; cut", conn, peer.held)
        self._end(Disconnected(conn, cut=Close.TOO_SLOW, unsent=peer.outbox.unsent()), now)
        peer.cut(Close.TOO_SLOW)

    def _shed(self, now: Now) -> None:
        """All together hold too much: cut whoever holds most, until it is enough."""
        excess = self.buffered.bytes - self.buffered.limit
        for peer in sorted(self._peers.values(), key=lambda peer: -peer.held):
            if excess <= 0 or not peer.held:
                break
            excess -= peer.held
            self._cut_slow(peer.id, now)
