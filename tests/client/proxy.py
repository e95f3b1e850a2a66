"""A TCP proxy on loopback that cuts, holds back or swallows what goes through it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

CHUNK = 1024


@attrs.define
class Plan:
    """What happens to one connection. Bytes: to the server, to the client.

    `cut_up`, `cut_down`: it is cut before this byte. `delay`: seconds that each chunk is held back. `swallow_at`:
    nothing goes on in either direction once this many bytes came down, and nobody is told.
    """

    cut_up: float = float("inf")
    cut_down: float = float("inf")
    delay: float = 0.0
    swallow_at: float = float("inf")


def anywhere(chance: random.Random) -> Plan:
    """Cut at a random byte, within the handshake as well as later; sometimes slowly."""
    plan = Plan(delay=chance.choice([0.0, 0.0, 0.0005]))
    if chance.random() < 0.5:
        plan.cut_up = chance.choice([chance.randrange(400), chance.randrange(400, 3000)])
    else:
        plan.cut_down = chance.choice([chance.randrange(1200), chance.randrange(900, 20000)])
    return plan


class Proxy:
    """Connections to `port` go on to another one, as `plan` (called for each) says."""

    def __init__(self, to: int, plan: Callable[[], Plan]) -> None:
        self.to, self.plan = to, plan
        self.port = 0
        self.accepted = 0  # connections so far
        self.cuts = 0
        self._open: dict[trio.SocketStream, None] = {}

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def cut_all(self) -> None:
        """Cut all that is open now."""
        self.cuts += len(self._open)
        for stream in list(self._open):
            await trio.aclose_forcefully(stream)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until cancelled; then all is cut."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._handle, [listener])

    async def _handle(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        plan = self.plan()
        self._open[client] = None
        server = await trio.open_tcp_stream("127.0.0.1", self.to)
        try:
            async with server, client, trio.open_nursery() as both:
                both.start_soon(self._pump, client, server, plan, plan.cut_up, False, both.cancel_scope)
                both.start_soon(self._pump, server, client, plan, plan.cut_down, True, both.cancel_scope)
        finally:
            del self._open[client]

    async def _pump(
        self,
        source: trio.SocketStream,
        target: trio.SocketStream,
        plan: Plan,
        left: float,
        down: bool,
        scope: trio.CancelScope,
    ) -> None:
        try:
            while data := await source.receive_some(CHUNK):
                if plan.delay:
                    await trio.sleep(plan.delay)
                if down:
                    plan.swallow_at -= len(data)
                if plan.swallow_at <= 0:
                    continue
                await target.send_all(data[: int(min(left, len(data)))])
                left -= len(data)
                if left <= 0:
                    self.cuts += 1
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def open_proxy(to: int, plan: Callable[[], Plan] = Plan) -> AsyncIterator[Proxy]:
    """A running proxy to a port of loopback."""
    proxy = Proxy(to, plan)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()
