"""`trio-chat fuzz --client`: wait for a client, be a bad server to it, and say what it did wrong."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from subprocess import DEVNULL
from typing import Any

import attrs
import trio

from trio_chat.fuzz.bait import LURES, STOP_CODES, Bait, catch

FINAL = 4505  # where no command starts the client anew for each code
LINGERS = 1.0  # seconds in which a connection of a client that has ended may still be taken up


class StartError(Exception):
    """The port cannot be listened on, or the client not be started; `str()` is one line for people."""


@attrs.define
class Findings:
    """What came of all rounds. `seed`: of how messages were cut into fragments and chunks."""

    seed: int
    tried: list[str] = attrs.field(factory=list)
    untried: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)

    def add(self, bait: Bait) -> None:
        """A round is over."""
        for ours, its in ((self.tried, bait.tried), (self.untried, bait.untried), (self.wrong, bait.wrong)):
            ours += [one for one in its if one not in ours]


async def fuzz_client(port: int, command: str, seed: int, *, host: str = "127.0.0.1") -> Findings:
    """Be a hostile server on `port`; with a `command` that starts the client, one round for each final close code.

    `seed` decides how messages are cut into fragments and chunks. Cancelled: the port is free, and the client that was
    started is killed.

    Raises:
        StartError: the port cannot be listened on, the command not be started, or it ended before the client came.
    """
    words = _words(command)
    findings = Findings(seed)
    send, arrivals = trio.open_memory_channel[trio.abc.Stream](math.inf)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise StartError(f"--port: {port} cannot be listened on ({error.strerror or error})") from None
    place: Any = listeners[0].socket.getsockname()
    url = f"ws://{host}:{place[1]}/ws"
    failure: StartError | None = None
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(_accept, listener, send)
            print(f"waiting for a client on {url}", file=sys.stderr, flush=True)
            for number, code in enumerate(STOP_CODES if words else (FINAL,)):
                bait = Bait(arrivals, seed)
                async with _started(words, url, bait):
                    await catch(bait, LURES if number == 0 else (), code)
                _forget(arrivals)
                findings.add(bait)
            nursery.cancel_scope.cancel()
    except* StartError as group:
        failure = _first(group)
    if failure is not None:
        raise failure
    return findings


async def _accept(listener: trio.SocketListener, send: trio.MemorySendChannel[trio.abc.Stream]) -> None:
    async with listener:
        while True:
            send.send_nowait(await listener.accept())


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise StartError(f"--run: {command!r} is no command ({error})") from None
    if command and not words:
        raise StartError(f"--run: {command!r} is no command")
    return words


@asynccontextmanager
async def _started(words: list[str], url: str, bait: Bait) -> AsyncIterator[None]:
    """Have a client run within the block, if there is a command; it is killed at its end, cancelled or not."""
    if not words:
        yield
        return
    try:
        process = await trio.lowlevel.open_process([*words, url], stdin=DEVNULL, stdout=DEVNULL)
    except FileNotFoundError:
        raise StartError(f"--run: there is no program {words[0]!r}") from None
    except OSError as error:
        raise StartError(f"--run: {words[0]!r} cannot be started ({error.strerror})") from None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, process, words, bait)
            yield
            nursery.cancel_scope.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with trio.CancelScope(shield=True):  # it was killed: that is soon
            await process.wait()


async def _watch(process: trio.Process, words: list[str], bait: Bait) -> None:
    """Who ends before it has come never comes: else that would be waited for without end."""
    code = await process.wait()
    await trio.sleep(LINGERS)
    if bait.here is None:
        raise StartError(f"--run: {words[0]!r} ended with {code} before it had connected")


def _first(group: BaseExceptionGroup[StartError]) -> StartError:
    one: BaseException = group
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    assert isinstance(one, StartError)
    return one


def _forget(arrivals: trio.MemoryReceiveChannel[trio.abc.Stream]) -> None:
    """Connections that a client opened in the round before are not of the next one."""
    with suppress(trio.WouldBlock):
        while True:
            stream = arrivals.receive_nowait()
            assert isinstance(stream, trio.SocketStream)
            stream.socket.close()


def told(findings: Findings, *, as_json: bool) -> int:
    """Print what came of it; the exit code."""
    if as_json:
        print(json.dumps(attrs.asdict(findings), indent=2, ensure_ascii=False))
    else:
        for mark, lines in (("done", findings.tried), ("not tried", findings.untried), ("WRONG", findings.wrong)):
            for line in lines:
                print(f"{mark}: {''.join(one if one.isprintable() else ' ' for one in line)}")
        found = "nothing found" if not findings.wrong else f"found: {len(findings.wrong)}"
        print(f"{found} (seed {findings.seed})")
    return 1 if findings.wrong else 0
