"""Users who talk while a Redis, the way to it, or the server fails: `python -m tests.cluster.storm --minutes 10`.

One fault after the other, by real signals and by a proxy on the way to the Redis; in the end all is awaited and read
back, twice, and the checker that judges crashes judges everything that anybody saw.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import TypeAlias

import attrs
import trio

from tests.cluster.network import Network
from tests.cluster.valkey import Valkey, valkey
from tests.crash.harness import NAMES, QUICK
from tests.crash.process import Running, start
from trio_chat.witness.evidence import Finding
from trio_chat.witness.judge import Log, Report, check
from trio_chat.witness.settling import settle
from trio_chat.witness.transcript import End
from trio_chat.witness.user import User
from trio_chat.witness.wire import Lost

PATIENCE = 45.0  # seconds after a fault within which something must be acked again
GIVEN_UP = 5.0  # seconds after which a server takes a Redis that says nothing for one that is gone
LASTING = {"appendonly": "yes", "appendfsync": "always"}  # a Redis that keeps what it acknowledged
FENCED = "another process has it by now"


@attrs.define(eq=False)
class Stage:
    """What is there: `server` is the one that users go to. `times`: of each fault, seconds until something is acked."""

    place: Valkey
    network: Network
    users: list[User]
    rng: Random
    starting: Callable[[int], Awaitable[Running]]
    server: Running
    over: bool = False
    stays: dict[trio.CancelScope, None] = attrs.field(factory=dict)
    times: dict[str, list[float]] = attrs.field(factory=dict)
    wrong: list[str] = attrs.field(factory=list)

    async def follow(self) -> None:
        """Start the next server, to which all users go. The lease of the last one is over, as it is in ten seconds."""
        self.place.ask("DEL", "trio_chat:lease")
        self.server = await self.starting(self.server.number + 1)
        if not await self.server.ready():
            raise AssertionError(f"it does not start: {self.server.log}")
        for stay in self.stays:
            stay.cancel()

    def acked_since(self, when: float) -> bool:
        """Whether a message was acked that was sent after that."""
        for user in self.users:
            for connection in user.connections[-2:]:
                ours = [line.frame for line in connection.lines if line.ours and line.at > when]
                sent = {frame.get("id") for frame in ours if frame["type"] in ("message", "private")}
                heard = (line.frame for line in connection.lines if not line.ours and line.at > when)
                if any(frame["type"] == "ack" and frame["id"] in sent for frame in heard):
                    return True
        return False


Fault: TypeAlias = Callable[[Stage], Awaitable[None]]


async def redis_killed(stage: Stage) -> None:
    """It is killed, and started anew after a while."""
    stage.place.kill()
    await trio.sleep(stage.rng.choice((0.0, 0.5, 1.5)))
    await trio.to_thread.run_sync(stage.place.start)


async def redis_paused(stage: Stage) -> None:
    """It stops, for less or for more than a server waits for it."""
    stage.place.pause()
    await trio.sleep(stage.rng.choice((0.3, 2.0, GIVEN_UP + 1.5)))
    stage.place.resume()


async def redis_slow(stage: Stage) -> None:
    """Each chunk takes its time, in both directions."""
    stage.network.delay = stage.rng.choice((0.02, 0.1, 0.4))
    await trio.sleep(2.0)
    stage.network.mend()


async def way_cut(stage: Stage) -> None:
    """Connections are cut, again and again."""
    for _ in range(stage.rng.randrange(1, 12)):
        stage.network.sever()
        await trio.sleep(stage.rng.choice((0.0, 0.01, 0.1)))


async def way_swallows(stage: Stage) -> None:
    """Nothing gets through. What was sent meanwhile comes late, or never."""
    stage.network.swallow()
    await trio.sleep(stage.rng.choice((0.5, GIVEN_UP + 2.0)))
    if stage.rng.random() < 0.5:
        stage.network.sever()
    stage.network.mend()


async def server_killed(stage: Stage) -> None:
    """The next one takes the log over."""
    stage.server.kill()
    await stage.server.dead.wait()
    await stage.follow()


async def bytes_come_late(stage: Stage) -> None:
    """What a server sent before it was killed comes to the Redis when another has the log."""
    stage.network.hold()
    await trio.sleep(0.2)
    await server_killed(stage)
    await trio.sleep(0.5)
    stage.network.mend()


async def server_paused(stage: Stage) -> None:
    """It stops for a while, and nobody takes the log."""
    stage.server.pause()
    await trio.sleep(stage.rng.choice((0.5, 3.0)))
    stage.server.resume()


async def server_replaced(stage: Stage) -> None:
    """It stops until its lease is over, and another takes the log: then it goes on, and must see that, and end."""
    old = stage.server
    old.pause()
    await trio.sleep(0.2)
    await stage.follow()
    await trio.sleep(1.0)
    old.resume()
    with trio.move_on_after(PATIENCE):
        await old.dead.wait()
    if FENCED not in old.log or old.process.returncode != 2:
        stage.wrong.append(f"process {old.number} did not end as it must: {old.process.returncode}, {old.log[-500:]}")


async def two_at_once(stage: Stage) -> None:
    """Something happens to the Redis, and something to the way or to the server."""
    first = stage.rng.choice((redis_killed, redis_paused))
    second = stage.rng.choice((way_cut, way_swallows, server_paused))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first, stage)
        await trio.sleep(stage.rng.random())
        nursery.start_soon(second, stage)


FAULTS: tuple[Fault, ...] = (
    *(redis_killed, redis_paused, redis_slow),
    *(way_cut, way_swallows, bytes_come_late),
    *(server_killed, server_paused, server_replaced, two_at_once),
)


@attrs.define
class Outcome:
    """What came of it."""

    seed: int
    seconds: float
    report: Report
    times: dict[str, list[float]]

    def __str__(self) -> str:
        """The faults with the seconds until something was acked again; the figures; what is wrong."""
        lines = [
            f"  {name:16} {len(each):3} times; acked again after {median(each):5.2f} s, {max(each):5.2f} s at most"
            for name, each in sorted(self.times.items())
        ]
        return "\n".join([f"seed {self.seed}: {self.seconds:.0f} s; {self.report}", *lines])


async def run(
    seed: int,
    faults: list[Fault],
    directory: Path,
    *,
    options: dict[str, str] | None = None,
    flags: tuple[str, ...] = (),
) -> Outcome:
    """Let these things happen, one after the other. `options`: of the Redis."""
    began, rng = time.monotonic(), Random(seed)
    users = [User(name, tuple(other for other in NAMES if other != name), Random(f"{seed}{name}")) for name in NAMES]
    with valkey(**(LASTING if options is None else options)) as place:
        async with trio.open_nursery() as nursery:
            network = Network(place.port)
            await nursery.start(network.serve)
            words = [word for pair in QUICK.items() for word in pair]
            words += ["--log", place.url.replace(str(place.port), str(network.port)), *flags]
            starting = partial(_start, nursery, words, directory / "mark")
            stage = Stage(place, network, users, rng, starting, await starting(1))
            assert await stage.server.ready(), stage.server.log
            await _happen(stage, faults)
            logs, again = await _quiet(stage), dict[str, Log]()
            if not stage.wrong:  # a clean stop loses nothing either
                stage.server = await starting(stage.server.number + 1)
                again = await _quiet(stage)
            nursery.cancel_scope.cancel()
    stage.wrong += [f"{room} is another after a clean stop" for room in logs if again and logs[room] != again.get(room)]
    report = check([one for user in users for one in user.connections], logs)
    report.findings[:0] = [Finding("server", text) for text in stage.wrong]
    return Outcome(seed, time.monotonic() - began, report, stage.times)


async def _start(nursery: trio.Nursery, flags: list[str], mark: Path, number: int) -> Running:
    return await start(nursery, number, flags=flags, mark=mark)


async def _happen(stage: Stage, faults: list[Fault]) -> None:
    """One fault after the other, while all talk."""
    async with trio.open_nursery() as nursery:
        for user in stage.users:
            nursery.start_soon(_play, user, stage, Random(stage.rng.random()))
        for fault in faults:
            await trio.sleep(0.5 + stage.rng.random())
            server = stage.server
            await fault(stage)
            since = trio.current_time()
            with trio.move_on_after(PATIENCE) as scope:
                while not stage.acked_since(since):  # noqa: ASYNC110 - whoever hears it has no event for it
                    await trio.sleep(0.02)
            stage.times.setdefault(fault.__name__, []).append(trio.current_time() - since)
            if scope.cancelled_caught:
                stage.wrong.append(f"{fault.__name__}: nothing was acked within {PATIENCE:g} s; {stage.server.log}")
                break
            if server is not stage.server and server.complaint and FENCED not in server.log:
                stage.wrong.append(server.complaint)
        await trio.sleep(0.5)
        stage.over = True
        nursery.cancel_scope.cancel()


async def _play(user: User, stage: Stage, rng: Random) -> None:
    """Come and talk, now and then lose the connection or go away for a moment, until it is over."""
    while not stage.over:
        with trio.CancelScope() as stay:
            stage.stays[stay] = None
            try:
                await _stay(user, stage.server, rng)
            except Lost:
                await trio.sleep(0.02)
            finally:
                del stage.stays[stay]


async def _stay(user: User, server: Running, rng: Random) -> None:
    async with user.here(server.dial, lambda: server.number, positions=rng.random() < 0.7):
        await user.resend()
        for _ in range(rng.randrange(5, 400)):
            await user.act()
            await trio.sleep(rng.expovariate(100))
        if rng.random() < 0.5:
            await user.go(End.AWAY)
    await trio.sleep(rng.random() * 0.1)


async def _quiet(stage: Stage) -> dict[str, Log]:
    """Wait until everything has come to everybody, read the logs, and stop the server."""
    server = stage.server
    if not await server.ready():
        stage.wrong.append(f"process {server.number} never listened: {server.log}")
        return {}
    logs, stuck = await settle(stage.users, lambda _: server.dial, server.number)
    await server.stop()
    stage.wrong += filter(None, [stuck, server.complaint])
    return logs


def main() -> int:
    """Let faults happen for a while, and print what came of them; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    until, seed, wrong = time.monotonic() + 60 * options.minutes, options.seed, 0
    trimmed = ((), ("--history-limit", "40"))
    while time.monotonic() < until:
        faults = [fault for fault in FAULTS for _ in range(2)]
        Random(seed).shuffle(faults)
        with tempfile.TemporaryDirectory() as directory:
            outcome = trio.run(partial(run, seed, faults, Path(directory), flags=trimmed[seed % 2]))
        print(outcome, flush=True)
        wrong += len(outcome.report.findings)
        seed += 1
    print(f"findings {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
