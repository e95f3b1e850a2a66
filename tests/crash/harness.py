"""Rounds of traffic that end in a `kill -9`, on one log file: `python -m tests.crash.harness --rounds 200`.

A campaign is some rounds on a file of its own; in its last process nobody dies, all is awaited and read back, and one
checker judges everything that anybody saw.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

import attrs
import trio

from trio_chat.witness.evidence import Finding
from trio_chat.witness.judge import FIGURES, Log, Report, check
from trio_chat.witness.settling import settle
from trio_chat.witness.transcript import End
from trio_chat.witness.user import User
from trio_chat.witness.wire import Lost

from .process import Running, start
from .server import Plan

NAMES = ("ann", "ben", "cleo", "dan", "eve")
QUICK = {
    "--presence-interval": "0.05",
    "--drain-seconds": "0",
    "--max-attempts": "100000",
    "--trusted-addresses": "127.0.0.0/8",
    "--messages-per-second": "100000",
    "--messages-burst": "100000",
    "--frames-per-second": "100000",
}
ROUND_SECONDS = 0.7  # of traffic, at most, before the kill
PATIENCE = 60.0  # seconds for the last, quiet process
DEATHS = (
    "",
    "COMMIT",
    "COMMIT",
    "BEGIN",
    "DELETE FROM entries",
    "PRAGMA wal_checkpoint",
    "INSERT INTO search",
    "UPDATE",
)


@attrs.frozen
class Campaign:
    """What to do. `log`: as the option, with `{}` for a file. `basic`: the server has only the oldest commands."""

    seed: int
    rounds: int
    log: str = "sqlite:{}"
    flags: tuple[str, ...] = ()
    broken: bool = False  # it acks what it does not commit
    basic: bool = False
    plans: tuple[Plan, ...] = ()  # how the first rounds' servers die, instead of by chance
    calm: int = 0  # rounds in the last process that nobody dies in: only connections are lost


@attrs.define
class Outcome:
    """What came of it. `where`: how often a process was killed where, see `tests.crash.server`."""

    seed: int
    rounds: int
    report: Report
    where: Counter[str]
    seconds: float
    deaths: list[str]  # how each process was to die, and where it did

    @property
    def inside(self) -> int:
        """Kills that hit inside a transaction."""
        return sum(self.where[letter] for letter in "TCS")

    def __str__(self) -> str:
        """A line of figures, and what is wrong."""
        kills = " ".join(f"{letter}{count}" for letter, count in sorted(self.where.items()))
        figures = f"seed {self.seed}: rounds {self.rounds}, inside a transaction {self.inside} ({kills})"
        told = f"{figures}, {self.seconds:.0f} s; {self.report}"
        return "\n".join([told, *self.deaths]) if self.report.findings else told


async def run(campaign: Campaign, directory: Path) -> Outcome:
    """Run a campaign, with its files in `directory`."""
    began = time.monotonic()
    rng = Random(campaign.seed)
    peers = [
        User(
            name,
            tuple(other for other in NAMES if other != name),
            Random(f"{campaign.seed}{name}"),
            basic=campaign.basic,
        )
        for name in NAMES
    ]
    flags = [word for pair in QUICK.items() for word in pair]
    flags += ["--log", campaign.log.format(directory / f"crash-{campaign.seed}.db"), *campaign.flags]
    mark = directory / f"mark-{campaign.seed}"
    where: Counter[str] = Counter()
    complaints: list[str] = []
    deaths: list[str] = []
    async with trio.open_nursery() as nursery:
        starting = partial(start, nursery, flags=flags, mark=mark)
        for number in range(1, campaign.rounds + 1):
            plan = campaign.plans[number - 1] if number <= len(campaign.plans) else _plan(campaign, rng)
            server = await starting(number, plan=plan)
            await _round(server, peers, rng, dies=plan is not None and plan.count > 0)
            where[server.where] += 1
            deaths.append(f"process {number}: {plan}, died at {server.where}")
            complaints += filter(None, [server.complaint])
        server = await starting(campaign.rounds + 1)
        if campaign.calm:
            for _ in range(campaign.calm):
                await _round(server, peers, rng, calm=True)
        logs, stuck = await _quiet(server, peers)
        complaints += filter(None, [stuck, server.complaint])
        if not campaign.calm:  # a clean stop loses nothing either
            server = await starting(campaign.rounds + 2)
            again, stuck = await _quiet(server, peers)
            complaints += filter(None, [stuck, server.complaint])
            complaints += [f"{room} is another after a clean stop" for room in logs if logs[room] != again.get(room)]
    report = check([one for peer in peers for one in peer.connections], logs)
    report.findings[:0] = [Finding("server", text) for text in complaints]
    return Outcome(campaign.seed, campaign.rounds, report, where, time.monotonic() - began, deaths)


def _plan(campaign: Campaign, rng: Random) -> Plan | None:
    """How this round's server is to die; None: it is the plain one, and is killed from outside."""
    if not campaign.log.startswith("sqlite:"):
        return None
    if campaign.broken:
        return Plan(broken=True)
    if rng.random() < 0.3:
        return Plan() if rng.random() < 0.5 else None
    sql = rng.choice(DEATHS)
    most = {"": 1500, "COMMIT": 150, "BEGIN": 150, "UPDATE": 150, "INSERT INTO search": 300}.get(sql, 3)
    micros = rng.choice((0, None, rng.randrange(1, 100), rng.randrange(100, 3000)))
    early = rng.random() < 0.25  # as the file is opened
    return Plan(sql, int(most ** rng.random()) if early else rng.randint(1, most), micros)


