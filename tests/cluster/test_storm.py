"""One of each fault, and what is promised holds; `python -m tests.cluster.storm` has as many as one likes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .storm import FAULTS, Outcome, redis_killed, run

FORGETS = {"appendonly": "no"}


def seed() -> int:
    """Another in each run; it is a part of what is printed when a test fails."""
    return Random().randrange(10**6)


async def storm(times: int, directory: Path, *flags: str) -> Outcome:
    """Each fault so often, in any order."""
    chance = seed()
    faults = [fault for fault in FAULTS for _ in range(times)]
    Random(chance).shuffle(faults)
    return await run(chance, faults, directory, flags=flags)


async def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    outcome = await storm(1, tmp_path)

    assert outcome.report.findings == [], str(outcome)
    assert outcome.report.acked > 0
    assert set(outcome.times) == {fault.__name__ for fault in FAULTS}


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--history-limit", "40")], ids=["all is held", "trimmed all the time"])
async def test_nor_when_it_goes_on_and_on(flags: tuple[str, ...], tmp_path: Path) -> None:
    outcome = await storm(3, tmp_path, *flags)

    assert outcome.report.findings == [], str(outcome)


async def test_a_redis_that_forgets_is_found_out(tmp_path: Path) -> None:
    """It starts empty; the server gives new epochs, and what was acked is not there: the harness tells."""
    outcome = await run(seed(), [redis_killed], tmp_path, options=FORGETS)

    kinds = {finding.kind for finding in outcome.report.findings}
    assert outcome.report.lost > 0, str(outcome)
    assert {"lost", "epoch"} <= kinds, str(outcome)
