"""What is measured: for each scenario the load, its options, and the columns of its table."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Column:
    """One figure of a result: its key, what people read, its unit, and whether more of it is better."""

    key: str
    title: str
    form: str = ",.0f"
    more_is_better: bool = True


@attrs.frozen
class Scenario:
    """A load, by module and options. The first column is compared with the peer of the same round."""

    name: str
    module: str
    options: dict[str, Any]
    columns: tuple[Column, ...]
    rounds: int = 20  # at most


RATE = (Column("deliveries_per_second", "deliveries/s"),)
STORM = (
    Column("rate", "connects/s"),
    Column("kib_per_connection", "KiB each", ".1f", more_is_better=False),
    Column("rest_cpu", "CPU at rest", ".1%", more_is_better=False),
)
LATENCY = (
    Column("p50", "p50 ms", ".2f", more_is_better=False),
    Column("p99", "p99 ms", ".2f", more_is_better=False),
    Column("p999", "p99.9 ms", ".2f", more_is_better=False),
    Column("ack_p50", "ack p50 ms", ".2f", more_is_better=False),
    Column("server_cpu", "server CPU", ".0%", more_is_better=False),
)
OPEN_LOOP = {"clients": 1_000, "rooms": 100, "rate": 2_000}
MIB = {"clients": 100, "senders": 1, "window": 1, "content_bytes": 1_000_000, "slice": 1}


def _closed(name: str, **options: Any) -> Scenario:
    return Scenario(name, "load", {"warmup": 0.5, "seconds": 2.0, **options}, RATE)


def _crowd(name: str, columns: tuple[Column, ...], rounds: int = 1, **options: Any) -> Scenario:
    return Scenario(name, "crowd", {"warmup": 0, **options}, columns, rounds)


SCENARIOS = {
    it.name: it
    for it in (
        _closed("one room, 10 senders", clients=1_000, senders=10),
        _closed("one room, 1 sender", clients=1_000, senders=1),
        _closed("100 rooms of 10", clients=1_000, senders=100, rooms=100),
        _closed("500 private pairs", clients=1_000, senders=500, rooms=500, private=1),
        Scenario("open loop", "pace", {**OPEN_LOOP, "warmup": 1.0, "seconds": 4.0}, LATENCY, rounds=3),
        _crowd("5,000 idle", STORM, 3, kind="idle", clients=5_000, seconds=3.0),
        _crowd("10,000 idle", STORM, kind="idle", clients=10_000, seconds=21.0),
        _crowd("churn", (Column("rate", "connects and closes/s"),), 3, kind="churn", seconds=3.0),
        _crowd("join storm", (Column("rate", "joins/s"),), kind="join", clients=2_000),
        attrs.evolve(_closed("1 MiB to 100", **MIB), rounds=1),
    )
}
# How the cost of a delivery grows; ours alone. A name ends in what its plot's axis shows.
GROWTH = {
    it.name: it
    for it in (
        *(_closed(f"members {n}", clients=n, senders=1) for n in (10, 100, 300, 1_000, 3_000)),
        *(_closed(f"rooms {n}", clients=10 * n, senders=n, rooms=n, window=max(1, 1_000 // n)) for n in (10, 100, 500)),
        *(
            _closed(f"connections {n}", clients=1_000, senders=100, rooms=100, idle=n - 1_000)
            for n in (1_000, 3_000, 8_000)
        ),
    )
}
