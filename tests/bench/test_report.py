"""The figures."""

from __future__ import annotations

import pytest

from trio_chat.bench.plan import Plan
from trio_chat.bench.report import count, percentile, summary, text
from trio_chat.bench.tally import Tally


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.999, 100), (1.0, 100)]
)
def test_nearest_rank(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == value


@pytest.mark.parametrize(
    ("samples", "names"),
    [(1, "p50 max"), (10, "p50 p90 max"), (999, "p50 p90 p99 max"), (1_000, "p50 p90 p99 p99.9 max")],
)
async def test_a_percentile_needs_enough_samples_to_have_one(samples: int, names: str) -> None:
    tally = Tally(Plan(url="ws://x"))
    tally.deliveries = [0.001] * samples

    found = summary(tally)["delivery_ms"]
    assert [name for name, value in found.items() if value is not None] == names.split()
    (line,) = [line for line in text(tally).splitlines() if line.startswith("delivery ")]
    assert [word for word in line.split() if word in found] == names.split()


async def test_a_rate_is_of_the_time_that_was_planned() -> None:
    """One message in 10 s, answered after 2 ms, is no 500 a second."""
    tally = Tally(Plan(url="ws://x", connections=1, rate=0.1, seconds=10))
    tally.deliveries, tally.last = [0.002], tally.start + 0.002
    assert summary(tally)["deliveries_per_second"] == 0.1


async def test_a_rate_that_was_not_reached_is_told() -> None:
    tally = Tally(Plan(url="ws://x", connections=1, rate=100, seconds=10))
    tally.sent, tally.last = 1_000, tally.start + 20
    assert "50 messages a second instead of 100: the server or this load cannot do more" in text(tally)
    tally.last = tally.start + 10.3
    assert "instead" not in text(tally)


async def test_a_long_load_may_not_be_late_by_a_second() -> None:
    tally = Tally(Plan(url="ws://x", connections=1, rate=10, seconds=60))
    tally.sent, tally.last = 600, tally.start + 61
    assert "9.8 messages a second instead of 10: " in text(tally)


def test_one_is_no_plural() -> None:
    assert [count(n, "delivery", "deliveries") for n in (0, 1, 1_000)] == [
        "0 deliveries",
        "1 delivery",
        "1,000 deliveries",
    ]
    assert count(2, "room") == "2 rooms"
