"""The lock beside a log file: one process at a time, and which file it was that was used here last.

A token that changes with each use stands in the log file and in here. A file that was restored from a backup, or copied
from elsewhere, has another one. A token with a "!" is known, but what it stands in is not to be trusted.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from trio_chat.log import LogError

TRIES, TRY_EVERY = 10, 0.01  # seconds: `log stats` has the lock for an instant, to see who else has it


class Lock:
    """`PATH.lock`, held until `release` or the end of the process. The file itself stays: its tokens are needed."""

    def __init__(self, path: Path) -> None:
        """Take it.

        Raises:
            LogError: another has it, or it cannot be made.
        """
        try:
            import fcntl  # noqa: F401  # `_take` needs it
        except ImportError:  # Windows: SQLite's locks alone do not keep a second server out
            raise LogError(f"{path}: this kind of log needs the file locks of a POSIX system") from None
        self._log, self._path = path, path.with_name(f"{path.name}.lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogError(f"{self._path}: cannot be opened: {error.strerror}") from None
        if not _take(self._file):
            holder = self._read()[0]
            os.close(self._file)
            raise LogError(f"{path} is open already in process {holder or 'unknown'}")
        self.tokens: tuple[str, ...] = tuple(self._read()[1].split())
        self.write(*self.tokens)

    def hold(self, file: int) -> None:
        """Take the log file itself, too, until its descriptor `file` is closed: by whatever name it is opened.

        A second name (a hard link, a file that was moved) has another `PATH.lock`, and that can be deleted. Elsewhere
        than on Linux `flock` and the locks that SQLite takes of the same file are one, and would block each other.

        Raises:
            LogError: another has it.
        """
        if sys.platform == "linux" and not _take(file):
            raise LogError(f"{self._log} is open already in another process, by another name or with another lock file")

    def _read(self) -> tuple[str, str]:
        lines = os.pread(self._file, 4096, 0).decode("ascii", "replace").split("\n")
        return lines[0], "".join(lines[1:2])

    def write(self, *tokens: str) -> None:
        """Any of `tokens` may stand in the log file. Durable when it returns; cut short, none matches."""
        self.tokens = tokens
        data = f"{os.getpid()}\n{' '.join(tokens)}\n".encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        os.fsync(self._file)

    def vouch(self) -> None:
        """What stands in the log file is to be trusted from now on."""
        self.write(*(token.lstrip("!") for token in self.tokens))

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)


def _take(file: int) -> bool:
    """Lock a file for this descriptor; False where another has it."""
    import fcntl

    for _ in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(TRY_EVERY)
        else:
            return True
    return False
