"""What a Redis costs beside a file, under the benchmark's closed loop: `python -m tests.cluster.measure --rounds 5`.

All servers take turns in each round. Server and load have a core each; the Redis has that of the load.
"""

from __future__ import annotations

import argparse
import os
import sys
from statistics import median

from tests.benchmarks.run import Record, benchmark, cpus
from tests.benchmarks.scenarios import SCENARIOS
from tests.benchmarks.servers import OURS, PLACES, SERVERS, ours
from tests.cluster.valkey import Valkey, valkey

CASES = ("500 private pairs", "one room, 10 senders", "100 rooms of 10")
REDISES = {
    "redis, in memory": {"appendonly": "no"},
    "redis, everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "redis, always": {"appendonly": "yes", "appendfsync": "always"},
}


def add(name: str, place: Valkey, core: int) -> None:
    """Let the benchmark know a server on this Redis, which runs on that core."""
    assert place.process is not None
    os.sched_setaffinity(place.process.pid, {core})
    SERVERS[name] = ours(place.url)


def main() -> None:
    """Measure, and print medians and what they are of those of a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    file = f"{OURS}, sqlite"
    record = Record(options.rounds)
    with (
        valkey(**REDISES["redis, in memory"]) as memory,
        valkey(**REDISES["redis, everysec"]) as everysec,
        valkey(**REDISES["redis, always"]) as always,
    ):
        for name, place in zip(REDISES, (memory, everysec, always), strict=True):
            add(name, place, cpus()[1])
        for case in CASES:
            benchmark(record, SCENARIOS[case], [file, *REDISES], PLACES, {})
    for case in CASES:
        rates = {
            name: [one["deliveries_per_second"] for one in rounds] for name, rounds in record.results[case].items()
        }
        for name, each in rates.items():
            if each:
                ratios = [own / files for own, files in zip(each, rates[file], strict=False)]
                print(f"{case}: {name}: {median(each):,.0f} deliveries/s, {median(ratios):.2f} of a file's")
        for name, error in record.errors[case].items():
            print(f"{case}: {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
