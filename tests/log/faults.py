"""Connections to a log file that fail, or die, at a chosen statement; and a scenario that uses all that a log does."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from tests.log.kinds import FileKind, draft, later
from trio_chat.core.effects import Answer, Append, Change, Discard, Forget, Keep, Now, Read, Request
from trio_chat.core.records import UserRecord

OPTIONS: dict[str, Any] = {"history_limit": 6, "history_days": 1, "dedupe_window": 600}
Step: TypeAlias = Request | Keep | Discard | Forget | str  # or an upkeep, or a reopening


class Failing(sqlite3.Connection):
    """Raises `error` at `length` statements from the one on that `after` others come before."""

    after: ClassVar[float]
    length: ClassVar[int]
    error: ClassVar[str]

    def _count(self, sql: str) -> None:
        cls = type(self)
        cls.after -= 1
        if -cls.length <= cls.after < 0:
            cls.fail(sql)

    @classmethod
    def fail(cls, sql: str) -> None:
        raise sqlite3.OperationalError(cls.error)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._count(sql)
        return super().execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._count(sql)
        return super().executemany(sql, *values)


class Dying(Failing):
    """The process is killed instead."""

    @classmethod
    def fail(cls, sql: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def failing(after: float, error: str = "", length: int = 1) -> type[Failing]:
    return type("FailingAt", (Failing,), {"after": after, "length": length, "error": error})


def scenario() -> Iterator[tuple[Step, Now]]:
    """Steps two seconds apart: a retry after a step that failed is due at the next one."""
    for number, step in enumerate(_steps()):
        yield step, later(2.0 * number)


def _steps() -> Iterator[Step]:
    def say(content: str = "", key: str | None = None, keep: int | None = None, **fields: Any) -> Append:
        changes = () if keep is None else (Keep(UserRecord(key="bob", number=keep, name="bob")),)
        return Append("lobby", "e", draft(content, **fields), 1, key=key, keep=changes)

    read = Read("lobby", "e", 1, 50, 10**6, after=0)
    yield Keep(UserRecord(key="ann", number=1, name="ann"))
    yield from (say("one", "k1"), say("two", keep=1), say("three", "k3"), say("four b"))
    yield from (say(kind="react", of=4, emoji="+"), say("two more", kind="edit", of=2), read, "tidy")
    yield from (say(kind="delete", of=3), say("six"), read, "tidy")
    yield Append("other", "e", draft("of another room"), 1)
    yield Change((Keep(UserRecord(key="cid", number=1, name="cid")),), 1)
    yield from (say("three", "k3"), Discard("user", "ann"), say("seven", "k1"), Forget("other", "e"))
    yield Append("other", "f", draft("anew"), 1)
    yield from ("tidy", say("four c", kind="edit", of=4), say(keep=2, kind="delete", of=7), say("eight b"))
    yield from (Keep(UserRecord(key="cat", number=3, name="cat")), "tidy", read)


def upkeep(log: FileKind, now: Now) -> None:
    for _ in range(200):
        if not log.store.tidy(now):
            return
    raise AssertionError("upkeep finds no end")


def do(log: FileKind, step: Step, now: Now) -> list[Answer]:
    if step == "tidy":
        upkeep(log, now)
        return []
    assert not isinstance(step, str)
    return log.store.perform([(step, now)])  # type: ignore[list-item]


def die(path: str, after: int, said: Callable[[int], object]) -> None:
    """Do the scenario until the process dies, and tell of each step that was done."""
    kind = type("DyingAt", (Dying,), {"after": float("inf"), "length": 1, "error": ""})
    log = FileKind(Path(path), factory=kind, **OPTIONS)
    kind.after = after  # type: ignore[attr-defined]
    for number, (step, now) in enumerate(scenario()):
        do(log, step, now)
        said(number)
    log.close()


if __name__ == "__main__":
    die(sys.argv[1], int(sys.argv[2]), lambda number: print(number, flush=True))
