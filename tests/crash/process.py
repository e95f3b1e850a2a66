"""A server process under Trio: started, watched by its log, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import trio

from tests.e2e.process import ADDRESS, OURS, ROOT, START_SECONDS

from .server import Plan

WRONG = ("Traceback", "bug;", "internal error")  # what a server's log must never hold


@attrs.define(eq=False)
class Running:
    """Server process `number`. `listening` is set when it can be connected to, `dead` when it is gone."""

    number: int
    process: trio.Process
    mark: Path | None
    port: int = 0
    log: str = ""
    listening: trio.Event = attrs.field(factory=trio.Event)
    dead: trio.Event = attrs.field(factory=trio.Event)

    async def dial(self) -> trio.abc.Stream:
        """Connect. Cancelled: nothing is left open. Raises OSError."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    @property
    def where(self) -> str:
        """Where it was in its log file when it died; see `tests.crash.server`. `?`: nobody knows."""
        return "?" if self.mark is None else self.mark.read_text() or "?"

    @property
    def complaint(self) -> str | None:
        """What is wrong with its end or with what it logged, if anything is."""
        code = self.process.returncode
        if any(words in self.log for words in WRONG):
            return f"process {self.number} logged: {self.log[-2000:]}"
        if code not in (0, -signal.SIGKILL):
            return f"process {self.number} ended with {code}: {self.log[-2000:]}"
        return None

    def kill(self) -> None:
        """SIGKILL."""
        if self.process.returncode is None:
            self.process.kill()

    def pause(self) -> None:
        """SIGSTOP, until `resume`."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        self.process.terminate()
        with trio.fail_after(START_SECONDS):
            await self.dead.wait()

    async def ready(self) -> bool:
        """Wait until it listens; False where it died first."""
        with trio.fail_after(START_SECONDS):
            async with trio.open_nursery() as nursery:
                for event in (self.listening, self.dead):
                    nursery.start_soon(_first, event, nursery.cancel_scope)
        return self.listening.is_set()

    async def watch(self) -> None:
        """Read its log to the end. Cancelled: it is killed."""
        assert self.process.stderr is not None
        try:
            async for data in self.process.stderr:
                self.log += data.decode(errors="replace")
                found = list(ADDRESS.finditer(self.log))
                if found:
                    self.port = int(found[-1]["port"])  # one that begins anew may have another
                    self.listening.set()
            await self.process.wait()
        finally:
            self.kill()
            self.dead.set()


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def start(
    nursery: trio.Nursery, number: int, *, flags: list[str], mark: Path, plan: Plan | None = None
) -> Running:
    """Start a server with `flags`: the real one, or with `plan` one that dies by it. `nursery` watches it."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    program = ["trio_chat"] if plan is None else ["tests.crash.server", str(mark), str(plan)]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", *program, "--host", "127.0.0.1", "--port", "0", *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**variables, "PYTHONPATH": str(ROOT)},
    )
    running = Running(number, process, None if plan is None else mark)
    nursery.start_soon(running.watch)
    return running
