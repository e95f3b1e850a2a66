"""What operators ask of the broker, and wait for."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import trio

from trio_chat.core.orders import Act, Answered, Failure, Look, Ordered, Result

MOST = 64  # orders that may wait
SECONDS = 30.0  # that the log may take for one
BUSY = Failure(code="unavailable", message="Too many orders wait already", retry_after=1.0)
LATE = Failure(code="unavailable", message="The log did not answer; it may be done still", retry_after=5.0)


@attrs.define(eq=False)
class _Waiting:
    """An order that was not answered yet."""

    answered: trio.Event = attrs.field(factory=trio.Event)
    result: Result = LATE


class Orders:
    """`take` hands an order to the broker; it must not block."""

    def __init__(self, take: Callable[[Ordered], None]) -> None:
        self._take = take
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    async def ask(self, by: str, order: Act | Look) -> Result:
        """Ask for something, and wait for the answer. Cancelled: an act may be done still."""
        if len(self._waiting) >= MOST:
            return BUSY
        number, waiting = next(self._numbers), _Waiting()
        self._waiting[number] = waiting
        self._take(Ordered(number, by, order))
        try:
            with trio.move_on_after(SECONDS):
                await waiting.answered.wait()
        finally:
            del self._waiting[number]
        return waiting.result

    def answered(self, effect: Answered) -> None:
        """Wake whoever waits, if anybody does still."""
        waiting = self._waiting.get(effect.number)
        if waiting is not None:
            waiting.result = effect.result
            waiting.answered.set()
