"""A server of memory streams, played by a test: in virtual time, no byte crosses a socket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from tests.client.test_session import welcome

Frame = dict[str, Any]


class Peer:
    """The server's end of one connection."""

    def __init__(self, ws: WebSocketConnection, request: WebSocketRequest, stream: trio.abc.Stream) -> None:
        self.ws, self.path, self.stream = ws, request.path, stream
        self.subprotocols = request.proposed_subprotocols

    async def read(self) -> Frame:
        """The next command."""
        frame: Frame = json.loads(await self.ws.get_message())
        return frame

    async def closed(self) -> tuple[int, str | None]:
        """Read until the client closes. Returns its code and reason."""
        with suppress(ConnectionClosed):
            while True:
                await self.ws.get_message()
        assert self.ws.closed is not None
        return self.ws.closed.code, self.ws.closed.reason

    async def write(self, *frames: Frame) -> None:
        for frame in frames:
            await self.ws.send_message(json.dumps(frame))

    async def let_in(self, *rooms: Frame, **more: Any) -> Frame:
        """Read `connect` and answer it. Returns it."""
        connect = await self.read()
        await self.write(welcome(*rooms, resumed="resume" in connect, **more))
        return connect


class FakeServer:
    """Its `dial` gives streams to it; each connection is played by the next one of `parts`.

    A part is a coroutine function that plays a `Peer`, or an exception that dialling raises.
    """

    def __init__(self, nursery: trio.Nursery, *parts: Callable[[Peer], Awaitable[None]] | Exception) -> None:
        self.nursery, self.parts = nursery, list(parts)
        self.dialled: list[float] = []  # when

    async def dial(self) -> trio.abc.Stream:
        self.dialled.append(trio.current_time())
        part = self.parts.pop(0)
        if isinstance(part, Exception):
            raise part
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._play, ours, part)
        return theirs

    async def _play(self, stream: trio.abc.Stream, part: Callable[[Peer], Awaitable[None]]) -> None:
        """Until `part` returns, or the client closes: then the stream is cut."""
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, stream)
                ws = await request.accept(subprotocol="chat")
                await part(Peer(ws, request, stream))
                nursery.cancel_scope.cancel()
        except* ConnectionClosed:
            pass
        finally:
            await trio.aclose_forcefully(stream)
