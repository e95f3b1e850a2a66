"""The real server, in a process that knows when it is to die: `python -m tests.crash.server MARK PLAN FLAGS…`.

Only SQLite's connection is another: it kills its own process (SIGKILL) at the statement that PLAN names, and always
leaves a letter in the file MARK that says where it is, for whoever kills it from outside:

    -  no transaction is open      T  one is, or begins     C  it is being committed
    S  it deletes what was trimmed or is too old            K  the -wal is written back, or pages are scrubbed
"""

from __future__ import annotations

import mmap
import os
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrs

BATCH = 25  # commits that a broken server makes one of


@attrs.frozen
class Plan:
    """Die at the `count`-th statement that begins with `sql` (any: ""): `micros` after it began.

    `micros` 0: before it begins; None: when it is done. `broken`: die never, but commit only now and then.
    """

    sql: str = ""
    count: int = 0  # 0: never
    micros: int | None = 0
    broken: bool = False

    def __str__(self) -> str:
        """As `parse` reads it."""
        when = "after" if self.micros is None else self.micros
        return "broken" if self.broken else f"{self.count}:{when}:{self.sql}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        """What `str` wrote."""
        if text == "broken":
            return cls(broken=True)
        count, when, sql = text.split(":", 2)
        return cls(sql, int(count), None if when == "after" else int(when))


class Mark:
    """A letter in a file, which outlives us."""

    def __init__(self, path: str) -> None:
        Path(path).write_bytes(b"-")
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 1)

    def set(self, letter: str) -> None:
        """Write it."""
        self._map[0] = ord(letter)


class Doomed(sqlite3.Connection):
    """A connection that dies by plan."""

    plan: Plan
    mark: Mark
    seen = 0
    commits = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute one statement, if we live to see it."""
        if self.plan.broken and self._swallow(sql):
            return super().execute("SELECT 1")
        self._begin(sql)
        cursor = super().execute(sql, *values)
        self._done(sql)
        return cursor

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute one statement many times."""
        self._begin(sql)
        cursor = super().executemany(sql, *values)
        self._done(sql)
        return cursor

    def executescript(self, sql: str) -> sqlite3.Cursor:
        """Execute a script; it counts as one statement."""
        self._begin("SCRIPT")
        cursor = super().executescript(sql)
        self._done("SCRIPT")
        return cursor

    def _swallow(self, sql: str) -> bool:
        """A broken server says that it committed, and did not; unless what follows cannot be in a transaction."""
        if sql == "COMMIT":
            Doomed.commits += 1
            return Doomed.commits % BATCH != 0
        if sql.startswith("PRAGMA") and self.in_transaction:
            super().execute("COMMIT")
        return sql in ("BEGIN IMMEDIATE", "ROLLBACK") and self.in_transaction

    def _begin(self, sql: str) -> None:
        letter = _letter(sql)
        if letter is not None:
            self.mark.set(letter)
        if self._is_it(sql) and self.plan.micros is not None:
            if self.plan.micros == 0:
                _die()
            threading.Thread(target=_die_after, args=(self.plan.micros,), daemon=True).start()

    def _done(self, sql: str) -> None:
        if self._is_it(sql, counted=True) and self.plan.micros is None:
            _die()
        if not self.in_transaction:
            self.mark.set("-")

    def _is_it(self, sql: str, *, counted: bool = False) -> bool:
        if not sql.startswith(self.plan.sql):
            return False
        if not counted:
            Doomed.seen += 1
        return Doomed.seen == self.plan.count


def _letter(sql: str) -> str | None:
    if sql.startswith(("BEGIN", "SCRIPT")):
        return "T"
    if sql.startswith("COMMIT"):
        return "C"
    if sql.startswith(("DELETE FROM entries", "DELETE FROM keys")):
        return "S"
    return "K" if sql.startswith(("PRAGMA wal_checkpoint", "ROLLBACK")) else None


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # it takes effect before this thread does anything else, or any moment now


def _die_after(micros: int) -> None:
    """Busy, as no sleep is that short. SQLite lets other threads run while it works."""
    end = time.perf_counter_ns() + micros * 1000
    while time.perf_counter_ns() < end:
        pass
    _die()


def doom(plan: Plan, mark: Mark) -> None:
    """Make every connection that writes a doomed one."""
    Doomed.plan, Doomed.mark = plan, mark
    connect = sqlite3.connect

    def connecting(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if "mode=ro" not in str(database):
            options["factory"] = Doomed
        connection: sqlite3.Connection = connect(database, *arguments, **options)
        return connection

    sqlite3.connect = connecting  # type: ignore[assignment]  # its overloads are many


if __name__ == "__main__":
    from trio_chat.cli import main  # here, so that whoever only needs a `Plan` loads no server

    doom(Plan.parse(sys.argv[2]), Mark(sys.argv[1]))
    sys.exit(main(sys.argv[3:]))
