"""The log kind `sqlite`: a log file behind a task that commits all that waits in one transaction.

While one transaction runs, in a thread, the next batch gathers: the more there is to do, the less each entry costs.
One sender that waits for each answer has it in 0.3 ms, a hundred in 3 ms each, and together they commit 25,000/s.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeAlias, TypeVar

import trio

from trio_chat.config import History
from trio_chat.core.effects import Answer, Append, Change, Discard, Failed, Forget, Keep, Now, Read, Request, Search
from trio_chat.log.opening import Sync
from trio_chat.log.store import RETRY, Job, Store

log = logging.getLogger(__name__)
T = TypeVar("T")
Key: TypeAlias = int | tuple[str, str]

REQUESTS = 8192  # that may wait; a batch is all that waits, 0.3 s of work at most
REQUEST_BYTES = 64 * 1024 * 1024  # of all entries that wait, and of all pages that were asked for
SEARCHES = 64  # that may wait
GROUP = 1.0  # seconds that upkeep waits for more to do: a hundred entries are indexed as cheaply as five alone
CATCH_UP = 0.5  # seconds that a search waits at most for the index
FLUSH = 5.0  # seconds that the end waits for the disk


class SqliteLog:
    """See `Log`. To be made by `open_sqlite`, and run by one task."""

    def __init__(self, store: Store, wall: Callable[[], float]) -> None:
        self.restored = store.restored
        self._store, self._wall = store, wall
        self._waiting: dict[Key, tuple[Job, Now]] = {}  # in order; of a record only the newest, at its place
        self._numbers = count()
        self._requests = 0  # that wait
        self._bytes = Counter[type[Append | Read | Change]]()  # of those, by kind
        self._taken: list[tuple[Job, Now]] = []  # the batch until its thread has begun
        self._searches: deque[tuple[Search, Now]] = deque()
        self._bell, self._search_bell = trio.Event(), trio.Event()
        self._writer, self._searcher = trio.CapacityLimiter(1), trio.CapacityLimiter(1)  # one thread at a time

    @property
    def trouble(self) -> str | None:
        """Why nothing can be committed right now."""
        return self._store.trouble

    def submit(self, request: Request, now: Now) -> Failed | None:
        """Take a request; too many that wait are answered at once. See `Log`."""
        if isinstance(request, Search):
            if len(self._searches) >= SEARCHES:
                return Failed(request, RETRY)
            self._searches.append((request, now))
            self._search_bell.set()
            return None
        if isinstance(request, Change):
            size = 0
        else:
            size = request.draft.size if isinstance(request, Append) else request.max_bytes
        waiting = self._bytes[type(request)]
        if self._requests >= REQUESTS or (waiting and waiting + size > REQUEST_BYTES):
            return Failed(request, RETRY)
        self._requests += 1
        self._bytes[type(request)] += size
        self._put(next(self._numbers), request, now)
        return None

    def keep(self, change: Keep | Discard) -> None:
        """Keep a record, or no longer. What waits is bounded by the number of records.

        It takes the place of an earlier change of the record that waits still, and that loses nothing: all that waits
        is one transaction.
        """
        of = change.record if isinstance(change, Keep) else change
        self._waiting.pop((of.kind, of.key), None)
        self._put((of.kind, of.key), change, self._now())

    def forget(self, request: Forget) -> None:
        """Drop a room and its entries."""
        self._put(next(self._numbers), request, self._now())

    async def run(self, answered: Callable[[Answer], None]) -> None:
        """Commit, read, search and tidy until cancelled.

        Cancelled: what waits is committed at the end of `open_sqlite`; its answers, and those of the batch that is in
        a thread, are lost.
        """
        async with trio.open_nursery() as tasks:
            tasks.start_soon(self._write, answered)
            tasks.start_soon(self._search, answered)

    async def finish(self) -> None:
        """Commit what waits, and close the file. Bounded by `FLUSH` seconds; cannot be cancelled."""
        with trio.move_on_after(FLUSH, shield=True):
            self._store.stop_searching()
            async with self._searcher:
                await self._in_thread(self._flush)
                return
        log.warning("log: the disk did not answer within %d s: the end may not be committed", FLUSH)

    def _put(self, key: Key, job: Job, now: Now) -> None:
        self._waiting[key] = job, now
        self._bell.set()

    def _now(self) -> Now:
        return Now(trio.current_time(), self._wall())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Let the one thread that writes do `work`. Cancelled: it does it still, but nobody waits."""
        return await trio.to_thread.run_sync(work, limiter=self._writer, abandon_on_cancel=True)

    # --- The tasks -------------------------------------------------------------------------------------------------

    async def _write(self, answered: Callable[[Answer], None]) -> None:
        """Batch by batch; slices of upkeep in between, so that neither keeps the other waiting for long."""
        tidy_at = trio.current_time()
        while True:
            with trio.move_on_at(tidy_at):
                await self._bell.wait()
            self._bell = trio.Event()
            if self._waiting:
                self._taken.extend(self._waiting.values())
                self._waiting.clear()
                self._requests = 0
                self._bytes.clear()
                for answer in await self._in_thread(self._perform):
                    answered(answer)
                tidy_at = min(tidy_at, trio.current_time() + GROUP)
            if trio.current_time() >= tidy_at:
                more = await self._in_thread(partial(self._store.tidy, self._now()))
                tidy_at = trio.current_time() if more else max(self._store.due, trio.current_time() + GROUP)

    async def _search(self, answered: Callable[[Answer], None]) -> None:
        """One search after the other, on a connection of its own."""
        while True:
            await self._search_bell.wait()
            self._search_bell = trio.Event()
            while self._searches:
                request, now = self._searches.popleft()
                with trio.move_on_after(CATCH_UP):
                    while await self._in_thread(partial(self._store.catch_up, self._now())):
                        pass
                search = partial(self._store.search, request, now)
                answered(await trio.to_thread.run_sync(search, limiter=self._searcher, abandon_on_cancel=True))

    # --- In the thread ---------------------------------------------------------------------------------------------

    def _perform(self) -> list[Answer]:
        batch, self._taken = self._taken, []
        return self._store.perform(batch)

    def _flush(self) -> None:
        self._store.perform([*self._taken, *self._waiting.values()])
        self._store.close()


@asynccontextmanager
async def open_sqlite(
    path: Path, *, history: History, sync: Sync, boot: str, wall: Callable[[], float]
) -> AsyncIterator[SqliteLog]:
    """Open the log file `path`, or make it; at the end what waits is committed, for `FLUSH` seconds at most.

    Opening takes up to 1 s for a million entries where the last process did not close the file. Cancelled meanwhile, it
    is opened first.

    Args:
        path: the file. Beside it are made PATH-wal, PATH-shm and PATH.lock.
        history: how much is kept.
        sync: `normal`: a power cut may take the last seconds, and then each room gets a new epoch; `full`: none.
        boot: what no other start of a server has; the new epochs are made of it.
        wall: seconds since 1970.

    Raises:
        LogError: it cannot be opened; see `Store.open`.
    """
    opening = partial(Store.open, path, history=history, sync=sync, boot=boot, wall=wall())
    entries = SqliteLog(await trio.to_thread.run_sync(opening), wall)
    try:
        yield entries
    finally:
        await entries.finish()
