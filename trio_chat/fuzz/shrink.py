"""Cut a plan that breaks a promise down to the shortest that still breaks the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from trio_chat.fuzz.machine import Outcome
from trio_chat.fuzz.steps import AnyStep, Plan

Run = Callable[[Plan], Outcome]
KEPT = ("text", "code", "answered", "data", "closes", "head", "statuses", "close")  # these say together what a step is


def shrink(run: Run, found: Outcome, deadline: float) -> Outcome:
    """The shortest outcome of the same kind that is found by `deadline` (monotonic seconds); each is run anew."""
    best = cut_off(found)
    while time.monotonic() < deadline:
        better = _first(run, best, deadline)
        if better is None:
            return best
        best = cut_off(better)
    return best


def cut_off(outcome: Outcome) -> Outcome:
    """Without the steps that were never come to."""
    plan = outcome.plan
    return Outcome(
        Plan(crowd=plan.crowd, steps=plan.steps[: outcome.done + 1]), outcome.transcript, outcome.broken, outcome.done
    )


def alike(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes break the same promise."""
    return one.broken is not None and other.broken is not None and one.broken.promise == other.broken.promise


def _first(run: Run, best: Outcome, deadline: float) -> Outcome | None:
    for plan in smaller(best.plan):
        if time.monotonic() >= deadline:
            return None
        outcome = run(plan)
        if alike(outcome, best):
            return outcome
    return None


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans that are simpler by one thing, the boldest first."""
    steps = plan.steps
    size = len(steps) // 2
    while size >= 1:
        for start in range(len(steps) - size, -1, -size):
            yield Plan(crowd=plan.crowd, steps=steps[:start] + steps[start + size :])
        size //= 2
    for crowd in range(plan.crowd):
        yield Plan(crowd=crowd, steps=steps)
    if plan.crowd > 2:
        yield from (Plan(crowd=plan.crowd - 1, steps=tuple(_other(step, n) for step in steps)) for n in range(2))
    for place, step in enumerate(steps):
        for simpler in _simpler(step):
            yield Plan(crowd=plan.crowd, steps=(*steps[:place], simpler, *steps[place + 1 :]))


def _other(step: AnyStep, client: int) -> AnyStep:
    """The step, done by `client` where a later one did it."""
    return msgspec.structs.replace(step, client=client) if step.client > client else step


def _simpler(step: AnyStep) -> Iterator[AnyStep]:
    for field in msgspec.structs.fields(type(step)):
        value = getattr(step, field.name)
        default = field.default
        if field.name in KEPT or value == default or field.required:
            continue
        yield msgspec.structs.replace(step, **{field.name: default})
        if field.name == "times" and value > 2:
            yield msgspec.structs.replace(step, times=value // 2)
            yield msgspec.structs.replace(step, times=value - 1)
