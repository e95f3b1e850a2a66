"""The server of a simulation: the real one, process after process, on one disk and behind one network."""

from __future__ import annotations

import itertools
from functools import partial

import trio

from trio_chat.config import Config
from trio_chat.core.chat import Secrets
from trio_chat.server.app import serve
from trio_chat.sim.chance import branch
from trio_chat.sim.disk import Disk, VirtualLog
from trio_chat.sim.network import Door, Network
from trio_chat.sim.trace import Trace

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z: when a simulation begins


def wall() -> float:
    """The virtual wall clock, in seconds since 1970."""
    return EPOCH + trio.current_time()


class House:
    """One server after the other. `number`: of the one that runs, or is to come."""

    def __init__(self, config: Config, network: Network, disk: Disk, seed: object, trace: Trace) -> None:
        self._config, self._network, self._disk, self._seed, self._trace = config, network, disk, seed, trace
        self.number = 0
        self.up = trio.Event()
        self._stop = trio.Event()
        self._scope = trio.CancelScope()
        self._log: VirtualLog | None = None
        self._again: float | None = 0.0  # seconds until the next process starts
        self._ended = trio.Event()
        self._pause = trio.CancelScope()  # between two processes
        self._over = False

    async def run(self) -> None:
        """Run processes until one ends that no other follows. Cancelled: the one that runs is drained."""
        while self._again is not None:
            with self._pause:
                await trio.sleep(self._again)
            if self._over:
                return
            self._again, self.number = None, self.number + 1
            self._stop, self._scope, self._ended = trio.Event(), trio.CancelScope(), trio.Event()
            self._pause = trio.CancelScope()
            await self._process()

    async def _process(self) -> None:
        number, door = self.number, Door()
        chance = branch(self._seed, "tokens", number)
        tokens = itertools.count(1)
        secrets = Secrets(boot=f"{chance.randrange(2**32):08x}", ticket_key=b"")
        log = self._log = VirtualLog(self._disk)
        running = partial(
            serve,
            self._config,
            stop=self._stop,
            listeners=[door],
            entries=log,
            wall=wall,
            secrets=Secrets(boot=secrets.boot, ticket_key=self._disk.restored().secret),
            token=lambda: f"{number}-{next(tokens)}-{chance.randrange(2**64):016x}",
        )
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(running)
                self._network.door = door
                self._trace.note("server", "start", f"process {number}")
                self.up.set()
        log.close()
        self.up = trio.Event()
        self._network.door = None
        self._trace.note("server", "end", f"process {number}")
        self._ended.set()

    async def crash(self, seconds: float) -> None:
        """Kill the process that runs; the next one starts after `seconds`. Returns when it is dead."""
        if self._log is None or not self.up.is_set():
            return
        self._again = seconds
        self._log.die()
        self._network.door = None
        self._network.cut_all()
        self._scope.cancel()
        await self._ended.wait()

    async def deploy(self, seconds: float) -> None:
        """Drain the process that runs; `seconds` after its end the next one starts. Returns when it has ended."""
        if not self.up.is_set():
            return
        self._again = seconds
        self._stop.set()
        await self._ended.wait()

    async def settled(self) -> None:
        """Wait until a process is up that is not about to go. Cancelled: nothing is lost."""
        while not self.up.is_set() or self._stop.is_set():
            await (self._ended.wait() if self.up.is_set() else self.up.wait())

    async def end(self) -> None:
        """Drain what runs or is about to, and start no other. Returns when it has ended, if it was up."""
        self._over = True
        self._pause.cancel()
        self._stop.set()
        if self.up.is_set():
            await self._ended.wait()
