"""Admission: who may open a connection. Attempts, bans and open connections are counted by address."""

from __future__ import annotations

from fnmatch import fnmatchcase

from trio_chat.config import Admission
from trio_chat.core.effects import Admit, Admitted, Banned, ConnId, Effect, Note, Refused
from trio_chat.core.limits import Deadlines, Window

CROWDED_RETRY = 10.0  # seconds after which an address with too many connections may ask again
ORIGIN_CHARS = 100  # of a refused origin that are logged
FULL_RETRY = 5.0  # seconds after which a full server may be asked again
SITE_SHARE = 4  # one IPv6 /48 has at most a quarter of all connections, or what one address may have
MOST_COUNTED = 32_768  # addresses and sessions whose attempts are counted: 35 MB at the most
MOST_BANS = 65_536


class Gate:
    """Counts attempts and connections, and bans. An address is forgotten when nothing of it matters any longer.

    A returning session (its ticket was good) has a bucket of its own: its attempts are not its address's, and it
    passes a ban of the address, so that a whole office behind one address comes back after a deploy. Where it brings
    no ticket, its attempt is its address's until its resume turns out to be valid, and its own from then on.

    Neither table grows without bound: anybody may have 65,536 networks of IPv6, and a botnet more. When one is full,
    what would be forgotten first goes at once: the count, or the ban, that has the least time left. So an attack from
    very many addresses makes it forgetful, and never unfair; what bounds such an attack is not the count of an
    address, but `max_connections`, and that a /48 has a share of them.
    """

    def __init__(self, config: Admission) -> None:
        self._config = config
        self._attempts: dict[str, Window] = {}
        self._forget: Deadlines[str] = Deadlines(config.attempt_window)
        self._bans: Deadlines[str] = Deadlines(config.ban_seconds)
        self._open: dict[ConnId, tuple[str, ...]] = {}  # what each is counted by
        self._per_address: dict[str, int] = {}
        self._of_site = max(config.max_connections_per_address, config.max_connections // SITE_SHARE)

    def admit(self, ask: Admit, returning: str | None, now: float) -> list[Effect]:
        """Decide on an upgrade request; `returning` is the bucket of the ticket that it brought."""
        effects: list[Effect] = []
        excused = ask.trusted or (returning is not None and self._count(returning, now))
        if not excused:
            left = self._ban_left(ask.address, now)
            if left:
                return [Refused(ask.conn, 403, "This address is banned for a while", left)]
            effects = self.attempt(ask.address, now)
            if effects:
                retry_after = self._config.ban_seconds
                return [*effects, Refused(ask.conn, 429, "Too many connection attempts", retry_after)]
        if not self._origin_allowed(ask):
            told = "%s refused: the origin %r is not allowed (allowed_origins)"
            note = Note(told, (ask.address, (ask.origin or "")[:ORIGIN_CHARS]), warning=True)
            return [note, Refused(ask.conn, 403, "This origin is not allowed")]
        if len(self._open) >= self._config.max_connections:
            return [Refused(ask.conn, 503, "The server is full", FULL_RETRY)]
        if not ask.trusted and self._crowded(ask):
            return [Refused(ask.conn, 429, "Too many connections from this address", CROWDED_RETRY)]
        keys = () if ask.trusted else tuple(filter(None, (ask.address, ask.site)))
        self._open[ask.conn] = keys
        for key in keys:
            self._per_address[key] = self._per_address.get(key, 0) + 1
        return [Admitted(ask.conn)]

    def _crowded(self, ask: Admit) -> bool:
        count = self._per_address.get
        return count(ask.address, 0) >= self._config.max_connections_per_address or count(ask.site, 0) >= self._of_site

    def attempt(self, address: str, now: float) -> list[Effect]:
        """Count an attempt. The one that is too many bans the address; those during a ban are not counted."""
        if self._ban_left(address, now) or self._count(address, now):
            return []
        del self._attempts[address]  # after the ban the count starts at 0
        self._forget.discard(address)
        freed = self._bans.evict(MOST_BANS - 1)
        self._bans.set(address, now)
        return [
            *(Banned(oldest, None) for oldest in freed),
            Banned(address, self._bans.due(address)),
            Note("%s banned for %g s: too many connection attempts", (address, self._config.ban_seconds), warning=True),
        ]

    def returned(self, address: str, session: str, attempted: float, now: float) -> None:
        """What `address` was charged with at `attempted` was the valid resume of a session: charge that one's bucket.

        Where that has had its share, the address keeps it: else one session would be attempts without end.
        """
        window = self._attempts.get(address)
        if window is not None and self._count(session, now):
            window.take_back(attempted)

    def closed(self, conn: ConnId) -> None:
        """A connection that was admitted is gone."""
        for key in self._open.pop(conn, ()):
            left = self._per_address[key] - 1
            if left:
                self._per_address[key] = left
            else:
                del self._per_address[key]

    def next_due(self) -> float | None:
        """When there is something to lift or to forget."""
        return min((due for due in (self._bans.next(), self._forget.next()) if due is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Lift the bans that are over and forget what can no longer matter."""
        for bucket in self._forget.pop(now):
            if self._attempts[bucket].idle(now):
                del self._attempts[bucket]
            else:
                self._forget.set(bucket, now)
        return [Banned(address, None) for address in self._bans.pop(now)]

    def _count(self, bucket: str, now: float) -> bool:
        window = self._attempts.get(bucket)
        if window is None:
            for oldest in self._forget.evict(MOST_COUNTED - 1):
                del self._attempts[oldest]
            window = self._attempts[bucket] = Window(self._config.max_attempts, self._config.attempt_window)
        if bucket not in self._forget:
            self._forget.set(bucket, now)
        return window.hit(now)

    def _ban_left(self, address: str, now: float) -> float:
        """Seconds; 0.0 where there is no ban, or it is over and only the tick is late."""
        until = self._bans.due(address)
        return 0.0 if until is None else max(0.0, until - now)

    def _origin_allowed(self, ask: Admit) -> bool:
        """No `Origin` is no web page, and admitted; a page of our own is, too."""
        if ask.origin is None or ask.own_origin:
            return True
        origin = ask.origin.lower()  # scheme and host have no case (RFC 6454 section 4)
        return any(fnmatchcase(origin, pattern.lower()) for pattern in self._config.origins)
