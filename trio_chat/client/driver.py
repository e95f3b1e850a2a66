"""Drives a `ChatSession` over connections: comes back, writes, reads, watches, and leaves.

run                          until the server says stop, or `leave`
 └─ a connection             (`converse`; trio-websocket's reader is a task beside these)
     ├─ read                 messages ─► session ─► inbox, and answers to who waits; they wait for no consumer
     ├─ write                session ─► messages, in one task: a call that is cancelled tears no frame
     ├─ watch                pings into silence, and gives up
     ├─ catch up             gives the connection up to have what was left out, once there is room for it
     └─ farewell             closes with 1000 when the client leaves
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from trio_chat.client.connection import Lost, Rejected, Target, Wire, converse
from trio_chat.client.events import (
    Answered,
    ConnectionEnded,
    Disconnected,
    Event,
    Failed,
    Refused,
    System,
    Welcomed,
)
from trio_chat.client.inbox import Inbox
from trio_chat.client.session import ChatSession, State
from trio_chat.core.errors import Close

EXPIRING = "token_expiring"  # the event of a `system` frame
CLOSE_SECONDS = 2.0  # for the close to be answered, when the client leaves
SETTLE_SECONDS = 1.0  # for the answers that are on their way, before a connection is given up to catch up


@attrs.define(eq=False)
class Reply:
    """What somebody waits for."""

    came: trio.Event = attrs.field(factory=trio.Event)
    outcome: Answered | Failed | None = None


class Driver:
    """Keeps a session connected.

    Args:
        dial: opens a stream to the server; its OSError means that it cannot be reached now.
        token: gives the token for each connection, or None.
        renews: it gives a new one each time, so that a connection can outlive a token.
        inbox: where events wait.
        max_message: characters of a message that is still taken.
        timeout: seconds for each step of connecting: token and stream, upgrade, `welcome`.
        random: 0 ≤ number < 1, for the jitter.
    """

    def __init__(
        self,
        session: ChatSession,
        target: Target,
        *,
        dial: Callable[[], Awaitable[trio.abc.Stream]],
        token: Callable[[], Awaitable[str | None]],
        renews: bool = False,
        inbox: Inbox,
        max_message: int,
        timeout: float,
        random: Callable[[], float],
    ) -> None:
        self.session, self.inbox = session, inbox
        self._target, self._dial, self._token, self._renews = target, dial, token, renews
        self._max_message, self._timeout, self._random = max_message, timeout, random
        self._replies: dict[int, Reply] = {}
        self._scope = trio.CancelScope()
        self._welcomed = trio.Event()
        self._leaving = trio.Event()
        self._wake = trio.Event()  # the writer's
        self._detached = False  # this connection was given up by us, to catch up
        self._holding = False  # it is about to be: nothing more is sent on it
        self._catch_ups = 0  # in a row; each waits longer, for to the server it is a new connection
        self._caught_up_at = -math.inf

    async def ask(self, kind: str, /, **fields: Any) -> Any:
        """Send a command and wait for its answer, over as many connections as it takes.

        Cancelled: where it was not sent yet, it never is; else it may be done or not.

        Raises:
            Refused, OutcomeUnknown, ConnectionEnded: see there.
        """
        number = self.session.request(kind, **fields)
        reply = self._replies[number] = Reply()
        self._wake.set()
        self.inbox.stir()  # the reader may wait for room in it: now it has to read on
        try:
            await reply.came.wait()
        finally:
            del self._replies[number]
            self.session.abandon(number)
        if isinstance(reply.outcome, Failed):
            raise reply.outcome.error
        assert reply.outcome is not None
        return reply.outcome.result

    def leave(self) -> None:
        """Close the connection, which ends `run` within `CLOSE_SECONDS`. Never blocks."""
        self._leaving.set()
        self.inbox.stir()
        self._scope.deadline = trio.current_time() + 2 * CLOSE_SECONDS
        if self.session.state is not State.WELCOMED:
            self._scope.cancel()

    async def enter(self) -> None:
        """Wait until `run` is first welcomed, and shield it from then on. Cancelled: it is not shielded.

        So cancelling cannot take the connection away before `leave` has sent the close frame. It is the waiter that
        shields: `nursery.start` leaves a task that is cancelled and started in one step where it was, and would wait
        for one with a shield for ever.
        """
        await self._welcomed.wait()
        self._scope.shield = True

    async def run(self, wait: bool) -> None:
        """Keep the session connected until it ends, or `leave` is called. Cancelled before `enter`: it is cut.

        Args:
            wait: go on trying where the first connection fails, and may be tried again.

        Raises:
            OSError: `wait` is false and the server cannot be reached.
            ConnectionEnded: `wait` is false and it does not let us in, or it never will.
        """
        with self._scope:
            while self._may_come_back:
                end = await self._connect()
                if self._leaving.is_set():
                    break
                news = self._after(end)
                if not self._welcomed.is_set() and not (wait and self._may_come_back):
                    raise end.error if isinstance(end, Lost) and end.error is not None else news
                with trio.move_on_after(self.session.delay):
                    await self._leaving.wait()
                    break
        self.over()

    def _after(self, end: Lost | Rejected) -> ConnectionEnded:
        """A connection is over: the session says what follows. Returns what that is to somebody who does not wait."""
        session = self.session
        if self._detached:
            events = session.detached()
        elif isinstance(end, Rejected):
            events = session.refused(end.status, end.reason, end.retry_after, self._random())
        else:
            events = session.closed(end.code, end.reason, trio.current_time(), self._random())
        self._take(events)
        for event in events:
            if isinstance(event, Disconnected):
                return ConnectionEnded(event.code, event.reason)
        return session.ended or ConnectionEnded(None, "detached")

    @property
    def _may_come_back(self) -> bool:
        return self.session.ended is None

    def over(self) -> None:
        """Nothing comes any more, and nobody waits in vain. Never blocks."""
        if self.session.ended is None:
            self._take(self.session.end(ConnectionEnded(Close.DONE, Close.DONE.reason)))
        self.inbox.close(None if self._leaving.is_set() else self.session.ended)

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Answered | Failed):
                reply = self._replies.get(event.id)
                if reply is not None:
                    reply.outcome = event
                    reply.came.set()
            else:
                self.inbox.put(event)

    async def _connect(self) -> Lost | Rejected:
        """One connection, from the dialling to its end. Cancelled: it is cut."""
        session = self.session
        self._detached = self._holding = False
        try:
            with trio.fail_after(self._timeout):
                token = await self._token()
                stream = await self._dial()
        except OSError as error:
            return Lost(None, str(error) or type(error).__name__, error)
        except trio.TooSlowError:
            reason = f"not reached within {self._timeout:g} s"
            return Lost(None, reason, TimeoutError(reason))

        async def talk(ws: WebSocketConnection, wire: Wire) -> None:
            session.opened(token)
            async with trio.open_nursery() as tasks:
                tasks.cancel_scope.deadline = trio.current_time() + self._timeout  # until `welcome`
                tasks.start_soon(self._write, ws)
                await self._read(ws, wire, tasks)
            if session.state is State.OPENING:
                raise trio.TooSlowError

        return await converse(
            stream, self._target, session.ticket, talk, max_message=self._max_message, timeout=self._timeout
        )

    async def _read(self, ws: WebSocketConnection, wire: Wire, tasks: trio.Nursery) -> None:
        """Take what comes, and start the other tasks at `welcome`; it ends with the connection.

        Raises:
            ConnectionClosed: always, with the close code.
        """
        session, inbox = self.session, self.inbox
        while True:
            while self._may_wait:
                await inbox.changed()
            if inbox.full:
                session.skim()
            try:
                message = await ws.get_message()
            except ConnectionClosed:
                if self._leaving.is_set():
                    await trio.sleep_forever()  # the farewell ends it
                raise
            if not isinstance(message, str):
                continue
            events = session.received(message, trio.current_time())
            self._take(events)
            if any(isinstance(event, Welcomed) for event in events):
                tasks.cancel_scope.deadline = math.inf
                tasks.start_soon(self._watch, ws, wire, tasks)
                tasks.start_soon(self._catch_up, tasks)
                tasks.start_soon(self._farewell, ws, tasks)
                self._welcomed.set()
            if self._renews and any(isinstance(event, System) and event.event == EXPIRING for event in events):
                tasks.start_soon(self._refresh)
            if session.behind:
                inbox.stir()
            if session.next_due() is not None:
                self._wake.set()

    async def _refresh(self) -> None:
        """Bring a new token. Cancelled, or without one: the server closes with 4002, and we come back with one."""
        with suppress(Refused, ConnectionEnded, OSError), trio.move_on_after(self._timeout):
            await self.ask("refresh", token=await self._token())

    @property
    def _may_wait(self) -> bool:
        """Whether the server can hold the rest: there is no room for it, and nobody waits for an answer."""
        idle = self.session.state is State.WELCOMED and not self._replies and not self._leaving.is_set()
        return idle and self.inbox.full and not self.session.behind

    async def _write(self, ws: WebSocketConnection) -> None:
        """Write what is due. Of a connection that breaks, the reader learns how."""
        session = self.session
        try:
            while True:
                wake = self._wake = trio.Event()
                for text in [] if self._holding else session.data_to_send(trio.current_time()):
                    await ws.send_message(text)
                due = None if self._holding else session.next_due()
                with trio.CancelScope(deadline=math.inf if due is None else due):
                    await wake.wait()
        except ConnectionClosed:
            pass

    async def _watch(self, ws: WebSocketConnection, wire: Wire, tasks: trio.Nursery) -> None:
        """Ping after `interval` seconds of silence; after `timeout` more without a byte, end the connection."""
        beat = self.session.heartbeat
        while True:
            silent_since = wire.last_byte
            if trio.current_time() < silent_since + beat.interval:
                await trio.sleep_until(silent_since + beat.interval)
                continue
            with trio.move_on_after(beat.timeout):
                await ws.ping()
            if wire.last_byte == silent_since:
                tasks.cancel_scope.cancel()
                return

    async def _catch_up(self, tasks: trio.Nursery) -> None:
        """Once something was left out and there is room for it, give the connection up: the next one brings it."""
        while not self.session.behind or len(self.inbox) > self.inbox.limit // 2:
            await self.inbox.changed()
        await self._pace()
        self._holding = True
        with trio.move_on_after(SETTLE_SECONDS):
            while self.session.in_flight:
                await self.inbox.changed()
        self._detached = True
        tasks.cancel_scope.cancel()

    async def _pace(self) -> None:
        """Wait before the second catch-up in a row, and longer before each that follows, as after a lost connection."""
        back = self.session.backoff
        if trio.current_time() - self._caught_up_at > back.max:
            self._catch_ups = 0
        else:
            await trio.sleep_until(self._caught_up_at + min(back.max, back.base * 2 ** min(self._catch_ups - 1, 60)))
        self._catch_ups += 1
        self._caught_up_at = trio.current_time()

    async def _farewell(self, ws: WebSocketConnection, tasks: trio.Nursery) -> None:
        """When we leave, close with 1000: the session ends, and its name is free."""
        await self._leaving.wait()
        with trio.move_on_after(CLOSE_SECONDS):
            await ws.aclose(Close.DONE)
        tasks.cancel_scope.cancel()
