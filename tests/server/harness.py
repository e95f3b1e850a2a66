"""A server in memory, and a client that speaks raw bytes: whatever a hostile peer can send, it can."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from trio_chat.config import Config
from trio_chat.core.chat import Secrets
from trio_chat.core.sessions import Session
from trio_chat.core.state import ChatState
from trio_chat.log.memory import MemoryLog
from trio_chat.server.broker import Broker
from trio_chat.server.doors import Doors
from trio_chat.server.listener import Listener
from trio_chat.server.tls import Certificate

Result = TypeVar("Result")
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
SECRETS = Secrets(boot="test", ticket_key=b"k" * 32)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3
PATIENCE = 60_000.0  # virtual seconds; what takes longer never comes


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True, width: int | None = None
) -> bytes:
    """A client's frame. `width`: bytes of the extended length (0, 2, 8); by default the shortest form."""
    size = len(payload)
    if width is None:
        width = 0 if size < 126 else 2 if size < 65_536 else 8
    short = {0: size, 2: 126, 8: 127}[width]
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if masked else 0) | short))
    head += size.to_bytes(width, "big") if width else b""
    if not masked:
        return head + payload
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def text(content: str | bytes, **how: Any) -> bytes:
    """A text frame."""
    return frame(TEXT, content.encode() if isinstance(content, str) else content, **how)


def command(kind: str, **fields: Any) -> bytes:
    """The frame of a command."""
    return text(json.dumps({"type": kind, **fields}))


def close(code: int | None = None, reason: str = "") -> bytes:
    """A close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def upgrade(path: str = "/ws", *, subprotocol: str | None = "chat", **headers: str | None) -> bytes:
    """The head of an upgrade request; a header that is None is left out, `_` in its name is a dash."""
    lines: dict[str, str | None] = {
        "host": "chat.example",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
        "sec-websocket-protocol": subprotocol,
    }
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return request("GET", path, b"", **lines)


def request(method: str, path: str, body: bytes = b"", **headers: str | None) -> bytes:
    """Any request; `host` is given unless it is None."""
    lines = {"host": "chat.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
    shown = [f"{name}: {value}" for name, value in lines.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *shown, "", ""]).encode() + body


@attrs.frozen
class Response:
    """An HTTP response, its header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Lost(Exception):
    """The server's stream ended where something was awaited."""


class Peer:
    """A client over any Trio stream. Whatever is awaited must come within `PATIENCE`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def send(self, *data: bytes) -> None:
        """Write bytes."""
        await self.stream.send_all(b"".join(data))

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a command."""
        await self.send(command(kind, **fields))

    async def _more(self) -> None:
        with trio.fail_after(PATIENCE):
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                raise Lost from None
        if not data:
            raise Lost
        self.buffer += data

    async def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self.buffer) < count:
            await self._more()
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    async def response(self, *, body: bool = True) -> Response:
        """The next HTTP response; `body` False: it has none, whatever its length says."""
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", "0")) if body else 0
        return Response(int(first.split()[1]), headers, await self.take(size))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode (it must be whole, unmasked and without reserved bits) and its payload."""
        first, second = await self.take(2)
        assert first & 0xF0 == 0x80, "a server's frames are never fragments"
        size = second
        if second == 126:
            size = int.from_bytes(await self.take(2), "big")
        elif second == 127:
            size = int.from_bytes(await self.take(8), "big")
        else:
            assert second < 126, "a server's frames are not masked"
        return first & 0xF, await self.take(size)

    async def event(self, kind: str | None = None, **fields: Any) -> dict[str, Any]:
        """The next event (of that type, and with these fields); others, and pings, are passed over."""
        while True:
            opcode, payload = await self.frame()
            assert opcode in (TEXT, PING, PONG), (opcode, payload)
            if opcode == TEXT:
                event: dict[str, Any] = json.loads(payload)
                if kind in (None, event["type"]) and fields.items() <= event.items():
                    return event

    async def closed(self) -> int:
        """The code of the close frame; after it the stream must end. What comes before it is passed over."""
        opcode, payload = await self.frame()
        while opcode != CLOSE:
            opcode, payload = await self.frame()
        await self.ended()
        return int.from_bytes(payload[:2], "big") if payload else 1005

    async def ended(self) -> None:
        """Nothing more comes: the stream ends."""
        try:
            await self.take(1)
        except Lost:
            return
        raise AssertionError(f"there is more: {bytes(self.buffer)!r}")

    async def drop(self) -> None:
        """Vanish."""
        await trio.aclose_forcefully(self.stream)

    async def open(self, *behind: bytes, path: str = "/ws", **headers: str | None) -> Response:
        """Upgrade; `behind` comes in the same segment."""
        await self.send(upgrade(path, **headers), *behind)
        response = await self.response()
        assert response.status == 101, response
        return response

    async def connect(self, name: str, **fields: Any) -> dict[str, Any]:
        """Upgrade and connect. Returns the `welcome`."""
        await self.open()
        await self.say("connect", username=name, **fields)
        return await self.event("system", event="welcome")


class OneWay:
    """A wire that an outbox writes to at once: whoever waits for it, reads or closes it asks too much."""

    def try_send(self, data: bytes | memoryview) -> int:
        """A subclass says how much it takes."""
        raise NotImplementedError

    async def send(self, data: bytes | memoryview) -> int:
        raise NotImplementedError

    async def receive(self, max_bytes: int = 1) -> bytes:
        raise NotImplementedError

    async def send_eof(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts what `connect` makes."""

    def __init__(self) -> None:
        self._in, self._out = trio.open_memory_channel[trio.abc.Stream](1000)

    async def accept(self) -> trio.abc.Stream:
        try:
            return await self._out.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        self._in.close()
        self._out.close()
        await trio.lowlevel.checkpoint()

    def connect(self) -> Peer:
        """A new client."""
        ours, theirs = memory_stream_pair()
        self.take(theirs)
        return Peer(ours)

    def take(self, stream: trio.abc.Stream) -> None:
        """Let the server have `stream`."""
        self._in.send_nowait(stream)


