"""One WebSocket connection: a nursery with reader, writer and heartbeat.

Whichever of the tasks ends, by a return or by an error, the scope is cancelled and all of them are gone. Then comes
the farewell, bounded; then the broker is told, by a call that cannot block.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from trio_chat.auth.prover import Asker, Prover
from trio_chat.config import Config
from trio_chat.core.codec import encode, frame
from trio_chat.core.effects import ConnId, Disconnected, Ending, Received
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import Error
from trio_chat.core.messages import Bad, Command, Connect, Login, Register
from trio_chat.server.broker import Broker
from trio_chat.server.frames import PING_FRAME, FrameError, close_frame
from trio_chat.server.odd import PeerLeft
from trio_chat.server.outbox import Frame, Outbox
from trio_chat.server.transport import Transport
from trio_chat.server.wire import Wire

log = logging.getLogger(__name__)
GRACE = 1.0  # seconds for the last frames and the close to get out, and to be read
LATE = 1.0  # seconds that a heartbeat may wake late, before it takes that for a pause of its own
TOKEN_BYTES = 24  # of a session token


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@attrs.frozen
class Ended:
    """How a connection came to its end: by the client's close `code`, or by our `cut`. Neither: it was lost."""

    code: int | None = None
    cut: Close | None = None


@attrs.define(eq=False)
class Connection:
    """A connection, as the broker and the other tasks know it. `scope` is around all of its tasks.

    `counted_as`: its address; empty where that is trusted.
    """

    id: ConnId
    wire: Wire
    outbox: Outbox
    transport: Transport
    chunks: trio.MemoryReceiveChannel[memoryview]
    counted_as: str = ""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: Ended | None = None
    began: bool = False  # it sent a first command
    over_at: float = math.inf  # set when a task ends: until then, last bytes may get out
    sending: trio.CancelScope = attrs.field(factory=trio.CancelScope)  # around the writer's current send
    settled: trio.Event = attrs.field(factory=trio.Event)  # all that it is to get is in the outbox

    @property
    def held(self) -> int:
        """Bytes held for it, in both directions."""
        return self.outbox.waiting + self.transport.held

    def end(self, ended: Ended) -> None:
        """Cancel the tasks; of several reasons the first counts. Never blocks."""
        if self.ended is None:
            self.ended = ended
        self.scope.cancel()

    def cut(self, code: Close) -> None:
        """Close with `code`. Never blocks."""
        self.end(Ended(cut=code))
        if code is Close.TOO_SLOW:
            self.settled.set()
            self.transport.close()
            if not self.outbox.drop():  # at once: else others would have to go for the room that it still takes
                self.sending.cancel()

    def drop(self) -> None:
        """Write nothing more, ever: its session goes on over another connection. Never blocks."""
        self.wire.close()
        self.sending.cancel()
        self.settle()
        self.end(Ended())

    def settle(self) -> None:
        """The broker knows of the end: what it sent was done, and nothing more is delivered. Never blocks."""
        self.settled.set()

    def hurry(self) -> None:
        """The end has begun: bound what is still being sent, and the farewell. Never blocks."""
        self.over_at = min(self.over_at, trio.current_time() + GRACE)
        self.sending.deadline = self.over_at

    def probe(self, alive: Callable[[], None]) -> None:
        """Ping, and call `alive` at the next byte. Never blocks."""
        self.transport.on_byte = alive
        self.ping()

    def ping(self) -> None:
        """Put a ping frame into the outbox. Never blocks."""
        self.transport.queue(PING_FRAME)


async def run_connection(
    conn: Connection,
    broker: Broker,
    config: Config,
    decode: Callable[[str | bytes], Command],
    prover: Prover | None = None,
    token: Callable[[], str] = new_token,
) -> None:
    """Run an admitted connection to its end, farewell included. Cancelled: it ends, after `GRACE` seconds at most."""
    try:
        with conn.scope, broker.commands.clone() as commands:  # `async with` would hide a bug behind a Cancelled
            async with trio.open_nursery() as tasks:
                for name, task in (
                    ("reader", partial(read, conn, broker, commands, decode, tasks, prover, token)),
                    ("writer", partial(write, conn)),
                    ("heartbeat", partial(heartbeat, conn, config.heartbeat.ping_interval,
                                          config.heartbeat.ping_timeout, config.limits.message_timeout)),
                ):  # fmt: skip
                    tasks.start_soon(_ending, conn, task, name=f"{name} {conn.id}")
    except* Exception:
        log.exception("bug in connection %d; only this connection ends", conn.id)
        conn.cut(Close.INTERNAL)
    finally:
        ended = conn.ended or Ended(cut=Close.DRAINING)  # cancelled from outside: the server goes away
        try:
            broker.ended(Ending(conn.id, ended.code, ended.cut))  # at once: the session need not wait for the farewell
            conn.hurry()
            with trio.CancelScope(deadline=conn.over_at, shield=True):
                with trio.move_on_after(GRACE / 2):  # even if nobody is there: what comes now is unsent, and not lost
                    await conn.settled.wait()
                await farewell(conn, ended)
        finally:
            broker.ended(Disconnected(conn.id, ended.code, ended.cut, conn.outbox.unsent()))
            conn.outbox.close()
            conn.transport.close()
            conn.chunks.close()


async def _ending(conn: Connection, task: Callable[[], Awaitable[Ended]]) -> None:
    """Run a task of the connection; with it, the connection ends. Cancelled: as the task is."""
    try:
        conn.end(await task())
    finally:
        conn.scope.cancel()
        conn.hurry()


