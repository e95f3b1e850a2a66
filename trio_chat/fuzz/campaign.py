"""Plan after plan, until one breaks a promise or the time is over; what breaks one is run again, and cut down."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from trio_chat.fuzz.machine import Outcome, run
from trio_chat.fuzz.promises import ALONE, MEMBERS, PRESENCE
from trio_chat.fuzz.shrink import alike, cut_off, shrink
from trio_chat.fuzz.steps import Plan
from trio_chat.fuzz.strategies import PROFILES, plans
from trio_chat.fuzz.target import Server

BATCH = 50  # plans from one seed; between two batches, we look at the clock anew
CONFIRMATIONS = 3  # runs of a failure, until it fails again
IN_ITS_TIME = (MEMBERS, PRESENCE, ALONE)  # what presence may break, which a server tells when its interval is over
LINGER = 1 / 6  # of one's patience: how long one listens for that after each step


@attrs.frozen
class Finding:
    """A promise that was broken, by the shortest plan that was found. `flaky`: not when the plan was run again."""

    outcome: Outcome
    first: Plan  # as it was made
    example: int
    flaky: bool
    seconds: float  # for all of it: to find, confirm and cut down


@attrs.define
class Campaign:
    """What was done so far."""

    seed: int
    profile: str
    examples: int = 0
    steps: int = 0
    seconds: float = 0.0
    phase: str = "running"
    finding: Finding | None = None


Show = Callable[[Campaign], None]


def fuzz(
    server: Server,
    *,
    seed: int,
    profile: str = "normal",
    examples: int | None = None,
    seconds: float | None = None,
    shrinking: float = 45.0,
    show: Show = lambda campaign: None,
) -> Campaign:
    """Run plans until `examples` or `seconds` are over (None: no such bound), or a promise is broken.

    Raises:
        NotFuzzableError: the server cannot be reached, or lets us do too little.
    """
    began = time.monotonic()
    campaign = Campaign(seed, profile)

    def over() -> bool:
        campaign.seconds = time.monotonic() - began
        enough = examples is not None and campaign.examples >= examples
        return campaign.finding is not None or enough or (seconds is not None and campaign.seconds >= seconds)

    def one(plan: Plan) -> None:
        if over():
            return
        outcome = run(server, plan)
        campaign.examples += 1
        campaign.steps += outcome.done
        if outcome.broken is not None:
            campaign.finding = _looked_into(server, campaign, outcome, began, shrinking, show)
        over()
        show(campaign)

    batch = 0
    while not over():
        many = settings(
            max_examples=BATCH,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seeded(f"{seed} {batch}")(many(given(plans(PROFILES[profile]))(one)))()
        batch += 1
    return campaign


def _looked_into(
    server: Server, campaign: Campaign, outcome: Outcome, began: float, shrinking: float, show: Show
) -> Finding:
    campaign.phase = "confirming"
    show(campaign)
    if outcome.broken is not None and outcome.broken.promise in IN_ITS_TIME:
        server = lingering(server)
    confirmed = confirm(server, outcome)
    best = outcome if confirmed is None else confirmed
    if confirmed is not None:
        campaign.phase = "cutting down"
        show(campaign)
        best = shrink(lambda plan: run(server, plan), confirmed, shrinking)
    return Finding(best, outcome.plan, campaign.examples, confirmed is None, time.monotonic() - began)


def lingering(server: Server) -> Server:
    """The same, listened to for longer: what presence breaks comes sooner or later, and not always in the same step."""
    return attrs.evolve(server, linger=LINGER * server.patience)


def confirm(server: Server, outcome: Outcome) -> Outcome | None:
    """The same failure again, with more patience; None where it does not come."""
    patient = attrs.evolve(server, patience=2 * server.patience)
    for _ in range(CONFIRMATIONS):
        again = run(patient, outcome.plan)
        if alike(again, outcome):
            return again
    return None


def replayed(server: Server, plan: Plan) -> Campaign:
    """One plan, once, with time for what comes in the server's own.

    Raises:
        NotFuzzableError: the server cannot be reached, or lets us do too little.
    """
    began = time.monotonic()
    outcome = run(lingering(server), plan)
    campaign = Campaign(0, "replay", examples=1, steps=outcome.done, seconds=time.monotonic() - began)
    if outcome.broken is not None:
        campaign.finding = Finding(cut_off(outcome), plan, 1, False, campaign.seconds)
    return campaign
