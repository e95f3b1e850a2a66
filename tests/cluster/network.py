"""The way to a Redis, as a TCP proxy that can be slow, cut, or a black hole."""

from __future__ import annotations

import attrs
import trio

CHUNK = 65_536


class Network:
    """Connections to `port` go on to another port of loopback. `delay`: seconds that each chunk is held back."""

    def __init__(self, to: int) -> None:
        self._to, self.port, self.delay = to, 0, 0.0
        self._gate = _opened()  # that new connections have to pass
        self._open: dict[trio.CancelScope, _Way] = {}

    def hold(self) -> None:
        """From here on nothing gets through of the connections that there are, and nobody is told: bytes wait."""
        gate = trio.Event()
        for way in self._open.values():
            way.gate = gate

    def swallow(self) -> None:
        """Nor of others, which lead nowhere."""
        self.hold()
        self._gate = trio.Event()

    def mend(self) -> None:
        """What waited goes on, also what was sent by somebody who has given up since, or died."""
        self.delay = 0.0
        for gate in (self._gate, *(way.gate for way in self._open.values())):
            gate.set()

    def sever(self) -> None:
        """Cut all connections that there are."""
        for scope in self._open:
            scope.cancel()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass on until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._pass_on, [listener])

    async def _pass_on(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            way = self._open[scope] = _Way(self._gate)
            try:
                async with near:
                    await way.gate.wait()
                    async with await trio.open_tcp_stream("127.0.0.1", self._to) as far, trio.open_nursery() as both:
                        both.start_soon(self._pump, near, far, way, scope)
                        both.start_soon(self._pump, far, near, way, scope)
            except OSError:
                pass  # nobody is there
            finally:
                del self._open[scope]

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, way: _Way, scope: trio.CancelScope
    ) -> None:
        try:
            while data := await source.receive_some(CHUNK):
                if self.delay:
                    await trio.sleep(self.delay)
                await way.gate.wait()
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@attrs.define(eq=False)
class _Way:
    """A connection; its bytes wait for the gate."""

    gate: trio.Event


def _opened() -> trio.Event:
    event = trio.Event()
    event.set()
    return event
