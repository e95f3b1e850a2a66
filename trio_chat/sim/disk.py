"""A virtual disk, and the log that a server keeps on it: it commits a moment later, fills up, and outlives a crash.

It promises what `Log` says: what was not committed when the process dies never was, what was committed is there.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import trio

from trio_chat.config import History
from trio_chat.core.effects import (
    Answer,
    Append,
    Change,
    Changed,
    Committed,
    Discard,
    Failed,
    Forget,
    Keep,
    Now,
    Request,
)
from trio_chat.core.records import Record, Restored
from trio_chat.log.memory import MemoryLog

QUEUE = 4096  # requests that may wait
RETRY = 1.0  # seconds after which to try again
Job: TypeAlias = Request | Keep | Discard | Forget


class Disk:
    """What is left when a process is gone. `latency`: seconds that a commit takes, about."""

    def __init__(self, history: History, rng: Random, *, latency: float, secret: bytes) -> None:
        self.entries = MemoryLog(history)
        self.kept: dict[tuple[str, str], Record] = {}
        self.latency, self.rng, self._secret = latency, rng, secret
        self.full_until = 0.0
        self.commits = 0

    @property
    def full(self) -> bool:
        """Whether nothing can be committed right now."""
        return trio.current_time() < self.full_until

    def restored(self) -> Restored:
        """What the next process finds."""
        return Restored(records=tuple(self.kept.values()), spans=self.entries.spans(), secret=self._secret)

    def change(self, change: Keep | Discard) -> None:
        """Keep a record, or no longer."""
        if isinstance(change, Keep):
            self.kept[change.record.kind, change.record.key] = change.record
        else:
            self.kept.pop((change.kind, change.key), None)


class VirtualLog:
    """One process's view of a disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.restored = disk.restored()
        self._queue: deque[tuple[Job, Now | None]] = deque()
        self._owed: deque[tuple[Job, Now | None]] = deque()  # what is to be kept, and the disk was full
        self._bell = trio.Event()
        self._dead = False

    @property
    def trouble(self) -> str | None:
        """Why it cannot commit right now."""
        return "the disk is full" if self._disk.full else None

    def submit(self, request: Request, now: Now) -> Answer | None:
        """Answer later."""
        if len(self._queue) >= QUEUE:
            return Failed(request, RETRY)
        self._put(request, now)
        return None

    def keep(self, change: Keep | Discard) -> None:
        """Keep a record, or no longer."""
        self._put(change, None)

    def forget(self, request: Forget) -> None:
        """Drop a room and its entries."""
        self._put(request, None)

    def _put(self, job: Job, now: Now | None) -> None:
        if not self._dead:
            self._queue.append((job, now))
            self._bell.set()

    async def run(self, answered: Callable[[Answer], None]) -> None:
        """Commit batch by batch. Cancelled: what waits is not committed; see `close`."""
        while True:
            with trio.move_on_after(RETRY if self._owed else math.inf):
                await self._bell.wait()
            self._bell = trio.Event()
            await trio.sleep(self._disk.latency * (0.5 + self._disk.rng.random()))
            batch, self._queue = self._queue, deque()
            for answer in self._commit(batch):
                answered(answer)

    def _commit(self, batch: deque[tuple[Job, Now | None]]) -> list[Answer]:
        """All of it at once, as a transaction; with a full disk only what reads."""
        if self._dead:
            return []
        disk = self._disk
        answers: list[Answer] = []
        disk.commits += 1
        if not disk.full:
            batch, self._owed = self._owed + batch, deque()
        for job, now in batch:
            if isinstance(job, Keep | Discard | Forget):
                if disk.full:
                    self._owed.append((job, None))
                elif isinstance(job, Forget):
                    disk.entries.forget(job)
                else:
                    disk.change(job)
            elif isinstance(job, Append | Change) and disk.full:
                answers.append(Failed(job, RETRY))
            else:
                assert now is not None
                answer = disk.entries.submit(job, now)
                if isinstance(answer, Committed | Changed):
                    for change in answer.request.keep:
                        disk.change(change)
                answers.append(answer)
        return answers

    def close(self) -> None:
        """The process ends well: what waits is committed."""
        batch, self._queue = self._queue, deque()
        self._commit(batch)
        self._dead = True

    def die(self) -> None:
        """The process dies: what waits never was."""
        self._dead = True
        self._queue.clear()
