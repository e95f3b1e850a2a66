"""The load: guests in rooms who send at a fixed rate, and note how late everything comes.

The loop is open: message n is due at n / rate seconds whatever the server does, and latency counts from that moment, so
a server that stalls is charged for all that should have been sent meanwhile. The load is one Trio task a connection in
one process: beyond some thousand deliveries a second it is itself what is measured.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable

import attrs
import trio
from trio_websocket import ConnectionClosed
from wsproto.utilities import ProtocolError

from trio_chat.bench.guest import Guest, room_name, text
from trio_chat.bench.plan import BenchError, Plan
from trio_chat.bench.tally import Tally

DRAIN_SECONDS = 5.0  # for what is due after the last message

Progress = Callable[[Tally], None]


@attrs.define(eq=False)
class Load:
    """A load under way. `work` is cancelled when nobody is left to send."""

    tally: Tally
    progress: Progress
    leaving: trio.Event = attrs.Factory(trio.Event)
    work: trio.CancelScope = attrs.Factory(trio.CancelScope)
    interrupted: bool = False

    async def obey(self, signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
        """Ctrl-C: drop everything."""
        async for _ in signals:
            self.interrupted = True
            everything.cancel()

    async def run(self) -> None:
        """Open all, send all, wait for what is due, leave.

        Raises:
            BenchError: a connection could not be opened. Those that are open have left.
        """
        failure: BenchError | None = None
        async with trio.open_nursery() as nursery:
            try:
                await self._work(nursery)
            except BenchError as error:
                failure = error
            self.leaving.set()
        if failure is not None:
            raise failure

    async def _work(self, nursery: trio.Nursery) -> None:
        guests: list[Guest] = []
        with self.work:
            for n in range(self.tally.plan.connections):
                guests.append(Guest(self.tally, n, self.leaving))
                await nursery.start(self._attend, guests[-1])
                self.progress(self.tally)
            await self._send(guests)
            with trio.move_on_after(DRAIN_SECONDS):
                await self.tally.complete.wait()

    async def _attend(self, guest: Guest, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await guest.run(task_status=task_status)
        if self.tally.deserted:
            self.work.cancel()

    async def _send(self, guests: list[Guest]) -> None:
        """Send each message when it is due, the connections in turn; late ones at once. Cancelled: the rest is not."""
        tally = self.tally
        tally.start = tally.last = trio.current_time()
        for n in range(tally.plan.messages):
            await trio.sleep_until(tally.due(n))
            guest = guests[tally.plan.sender(n)]
            if tally.ask(n):
                assert guest.ws is not None
                room, content = room_name(tally, guest.number), f"{tally.token} {n}"
                try:
                    await guest.ws.send_message(text(type="message", room=room, content=content, id=n))
                except (ConnectionClosed, ProtocolError):
                    tally.unsend(n)
                except trio.Cancelled:
                    tally.unsend(n)
                    raise
            self.progress(tally)
        tally.finish()


async def load(plan: Plan, progress: Progress = lambda tally: None) -> Tally:
    """Connect, send, take, leave. `progress` is called after each connection and each message.

    Ctrl-C is a signal that one task waits for. As an exception Trio would raise it in whichever task runs, such as the
    library's reader: then its connection looks closed, whoever reads from that ends and cancels the reader, and the
    `Cancelled` that comes of it takes the place of the exception.

    Cancelling drops the connections without a farewell: a server keeps such guests for its `resume_window`.

    Raises:
        BenchError: a connection could not be opened.
        KeyboardInterrupt: it was stopped by Ctrl-C, which is like cancelling.
    """
    one, failure = Load(Tally(plan), progress), None
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.obey, signals, nursery.cancel_scope)
            try:
                await one.run()
            except BenchError as error:
                failure = error
            nursery.cancel_scope.cancel()
    if one.interrupted:
        raise KeyboardInterrupt
    if failure is not None:
        raise failure
    return one.tally