async def _round(server: Running, peers: list[User], rng: Random, *, dies: bool = False, calm: bool = False) -> None:
    """Talk until the server is dead: by itself, or killed from outside; or `calm`, until all connections are."""
    if not await server.ready():
        return
    delay = rng.random() * ROUND_SECONDS + 3 * dies * ROUND_SECONDS
    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(_play, peer, server, Random(rng.random()))
        with trio.move_on_after(delay):
            await server.dead.wait()
        if calm:
            nursery.cancel_scope.cancel()
        else:
            server.kill()
            await server.dead.wait()


async def _play(peer: User, server: Running, rng: Random) -> None:
    """Come and talk, now and then lose the connection or go away for a while, until the server is dead."""
    if rng.random() < 0.1:
        return  # offline, for the whole round
    while not server.dead.is_set():
        try:
            async with peer.here(server.dial, lambda: server.number, positions=rng.random() < 0.7):
                await peer.resend()
                for _ in range(rng.randrange(5, 400)):
                    await peer.act()
                    await trio.sleep(rng.expovariate(150))
                if rng.random() < 0.5:
                    await peer.go(End.AWAY)
        except Lost:
            await trio.sleep(0.005)
        if rng.random() < 0.3:
            return
        with trio.move_on_after(rng.random() * 0.1):
            await server.dead.wait()


async def _quiet(server: Running, peers: list[User]) -> tuple[dict[str, Log], str | None]:
    """Wait until everything has come to everybody, read the logs, and stop the server; and what was wrong with that."""
    if not await server.ready():
        return {}, f"process {server.number} never listened"
    logs, stuck = await settle(peers, lambda _: server.dial, server.number)
    await server.stop()
    return logs, stuck


def campaigns(seed: int, rounds: int, length: int) -> list[Campaign]:
    """`rounds` in campaigns of `length`, each with other settings: some trim all the time, some sync fully."""
    settings = ((), ("--history-limit", "40"), ("--log-sync", "full"), ("--history-limit", "7"))
    return [
        Campaign(seed + at, min(length, rounds - at), flags=settings[at // length % len(settings)])
        for at in range(0, rounds, length)
    ]


def main() -> int:
    """Run many rounds, and print what came of them; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--length", type=int, default=20, help="rounds of a campaign")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, help="a directory that is made, for the files of campaigns with findings")
    options = parser.parse_args()
    total, where, seconds, wrong = Report(), Counter[str](), 0.0, 0
    with tempfile.TemporaryDirectory() as directory:
        for campaign in campaigns(options.seed, options.rounds, options.length):
            outcome = trio.run(run, campaign, Path(directory))
            print(outcome, flush=True)
            if outcome.report.findings and options.keep is not None:
                shutil.copytree(directory, options.keep, dirs_exist_ok=True)
            wrong += len(outcome.report.findings)
            where += outcome.where
            seconds += outcome.seconds
            for name in FIGURES:
                setattr(total, name, getattr(total, name) + getattr(outcome.report, name))
    print(Outcome(options.seed, options.rounds, total, where, seconds, []))
    print(f"findings {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
