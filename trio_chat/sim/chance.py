"""Everything that chance decides in a simulation, and the one place that makes Trio's scheduler a part of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")


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


def run_in_virtual_time(
    seed: object, main: Callable[..., Awaitable[T]], *args: Any, instruments: Sequence[trio.abc.Instrument] = ()
) -> T:
    """`trio.run`, on a clock that starts at 0 and jumps to the next deadline whenever all tasks wait."""
    with deterministic_scheduling(seed):
        return trio.run(main, *args, clock=MockClock(autojump_threshold=0), instruments=instruments)
