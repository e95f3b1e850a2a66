"""One connection to a log file, and its transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

Value: TypeAlias = int | float | str | bytes | None
BUSY_MS = 250  # that another program's look into the file may hold us up
CACHE_KIB = 16_384
DAMAGED = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite's own words quote what is damaged
WAL_BYTES = 16 * 1024 * 1024  # that the -wal file keeps once it has grown


def said(error: Exception) -> str:
    """What SQLite says of an error, in one line and without the text of a row in it."""
    return "a text in it is not UTF-8" if undecodable(error) else " ".join(str(error).split())


def undecodable(error: Exception) -> bool:
    """Whether it only says that a text is not UTF-8; its own words quote that text."""
    return isinstance(error, sqlite3.OperationalError | UnicodeDecodeError) and (
        isinstance(error, UnicodeDecodeError) or str(error).startswith("Could not decode")
    )


def why(error: Exception) -> str:
    """The same of whatever an error may be, where a row makes no sense, too."""
    if isinstance(error, sqlite3.Error | UnicodeDecodeError | OSError):
        return said(error)
    return f"there is a value that no log writes ({type(error).__name__})"


class Database:
    """A connection that writes, or with `sync` None one that only reads. For one thread at a time.

    `lies`: the file has no -wal, is open nowhere else, and is read as it lies; else SQLite would make a -wal.
    SQL that writes is an argument of `execute` only between `begin` and `commit`; else each statement commits itself.
    """

    def __init__(
        self,
        path: Path,
        sync: str | None,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
        *,
        lies: bool = False,
    ) -> None:
        self._path, self._sync, self._factory, self._lies = path, sync, factory, lies
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        mode = ("ro&immutable=1" if self._lies else "ro") if self._sync is None else "rw"
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=self._factory,
        )
        try:
            connection.execute("PRAGMA temp_store = MEMORY")  # nothing of what is said in a file of its own
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if self._sync is not None:
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(f"PRAGMA synchronous = {self._sync}")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def execute(self, sql: str, values: Sequence[Value] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Execute one statement for each of `rows`."""
        self._connection.executemany(sql, rows)

    def row(self, sql: str, values: Sequence[Value] = ()) -> Any:
        """The first row, or None."""
        cursor = self._connection.execute(sql, values)
        found = cursor.fetchone()
        cursor.close()  # a statement that is left half read holds back checkpoints
        return found

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Any]:
        """All rows."""
        return self._connection.execute(sql, values).fetchall()

    @property
    def changes(self) -> int:
        """Rows that were ever changed through this connection."""
        return self._connection.total_changes

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End it: what it did is there, or an exception says that it is not."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo what is not committed, on whatever terms. Raises sqlite3.Error if the file cannot be opened any more."""
        try:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection.close()
            self._connection = self._connect()

    def forget_pages(self) -> None:
        """Read from the file again what is in the cache; what is in a transaction stays."""
        self.execute("PRAGMA shrink_memory")

    def nothing_in_wal(self) -> bool:
        """Whether all that is committed is in the file itself."""
        wal = self._path.with_name(f"{self._path.name}-wal")
        return not wal.exists() or wal.stat().st_size == 0

    def checkpoint(self, patience: int) -> bool:
        """Bring all that is in the -wal into the file; False if another reads or writes for `patience` ms."""
        self.execute(f"PRAGMA busy_timeout = {patience}")
        try:
            busy, _, _ = self.row("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        return not busy

    @contextmanager
    def tolerant(self) -> Iterator[None]:
        """Texts that are read in the block may be no UTF-8: what can't be decoded comes as U+FFFD."""
        self._connection.text_factory = lambda data: data.decode(errors="replace")
        try:
            yield
        finally:
            self._connection.text_factory = str

    def guard(self, expired: Callable[[], bool] | None, every: int) -> None:
        """Interrupt what is executed when `expired`, which is asked `every` so many instructions."""
        self._connection.set_progress_handler(expired, every)

    def interrupt(self) -> None:
        """Let what is executed fail. For any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection. The last one brings the -wal into the file and deletes it."""
        self._connection.close()

    def abandon(self) -> None:
        """Close it as the end of the process would: the -wal stays. To be used where the file is not marked as clean.

        One that only reads leaves the -wal where it is, and is the last one.
        """
        try:
            last = Database(self._path, None)
        except sqlite3.Error:  # the disk is broken: the next start will give new epochs
            self._connection.close()
            return
        self._connection.close()
        last.close()
