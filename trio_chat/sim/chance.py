"""Everything that chance decides in a simulation, and the one place that makes Trio's scheduler a part of it."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")
NEW_OBJECTS = 50_000  # between two looks for garbage


def branch(seed: object, *of: object) -> Random:
    """A stream of chance of its own for each part: what one of them draws changes nothing for the others."""
    return Random(repr((str(seed), *map(str, of))))


@contextmanager
def deterministic_scheduling(seed: object) -> Iterator[None]:
    """Let Trio take the tasks that can run in an order that `seed` alone decides.

    Trio shuffles them, with a generator of its own, so that no program comes to rely on their order. Before that it
    brings them into the order of their birth if `_ALLOW_DETERMINISTIC_SCHEDULING` is set, which it has for Hypothesis
    (trio, `_core/_run.py`). Both names are private: `tests/sim/test_chance.py` says when they change.
    """
    from trio._core import _run

    run: Any = _run  # both are hidden from the type checker, too
    before = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    run._r.seed(repr(seed))
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        run._r.setstate(before[1])


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for garbage in circles seldom: a run keeps all that was said, and each look goes through that.

    Of a run of a thousand clients it was a third. Nothing that a run depends on is done by a collection.
    """
    before = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def run_in_virtual_time(
    seed: object, main: Callable[..., Awaitable[T]], *args: Any, instruments: Sequence[trio.abc.Instrument] = ()
) -> T:
    """`trio.run`, on a clock that starts at 0 and jumps to the next deadline whenever all tasks wait."""
    with deterministic_scheduling(seed), rare_collections():
        return trio.run(main, *args, clock=MockClock(autojump_threshold=0), instruments=instruments)
