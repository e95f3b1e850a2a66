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
LOOK_SHARE = 0.5  # of the time to fuzz: what a failure may take beyond it, to be confirmed and cut down …
MIN_LOOK, MAX_LOOK = 10.0, 45.0  # … in seconds; where no time was given, the most
MOST_FLAKY = 10  # failures that did not come again, that are remembered


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
    finding: Finding | None = None  # that came again when the same was done
    flaky: list[Finding] = attrs.field(factory=list)  # that did not: the first `MOST_FLAKY`
    flakes: int = 0  # how many those are in all

    @property
    def told(self) -> Finding | None:
        """What is to be done first: the finding, or where there is none the first that was flaky."""
        return self.finding or next(iter(self.flaky), None)


Show = Callable[[Campaign], None]


def fuzz(
    server: Server,
    *,
    seed: int,
    profile: str = "normal",
    examples: int | None = None,
    seconds: float | None = None,
    looking: float | None = None,
    show: Show = lambda campaign: None,
) -> Campaign:
    """Run plans until `examples` or `seconds` are over (None: no such bound), or a promise is broken and broken again.

    `looking`: seconds for which a failure is confirmed and cut down, a step more at most; they count, but a failure
    that is found just before the end may take them beyond it. A failure that does not come again ends nothing.

    Raises:
        NotFuzzableError: the server cannot be reached, or lets us do too little.
    """
    began = time.monotonic()
    campaign = Campaign(seed, profile)
    look = looking if looking is not None else look_for(seconds)

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
            finding = _looked_into(server, campaign, outcome, began, look, show)
            if not finding.flaky:
                campaign.finding = finding
            else:
                campaign.phase, campaign.flakes = "running", campaign.flakes + 1
                campaign.flaky += [finding] if len(campaign.flaky) < MOST_FLAKY else []
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


def look_for(seconds: float | None) -> float:
    """For how many seconds a failure is looked into, by those that the whole may take."""
    return MAX_LOOK if seconds is None else min(MAX_LOOK, max(MIN_LOOK, seconds * LOOK_SHARE))


def _looked_into(
    server: Server, campaign: Campaign, outcome: Outcome, began: float, look: float, show: Show
) -> Finding:
    until = time.monotonic() + look
    campaign.phase = "confirming"
    show(campaign)
    if outcome.broken is not None and outcome.broken.promise in IN_ITS_TIME:
        server = lingering(server)
    confirmed = confirm(server, outcome, until)
    best = outcome if confirmed is None else confirmed
    if confirmed is not None:
        campaign.phase = "cutting down"
        show(campaign)
        best = shrink(lambda plan: run(server, plan, until), confirmed, until)
    return Finding(best, outcome.plan, campaign.examples, confirmed is None, time.monotonic() - began)


def lingering(server: Server) -> Server:
    """The same, listened to for longer: what presence breaks comes sooner or later, and not always in the same step."""
    return attrs.evolve(server, linger=LINGER * server.patience)


def confirm(server: Server, outcome: Outcome, until: float) -> Outcome | None:
    """The same failure again, with more patience; None where it does not come before `until` (monotonic seconds)."""
    patient = attrs.evolve(server, patience=2 * server.patience)
    for _ in range(CONFIRMATIONS):
        again = run(patient, outcome.plan, until)
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
