"""What makes a run the same run: Trio's private names, and streams of chance that do not disturb each other."""

from __future__ import annotations

import gc
import inspect

import trio
from trio._core import _run
from trio.testing import MockClock

from trio_chat.sim.chance import NEW_OBJECTS, branch, deterministic_scheduling, run_in_virtual_time


def test_trio_has_the_names_still() -> None:
    """If this fails, Trio has changed: see `deterministic_scheduling`, and `unrolled_run` in trio's `_core/_run.py`."""
    source = inspect.getsource(_run)
    assert "if _ALLOW_DETERMINISTIC_SCHEDULING:" in source
    assert "_r.shuffle(batch)" in source
    assert "_r.random()" in source


async def order() -> list[int]:
    """In which order a hundred tasks run, over some rounds."""
    seen: list[int] = []

    async def run(number: int) -> None:
        for _ in range(3):
            seen.append(number)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(run, number)
    return seen


def test_the_seed_decides_the_order_of_tasks() -> None:
    first = run_in_virtual_time(1, order)
    assert first == run_in_virtual_time(1, order)
    assert first != run_in_virtual_time(2, order)


def test_nothing_of_it_is_left() -> None:
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    with deterministic_scheduling(1):
        pass
    assert (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()) == before


def test_time_is_virtual() -> None:
    async def sleep() -> float:
        await trio.sleep(3600)
        return trio.current_time()

    assert run_in_virtual_time(1, sleep) == 3600
    assert isinstance(MockClock(), trio.abc.Clock)


def test_streams_of_chance_do_not_disturb_each_other() -> None:
    one, other = branch(1, "a"), branch(1, "b")
    drawn = [one.random() for _ in range(3)]
    other.random()
    assert [branch(1, "a").random() for _ in range(1)] == drawn[:1]
    assert branch(1, "a").random() != branch(2, "a").random() != branch(1, "b").random()


async def threshold() -> int:
    """After how many new objects Python looks for garbage."""
    await trio.lowlevel.checkpoint()
    return gc.get_threshold()[0]


def test_garbage_is_looked_for_seldom_while_it_lasts() -> None:
    before = gc.get_threshold()
    assert run_in_virtual_time(1, threshold) == NEW_OBJECTS > before[0]
    assert gc.get_threshold() == before
