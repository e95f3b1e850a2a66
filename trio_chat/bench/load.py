"""The load: guests in rooms who send at a fixed rate, and note how late everything comes.

The loop is open: message n is due at n / rate seconds whatever the server does, and latency counts from that moment, so
a server that stalls is charged for all that should have been sent meanwhile. The load is one Trio task a connection in
one process: beyond some thousand deliveries a second it is itself what is measured.
"""

from __future__ import annotations

import secrets
import ssl
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

import attrs
import msgspec
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from trio_websocket import ConnectionRejected as Rejected

MAX_CONNECTIONS = 10_000
MAX_RATE = 10_000.0  # messages a second, in all
MAX_SECONDS = 3_600.0
MAX_MESSAGES = 1_000_000
MAX_DELIVERIES = 10_000_000  # each latency is kept: 32 bytes
OPEN_SECONDS = 10.0  # for one connection: handshake, `welcome`, `join`
DRAIN_SECONDS = 5.0  # for what is due after the last message
CLOSE_SECONDS = 2.0  # for the farewells

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class BenchError(Exception):
    """The server could not be loaded at all; `str()` is one line that says why."""


@attrs.frozen(kw_only=True)
class Plan:
    """What to do: `rate` messages a second in all, for `seconds`, from `connections` spread evenly over `rooms`.

    Raises:
        ValueError: a number is out of its bounds; `str()` names it.
    """

    url: str
    connections: int = attrs.field(default=10, validator=[attrs.validators.ge(1), attrs.validators.le(MAX_CONNECTIONS)])
    rooms: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    rate: float = attrs.field(default=10.0, validator=[attrs.validators.gt(0), attrs.validators.le(MAX_RATE)])
    seconds: float = attrs.field(default=10.0, validator=[attrs.validators.gt(0), attrs.validators.le(MAX_SECONDS)])
    tls: ssl.SSLContext | None = None  # for wss://; None checks certificates as the system does

    def __attrs_post_init__(self) -> None:
        """Check what several fields say together."""
        if self.rooms > self.connections:
            raise ValueError(f"rooms: {self.rooms} must be at most connections = {self.connections}")
        members = -(-self.connections // self.rooms)
        if self.messages > MAX_MESSAGES or self.messages * members > MAX_DELIVERIES:
            raise ValueError(f"rate and seconds: over {MAX_MESSAGES:,} messages or {MAX_DELIVERIES:,} deliveries")

    @property
    def messages(self) -> int:
        """How many are sent; at least one."""
        return max(1, int(self.rate * self.seconds))


class Tally:
    """What was sent and what came. Latencies are in seconds, one of each ack and delivery."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.token = secrets.token_hex(4)  # of this run: names, rooms and contents hold it
        self.start = 0.0  # Trio's clock
        self.sent = self.expected = 0
        self.acks: list[float] = []
        self.deliveries: list[float] = []
        self.last = 0.0  # when the last delivery came
        self.errors: Counter[str] = Counter()
        self.complete = trio.Event()
        self._all_sent = False

    def due(self, n: int) -> float:
        """When message n should leave."""
        return self.start + n / self.plan.rate

    def members(self, room: int) -> int:
        """How many connections share a room: those whose index is `room` modulo `rooms`."""
        return len(range(room, self.plan.connections, self.plan.rooms))

    def take(self, data: str | bytes) -> None:
        """Note one frame of the server's."""
        frame = msgspec.json.decode(data)
        kind, now = frame.get("type"), trio.current_time()
        if kind == "ack" and isinstance(frame.get("id"), int):
            self.acks.append(now - self.due(frame["id"]))
        elif kind == "message" and (number := self._number(frame["content"])) is not None:
            self.deliveries.append(now - self.due(number))
            self.last = now
        elif kind == "error":
            self.errors[str(frame.get("code"))] += 1
        self._look()

    def finish(self) -> None:
        """Nothing more is sent."""
        self._all_sent = True
        self._look()

    def _number(self, content: str) -> int | None:
        token, _, number = content.partition(" ")
        return int(number) if token == self.token else None

    def _look(self) -> None:
        if self._all_sent and len(self.deliveries) >= self.expected and len(self.acks) >= self.sent:
            self.complete.set()


async def load(plan: Plan, progress: Callable[[Tally], None] = lambda tally: None) -> Tally:
    """Connect, send, take, leave. `progress` is called after each connection and each message.

    It takes at most the plan's `seconds`, `DRAIN_SECONDS`, `CLOSE_SECONDS` and, for each connection, `OPEN_SECONDS`.
    Cancelling drops the connections without a farewell: a server keeps such guests for its `resume_window`.

    Raises:
        BenchError: a connection could not be opened.
    """
    tally, failure = Tally(plan), None
    async with trio.open_nursery() as nursery:
        sockets: list[WebSocketConnection] = []
        try:
            for n in range(plan.connections):
                sockets.append(await nursery.start(_connection, tally, n))
                progress(tally)
            await _send(sockets, tally, progress)
            with trio.move_on_after(DRAIN_SECONDS):
                await tally.complete.wait()
        except BenchError as error:
            failure = error
        await _leave(sockets)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if missing := tally.expected - len(tally.deliveries):
        tally.errors["lost" if missing > 0 else "doubled"] += abs(missing)
    if missing := tally.sent - len(tally.acks):
        tally.errors["unanswered" if missing > 0 else "answered twice"] += abs(missing)
    return tally


async def _connection(
    tally: Tally, n: int, *, task_status: trio.TaskStatus[WebSocketConnection] = trio.TASK_STATUS_IGNORED
) -> None:
    """Connect one guest, which is started when it is in its room, and take all that comes until it closes.

    Raises:
        BenchError: it was refused, or is not in its room within `OPEN_SECONDS`.
    """
    failure: BaseException | None = None
    stream: Stream | None = None
    try:
        # A nursery of its own: the library raises some refusals in a task of it.
        async with trio.open_nursery() as nursery:
            with trio.fail_after(OPEN_SECONDS):
                stream = await _stream(tally.plan)
                ws = await _open(nursery, stream, tally, n)
            task_status.started(ws)
            await _read(ws, tally)
            nursery.cancel_scope.cancel()
    except* (HandshakeError, ConnectionClosed, OSError, trio.TooSlowError, BenchError) as group:
        failure = first(group)
    finally:
        if stream is not None:  # the library leaves it open where it was refused
            await trio.aclose_forcefully(stream)
    if failure is not None:
        raise BenchError(f"connection {n + 1} {_told(failure)}")


async def _stream(plan: Plan) -> Stream:
    """Connect, encrypted where the URL says so. Cancelled: nothing is left open.

    Raises:
        OSError: the server cannot be reached, or its certificate is not good.
    """
    parts = urlsplit(plan.url)
    host = parts.hostname or ""
    stream = await trio.open_tcp_stream(host, parts.port or (443 if parts.scheme == "wss" else 80))
    if parts.scheme != "wss":
        return stream
    secure = trio.SSLStream(
        stream, plan.tls or ssl.create_default_context(), server_hostname=host, https_compatible=True
    )
    try:
        await secure.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(secure)
        if isinstance(error, trio.BrokenResourceError):
            raise ConnectionError(f"no TLS: {error.__cause__}") from error
        raise
    return secure


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, of the groups in it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> str:
    if isinstance(error, Rejected):
        return f"was refused: {error.status_code} {(error.body or b'').decode(errors='replace').strip()}"
    if isinstance(error, BenchError):
        return f"was refused: {error}"
    if isinstance(error, trio.TooSlowError):
        return f"was not open within {OPEN_SECONDS:g} s"
    return f"could not be opened: {error}"


async def _open(nursery: trio.Nursery, stream: Stream, tally: Tally, n: int) -> WebSocketConnection:
    """Connect one guest and put it into its room."""
    parts = urlsplit(tally.plan.url)
    ws = await wrap_client_stream(nursery, stream, parts.netloc.rpartition("@")[2], parts.path, subprotocols=["chat"])
    await ws.send_message(_frame(type="connect", username=f"bench-{tally.token}-{n}"))
    await _await(ws, "welcome")
    await ws.send_message(_frame(type="join", room=_room(tally, n), id="join"))
    await _await(ws, "join")
    return ws


async def _await(ws: WebSocketConnection, what: str) -> None:
    """Read until the `event` or `id` that is wanted."""
    while True:
        frame = msgspec.json.decode(await ws.get_message())
        if frame.get("type") == "error":
            raise BenchError(str(frame.get("content")))
        if what in (frame.get("event"), frame.get("id")):
            return


async def _read(ws: WebSocketConnection, tally: Tally) -> None:
    """Take all that comes on one connection until it closes."""
    try:
        while True:
            tally.take(await ws.get_message())
    except ConnectionClosed as closed:
        code = closed.reason.code if closed.reason is not None else 1006
        if code != 1000:
            tally.errors[f"closed {code}"] += 1


async def _send(sockets: list[WebSocketConnection], tally: Tally, progress: Callable[[Tally], None]) -> None:
    """Send each message when it is due, the connections in turn; late ones at once."""
    tally.start = tally.last = trio.current_time()
    for n in range(tally.plan.messages):
        await trio.sleep_until(tally.due(n))
        at = n % len(sockets)
        frame = _frame(type="message", room=_room(tally, at), content=f"{tally.token} {n}", id=n)
        try:
            tally.sent += 1
            tally.expected += tally.members(at % tally.plan.rooms)
            await sockets[at].send_message(frame)
        except ConnectionClosed:
            tally.errors["not sent"] += 1
        progress(tally)
    tally.finish()


async def _leave(sockets: list[WebSocketConnection]) -> None:
    """Say 1000 on all of them; who does not answer in time is dropped."""
    with trio.move_on_after(CLOSE_SECONDS):
        async with trio.open_nursery() as farewells:
            for ws in sockets:
                farewells.start_soon(ws.aclose, 1000)


def _room(tally: Tally, n: int) -> str:
    return f"bench-{tally.token}-{n % tally.plan.rooms}"


def _frame(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()
