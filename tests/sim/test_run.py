"""The same seed is the same run; promises that are broken are found, and what shows it is made small."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from trio_chat.core.effects import Committed, Deliver, Effect, Reply
from trio_chat.core.events import Ack
from trio_chat.core.state import ChatState
from trio_chat.sim.disk import Disk, VirtualLog
from trio_chat.sim.player import page
from trio_chat.sim.run import Outcome, simulate
from trio_chat.sim.scenario import FaultPlan, Kind, Scenario, UsersPlan, invent, load
from trio_chat.sim.shrink import candidates, shrink

SEEDS = range(1, 13)
KEPT = sorted((Path(__file__).parent / "kept").glob("simulate-*.toml"))  # each was a finding once


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept(seed: int) -> None:
    outcome = simulate(invent(seed, seconds=30.0), seed)
    assert outcome.report.findings == []
    assert outcome.report.acked > 0


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    assert simulate(load(path), int(path.stem.partition("-")[2])).report.findings == []


@pytest.mark.parametrize("kind", ["crash", "deploy"])
def test_a_server_that_is_gone_for_long_is_waited_for(kind: Kind) -> None:
    """It was given up after a minute, and then came back to run for ever."""
    faults = (FaultPlan(kind=kind, at=1.0, lasts=100_000.0),)
    outcome = simulate(Scenario(seconds=5.0, users=(UsersPlan(count=2),), faults=faults), 1)
    assert outcome.report.findings == []
    assert outcome.virtual > 100_000


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_the_same_seed_is_the_same_run_in_another_process(hash_seed: str) -> None:
    program = "from trio_chat.sim import run, scenario; print(run.simulate(scenario.invent(5), 5).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == simulate(invent(5), 5).digest


def test_another_seed_is_another_run() -> None:
    assert simulate(invent(5), 5).digest != simulate(invent(5), 6).digest


def test_noting_steps_changes_nothing() -> None:
    plain, noted = simulate(invent(7), 7), simulate(invent(7), 7, steps=True)
    assert plain.digest == noted.digest
    assert {"broker", "log", "reader 1", "writer 1", "heartbeat 1"} <= {lane for _, lane in noted.trace.steps}


CALM = Scenario(seconds=40.0, users=(UsersPlan(count=3, every=0.5),))
CRASHING = Scenario(
    seconds=40.0, users=(UsersPlan(count=3, every=0.3),), faults=(FaultPlan(kind="crash", at=20.0, lasts=1.0),)
)
Plant = Callable[[pytest.MonkeyPatch], None]


def _every(nth: int, change: Callable[[list[Effect], Effect], list[Effect]]) -> Plant:
    """Let the state change its effects each `nth` time that it delivers a message."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        apply, count = ChatState.apply, [0]

        def broken(self: ChatState, given: Any, now: Any) -> list[Effect]:
            effects = apply(self, given, now)
            for effect in effects:
                if isinstance(effect, Deliver) and effect.seq:
                    count[0] += 1
                    if count[0] % nth == 0:
                        return change(effects, effect)
            return effects

        monkeypatch.setattr(ChatState, "apply", broken)

    return plant


def _without(effects: list[Effect], one: Effect) -> list[Effect]:
    return [effect for effect in effects if effect is not one]


def _doubled(effects: list[Effect], one: Effect) -> list[Effect]:
    return [*effects, one]


def _acks_twice(effects: list[Effect], one: Effect) -> list[Effect]:
    return effects + [effect for effect in effects if isinstance(effect, Reply) and isinstance(effect.event, Ack)]


