"""The storm calculator: everybody loses the server at once, and comes back.

How long does that take, and who is banned on the way?

The real server is asked, with the operator's own options. Its clients are those of `trio_chat.client`, which come
back as the protocol says, or (`simple`) such as know nothing of it: they back off, and connect anew without ticket and
session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Literal, TypeAlias

import attrs
import trio

from trio_chat.client import ConnectionEnded, Refused, Welcomed, open_chat_client
from trio_chat.config import Config
from trio_chat.sim.chance import branch, run_in_virtual_time
from trio_chat.sim.disk import Disk
from trio_chat.sim.house import House
from trio_chat.sim.network import Network, Weather
from trio_chat.sim.play import FIRST_ADDRESS
from trio_chat.sim.trace import Trace, logged
from trio_chat.witness.wire import Lost, Wire

Blow: TypeAlias = Literal["deploy", "proxy"]
ARRIVING = 600.0  # seconds over which they come in the first place: a morning, in short
PATIENCE = 1800.0  # seconds after which whoever is not back is counted as gone
MOST = 30.0  # seconds between two attempts of a simple client


@attrs.frozen(kw_only=True)
class Storm:
    """`clients` behind `addresses`; `away`: seconds that the server, or what is in front of it, is gone.

    `simple`: the clients know neither tickets nor sessions.
    """

    clients: int
    addresses: int
    blow: Blow = "deploy"
    away: float = 2.0
    simple: bool = False


@attrs.define
class Aftermath:
    """What came of it; times in seconds after the blow. `back`: of each client that came back, when it was there."""

    storm: Storm
    back: list[float] = attrs.field(factory=list)
    attempts: list[float] = attrs.field(factory=list)
    banned: int = 0  # addresses that were banned, at any time
    gone: int = 0  # clients that gave up, or were not back in time

    @property
    def peak(self) -> int:
        """Attempts in the busiest second."""
        return max(Counter(int(at) for at in self.attempts).values(), default=0)

    def share_back(self, share: float) -> float | None:
        """When that share of all clients was back, or None."""
        needed = max(1, round(share * self.storm.clients))
        return sorted(self.back)[needed - 1] if needed <= len(self.back) else None


def blow(config: Config, storm: Storm, seed: int) -> Aftermath:
    """Let a storm happen. Everything is decided by the arguments."""
    after, trace = Aftermath(storm), Trace()
    with logged(trace):
        run_in_virtual_time(seed, _blow, config, storm, seed, trace, after)
    return after


async def _blow(config: Config, storm: Storm, seed: int, trace: Trace, after: Aftermath) -> None:
    network = Network(Weather(), branch(seed, "network"), lambda _: None, {})
    disk = Disk(config.history, branch(seed, "disk"), latency=0.004, secret=branch(seed, "secret").randbytes(32))
    house = House(config, network, disk, seed, trace)
    struck = trio.Event()
    here = _Here(storm.clients)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.run)
        await house.up.wait()
        async with trio.open_nursery() as clients:
            for number in range(storm.clients):
                client = _Client(number, storm, network, seed, struck, here, after)
                clients.start_soon(client.run, ARRIVING * number / storm.clients)
            with trio.move_on_after(2 * ARRIVING):
                await here.all.wait()
            here.struck_at = trio.current_time()
            struck.set()
            if storm.blow == "deploy":
                await house.deploy(storm.away)
            else:
                await _lose_proxy(network, storm.away)
            with trio.move_on_after(PATIENCE):
                await here.back.wait()
            clients.cancel_scope.cancel()
        await house.end()
    after.gone = storm.clients - len(after.back)
    after.banned = len({one.text for one in trace.happenings if "banned" in one.text and one.lane == "server"})


async def _lose_proxy(network: Network, seconds: float) -> None:
    """What is in front of the server dies: all connections break, and none can be made for a while."""
    door, network.door = network.door, None
    network.cut_all()
    await trio.sleep(seconds)
    network.door = door


class _Here:
    """Who is there: before the blow all who came, and after it all who came back."""

    def __init__(self, parties: int) -> None:
        self.all, self.back = trio.Event(), trio.Event()
        self.struck_at = 0.0
        self._missing, self._away = parties, parties

    def came(self) -> None:
        """One more is there."""
        self._missing -= 1
        if not self._missing:
            self.all.set()

    def returned(self) -> None:
        """One more is back, or will never be."""
        self._away -= 1
        if not self._away:
            self.back.set()


@attrs.define(eq=False)
class _Client:
    number: int
    storm: Storm
    network: Network
    seed: int
    struck: trio.Event
    here: _Here
    after: Aftermath
    back: bool = False

    async def run(self, start: float) -> None:
        """Come, and stay, whatever happens. Cancelled: it is gone."""
        await trio.sleep(start)
        name, chance = f"user{self.number}", branch(self.seed, "client", self.number)
        if self.storm.simple:
            await self._stay_simply(name, chance)
            return
        try:
            async with open_chat_client(
                "ws://server/ws", name, wait=True, connect=self._dial, jitter=chance.random, new_key=str
            ) as client:
                self.here.came()
                late = self.struck.is_set()
                async for event in client:
                    if isinstance(event, Welcomed):
                        if late:  # the first is else that of its coming before the blow, even if it is read after that
                            self._welcomed()
                        late = True
        except (ConnectionEnded, Refused):
            self.here.returned()

    async def _stay_simply(self, name: str, chance: Random) -> None:
        """Come again and again, the wait doubled each time."""
        tries, known = 0, False
        while True:
            try:
                wire = await Wire.open(self._dial)
                try:
                    await wire.send({"type": "connect", "username": name})
                    await wire.receive()
                    tries = 0
                    self._welcomed()
                    if not known:
                        known = True
                        self.here.came()
                    while True:
                        await wire.receive()
                finally:
                    await wire.drop()
            except Lost:
                pass
            await trio.sleep(min(MOST, 2**tries) * (1 - chance.random() / 2))
            tries += 1

    def _welcomed(self) -> None:
        if self.struck.is_set() and not self.back:
            self.back = True
            self.after.back.append(trio.current_time() - self.here.struck_at)
            self.here.returned()

    async def _dial(self) -> trio.abc.Stream:
        if self.struck.is_set():
            self.after.attempts.append(trio.current_time() - self.here.struck_at)
        return await self.network.dial(str(self.number), FIRST_ADDRESS + self.number % self.storm.addresses)


def table(all: Sequence[Aftermath]) -> list[list[str]]:
    """A head, and a row for each."""
    head = ["blow", "clients", "of", "addresses", "half back", "95 % back", "all back", "peak/s", "banned", "gone"]
    rows = [head]
    for one in all:
        storm = one.storm
        times = [_seconds(one.share_back(share)) for share in (0.5, 0.95, 1.0)]
        rows.append(
            [
                storm.blow,
                f"{storm.clients:,}",
                "simple" if storm.simple else "trio_chat",
                f"{storm.addresses:,}",
                *times,
                f"{one.peak:,}",
                f"{one.banned:,}",
                f"{one.gone:,}",
            ]
        )
    return rows


def _seconds(at: float | None) -> str:
    return "never" if at is None else f"{at:.1f} s"
