"""The benchmark: our server and its peers under the same load, `python -m tests.benchmarks.run`.

The figure to trust is the ratio of two servers in one round, as the machine's mood is in both; rounds are interleaved
and medians are taken. Server and load have a core each. A server whose CPU is far from 100 % waited for the load: its
figure says how soon it answers a full window, no more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from .opening import cpu_seconds
from .report import write
from .scenarios import GROWTH, SCENARIOS, Scenario
from .servers import (
    MISSING,
    OURS,
    PLACES,
    ROOT,
    SERVERS,
    BenchmarkError,
    Server,
    install,
    serving,
    stop,
    tail,
    versions,
)

LOAD_SECONDS = 60  # beyond what the load itself needs: connecting and draining
SHORT: dict[str, dict[str, Any]] = {
    "one room, 10 senders": {"clients": 200},
    "100 rooms of 10": {},
    "open loop": {"seconds": 1.0},
}
SHORT_SERVERS = [OURS, "trio_chat, sqlite", "websockets"]


@attrs.define
class Record:
    """All that was measured: results and errors by scenario and server, a result for each round.

    `options`: by scenario, those of the run that are not the scenario's own.
    """

    rounds: int
    short: bool = False
    results: dict[str, dict[str, list[dict[str, float]]]] = attrs.Factory(dict)
    errors: dict[str, dict[str, str]] = attrs.Factory(dict)
    options: dict[str, dict[str, Any]] = attrs.Factory(dict)
    versions: dict[str, str] = attrs.Factory(dict)
    missing: dict[str, str] = attrs.Factory(lambda: dict(MISSING))


def cpus() -> tuple[int, int]:
    """The cores for (server, load).

    Raises:
        BenchmarkError: there are no two.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("needs two cores: one for the server, one for the load")
    return cores[0], cores[1]


def measure(server: Server, options: dict[str, Any], cpu: int | None = None, module: str = "load") -> dict[str, float]:
    """Put the load on a server, from a process of its own on core `cpu`; `options` are those of `module`'s class.

    Raises:
        BenchmarkError: the load found a promise broken, or took too long.
    """
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    flags += [f"--port={server.port}", f"--server-pid={server.pid}"]
    before = time.monotonic(), busy_seconds() - cpu_seconds(server.pid)
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        wait = LOAD_SECONDS + options.get("warmup", 1) + options.get("seconds", 3)
        children = own_children()
        out, err = process.communicate(timeout=wait)
        children = own_children() - children
        others = busy_seconds() - cpu_seconds(server.pid) - before[1] - children
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"the load took more than {wait:g} s") from None
    finally:
        stop(process)
    if process.returncode:
        raise BenchmarkError(f"the load ended with {process.returncode}: {tail(err)}")
    result: dict[str, float] = json.loads(out)
    result["others"] = max(0.0, others / (time.monotonic() - before[0]))
    return result


def busy_seconds() -> float:
    """CPU time of everybody on this machine so far, in seconds (proc(5))."""
    user, nice, system = (int(word) for word in Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def own_children() -> float:
    """CPU time of our children that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def benchmark(record: Record, scenario: Scenario, names: list[str], places: Path, options: dict[str, Any]) -> None:
    """Measure each server once a round, each time a fresh process. One that fails is out of this scenario."""
    server_cpu, load_cpu = cpus()
    results = record.results.setdefault(scenario.name, {name: [] for name in names})
    errors = record.errors.setdefault(scenario.name, {})
    record.options[scenario.name] = options
    for number in range(1, min(record.rounds, scenario.rounds) + 1):
        for name in names:
            if name in errors:
                continue
            try:
                with serving(name, server_cpu, places) as server:
                    result = measure(server, {**scenario.options, **options}, load_cpu, scenario.module)
            except BenchmarkError as error:
                errors[name] = str(error)
                print(f"{scenario.name}: {name}: {error}", file=sys.stderr)
                continue
            results.setdefault(name, []).append(result)
            column, load, others = scenario.columns[0], result["load_cpu"], result["others"]
            figure = f"{format(result[column.key], column.form)} {column.title}"
            line = f"{scenario.name}, round {number}: {name}: {figure}, load's CPU {load:.0%}, others' {others:.0%}"
            print(line, file=sys.stderr)


def prepare(record: Record, names: list[str], places: Path) -> list[str]:
    """Install what the servers need. Returns those that can run; the others go into `record.missing`."""
    ready = []
    for name in names:
        try:
            install(SERVERS[name], places)
            record.versions[name] = versions(SERVERS[name], places)
            ready.append(name)
        except BenchmarkError as error:
            record.missing[name] = str(error)
    return ready


def within(kind: type[int | float], low: float, high: float) -> Any:
    """An `argparse` type: a number with bounds."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} must be from {low:g} to {high:g}")
        return value

    return parse


def quoted(names: Iterable[str]) -> str:
    """Names as one types them: they have commas and spaces in them."""
    return "  ".join(shlex.quote(name) for name in names)


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.run", description=(__doc__ or "").partition("\n")[0]
    )
    every = [*SCENARIOS, *GROWTH]
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), metavar="NAME", help=f"of: {quoted(SERVERS)}")
    parser.add_argument("--scenarios", nargs="+", choices=every, metavar="NAME", help=f"of: {quoted(every)}")
    parser.add_argument("--rounds", type=within(int, 1, 20), default=5)
    parser.add_argument("--seconds", type=within(float, 0.1, 60), help="measured in each round")
    parser.add_argument("--short", action="store_true", help="a minute's worth, for CI: a smoke test, no measurement")
    parser.add_argument("--places", type=Path, default=PLACES, help="where the peers are installed")
    parser.add_argument("--raw", type=Path, help="JSON of all rounds; what is in it is kept and added to")
    parser.add_argument("--out", type=Path, help="the page to write; its plots are written beside it")
    return parser.parse_args()


def main() -> None:
    """Measure, write; exit 1 where a server failed."""
    options = arguments()
    # Children inherit it; a client is a descriptor in the load and one in the server.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    record = Record(rounds=1 if options.short else options.rounds, short=options.short)
    if options.raw and options.raw.exists():
        record = Record(**{**json.loads(options.raw.read_text()), "rounds": record.rounds, "short": record.short})
    wanted = options.servers or (SHORT_SERVERS if options.short else list(SERVERS))
    record.missing |= {name: "left out of this run" for name in SERVERS if name not in wanted}
    names = prepare(record, wanted, options.places)
    chosen = options.scenarios or (list(SHORT) if options.short else [*SCENARIOS, *GROWTH])
    changes = {"seconds": options.seconds} if options.seconds else {"seconds": 1.0} if options.short else {}
    for name in chosen:
        scenario = SCENARIOS.get(name) or GROWTH[name]
        here = [one for one in names if one == OURS] if name in GROWTH else names
        benchmark(record, scenario, here, options.places, {**changes, **(SHORT[name] if options.short else {})})
        if options.raw:
            options.raw.write_text(json.dumps(attrs.asdict(record)))
    text = write(attrs.asdict(record), options.out)
    print(text)
    if any(record.errors.values()):
        sys.exit("not everything could be measured: see above")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # servers and load have been stopped on the way here
        sys.exit(130)
