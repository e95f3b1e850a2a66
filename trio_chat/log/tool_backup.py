"""A copy of a log file that a server may have open: whole, looked through, and never taken for the file itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from trio_chat.log.tools import Report, ToolError, disown, drafting, no_remains, reading

_PAGES = 1024  # that are copied at once: between two times SQLite's locks are free, and Ctrl-C is seen


def backup(path: Path, copy: Path, report: Report) -> int:
    """Copy one state of the log into a new file; returns its bytes.

    A server that opens the copy gives each room a new epoch and looks it all through. What is cut short leaves nothing
    behind. While the copying lasts, a server that has the log open cannot shorten its -wal.

    Raises:
        ToolError: `copy` is there already or cannot be written, or the log cannot be read or is damaged.
    """
    no_remains(copy)
    with drafting(copy) as draft, reading(path) as source:  # its transaction: else each commit would begin it anew
        db = sqlite3.connect(draft, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = OFF")  # if it is not whole in the end, it is gone
            db.execute("PRAGMA journal_mode = OFF")
            source.backup(db, pages=_PAGES, progress=lambda _, left, pages: report("pages", pages - left, pages))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
                raise ToolError(f"{copy} cannot be written: {error}") from None
            raise
        finally:
            db.close()
        _finish(draft, path)
        return draft.stat().st_size


def _finish(draft: Path, path: Path) -> None:
    """Make it nobody's file, and see whether it is whole."""
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        disown(db)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.set_progress_handler(lambda: 0, 50_000)  # so that Ctrl-C is seen
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ToolError(f"{path} is damaged, and not copied: {' '.join(verdict.split())}")
    finally:
        db.close()
