"""Whether an open log file is still where it was, and whole.

Nobody would find what is written into one that was moved away, and nobody could read what is behind a hole.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from trio_chat.core.effects import Now

log = logging.getLogger(__name__)
LOOK_EVERY = 1.0  # seconds, at least, between two looks


class GoneError(Exception):
    """It was moved, deleted or cut short; `str()` is for people."""


class Watch:
    """Over a log file that is open, and its -wal."""

    def __init__(self, path: Path) -> None:
        self._path, self._wal = path, path.with_name(f"{path.name}-wal")
        self._was, self._wal_was = _identity(path), _identity(self._wal)
        self._size = 0  # bytes that the file had once; it only grows
        self._look_at = -1e9  # monotonic
        self.cut_short = False
        self.grown()

    def grown(self) -> None:
        """Something was written, perhaps into the file itself: from now on it is at least as large as it is."""
        with suppress(OSError):
            self._size = max(self._size, self._path.stat().st_size)

    def look(self, now: Now | None = None) -> None:
        """See whether they are there, if that was not seen within `LOOK_EVERY`; without `now`, in any case.

        Raises:
            GoneError: they are not, or not all of the file is.
        """
        if now is not None and now.mono < self._look_at:
            return
        self.cut_short = False
        try:
            if _identity(self._path) != self._was:
                raise GoneError("the file was moved or deleted")
            if _identity(self._wal) != self._wal_was:
                raise GoneError("its -wal was moved or deleted")
            self.cut_short = self._path.stat().st_size < self._size
            if self.cut_short:
                raise GoneError("the file was cut short")
        except OSError as error:
            log.debug("log: it cannot be seen whether the file is there: %s", error)
        if now is not None:
            self._look_at = now.mono + LOOK_EVERY


def _identity(path: Path) -> tuple[int, int] | None:
    """What no other file has while this one is open; None: it is not there. Raises OSError: that cannot be seen."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
