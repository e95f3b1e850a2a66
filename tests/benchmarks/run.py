"""The benchmark: our server against its peer, `python -m tests.benchmarks.run`.

The metric is deliveries per second, frames received by clients. The figure to trust is the ratio of two servers in one
round, as the machine's mood is in both; rounds are interleaved and medians are taken. Server and load have a core each.
A server whose CPU is far from 100 % waited for the load: its figure says how soon it answers a full window, no more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any

import attrs

ROOT = Path(__file__).parents[2]
ADDRESS = re.compile(rb"\bws://[^\s/]+:(\d+)")
START_SECONDS = 10  # within which a server must print its address
STOP_SECONDS = 10  # after SIGTERM; then it is killed
LOAD_SECONDS = 60  # beyond what the load itself needs: connecting and draining
BUSY = 0.8  # a load that needs more of its core is no measurement of the server

OURS, PEER = "trio_chat", "websockets"
# Every limit that a thousand clients from one address, and a saturated room, would meet.
LIMITS = {
    "trusted-addresses": "127.0.0.0/8",
    "max-attempts": 1_000_000,
    "max-connections-per-address": 100_000,
    "messages-per-second": 1_000_000,
    "messages-burst": 1_000_000,
    "frames-per-second": 1_000_000,
    "outbox-frames": 100_000,
    "ping-interval": 600,
}
SERVERS = {
    OURS: [
        *(sys.executable, "-m", "trio_chat", "--host", "127.0.0.1", "--port", "0", "--log", "memory"),
        *(word for name, value in LIMITS.items() for word in (f"--{name}", str(value))),
    ],
    PEER: [sys.executable, "-m", "tests.benchmarks.peer_websockets"],
}


class BenchmarkError(Exception):
    """A server or the load did not work; `str()` says which and shows the end of its output."""


@attrs.frozen
class Server:
    """A server that runs."""

    pid: int
    port: int


@attrs.frozen
class Row:
    """One server's rounds in short: medians, and the extremes of what is compared."""

    server: str
    rate: float
    slowest: float
    fastest: float
    ratio: float | None  # to the peer of the same round
    ratio_low: float | None
    ratio_high: float | None
    server_cpu: float
    load_cpu: float
    bytes_per_delivery: float


def cpus() -> tuple[int, int]:
    """The cores for (server, load).

    Raises:
        BenchmarkError: there are no two.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("needs two cores: one for the server, one for the load")
    return cores[0], cores[1]


@contextmanager
def serving(name: str, cpu: int | None = None) -> Iterator[Server]:
    """Start one of `SERVERS`, on core `cpu`; stop it in the end.

    Raises:
        BenchmarkError: it ended, or printed no address within `START_SECONDS`.
    """
    with tempfile.TemporaryFile() as output:  # a file, as a pipe that nobody reads would stop the server
        process = subprocess.Popen(SERVERS[name], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            if cpu is not None:
                os.sched_setaffinity(process.pid, {cpu})
            yield Server(process.pid, port_of(name, process, output))
        finally:
            stop(process)


def port_of(name: str, process: subprocess.Popen[bytes], output: IO[bytes]) -> int:
    """Wait for the address in a server's output."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        running = process.poll() is None
        text = os.pread(output.fileno(), 65_536, 0)
        if found := ADDRESS.search(text):
            return int(found[1])
        if not running:
            raise BenchmarkError(f"{name} ended with {process.returncode}: {tail(text)}")
        time.sleep(0.02)
    raise BenchmarkError(f"{name} printed no address within {START_SECONDS} s: {tail(text)}")


def tail(text: bytes) -> str:
    """The end of some output, to put in a message."""
    return text.decode(errors="replace").strip()[-2_000:]


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, in at most about `STOP_SECONDS`."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def measure(server: Server, options: dict[str, Any], cpu: int | None = None) -> dict[str, float]:
    """Put the load on a server, from a process of its own on core `cpu`; `options` are `Load`'s. Returns its `Result`.

    Raises:
        BenchmarkError: the load found a promise broken, or took too long.
    """
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--port={server.port}", f"--server-pid={server.pid}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.load", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        wait = LOAD_SECONDS + options.get("warmup", 1) + options.get("seconds", 3)
        out, err = process.communicate(timeout=wait)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"the load took more than {wait:g} s") from None
    finally:
        stop(process)
    if process.returncode:
        raise BenchmarkError(f"the load ended with {process.returncode}: {tail(err)}")
    result: dict[str, float] = json.loads(out)
    return result


