"""A scenario that fails, made as small as it can be so that it still fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import msgspec

from trio_chat.sim.run import Outcome, simulate
from trio_chat.sim.scenario import DiskPlan, NetworkPlan, Scenario, ScenarioError


def shrink(failed: Outcome, seconds: float, tried: Callable[[Outcome], None] = lambda _: None) -> Outcome:
    """The smallest failing run that is found within `seconds` (of this machine's time): `failed` itself at worst.

    What is left breaks one of the promises that `failed` broke; the seed stays.
    """
    best, until = failed, time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < until:
        progress = False
        for smaller in candidates(best.scenario):
            if time.monotonic() >= until:
                break
            outcome = simulate(smaller, failed.seed)
            tried(outcome)
            if outcome.kinds & failed.kinds:
                best, progress = outcome, True
                break
    return best


def candidates(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are a little smaller, those that save most first."""
    change = msgspec.structs.replace
    for at in range(len(scenario.faults)):
        yield change(scenario, faults=scenario.faults[:at] + scenario.faults[at + 1 :])
    for at in range(len(scenario.users) if len(scenario.users) > 1 else 0):
        yield change(scenario, users=scenario.users[:at] + scenario.users[at + 1 :])
    for at, group in enumerate(scenario.users):
        for count in {group.count // 2, group.count - 1} - {0}:
            smaller = change(group, count=count)
            yield change(scenario, users=(*scenario.users[:at], smaller, *scenario.users[at + 1 :]))
    for shorter in (scenario.seconds / 2, scenario.seconds * 0.8):
        if shorter >= 1:
            faults = tuple(fault for fault in scenario.faults if fault.at < shorter)
            yield change(scenario, seconds=round(shorter, 2), faults=faults)
    for names in _fewer(scenario.server):
        fewer = change(scenario, server={name: scenario.server[name] for name in names})
        with suppress(ScenarioError):  # an option may need another
            _ = fewer.config
            yield fewer
    plain = NetworkPlan(latency=0.0, jitter=0.0, pieces=0.0)
    if scenario.network != plain:
        yield change(scenario, network=plain)
    if scenario.disk != DiskPlan(latency=0.0):
        yield change(scenario, disk=DiskPlan(latency=0.0))


def _fewer(options: Mapping[str, object]) -> Iterator[list[str]]:
    """Names of options with all of them left out that a scenario need not have, and then one at a time."""
    for gone in [tuple(options), *((name,) for name in options)]:
        kept = [name for name in options if name not in gone or name == "trusted_addresses"]
        if len(kept) < len(options):
            yield kept
