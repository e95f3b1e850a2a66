"""A few rounds of `kill -9`, in and around commits; `nox -s crash` has hundreds. And what is wrong is found."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .harness import Campaign, campaigns, run
from .server import Plan


def seed() -> int:
    """Another in each run; it is a part of what is printed when a test fails."""
    return Random().randrange(10**6)


@pytest.mark.parametrize("flags", [(), ("--history-limit", "7")], ids=["all is held", "trimmed all the time"])
async def test_nothing_is_lost_and_nothing_doubled(flags: tuple[str, ...], tmp_path: Path) -> None:
    """Each promise holds over a few crashes, on one file."""
    outcome = await run(Campaign(seed(), 3, flags=flags), tmp_path)

    assert outcome.report.findings == [], str(outcome)
    assert outcome.report.acked > 0
    assert outcome.rounds == sum(outcome.where.values()) == 3


async def test_a_server_that_dies_again_and_again_as_it_starts(tmp_path: Path) -> None:
    """Once its claim to the file is committed, and before that; the next one starts, and knows what was there."""
    plans = (Plan("COMMIT", 60, 0), *(Plan("COMMIT", 1, micros) for micros in (None, None, 0, None)))
    outcome = await run(Campaign(seed(), len(plans), plans=plans), tmp_path)

    assert outcome.report.findings == [], str(outcome)
    assert outcome.report.acked > 0


async def test_a_log_in_memory_loses_what_it_acked(tmp_path: Path) -> None:
    """As it may; the harness tells."""
    outcome = await run(Campaign(seed(), 2, log="memory"), tmp_path)

    kinds = {finding.kind for finding in outcome.report.findings}
    assert outcome.report.lost > 0, str(outcome)
    assert {"lost", "epoch", "session"} <= kinds


async def test_a_server_that_acks_before_it_commits_is_found_out(tmp_path: Path) -> None:
    """It commits one transaction of many, and says that it committed all."""
    outcome = await run(Campaign(seed(), 2, broken=True), tmp_path)

    assert outcome.report.lost > 0, str(outcome)


async def test_a_server_that_is_not_killed_breaks_no_promise(tmp_path: Path) -> None:
    """What the harness finds is the crash's doing: connections alone are lost here, and the log is in memory."""
    outcome = await run(Campaign(seed(), 0, log="memory", calm=3), tmp_path)

    assert outcome.report.findings == [], str(outcome)
    assert outcome.report.acked > 0
    assert outcome.report.resumed > 0


@pytest.mark.parametrize("plan", [Plan("COMMIT", 3, None), Plan("", 12, 0), Plan("BEGIN", 1, 250), Plan(broken=True)])
def test_a_plan_is_read_as_it_is_written(plan: Plan) -> None:
    """It goes to the server as a word of its command line."""
    assert Plan.parse(str(plan)) == plan


def test_campaigns_have_all_the_rounds_that_were_asked_for() -> None:
    """The last is shorter, where need be."""
    made = campaigns(1, 50, 20)

    assert [one.rounds for one in made] == [20, 20, 10]
    assert len({one.flags for one in made}) == 3