def _another_seq(effects: list[Effect], one: Effect) -> list[Effect]:
    assert isinstance(one, Deliver)
    wrong = attrs.evolve(one, event=type(one.event)(**{**_fields(one.event), "seq": one.seq + 1}))
    return [wrong if effect is one else effect for effect in effects]


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def _forgets_what_it_acked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk loses the newest entries of each room when the process dies."""
    die = VirtualLog.die

    def broken(self: VirtualLog) -> None:
        die(self)
        for room in self._disk.entries._rooms.values():
            for _ in range(min(3, len(room.entries))):
                room.entries.pop(room.last)
                room.words.pop(room.last, None)
                room.last -= 1

    monkeypatch.setattr(VirtualLog, "die", broken)


def _forgets_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is good for one process only."""
    restored = Disk.restored

    def broken(self: Disk) -> Any:
        for room in self.entries._rooms.values():
            room.keys.clear()
        return restored(self)

    monkeypatch.setattr(Disk, "restored", broken)
    _loses_answers(monkeypatch)


def _loses_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed last is answered to nobody: the process dies in between."""
    commit = VirtualLog._commit

    def broken(self: VirtualLog, batch: Any) -> Any:
        answers = commit(self, batch)
        lost = self._disk.commits % 7 == 0
        return [one for one in answers if not (lost and isinstance(one, Committed))]

    monkeypatch.setattr(VirtualLog, "_commit", broken)


PLANTED: dict[str, tuple[Scenario, Plant, str]] = {
    "loses every 20th message": (CALM, _every(20, _without), "gap"),
    "delivers every 20th twice": (CALM, _every(20, _doubled), "double"),
    "answers twice": (CALM, _every(20, _acks_twice), "answer"),
    "gives a wrong seq": (CALM, _every(20, _another_seq), "gap"),
    "loses what it acked in a crash": (CRASHING, _forgets_what_it_acked, "lost"),
    "forgets keys in a crash": (CRASHING, _forgets_keys, "twice"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_server_that_breaks_a_promise_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, plant, kind = PLANTED[name]
    assert not simulate(scenario, 3).failed
    plant(monkeypatch)
    found: Iterator[Outcome] = (simulate(scenario, seed) for seed in range(3, 8))
    assert any(kind in outcome.kinds for outcome in found)


def test_a_failure_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    _forgets_what_it_acked(monkeypatch)
    faults = (
        FaultPlan(kind="cut", at=5.0),
        FaultPlan(kind="crash", at=10.0, lasts=1.0),
        FaultPlan(kind="stall", at=12.0),
    )
    large = Scenario(
        seconds=15.0, users=(UsersPlan(count=4, every=0.3), UsersPlan(count=2, behaviour="listen")), faults=faults
    )
    failed = simulate(large, 3)
    tried: list[Outcome] = []
    small = shrink(failed, math.inf, tried.append)
    assert small.kinds & failed.kinds
    assert [fault.kind for fault in small.scenario.faults] == ["crash"]
    assert sum(group.count for group in small.scenario.users) <= 2
    assert small.scenario.seconds < 15
    assert len(tried) > 5
    assert simulate(small.scenario, 3).digest == small.digest


def test_what_cannot_be_smaller_stays() -> None:
    outcome = simulate(CALM, 3)
    assert shrink(outcome, 0.0) is outcome
    assert all(smaller != CALM for smaller in candidates(CALM))


def test_what_is_smaller_is_a_scenario_all_the_same() -> None:
    """Without one of these options the other is wrong."""
    server = {"trusted_addresses": ["10.0.0.0/8"], "rooms_per_user": 16, "outbox_frames": 64}
    smaller = [one.server for one in candidates(msgspec.structs.replace(CALM, server=server)) if one.server != server]
    assert [*map(len, smaller)] == [1, 2]
    assert all("trusted_addresses" in one and one.get("outbox_frames") is None for one in smaller)
    assert all(one.config for one in candidates(msgspec.structs.replace(CALM, server=server)))


def test_a_page_holds_all_of_a_run_and_needs_nothing_else(tmp_path: Path) -> None:
    outcome = simulate(invent(7), 7, steps=True)
    text = page(outcome)
    assert outcome.digest in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("</script>") == 2
    assert '"heartbeat 1"' in text