@attrs.define
class House:
    """What `serve` runs, open to view."""

    config: Config
    state: ChatState
    broker: Broker
    doors: Doors
    listener: MemoryListener
    connections: trio.Nursery
    clients: trio.Nursery

    def session(self, token: str) -> Session:
        """The session of a token."""
        session = self.state.chat.people.find(token)
        assert session is not None
        return session

    def knock(self) -> Peer:
        """A new client in memory."""
        return self.listener.connect()

    async def join(self, name: str) -> Peer:
        """A new client, connected."""
        peer = self.knock()
        await peer.connect(name)
        return peer

    async def plug(self, buffers: int | None = None) -> Peer:
        """A new client over a real socket; `buffers`: bytes that the kernel takes, about."""
        theirs, ours = await socket_pair(buffers)
        self.listener.take(theirs)
        return Peer(ours)

    async def empty(self) -> None:
        """Assert that nothing of any connection is left: no task, no peer, no count, no byte."""
        await wait_all_tasks_blocked()
        broker, chat = self.broker, self.state.chat
        assert [task.name for task in self.connections.child_tasks if "accept" not in task.name] == []
        assert not any(
            [broker._peers, broker._peers._slow, broker._reads, broker._knocking, broker._ended, broker._urgent]
        )
        assert not any([chat.conns, chat.gate._open, chat.gate._per_address, chat.to_unqueue])
        assert (chat.connecting.next(), chat.probing.next()) == (None, None)
        assert broker.buffered.bytes == 0


async def socket_pair(buffers: int | None = None) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of a TCP connection on loopback: the accepted one, and the connecting one."""
    with trio.socket.socket() as listening:
        await listening.bind(("127.0.0.1", 0))
        if buffers is not None:
            listening.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, buffers)
            listening.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_MAXSEG, 1000)  # loopback's is 64 KiB
        listening.listen(1)
        connecting = trio.socket.socket()
        if buffers is not None:
            connecting.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffers)
        await connecting.connect(listening.getsockname())
        accepted, _ = await listening.accept()
    return trio.SocketStream(accepted), trio.SocketStream(connecting)


def fresh_state(config: Config) -> ChatState:
    """The state that `serve` makes of a configuration."""
    return ChatState(
        secrets=SECRETS,
        admission=config.admission,
        limits=config.limits,
        history=config.history,
        heartbeat=config.heartbeat,
        connect_timeout=config.listen.connect_timeout,
        server="trio_chat/test",
    )


@asynccontextmanager
async def house(**options: Any) -> AsyncIterator[House]:
    """Broker, doors and listener in a nursery of their own; all are cancelled at the end."""
    options.setdefault("max_attempts", 1_000_000)
    config = Config.of(**options)
    state, listener = fresh_state(config), MemoryListener()
    broker = Broker(state, MemoryLog(config.history), config.limits, wall=lambda: 1e9 + trio.current_time())
    async with trio.open_nursery() as core:
        core.start_soon(broker.run)
        async with trio.open_nursery() as connections, trio.open_nursery() as clients:
            doors = Doors(config, broker, Certificate.of(config.listen))
            connections.start_soon(Listener(config, doors.serve).accept, listener, connections)
            yield House(config, state, broker, doors, listener, connections, clients)
            clients.cancel_scope.cancel()
            connections.cancel_scope.cancel()
        await wait_all_tasks_blocked()  # the broker hears of the last ends
        assert broker.buffered.bytes == 0
        assert not broker._peers
        core.cancel_scope.cancel()


def stop_turns(monkeypatch: pytest.MonkeyPatch, server: House) -> None:
    """The broker takes no more turns, until `monkeypatch.undo()` and a `ring`."""
    monkeypatch.setattr(server.broker, "_turn", lambda now: False)
    monkeypatch.setattr(server.broker, "_due", math.inf)


async def took(work: Callable[[], Awaitable[Result]]) -> tuple[float, Result]:
    """Virtual seconds that `work` takes, and what it returns."""
    started = trio.current_time()
    result = await work()
    return trio.current_time() - started, result


def chunks_of(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """`data` in pieces of these sizes, over and over."""
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1
