"""How often somebody may be wrong: sliding windows of failures, by name and by address, in bounded memory."""

from __future__ import annotations

from collections import deque

MOST = 10_000  # keys that are remembered, those that failed last


class Attempts:
    """At most `limit` failures of one key within any `seconds`.

    An attempt counts from its beginning, or many at once would be one; what succeeds is taken back.
    """

    def __init__(self, limit: int, seconds: float, most: int = MOST) -> None:
        self._limit, self._seconds, self._most = limit, seconds, most
        self._begun: dict[str, deque[float]] = {}  # the key that began last at the end

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._begun)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the next attempt is allowed; 0.0 is now."""
        begun = self._begun.get(key)
        while begun and begun[0] + self._seconds <= now:
            begun.popleft()
        return begun[0] + self._seconds - now if begun and len(begun) >= self._limit else 0.0

    def begin(self, key: str, now: float) -> None:
        """Count an attempt that is allowed."""
        begun = self._begun.pop(key, None)
        if begun is None:
            begun = deque()
            if len(self._begun) >= self._most:
                del self._begun[next(iter(self._begun))]
        begun.append(now)
        self._begun[key] = begun

    def take_back(self, key: str) -> None:
        """The newest attempt was no failure."""
        begun = self._begun.get(key)
        if begun:
            begun.pop()
        if not begun:
            self._begun.pop(key, None)
