"""The fuzzer finds planted faults, in this server and in one of another make, and none where there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from trio_chat.client.connection import Target
from trio_chat.fuzz.campaign import Campaign, confirm, fuzz, lingering, look_for
from trio_chat.fuzz.machine import run
from trio_chat.fuzz.promises import PROMISES
from trio_chat.fuzz.report import as_json, as_junit, everything, figures, lines
from trio_chat.fuzz.steps import Drop, Enter, Leave, Plan, Resume, Say
from trio_chat.fuzz.target import Server

from .run import PATIENCE, Row, caught
from .server import FuzzedServer, mutant, ours

QUICK = {
    "answers an id twice": "5",
    "leaks a room after leave": "4",
    "resumes one too far": "3",
    "keeps what was deleted": "The log, deleted",
    "forgets a ban": "Rights in rooms, ban",
}


@pytest.fixture
def seed_server() -> Iterator[FuzzedServer]:
    one = FuzzedServer("tests.fuzz.seed_server", "--acks")
    yield one
    one.kill()


def fuzzed(fault: str, *, examples: int) -> Campaign:
    """Fuzz a mutant for so many examples."""
    server = mutant(fault)
    try:
        return fuzz(Server(Target.of(server.url), patience=PATIENCE), seed=1, examples=examples)
    finally:
        server.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "promise"), QUICK.items(), ids=list(QUICK))
def test_a_planted_fault_is_found_confirmed_and_cut_down(fault: str, promise: str) -> None:
    row = caught(fault)
    assert row.good, row.cells
    assert row.campaign.finding is not None
    broken = row.campaign.finding.outcome.broken
    assert broken is not None
    assert broken.promise.name == promise


def test_what_does_not_come_again_is_told_as_flaky() -> None:
    """And the search goes on: for as many examples as it was to."""
    campaign = fuzzed("answers twice, once", examples=20)
    (flaky,) = campaign.flaky
    assert (campaign.finding, campaign.told, campaign.flakes, campaign.examples) == (None, flaky, 1, 20)
    assert flaky.flaky
    assert "flaky" in everything(campaign)[0]
    assert everything(campaign) == lines(flaky)
    assert figures(campaign).endswith(": 1 failure that did not come again")
    assert not Row("answers twice, once", campaign).good


def test_what_comes_again_is_found_behind_what_does_not() -> None:
    campaign = fuzzed("answers twice, once, and leaves gaps", examples=50)
    assert [one.outcome.broken and one.outcome.broken.promise.name for one in campaign.flaky] == ["5"]
    assert campaign.finding is not None
    assert campaign.finding is campaign.told
    assert campaign.finding.example > campaign.flaky[0].example
    assert figures(campaign).endswith(": 1 promise broken, 1 failure that did not come again")
    assert everything(campaign)[-len(lines(campaign.finding)) :] == lines(campaign.finding)
    failures = as_junit(campaign, list(PROMISES)).count("<failure")
    assert failures == 2
    assert [one["flaky"] for one in (as_json(campaign)["found"], *as_json(campaign)["flaky"])] == [False, True]


def test_a_failure_is_looked_into_for_no_longer_than_there_is_time() -> None:
    """Confirming it took as long as it took: of 60 seconds came 98."""
    assert [look_for(seconds) for seconds in (None, 1, 60, 3600)] == [45, 10, 30, 45]
    server = mutant("answers an id twice")
    plan = Plan(crowd=1, steps=(Enter(room=1),))
    try:
        target = Server(Target.of(server.url), patience=PATIENCE)
        outcome = run(target, plan)
        assert outcome.broken is not None
        assert confirm(target, outcome, math.inf) is not None
        assert confirm(target, outcome, 0.0) is None
        assert run(target, plan, 0.0).done == 0
    finally:
        server.kill()


def test_what_is_told_in_the_servers_own_time_is_waited_for() -> None:
    """Presence that leaks is not there yet when all commands are answered: such a finding was called flaky."""
    server = mutant("leaks a room after leave")
    plan = Plan(crowd=2, steps=(Enter(client=0, room=1), Enter(client=1, room=1), Leave(client=1, room=1)))
    try:
        broken = run(lingering(Server(Target.of(server.url), patience=PATIENCE)), plan).broken
    finally:
        server.kill()
    assert broken is not None
    assert broken.promise.name == "4"
    assert "'event': 'left'" in broken.what


def test_our_own_server_keeps_its_promises() -> None:
    server = ours()
    try:
        campaign = fuzz(Server(Target.of(server.url)), seed=7, examples=40)
    finally:
        server.kill()
    assert campaign.told is None, campaign.told
    assert campaign.examples == 40
    assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "examples"), [("deep", 40), ("hostile", 40), ("polite", 40)])
def test_our_own_server_keeps_its_promises_for_longer(profile: str, examples: int) -> None:
    server = ours()
    try:
        campaign = fuzz(Server(Target.of(server.url)), seed=11, profile=profile, examples=examples)
    finally:
        server.kill()
    assert campaign.told is None, everything(campaign)
    assert "Traceback" not in server.log


def test_a_server_of_another_make_is_judged_by_the_document(seed_server: FuzzedServer) -> None:
    """It numbers all rooms as one, and tells everybody everything; and it knows of no sessions."""
    server = Server(Target.of(seed_server.url), patience=PATIENCE)
    found = {}
    for plan in (
        Plan(crowd=2, steps=(Say(room=1),)),
        Plan(crowd=1, steps=(Say(room=1),)),
        Plan(crowd=1, steps=(Drop(), Resume())),
    ):
        broken = run(server, plan).broken
        assert broken is not None
        found[broken.promise.name] = broken.what
    assert set(found) == {"The log", "4", "Who is who, sessions"}, found


def test_the_seed_as_it_was_answers_nothing_by_its_id() -> None:
    server = FuzzedServer("tests.fuzz.seed_server")
    try:
        campaign = fuzz(Server(Target.of(server.url), patience=0.3), seed=1, seconds=20, looking=5)
    finally:
        server.kill()
    assert campaign.finding is not None
    assert campaign.finding.outcome.broken is not None
    assert campaign.finding.outcome.broken.promise.name == "5"
