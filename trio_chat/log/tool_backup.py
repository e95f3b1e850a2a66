"""A copy of a log file that a server may have open: whole, looked through, and never taken for the file itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import attrs

from trio_chat.log.tool_check import Checked, look_through
from trio_chat.log.tools import Report, ToolError, disown, drafting, free, reading

_PAGES = 1024  # that are copied at once: between two times SQLite's locks are free, and Ctrl-C is seen


@attrs.frozen
class Copied:
    """What is in a copy, which takes so many bytes."""

    bytes: int
    rooms: int
    entries: int


def backup(path: Path, copy: Path, report: Report) -> Copied:
    """Copy one state of the log into a new file.

    A server that opens the copy gives each room a new epoch and looks it all through. What is cut short leaves nothing
    behind. While the copying lasts, a server that has the log open cannot shorten its -wal.

    Raises:
        ToolError: `copy` is there already or cannot be written, or the log cannot be read or is damaged.
    """
    free(copy)
    with drafting(copy) as draft:
        with reading(path) as source:  # its transaction: else each commit would begin it anew
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
        rooms, entries = _finish(draft, path, report)
        return Copied(draft.stat().st_size, rooms, entries)


def _finish(draft: Path, path: Path, report: Report) -> tuple[int, int]:
    """Make it nobody's file, and see whether it is sound; returns its rooms and entries."""
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        db.set_progress_handler(lambda: 0, 50_000)  # so that Ctrl-C is seen
        checked = Checked()
        look_through(db, checked, lambda what, done, total: report(f"check of {what}", done, total))
        if checked.findings:
            more = "" if len(checked.findings) == 1 else ", and more"
            raise ToolError(f"{path} is damaged, and not copied: {checked.findings[0]}{more}")
        disown(db)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (rooms,) = db.execute("SELECT count(*) FROM rooms").fetchone()
        (entries,) = db.execute("SELECT ifnull(sum(last - first + 1), 0) FROM rooms").fetchone()
        return rooms, entries
    finally:
        db.close()
