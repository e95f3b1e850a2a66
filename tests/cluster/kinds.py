"""The kind `redis` behind the face that the log's contract suite has for every kind, in a thread that has a loop."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any, ClassVar, TypeVar

import trio

from tests.cluster.valkey import Valkey
from tests.log.kinds import NOW
from trio_chat.cluster.finding import search
from trio_chat.cluster.link import Link, open_link
from trio_chat.cluster.store import Job, Store
from trio_chat.cluster.upkeep import Upkeep
from trio_chat.config import Config
from trio_chat.core.effects import Answer, Discard, Forget, Keep, Now, Request, Search
from trio_chat.core.records import Restored
from trio_chat.redis_url import RedisUrl

T = TypeVar("T")
DATABASES = 16


class Loop:
    """A thread that runs Trio, and links that stay open in it."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._links: dict[str, Link] = {}
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)
        self._thread.start()
        self._ready.wait()
        atexit.register(self.stop)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._ready.set()
            await trio.sleep_forever()

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, or raises."""
        return trio.from_thread.run(work, trio_token=self._token)

    def link(self, url: str) -> Link:
        """A link to a server, always the same to the same."""
        if url not in self._links:
            self._links[url] = self.run(partial(self._nursery.start, self._hold, RedisUrl.read(url)))
        return self._links[url]

    async def _hold(self, url: RedisUrl, *, task_status: trio.TaskStatus[Link]) -> None:
        async with open_link(url) as link:
            task_status.started(link)
            await trio.sleep_forever()

    def stop(self) -> None:
        self._token.run_sync_soon(self._nursery.cancel_scope.cancel)
        self._thread.join(5)


class RedisKind:
    """The kind `redis`, of which each request is a batch, in a database of its own."""

    survives: ClassVar[bool] = True
    server: ClassVar[Valkey]
    loop: ClassVar[Loop]
    _numbers: ClassVar[count[int]] = count()

    def __init__(self, **options: Any) -> None:
        self._history = Config.of(**options).history
        self.link = self.loop.link(f"{self.server.url[:-1]}{next(self._numbers) % DATABASES}")
        self.loop.run(partial(self.link.call, [(b"FLUSHDB",)]))
        self._now = NOW
        self._open(NOW)

    def _open(self, now: Now) -> None:
        self.store = self.loop.run(partial(Store.open, self.link, history=self._history, boot="boot", wall=now.wall))
        self._upkeep = Upkeep(self.store)

    @property
    def restored(self) -> Restored:
        return self.store.restored

    def submit(self, request: Request, now: Now) -> Answer:
        self._now = now
        if isinstance(request, Search):
            return self.loop.run(partial(search, self.store, request, now))
        (answer,) = self._perform(request)
        return answer

    def keep(self, change: Keep | Discard) -> None:
        assert self._perform(change) == []

    def forget(self, request: Forget) -> None:
        assert self._perform(request) == []

    def _perform(self, job: Job) -> list[Answer]:
        return self.loop.run(partial(self.store.perform, [(job, self._now)], self._now))

    def tidy(self, now: Now) -> None:
        while self.loop.run(partial(self._upkeep.slice, now)):
            pass

    def reopen(self, now: Now) -> None:
        self.loop.run(self.store.close)
        self._open(now)

    def close(self) -> None:
        self.loop.run(self.store.close)
