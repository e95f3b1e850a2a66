"""Who is served at all, and how many of one address may be on their way in at a time."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from trio_chat.config import Config
from trio_chat.core.limits import TokenBucket
from trio_chat.server.address import Address, Networks, counted_as, site_of

SPARE_SOCKETS = 1024  # above `max_connections`: for pages, health checks, refusals and heads on their way
ONE_OF = 8  # the part of all sockets that one address may have waiting
FEW = 16  # that it may have in any case
SITE_HAS = 4  # times what a /64 may, for the /48 around it
MOST_PACED = 32_768  # addresses whose handshakes are counted


def sockets(config: Config) -> int:
    """How many the process may have open: as it is configured, or fewer by what the system lets it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.admission.max_connections + SPARE_SOCKETS
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)


class Lists:
    """Who is served at all. The denied go first; a trusted proxy need not be allowed, for it comes for others."""

    def __init__(self, config: Config) -> None:
        admission = config.admission
        self._denied = Networks(admission.denied_addresses)
        self._allowed = Networks(admission.allowed_addresses)
        self._proxies = Networks(config.listen.trusted_proxies)

    def bar(self, address: Address) -> bool:
        """Whether `address` is to be turned away."""
        if address in self._denied:
            return True
        return bool(self._allowed) and address not in self._allowed and address not in self._proxies


class Waiting:
    """Counts the sockets that are no WebSocket yet, by address: in a TLS handshake, in a request head, or kept.

    One address may have as many of them as connections, but never more than an eighth of all `sockets`, and an IPv6
    /48, which anybody can rent, four times that of a /64. So nobody takes all descriptors by never finishing what it
    began; what is a WebSocket is the `Gate`'s to count.
    """

    def __init__(self, config: Config) -> None:
        admission = config.admission
        self._limit = min(admission.max_connections_per_address, max(FEW, sockets(config) // ONE_OF))
        self._uncounted = Networks(admission.trusted_addresses + config.listen.trusted_proxies)
        self._counts: Counter[str] = Counter()

    @contextmanager
    def one(self, address: Address) -> Iterator[bool]:
        """Count a socket in for as long as the block runs. Gives whether it is one too many."""
        if address in self._uncounted:
            yield False
            return
        limits = _limits(address, self._limit)
        counts = self._counts
        for key in limits:
            counts[key] += 1
        try:
            yield any(counts[key] > limit for key, limit in limits.items())
        finally:
            for key in limits:
                counts[key] -= 1
                if not counts[key]:
                    del counts[key]


class Pace:
    """How often one address may begin a TLS handshake, which costs us more than the peer.

    At once as often as it may have connections, so that an office comes back in one moment; and as often again in each
    `attempt_window`. Of so many addresses that they do not fit, the one that was not here for longest is forgotten.
    """

    def __init__(self, config: Config) -> None:
        admission = config.admission
        self._burst, self._window = admission.max_connections_per_address, admission.attempt_window
        self._uncounted = Networks(admission.trusted_addresses + config.listen.trusted_proxies)
        self._buckets: dict[str, TokenBucket] = {}

    def allows(self, address: Address, now: float) -> bool:
        """Count a handshake; False where it is one too many."""
        return address in self._uncounted or all(
            self._take(key, burst, now) for key, burst in _limits(address, self._burst).items()
        )

    def _take(self, key: str, burst: int, now: float) -> bool:
        bucket = self._buckets.pop(key, None) or TokenBucket(burst / self._window, burst, now)
        if len(self._buckets) >= MOST_PACED:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = bucket
        return not bucket.take(now)


def _limits(address: Address, limit: int) -> dict[str, int]:
    """What an address is counted by, and how much that may have: an IPv6 /48 more than a /64 of it."""
    limits = {counted_as(address): limit}
    if site := site_of(address):
        limits[site] = limit * SITE_HAS
    return limits
