"""One simulation from its beginning to its judgement."""

from __future__ import annotations

import time

import attrs
import trio

from trio_chat.sim.chance import branch, run_in_virtual_time
from trio_chat.sim.disk import Disk
from trio_chat.sim.house import House
from trio_chat.sim.network import Network, Packet, Weather
from trio_chat.sim.play import act, cast, strike
from trio_chat.sim.scenario import Scenario
from trio_chat.sim.steps import Steps
from trio_chat.sim.trace import Flight, Trace, logged
from trio_chat.witness.evidence import Finding
from trio_chat.witness.judge import Log, Report, check
from trio_chat.witness.settling import settle

RESTART = 60.0  # seconds for the last process to be up, before the quiet phase begins: more than it is meant to be gone


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of it. `digest`: of the trace; `virtual` and `real`: seconds that it took."""

    scenario: Scenario
    seed: int
    report: Report
    trace: Trace
    digest: str
    virtual: float
    real: float

    @property
    def failed(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.report.findings)

    @property
    def kinds(self) -> frozenset[str]:
        """Of the findings."""
        return frozenset(finding.kind for finding in self.report.findings)


def simulate(scenario: Scenario, seed: int, *, steps: bool = False) -> Outcome:
    """Play a scenario in virtual time, and judge all that anybody saw. Everything is decided by the two arguments.

    `steps`: note which task of the server ran when, too.

    Raises:
        ScenarioError: the server's options are wrong.
    """
    trace, began = Trace(), time.perf_counter()
    watched = [Steps(trace)] if steps else []
    with logged(trace):
        report, virtual = run_in_virtual_time(seed, _play, scenario, seed, trace, instruments=watched)
    real = time.perf_counter() - began
    return Outcome(
        scenario=scenario, seed=seed, report=report, trace=trace, digest=trace.digest, virtual=virtual, real=real
    )


async def _play(scenario: Scenario, seed: int, trace: Trace) -> tuple[Report, float]:
    config = scenario.config
    weather = Weather(latency=scenario.network.latency, jitter=scenario.network.jitter, pieces=scenario.network.pieces)

    def sent(packet: Packet) -> None:
        trace.flights.append(Flight(packet.sent, packet.at, packet.link, packet.up, len(packet.data)))

    network = Network(weather, branch(seed, "network"), sent, trace.links)
    disk = Disk(
        config.history,
        branch(seed, "disk"),
        latency=scenario.disk.latency,
        secret=branch(seed, "secret").randbytes(32),
    )
    house = House(config, network, disk, seed, trace)
    heartbeat = config.heartbeat
    actors = cast(scenario, seed, network, 2 * heartbeat.ping_interval + heartbeat.ping_timeout)
    users = [actor.user for actor in actors]
    logs: dict[str, Log] = {}
    stuck: str | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.run)
        await house.up.wait()
        with trio.move_on_at(scenario.seconds):
            async with trio.open_nursery() as stage:
                for actor in actors:
                    stage.start_soon(act, actor, house)
                for number, fault in enumerate(scenario.faults):
                    chance = branch(seed, "fault", number)
                    stage.start_soon(strike, fault, house, network, disk, chance, trace)
        trace.note("faults", "quiet", "all come back, and everything is compared")
        disk.full_until = 0.0
        for user in users:
            user.deaf_until = 0.0
        gone = [fault.lasts for fault in scenario.faults if fault.kind in ("crash", "deploy")]
        with trio.move_on_after(RESTART + max(gone, default=0.0)):
            await house.settled()
        dials = {actor.user.name: actor.dial for actor in actors}
        logs, stuck = await settle(users, lambda user: dials[user.name], house.number)
        await house.end()
    connections = [one for user in users for one in user.connections]
    trace.talk(connections)
    report = check(connections, logs, resume_window=config.history.resume_window)
    wrong = [*([stuck] if stuck else []), *trace.warnings]
    report.findings[:0] = [Finding("server", text) for text in wrong]
    return report, trio.current_time()
