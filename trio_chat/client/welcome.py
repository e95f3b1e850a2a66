"""What `welcome` says: who we are, where we stand, how to keep the connection alive and how to come back."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Backoff:
    """How to come back: seconds, doubled from `base` to `max`, and up to `jitter` more."""

    base: float = 1.0
    max: float = 30.0
    jitter: float = 1.0

    def delay(self, tries: int, random: float) -> float:
        """Seconds before the next try, after `tries` (≥ 1) in vain. `random`: 0 ≤ random < 1."""
        return float(min(self.max, self.base * 2 ** min(tries - 1, 60)) + self.jitter * random)


@attrs.frozen(kw_only=True)
class Heartbeat:
    """After how many seconds of silence to ping, and how many more mean that the peer is gone."""

    interval: float = 20.0
    timeout: float = 10.0


@attrs.frozen(kw_only=True)
class Here:
    """A room that we are in, and the last `seq` of its log."""

    room: str
    epoch: str
    last: int


@attrs.frozen(kw_only=True)
class Welcome:
    """The answer to `connect`. `more`: there are more rooms than the frame had room for."""

    user: str
    session: str
    ticket: str | None = None
    resumed: bool = False
    rooms: list[Here] = attrs.field(factory=list)
    more: bool = False
    heartbeat: Heartbeat = attrs.field(factory=Heartbeat)
    reconnect: Backoff = attrs.field(factory=Backoff)
    limits: dict[str, float] = attrs.field(factory=dict)