def benchmark(names: list[str], rounds: int, options: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Measure each server once a round, each time a fresh process. Returns each one's results, by round."""
    server_cpu, load_cpu = cpus()
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            try:
                with serving(name, server_cpu) as server:
                    result = measure(server, options, load_cpu)
            except BenchmarkError as error:
                raise BenchmarkError(f"{name}, round {number}: {error}") from error
            results[name].append(result)
            print(f"round {number}/{rounds} {name}: {result['deliveries_per_second']:,.0f}/s", file=sys.stderr)
    return results


def row(name: str, results: dict[str, list[dict[str, float]]]) -> Row:
    """Sum up one server's rounds."""
    rates = [result["deliveries_per_second"] for result in results[name]]
    peers = [result["deliveries_per_second"] for result in results.get(PEER, [])]
    ratios = [rate / peer for rate, peer in zip(rates, peers, strict=True)] if peers else []
    return Row(
        name,
        median(rates),
        min(rates),
        max(rates),
        median(ratios) if ratios else None,
        min(ratios, default=None),
        max(ratios, default=None),
        *(median(r[key] for r in results[name]) for key in ("server_cpu", "load_cpu", "bytes_per_delivery")),
    )


def table(rows: list[Row]) -> str:
    """The rows, for people."""
    lines = [
        f"{'server':<12}{'deliveries/s':>13}{'min – max':>22}{f'ratio to {PEER}':>26}{'CPU':>8}{'load':>7}{'B/msg':>7}"
    ]
    for it in rows:
        spread = f"{it.slowest:,.0f} – {it.fastest:,.0f}"
        ratio = "" if it.ratio is None else f"{it.ratio:.2f} ({it.ratio_low:.2f} – {it.ratio_high:.2f})"
        lines.append(
            f"{it.server:<12}{it.rate:>13,.0f}{spread:>22}{ratio:>26}"
            f"{it.server_cpu:>8.0%}{it.load_cpu:>7.0%}{it.bytes_per_delivery:>7.0f}"
        )
    return "\n".join(lines)


def within(kind: type[int | float], low: float, high: float) -> Any:
    """An `argparse` type: a number with bounds."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} must be from {low:g} to {high:g}")
        return value

    return parse


def main() -> None:
    """Measure, print; exit 1 where there is nothing that one may believe."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="only this one; may be repeated")
    parser.add_argument("--rounds", type=within(int, 1, 20), default=5)
    parser.add_argument("--clients", type=within(int, 10, 10_000), default=1_000)
    parser.add_argument("--senders", type=within(int, 1, 1_000), default=10)
    parser.add_argument(
        "--window", type=within(int, 1, 100), default=10, help="messages that a sender keeps outstanding"
    )
    parser.add_argument("--warmup", type=within(float, 0, 10), default=1.0, help="seconds")
    parser.add_argument("--seconds", type=within(float, 0.1, 20), default=3.0, help="measured in each round")
    parser.add_argument("--json", action="store_true", help="print all rounds as JSON")
    options = vars(parser.parse_args())
    names, rounds, as_json = (options.pop("server") or list(SERVERS), options.pop("rounds"), options.pop("json"))

    # Children inherit it; a client is a descriptor in the load and one in the server.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        results = benchmark(list(dict.fromkeys(names)), rounds, options)
    except BenchmarkError as error:
        sys.exit(str(error))
    rows = [row(name, results) for name in results]
    if as_json:
        summary = [attrs.asdict(it) for it in rows]
        print(json.dumps({"options": options, "rounds": results, "summary": summary}, indent=2))
    else:
        print(table(rows))
    if busy := [it.server for it in rows if it.load_cpu >= BUSY]:
        sys.exit(f"no measurement of {', '.join(busy)}: the load needed {BUSY:.0%} of its core or more")


if __name__ == "__main__":
    main()
