"""`trio-chat fuzz --client`: wait for a client, be a bad server to it, and say what it did wrong."""

from __future__ import annotations

import json
import math
import shlex
import sys
from contextlib import suppress
from subprocess import DEVNULL
from typing import Any

import attrs
import trio

from trio_chat.fuzz.bait import LURES, STOP_CODES, Bait, catch

FINAL = 4505  # where no command starts the client anew for each code


@attrs.define
class Findings:
    """What came of all rounds."""

    tried: list[str] = attrs.field(factory=list)
    untried: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)

    def add(self, bait: Bait) -> None:
        """A round is over."""
        for ours, its in ((self.tried, bait.tried), (self.untried, bait.untried), (self.wrong, bait.wrong)):
            ours += [one for one in its if one not in ours]


async def fuzz_client(port: int, command: str, *, host: str = "127.0.0.1") -> Findings:
    """Be a hostile server on `port`; with a `command` that starts the client, one round for each final close code.

    Cancelled: the port is free, and the client that was started is killed.

    Raises:
        OSError: the port cannot be listened on, or the command not be started.
    """
    findings = Findings()
    send, arrivals = trio.open_memory_channel[trio.abc.Stream](math.inf)
    listeners = await trio.open_tcp_listeners(port, host=host)
    place: Any = listeners[0].socket.getsockname()
    url = f"ws://{host}:{place[1]}/ws"
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(_accept, listener, send)
        print(f"waiting for a client on {url}", file=sys.stderr, flush=True)
        for number, code in enumerate(STOP_CODES if command else (FINAL,)):
            bait = Bait(arrivals)
            process = await _started(command, url)
            await catch(bait, LURES if number == 0 else (), code)
            if process is not None:
                process.kill()
                await process.wait()
            _forget(arrivals)
            findings.add(bait)
        nursery.cancel_scope.cancel()
    return findings


async def _accept(listener: trio.SocketListener, send: trio.MemorySendChannel[trio.abc.Stream]) -> None:
    async with listener:
        while True:
            send.send_nowait(await listener.accept())


async def _started(command: str, url: str) -> trio.Process | None:
    if not command:
        return None
    return await trio.lowlevel.open_process([*shlex.split(command), url], stdin=DEVNULL, stdout=DEVNULL)


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
        print("nothing found" if not findings.wrong else f"found: {len(findings.wrong)}")
    return 1 if findings.wrong else 0
