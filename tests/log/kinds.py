"""Every kind of log behind one face without waiting, so that one suite runs on each; and what its tests ask with."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from trio_chat.config import Config
from trio_chat.core.effects import (
    Answer,
    Append,
    Discard,
    Draft,
    Forget,
    Found,
    Keep,
    Now,
    Page,
    Read,
    Request,
    Search,
)
from trio_chat.core.records import Restored
from trio_chat.core.words import words_of
from trio_chat.log.memory import MemoryLog
from trio_chat.log.opening import Sync
from trio_chat.log.store import Store

DAY = 86_400.0
NOW = Now(1000.0, 1_000_000_000.0)
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a directory


class Kind(Protocol):
    """A log whose every answer comes at once. Only of those that `survive` can `reopen` be called."""

    survives: ClassVar[bool]

    def __init__(self, **options: Any) -> None: ...

    @property
    def restored(self) -> Restored: ...

    def submit(self, request: Request, now: Now) -> Answer: ...

    def keep(self, change: Keep | Discard) -> None: ...

    def forget(self, request: Forget) -> None: ...

    def tidy(self, now: Now) -> None: ...

    def reopen(self, now: Now) -> None: ...

    def close(self) -> None: ...


class MemoryKind:
    """The kind `memory`."""

    survives: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        self.log = MemoryLog(Config.of(**options).history)

    @property
    def restored(self) -> Restored:
        return self.log.restored

    def submit(self, request: Request, now: Now) -> Answer:
        return self.log.submit(request, now)

    def keep(self, change: Keep | Discard) -> None:
        self.log.keep(change)

    def forget(self, request: Forget) -> None:
        self.log.forget(request)

    def tidy(self, now: Now) -> None:
        pass

    def reopen(self, now: Now) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class SqliteKind:
    """The kind `sqlite`, of which each request is a transaction, in a directory of its own."""

    survives: ClassVar[bool] = True
    sync: Sync = "normal"
    boot = "boot"
    factory: type[sqlite3.Connection] = sqlite3.Connection

    def __init__(self, **options: Any) -> None:
        self._history = Config.of(**options).history
        self._directory = Path(tempfile.mkdtemp(prefix="trio_chat-", dir=IN_MEMORY))
        self.path = self._directory / "chat.db"
        self._now = NOW
        self.store = self._open(NOW)

    def _open(self, now: Now) -> Store:
        return Store.open(
            self.path, history=self._history, sync=self.sync, boot=self.boot, wall=now.wall, factory=self.factory
        )

    @property
    def restored(self) -> Restored:
        return self.store.restored

    def submit(self, request: Request, now: Now) -> Answer:
        self._now = now
        if isinstance(request, Search):
            while self.store.catch_up(now):  # what was appended a moment ago is found a moment later
                pass
            return self.store.search(request, now)
        (answer,) = self.store.perform([(request, now)])
        return answer

    def keep(self, change: Keep | Discard) -> None:
        assert self.store.perform([(change, self._now)]) == []

    def forget(self, request: Forget) -> None:
        assert self.store.perform([(request, self._now)]) == []

    def tidy(self, now: Now) -> None:
        while self.store.tidy(now):
            pass

    def reopen(self, now: Now) -> None:
        self.store.close()
        self.store = self._open(now)

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self._directory)


class FileKind(SqliteKind):
    """A log file that somebody else owns."""

    def __init__(
        self, path: Path, *, now: Now = NOW, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: Any
    ) -> None:
        self._history = Config.of(**options).history
        self.path, self.factory = path, factory
        self._now = now
        self.store = self._open(now)

    def close(self) -> None:
        self.store.close()


KINDS: list[type[Kind]] = [MemoryKind, SqliteKind]


class Make:
    """Makes logs of one kind, and closes them."""

    def __init__(self, kind: type[Kind]) -> None:
        self.kind = kind
        self._made: list[Kind] = []

    def __call__(self, **options: Any) -> Kind:
        log = self.kind(**options)
        self._made.append(log)
        return log

    def close(self) -> None:
        while self._made:
            self._made.pop().close()


@contextmanager
def making(kind: type[Kind]) -> Iterator[Make]:
    """A `Make` whose logs are closed at the end."""
    make = Make(kind)
    try:
        yield make
    finally:
        make.close()


def later(seconds: float, now: Now = NOW) -> Now:
    return Now(now.mono + seconds, now.wall + seconds)


def draft(content: str = "a", *, author: str = "ann", at: float = NOW.wall, **fields: Any) -> Draft:
    """A message, or the entry of another `kind`."""
    fields.setdefault("kind", "message")
    return Draft(author=author, sender=author, content=content, at=at, size=len(content) + 100, room="lobby", **fields)


def append(
    log: Kind | MemoryLog,
    what: Draft | str = "a",
    *,
    room: str = "lobby",
    epoch: str = "e",
    key: str | None = None,
    now: Now = NOW,
    moderator: bool = False,
) -> Answer:
    made = draft(what, at=now.wall) if isinstance(what, str) else what
    return log.submit(Append(room, epoch, made, 1, 7, key, moderator), now)


def refer(log: Kind | MemoryLog, kind: str, of: int | None, content: str = "", **options: Any) -> Answer:
    """Append an `edit`, a `delete` or a `react`; what `append` does not take is a field of the draft."""
    given = {name: options.pop(name) for name in ("room", "epoch", "key", "now", "moderator") if name in options}
    at = given.get("now", NOW).wall
    return append(log, draft(content, kind=kind, of=of, at=at, **options), **given)


def read(
    log: Kind | MemoryLog,
    *,
    room: str = "lobby",
    epoch: str = "e",
    limit: int = 200,
    max_bytes: int = 10**6,
    now: Now = NOW,
    **where: int,
) -> Page:
    answer = log.submit(Read(room, epoch, 1, limit, max_bytes, **where), now)  # type: ignore[arg-type]
    assert isinstance(answer, Page)
    return answer


def search(
    log: Kind | MemoryLog,
    text: str,
    *,
    rooms: tuple[tuple[int, str, str], ...] = ((1, "lobby", "e"),),
    limit: int = 200,
    max_bytes: int = 10**6,
    before: tuple[float, int, int] | None = None,
    now: Now = NOW,
) -> Found:
    answer = log.submit(Search(rooms, tuple(words_of(text)), limit, max_bytes, 1, before, 7), now)
    assert isinstance(answer, Found)
    return answer


def seqs(page: Page) -> list[int]:
    return [entry.seq for entry in page.entries]


def places(found: Found) -> list[tuple[str, int]]:
    return [(room, entry.seq) for room, entry in found.hits]


def filled(make: Make, count: int, **options: Any) -> Kind:
    log = make(**options)
    for number in range(1, count + 1):
        append(log, f"{number}")
    return log


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """A way to make logs, of each kind in turn."""
    with making(request.param) as made:
        yield made


@pytest.fixture
def lasting() -> Iterator[Make]:
    """A way to make logs that survive."""
    with making(SqliteKind) as made:
        yield made
