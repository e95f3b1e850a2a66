"""Counting: token buckets, sliding windows, and deadlines: those that all lie equally far ahead, and all others."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
ROUNDING = 1e-9  # of a token: whoever waited as long as told is not refused for a float's last digit


class TokenBucket:
    """`rate` tokens a second, `burst` at most."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst = rate, burst
        self._tokens, self._at = burst, now

    def available(self, now: float) -> int:
        """How many tokens there are."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return int(self._tokens + ROUNDING)

    def spend(self, count: int) -> None:
        """Take tokens that are `available`."""
        self._tokens -= count

    def wait(self, now: float) -> float:
        """Seconds after which there is a token; 0.0 is now."""
        return 0.0 if self.available(now) else (1 - self._tokens) / self.rate

    def take(self, now: float) -> float:
        """Take a token. Returns 0.0, or the seconds after which there is one."""
        # `wait` and `spend`, written out: three calls more for each command are over the bound of `test_cost`.
        tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if tokens >= 1 - ROUNDING:
            self._tokens = tokens - 1
            return 0.0
        self._tokens = tokens
        return (1 - tokens) / self.rate


class Window:
    """At most `limit` hits, one at least, within any `seconds`: a sliding window, exact, of `limit` times at most."""

    __slots__ = ("_hits", "limit", "seconds")

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self._hits: deque[float] | None = None  # a deque takes 760 bytes, and most windows are never hit

    def wait(self, now: float) -> float:
        """Seconds until the next hit is allowed; 0.0 is now. Counts nothing."""
        hits = self._hits
        if hits is None:
            return 0.0
        while hits and hits[0] + self.seconds <= now:
            hits.popleft()
        return 0.0 if len(hits) < self.limit else hits[0] + self.seconds - now

    def hit(self, now: float) -> bool:
        """Count a hit. False, and nothing is counted, where it is one too many."""
        if self.wait(now):
            return False
        if self._hits is None:
            self._hits = deque()
        self._hits.append(now)
        return True

    def take_back(self, at: float) -> None:
        """The hit that was counted at `at` is none; where it does not matter any longer, nothing changes."""
        if self._hits is not None and at in self._hits:
            self._hits.remove(at)

    def idle(self, now: float) -> bool:
        """Whether nothing in it matters any longer."""
        return not self._hits or self._hits[-1] + self.seconds <= now


class Deadlines(Generic[Item]):
    """Items that fall due `delay` seconds after they were set: one delay for all, so their order is a queue's."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._due: dict[Item, float] = {}

    def __contains__(self, item: Item) -> bool:
        """Whether `item` waits."""
        return item in self._due

    def __iter__(self) -> Iterator[Item]:
        """All that wait, the first to fall due first."""
        return iter(self._due)

    def set(self, item: Item, now: float) -> None:
        """Let `item` fall due `delay` seconds from `now`, whatever it was due before."""
        self._due.pop(item, None)
        self._due[item] = now + self.delay

    def discard(self, item: Item) -> None:
        """Forget `item`, if it waits."""
        self._due.pop(item, None)

    def due(self, item: Item) -> float | None:
        """When `item` falls due, if it waits."""
        return self._due.get(item)

    def next(self) -> float | None:
        """When the first falls due."""
        return next(iter(self._due.values()), None)

    def evict(self, most: int) -> list[Item]:
        """Take out those that fall due first, until at most `most` are left."""
        evicted = list(islice(self._due, max(0, len(self._due) - most)))
        for item in evicted:
            del self._due[item]
        return evicted

    def pop(self, now: float) -> list[Item]:
        """Take out all that are due, first come first."""
        due: list[Item] = []
        for item, at in self._due.items():
            if at > now:
                break
            due.append(item)
        for item in due:
            del self._due[item]
        return due


class Alarms(Generic[Item]):
    """Items that fall due each at a time of its own; those of one time in the order in which they were set."""

    def __init__(self) -> None:
        self._numbers = 0
        self._set: dict[Item, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Item]] = []  # with some that were set anew or discarded since

    def __contains__(self, item: Item) -> bool:
        """Whether `item` waits."""
        return item in self._set

    def set(self, item: Item, at: float) -> None:
        """Let `item` fall due at `at`, whatever it was due before."""
        self._numbers += 1
        self._set[item] = at, self._numbers
        heapq.heappush(self._heap, (at, self._numbers, item))
        if len(self._heap) > 2 * len(self._set) + 16:
            self._heap = [(at, number, item) for item, (at, number) in self._set.items()]
            heapq.heapify(self._heap)

    def discard(self, item: Item) -> None:
        """Forget `item`, if it waits."""
        self._set.pop(item, None)

    def next(self) -> float | None:
        """When the first falls due."""
        while self._heap and not self._stands():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> list[Item]:
        """Take out all that are due, first come first."""
        due: list[Item] = []
        while self._heap and self._heap[0][0] <= now:
            if self._stands():
                item = self._heap[0][2]
                del self._set[item]
                due.append(item)
            heapq.heappop(self._heap)
        return due

    def _stands(self) -> bool:
        """Whether the first in the heap was neither set anew nor discarded."""
        at, number, item = self._heap[0]
        return self._set.get(item) == (at, number)
