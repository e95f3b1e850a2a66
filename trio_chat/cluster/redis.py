"""The log kind `redis`: a log on a Redis or Valkey server, behind a task that sends all that waits in one round trip.

While one is under way the next batch gathers: the more there is to do, the less each entry costs.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio

from trio_chat.cluster.finding import search
from trio_chat.cluster.link import open_link
from trio_chat.cluster.opening import LEASE_SECONDS
from trio_chat.cluster.store import RETRY, Job, Store
from trio_chat.cluster.upkeep import Upkeep
from trio_chat.config import History
from trio_chat.core.effects import Answer, Append, Change, Discard, Failed, Forget, Keep, Now, Read, Request, Search
from trio_chat.log import LogError, LostError
from trio_chat.redis_url import RedisUrl

log = logging.getLogger(__name__)
Key: TypeAlias = int | tuple[str, str, int]

REQUESTS = 8192  # that may wait; a batch is all that waits
REQUEST_BYTES = 16 * 1024 * 1024  # of all entries that wait, and of all pages that were asked for
SEARCHES = 64  # that may wait
RENEW_EVERY = LEASE_SECONDS / 5
FLUSH = 5.0  # seconds that the end waits for the server


class RedisLog:
    """See `Log`. To be made by `open_redis`, and run by one task."""

    def __init__(self, store: Store, wall: Callable[[], float]) -> None:
        self.restored = store.restored
        self._store, self._wall = store, wall
        self._upkeep = Upkeep(store)
        self._waiting: dict[Key, tuple[Job, Now]] = {}  # in order; of a record only the newest, at its place
        self._number = 0  # of the last request
        self._requests = 0  # that wait
        self._bytes = Counter[type[Append | Read | Change]]()  # of those, by kind
        self._searches: deque[tuple[Search, Now]] = deque()
        self._bell, self._search_bell = trio.Event(), trio.Event()
        self._lost = False  # it is another's by now

    @property
    def trouble(self) -> str | None:
        """Why nothing can be committed right now."""
        return self._store.trouble

    @property
    def _away(self) -> bool:
        return self.trouble is not None and self._store.away

    def submit(self, request: Request, now: Now) -> Failed | None:
        """Take a request. Too many that wait, and what cannot be done while there is trouble, are answered at once."""
        if isinstance(request, Search):
            if len(self._searches) >= SEARCHES or self._away:
                return Failed(request, RETRY)
            self._searches.append((request, now))
            self._search_bell.set()
            return None
        if self._away or (self.trouble is not None and not isinstance(request, Read)):  # that is over without them
            self._store.refused += isinstance(request, Append)
            return Failed(request, RETRY)
        if isinstance(request, Change):
            size = 0
        else:
            size = request.draft.size if isinstance(request, Append) else request.max_bytes
        waiting = self._bytes[type(request)]
        if self._requests >= REQUESTS or (waiting and waiting + size > REQUEST_BYTES):
            return Failed(request, RETRY)
        self._requests += 1
        self._bytes[type(request)] += size
        self._put_request(request, now)
        return None

    def keep(self, change: Keep | Discard) -> None:
        """Keep a record, or no longer. What waits is bounded by the number of records.

        It takes the place of an earlier change of the record that waits still, unless something was submitted since:
        that must not be committed without it.
        """
        of = change.record if isinstance(change, Keep) else change
        key = of.kind, of.key, self._number
        self._waiting.pop(key, None)
        self._put(key, change, self._now())

    def forget(self, request: Forget) -> None:
        """Drop a room and its entries."""
        self._put_request(request, self._now())

    async def run(self, answered: Callable[[Answer], None]) -> None:
        """Commit, read, search and tidy until cancelled.

        Cancelled: what waits is committed at the end of `open_redis`; its answers, and those of the batch that is under
        way, are lost.

        Raises:
            LostError: another process has the log, or the server lost what it had acknowledged.
        """
        try:
            async with trio.open_nursery() as tasks:
                tasks.start_soon(self._write, answered)
                tasks.start_soon(self._search, answered)
        except* LostError as group:
            lost = _first(group)
        self._lost = True
        raise lost

    async def finish(self) -> None:
        """Commit what waits, and give the log back. Bounded by `FLUSH` seconds; cannot be cancelled."""
        if self._lost:
            return
        with trio.move_on_after(FLUSH, shield=True):
            try:
                now = self._now()
                now = now._replace(mono=now.mono + RETRY)  # also where that is not yet to be tried again
                await self._store.perform([*self._waiting.values()], now)
            except LostError as error:
                log.warning("log: the end is not committed: %s", error)
                return
            if self.trouble is not None:
                log.warning("log: the end may not be committed: %s", self.trouble)
            await self._store.close()
            return
        log.warning("log: the server did not answer within %d s: the end may not be committed", FLUSH)

    def _put_request(self, request: Append | Read | Change | Forget, now: Now) -> None:
        self._number += 1
        self._put(self._number, request, now)

    def _put(self, key: Key, job: Job, now: Now) -> None:
        self._waiting[key] = job, now
        self._bell.set()

    def _now(self) -> Now:
        return Now(trio.current_time(), self._wall())

    # --- The tasks -------------------------------------------------------------------------------------------------

    async def _write(self, answered: Callable[[Answer], None]) -> None:
        """Batch by batch; slices of upkeep in between, and the lease in any case."""
        tidy_at, renew_at = trio.current_time(), trio.current_time() + RENEW_EVERY
        while True:
            retry_at = trio.current_time() + RETRY if self.trouble is not None else renew_at
            with trio.move_on_at(min(tidy_at, renew_at, retry_at)):
                await self._bell.wait()
            self._bell = trio.Event()
            now = self._now()
            if self._waiting or self.trouble is not None:
                batch = list(self._waiting.values())
                self._waiting.clear()
                self._requests = 0
                self._bytes.clear()
                for answer in await self._store.perform(batch, now):
                    answered(answer)
            if now.mono >= renew_at:
                if self.trouble is None:
                    await self._store.renew(now)
                renew_at = now.mono + RENEW_EVERY
            if now.mono >= tidy_at:
                more = await self._upkeep.slice(now)
                tidy_at = now.mono if more else max(self._upkeep.due, now.mono + RETRY)

    async def _search(self, answered: Callable[[Answer], None]) -> None:
        """One search after the other, on a connection of its own."""
        while True:
            await self._search_bell.wait()
            self._search_bell = trio.Event()
            while self._searches:
                request, now = self._searches.popleft()
                answered(await search(self._store, request, now))


def _first(group: BaseExceptionGroup[LostError]) -> LostError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


@asynccontextmanager
async def open_redis(
    url: RedisUrl, *, history: History, boot: str, wall: Callable[[], float]
) -> AsyncIterator[RedisLog]:
    """Take over the log on a server; at the end what waits is committed, for `FLUSH` seconds at most.

    Where the last process did not give it back, that takes up to `LEASE_SECONDS`. Cancelled meanwhile, it may be ours
    for as long.

    Args:
        url: the server.
        history: how much is kept.
        boot: what no other start of a server has; the new epochs are made of it.
        wall: seconds since 1970.

    Raises:
        LogError: it cannot be; see `Store.open`. And whatever the block raises.
    """
    async with open_link(url) as link:
        try:
            store = await Store.open(link, history=history, boot=boot, wall=wall())
        except LogError as error:
            raise LogError(f"{url}: {error}") from None
        entries = RedisLog(store, wall)
        try:
            yield entries
        finally:
            await entries.finish()
