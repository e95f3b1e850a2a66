"""One connection of the load: opened, put into its room, read from; and in plain words, why it could not be."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import attrs
import msgspec
import trio
from trio_websocket import WebSocketConnection

from trio_chat.bench.plan import BenchError
from trio_chat.bench.tally import READ, Frame, Tally
from trio_chat.client.connection import ABNORMAL, Lost, Rejected, Target, Wire, converse, dial
from trio_chat.core.errors import Close

OPEN_SECONDS = 10.0  # for each of three steps: stream, handshake, and `welcome` with `join`
CLOSE_SECONDS = 2.0  # for the farewell
MAX_MESSAGE = 1 << 20  # characters
TRUST = "a server with --trusted-addresses 127.0.0.0/8 does not count what comes from its own machine"
ATTEMPTS = f"it counts attempts by address; {TRUST}"
CREATION = f"likely its --rooms-created-per-hour, which counts all runs by address; {TRUST}"
FOREIGN = "this is a WebSocket server, but no trio_chat"
NAMES = {1000: "done", 1001: "going away", 1005: "without a code", ABNORMAL: "connection lost"}  # that `Close` lacks


@attrs.define(eq=False)
class Guest:
    """A connection, started by `run` when it is in its room. Then `ws` is there to send on."""

    tally: Tally
    number: int
    leaving: trio.Event
    ws: WebSocketConnection | None = None
    _step: str = "handshake"
    _refusal: str | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, enter, take all that comes until `leaving`, and say 1000. Cancelled: without a farewell.

        Raises:
            BenchError: it could not be opened; nothing is left of it.
        """

        async def talk(ws: WebSocketConnection, _wire: Wire) -> None:
            with trio.fail_after(OPEN_SECONDS):
                self._refusal = await self._enter(ws)
            if self._refusal is None:
                self.ws = ws
                self.tally.enter(self.number)
                task_status.started()
                await self._stay(ws)

        target = Target.of(self.tally.plan.url)
        try:
            with trio.fail_after(OPEN_SECONDS):
                stream = await dial(target, self.tally.plan.tls)
        except (OSError, trio.TooSlowError) as error:
            raise BenchError(f"connection {self.number + 1} could not be opened: {unreachable(error)}") from None
        end = await converse(stream, target, None, talk, max_message=MAX_MESSAGE, timeout=OPEN_SECONDS)
        if self.ws is None:
            raise BenchError(f"connection {self.number + 1} {self._refusal or refused(end, self._step)}")
        if not self.leaving.is_set() and isinstance(end, Lost):
            self.tally.leave(self.number, how(end))

    async def _enter(self, ws: WebSocketConnection) -> str | None:
        """Connect the guest and put it into its room. Returns why that is not possible, None if it is."""
        self._step = "welcome"
        await ws.send_message(text(type="connect", username=f"bench-{self.tally.token}-{self.number}"))
        frame = await _next(ws)
        if frame is not None and frame.type == "error":
            return f"was refused: {frame.content}"
        if frame is None or frame.event != "welcome":
            return f"got no welcome: {FOREIGN}"
        self._step = "join"
        await ws.send_message(text(type="join", room=room_name(self.tally, self.number), id="join"))
        while True:
            frame = await _next(ws)
            if frame is None:
                return f"could not join its room: {FOREIGN}"
            if frame.type == "error":
                hint = f" ({CREATION})" if frame.code == "rate_limited" else ""
                return f"could not join its room: {frame.content}{hint}"
            if frame.id == "join":
                return None

    async def _stay(self, ws: WebSocketConnection) -> None:
        """Take what comes, until it is time to leave. It is this task that closes: the library's reads the answer."""

        async def read() -> None:
            while True:
                self.tally.take(self.number, await ws.get_message())

        async with trio.open_nursery() as reading:
            reading.start_soon(read)
            await self.leaving.wait()
            reading.cancel_scope.cancel()
        with trio.move_on_after(CLOSE_SECONDS):
            await ws.aclose(Close.DONE)


def room_name(tally: Tally, connection: int) -> str:
    """The room that a connection is in, on the wire."""
    return f"bench-{tally.token}-{tally.plan.room(connection)}"


def text(**fields: object) -> str:
    """A frame to send."""
    return msgspec.json.encode(fields).decode()


async def _next(ws: WebSocketConnection) -> Frame | None:
    """The next frame; None where it is none of the protocol's."""
    data = await ws.get_message()
    try:
        return READ.decode(data) if isinstance(data, str) else None
    except msgspec.MsgspecError:
        return None


def how(end: Lost) -> str:
    """A close in words: its code, and its name or the reason that came with it."""
    code = ABNORMAL if end.code is None else end.code
    names = NAMES | {int(one): one.reason for one in Close}
    return f"{code} {names.get(code) or end.reason}".rstrip()


def refused(end: Lost | Rejected, step: str) -> str:
    """Why a stream did not become a guest."""
    if isinstance(end, Rejected):
        page = end.reason.startswith("<") or end.reason == "refused"  # HTML, or no body at all
        reason = phrase(end.status) if page else end.reason.partition("\n")[0]
        counted = end.status in (403, 429) and end.retry_after is not None  # 403 alone: never served
        answer = "was refused" if end.status >= 400 else "got no WebSocket"
        return f"{answer}: {end.status} {reason}" + (f" ({ATTEMPTS})" if counted else "")
    if end.code is None and step == "handshake":
        return f"had no answer to its handshake within {OPEN_SECONDS:g} s: is this a WebSocket server?"
    if end.code is None:
        return f"got no {step} within {OPEN_SECONDS:g} s: {FOREIGN}, or it is overloaded"
    if step == "handshake":
        return "was closed within its handshake, or the answer was no HTTP: is this a WebSocket server?"
    return f"was closed before its {step}: {how(end)}"


def phrase(status: int) -> str:
    """What an HTTP status is called; empty where it has no name."""
    return HTTPStatus(status).phrase if status in {int(one) for one in HTTPStatus} else ""


def unreachable(error: OSError | trio.TooSlowError) -> str:
    """Why there is no stream at all, from the causes of an error that Trio made of several."""
    if isinstance(error, trio.TooSlowError):
        return f"no answer within {OPEN_SECONDS:g} s"
    found = list(_causes(error))
    if any(one.errno in (errno.EMFILE, errno.ENFILE) for one in found):
        return "Too many open files: `ulimit -n` says how many this process may have, `ulimit -n 20000` allows more"
    last = found[-1]
    if isinstance(last, ssl.SSLError):
        return f"{found[0]}" + (" (ws:// is for a server without TLS)" if last.reason == "WRONG_VERSION_NUMBER" else "")
    return os.strerror(last.errno) if last.errno is not None and last.errno > 0 else last.strerror or str(last)


def _causes(error: BaseException) -> Iterator[OSError]:
    if isinstance(error, OSError):
        yield error
    within = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    for one in within:
        if one is not None:
            yield from _causes(one)