async def read(
    conn: Connection,
    broker: Broker,
    commands: trio.MemorySendChannel[list[Received]],
    decode: Callable[[str | bytes], Command],
    nursery: trio.Nursery,
    prover: Prover | None = None,
    token: Callable[[], str] = new_token,
) -> Ended:
    """Bytes → frames → commands → broker. Cancelled: what was received and not handed over is lost, and was not acked.

    What is there at once goes to the broker at once: it is one wake-up, and what comes of it one write, for many.
    """
    transport = conn.transport
    while True:
        try:
            messages = await transport.receive()
            if not messages:
                await transport.hand_over(nursery)
                continue
        except PeerLeft as left:
            return Ended(code=left.code)
        except FrameError as error:
            if error.code is Close.TOO_LARGE:
                too_large = Error(content="The message is too large", code=ErrorCode.TOO_LARGE.value)
                conn.outbox.put(Frame(frame(encode(too_large))))
            return Ended(cut=error.code)
        received = [_received(conn.id, message, decode, token) for message in messages]
        if prover is not None:
            received = [await _proven(conn, broker, prover, one) for one in received]
        try:
            commands.send_nowait(received)
        except trio.WouldBlock:
            transport.pause()  # the broker is full: we don't read, and the peer's silence is not its own
            try:
                await commands.send(received)
            finally:
                transport.go_on()
        broker.ring()
        if not transport.waited:  # a peer whose messages are all there already must not starve the others
            await trio.lowlevel.checkpoint()


def _received(
    conn: ConnId, message: str | bytes, decode: Callable[[str | bytes], Command], token: Callable[[], str]
) -> Received:
    if isinstance(message, str):
        command = decode(message)
    else:
        command = Bad(code=ErrorCode.UNSUPPORTED_DATA, content=ErrorCode.UNSUPPORTED_DATA.text)
    fresh = token() if isinstance(command, Connect | Register | Login) else ""
    return Received(conn, command, fresh, len(message))


async def _proven(conn: Connection, broker: Broker, prover: Prover, given: Received) -> Received:
    """What a command proves. A password takes its time: we don't read then, and the peer's silence is not its own.

    Cancelled: see `Prover.prove`.
    """
    first, conn.began = not conn.began, True
    if not prover.concerns(given.command, first=first):
        return given
    conn.transport.pause()
    try:
        return await prover.prove(given, Asker(conn.counted_as, broker.state.chat.account_of(conn.id)))
    finally:
        conn.transport.go_on()


async def write(conn: Connection) -> Ended:
    """Write what the socket did not take at once. Cancelled: the outbox knows to the byte what is left (see `Wire`).

    A send that was begun may end, within `GRACE` (`hurry` is called by the first task that is cancelled): else a stream
    that is no socket would be broken by it, and its peer never read why it was closed.
    """
    try:
        async for left in conn.chunks:
            while left:
                with trio.CancelScope(deadline=conn.over_at, shield=True) as conn.sending:
                    left = conn.outbox.wrote(await conn.wire.send(left))
                if conn.sending.cancelled_caught:
                    return Ended()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    return Ended()


async def heartbeat(conn: Connection, interval: float, timeout: float, message_timeout: float) -> Ended:
    """Ping after `interval` seconds of silence, and end the connection after `timeout` more; any byte counts as life.

    A message that is begun must be whole within `message_timeout`. Cancelled: nothing is lost.
    """
    transport = conn.transport
    pinged: float | None = None  # the silence that was pinged into, by its begin
    pinged_at, due = 0.0, trio.current_time()
    while True:
        now = trio.current_time()
        if now > due + LATE:  # it was us who slept (a stopped process, a suspended machine): ask anew, and then judge
            pinged = None
            if transport.unfinished_since is not None:
                transport.unfinished_since = now
        if transport.paused:
            transport.last_byte = now
        silent_since, unfinished_since = transport.last_byte, transport.unfinished_since
        if unfinished_since is not None and now >= unfinished_since + message_timeout:
            return Ended(cut=Close.HEARTBEAT_MISSED)
        due = silent_since + interval
        if now >= due:
            if pinged != silent_since:
                conn.ping()
                pinged, pinged_at = silent_since, now
            elif now >= pinged_at + timeout:
                return Ended(cut=Close.HEARTBEAT_MISSED)
            due = min(pinged_at + timeout, now + interval)  # a byte may come meanwhile, and the next ping be due
        due = min(due, message_timeout + (now if unfinished_since is None else unfinished_since))
        await trio.sleep_until(due)


async def farewell(conn: Connection, ended: Ended) -> None:
    """Write what is left, and the close frame; then let the peer read it: a socket that goes takes unread bytes along.

    It is called when the broker is done with the connection: so the close frame comes behind all answers, and behind it
    nothing that the session would then miss. Bounded by its caller, and shielded. Cancelled: the peer may see the
    connection break instead.
    """
    if ended == Ended() or not conn.transport.upgraded or conn.outbox.abandoned:
        return  # nobody is there, or nobody that would understand a frame
    last = conn.transport.last_words or (close_frame(ended.cut, ended.cut.reason) if ended.cut is not None else b"")
    try:
        left = conn.outbox.farewell(last, drop=ended.cut is Close.TOO_SLOW)
        while left:
            left = conn.outbox.wrote(await conn.wire.send(left))
        await conn.wire.send_eof()
        while await conn.wire.receive():
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
