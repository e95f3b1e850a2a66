"""Coming in: with what account, and what `welcome` says of where we stand, of the heartbeat and of coming back."""

from __future__ import annotations

from typing import Any

import attrs

from trio_chat.core.errors import Close


@attrs.frozen
class Account:
    """A name and its password. `register`: the account is to be made."""

    username: str
    password: str = attrs.field(repr=False)
    register: bool = False

    def frame(self) -> dict[str, Any]:
        """The first frame of a connection."""
        kind = "register" if self.register else "login"
        return {"type": kind, "id": 0, "username": self.username, "password": self.password}


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
    """A room that we are in, and the last `seq` of its log. `after`: what comes after that `seq` is sent to us now."""

    room: str
    epoch: str
    last: int
    after: int | None = None


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


def seconds_of(frame: dict[str, Any], name: str) -> float:
    """A number of seconds in a frame; 0.0 where there is none."""
    value = frame.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def reason_of(code: int | None) -> str:
    """What a close code says."""
    try:
        return "lost" if code is None else Close(code).reason  # type: ignore[call-arg]  # mypy takes a look-up for a new member
    except ValueError:
        return "lost"
