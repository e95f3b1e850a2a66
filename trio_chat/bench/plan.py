"""What a load is to do, and its bounds."""

from __future__ import annotations

import ssl

import attrs

MAX_CONNECTIONS = 10_000
MAX_RATE = 10_000.0  # messages a second, in all
MAX_SECONDS = 3_600.0
MAX_MESSAGES = 1_000_000
MAX_DELIVERIES = 10_000_000  # each latency is kept: 32 bytes


class BenchError(Exception):
    """The server could not be loaded at all; `str()` is one line that says why."""


@attrs.frozen(kw_only=True)
class Plan:
    """What to do: `rate` messages a second in all, for `seconds`, from `connections` spread evenly over `rooms`.

    Raises:
        ValueError: a number is out of its bounds; `str()` names it.
    """

    url: str
    connections: int = attrs.field(default=10, validator=[attrs.validators.ge(1), attrs.validators.le(MAX_CONNECTIONS)])
    rooms: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    rate: float = attrs.field(default=10.0, validator=[attrs.validators.gt(0), attrs.validators.le(MAX_RATE)])
    seconds: float = attrs.field(default=10.0, validator=[attrs.validators.gt(0), attrs.validators.le(MAX_SECONDS)])
    tls: ssl.SSLContext | None = None  # for wss://; None checks certificates as the system does

    def __attrs_post_init__(self) -> None:
        """Check what several fields say together."""
        if self.rooms > self.connections:
            raise ValueError(f"rooms: {self.rooms} must be at most connections = {self.connections}")
        deliveries = self.messages * self.members(0)
        if self.messages > MAX_MESSAGES or deliveries > MAX_DELIVERIES:
            raise ValueError(
                f"rate, seconds, connections and rooms make {self.messages:,} messages and {deliveries:,} deliveries: "
                f"at most {MAX_MESSAGES:,} and {MAX_DELIVERIES:,}"
            )

    @property
    def messages(self) -> int:
        """How many are sent; at least one."""
        return max(1, int(self.rate * self.seconds))

    def sender(self, n: int) -> int:
        """The connection that sends message n: they take turns."""
        return n % self.connections

    def room(self, connection: int) -> int:
        """The room that a connection is in."""
        return connection % self.rooms

    def members(self, room: int) -> int:
        """How many connections share a room."""
        return len(range(room, self.connections, self.rooms))

    def place(self, n: int) -> tuple[int, int]:
        """The room that message n goes to, and how many messages of that room are before it."""
        turn, sender = divmod(n, self.connections)
        room = self.room(sender)
        return room, turn * self.members(room) + sender // self.rooms

    def messages_in(self, room: int) -> int:
        """How many messages go to a room."""
        turns, rest = divmod(self.messages, self.connections)
        return turns * self.members(room) + len(range(room, rest, self.rooms))
