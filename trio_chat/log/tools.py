"""What the operator's tools for log files share: reading one state of a file, and making a file wholly or not at all.

Each tool is for a process of its own. In one that has the log open, SQLite's locks on it would be lost: closing any
descriptor of a file drops them (fcntl).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from trio_chat.log import LogError
from trio_chat.log.database import DAMAGED, said
from trio_chat.log.schema import APPLICATION_ID, VERSION
from trio_chat.redis_url import RedisUrl

BUSY_SECONDS = 5.0  # that a look into the file waits for a server that is just beginning or ending
EVERY = 1000  # entries between two reports of progress
_INSTRUCTIONS = 50_000  # of SQLite's machine, between two moments in which a signal is seen
_MAGIC = b"SQLite format 3\0"
_BESIDE = ("", "-journal", "-wal", "-shm", ".lock", ".new")  # what may be left of a draft
# What a value that no log writes comes to, where it is used.
STRANGE = (TypeError, ValueError, AttributeError, IndexError, OverflowError, msgspec.MsgspecError)

Report: TypeAlias = Callable[[str, int, int], None]  # what is being done, how much of it is, of how much


class ToolError(LogError):
    """A tool cannot do what it was asked to; `str()` is one line for people. `usage`: it was asked for the wrong."""

    def __init__(self, line: str, *, usage: bool = False) -> None:
        super().__init__(line)
        self.usage = usage


def log_path(text: str) -> Path:
    """The path of a log file, as the option `log` has it (`sqlite:PATH`), or bare; links are followed, as by SQLite."""
    if RedisUrl.is_one(text):
        raise ToolError("these tools are for log files; a Redis has its own", usage=True)
    path = text.removeprefix("sqlite:")
    try:
        if path and "\0" not in path:
            return Path(path).resolve()
    except (OSError, RuntimeError):  # links in a circle
        pass
    raise ToolError(f"{text!r} must be the path of a file", usage=True)


def beside(path: Path, suffix: str) -> Path:
    """`chat.db` → `chat.db-wal`."""
    return path.with_name(f"{path.name}{suffix}")


def holder(path: Path) -> str | None:
    """The id of the process that has the log open, `unknown` where the lock doesn't tell it; None: nobody has."""
    import fcntl

    try:
        file = os.open(beside(path, ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # for an instant: whoever starts in it is told so
    except OSError:
        return os.pread(file, 32, 0).split(b"\n")[0].decode("ascii", "replace") or "unknown"
    finally:
        os.close(file)
    return None


def tokens(path: Path) -> list[str]:
    """What the lock remembers of the last use; see `Lock`."""
    try:
        return beside(path, ".lock").read_text("ascii", "replace").split("\n")[1].split()
    except (OSError, IndexError):
        return []


# --- Reading ---------------------------------------------------------------------------------------------------------


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One state of the log file `path`, whatever a server does to it meanwhile, which never waits for us.

    Nothing is written. A file that has no -wal is open nowhere, and is read as it lies: SQLite would put a -wal and a
    -shm beside it otherwise, and leave them.

    Raises:
        ToolError: it is not there, no log file, of another version or damaged; or it changed while it was read as it
            lies.
        KeyboardInterrupt: Ctrl-C, also within a statement that takes long.
    """
    path = path.resolve()
    _look(path)
    lies = not beside(path, "-wal").exists()  # SQLite makes it before the -shm, and deletes it after that
    shared = beside(path, "-shm").exists()
    before = _changed(path)
    try:
        if not lies:
            _look_beside(path)
        db = _open(path, lies=lies)
        try:
            if not lies and not shared:
                _make_private(beside(path, "-shm"))
            yield db
        finally:
            db.close()
    except DAMAGED as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        if not lies or before == _changed(path):
            raise ToolError(f"{path} cannot be read: {said(error)}") from None
    if lies and before != _changed(path):
        raise ToolError(f"{path} was opened by a server while it was read: try again")


def interrupted(error: Exception) -> bool:
    """Whether it only says that Ctrl-C came within a statement."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT


def _look(path: Path) -> None:
    """Refuse what is no log file, before SQLite touches it."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
        if not head and not tokens(path):
            raise ToolError(f"{path} is empty: a server would make a new log of it")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        raise ToolError(f"{path} cannot be read: {error.strerror}", usage=missing) from None
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise ToolError(f"{path} is no log file, or its beginning is damaged")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise ToolError(f"{path} is the SQLite file of another program")


def _make_private(shm: Path) -> None:
    """SQLite made it as readable as the log is, which may have been restored so; it tells where content is."""
    try:
        if shm.stat().st_mode & 0o077:
            shm.chmod(0o600)
    except OSError:  # it is another's, or gone again
        pass


def _look_beside(path: Path) -> None:
    """Refuse a -wal that is another file's, as `opening` does: a copy was put where that file was."""
    wal = beside(path, "-wal")
    known = [token.lstrip("!") for token in tokens(path)]
    if not known or holder(path) is not None or not wal.exists() or not wal.stat().st_size:
        return
    with closing(_connect(path, lies=True)) as db:  # as if there were no -wal
        try:
            row = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
        except DAMAGED:
            return  # a process was killed while it brought the -wal into the file: see `opening`
    if row is None or row[0] not in known:
        raise ToolError(f"{wal} is not of this {path.name}; SQLite would mix them up: move it away")


def _changed(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _connect(path: Path, *, lies: bool) -> sqlite3.Connection:
    mode = "mode=ro&immutable=1" if lies else "mode=ro"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _open(path: Path, *, lies: bool) -> sqlite3.Connection:
    db = _connect(path, lies=lies)
    try:
        db.set_progress_handler(lambda: 0, _INSTRUCTIONS)  # Python sees to its signals whenever it is called
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA cache_size = -16384")  # KiB
        db.execute("BEGIN")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise ToolError(f"{path} has version {version}; known is {VERSION}")
        db.execute("SELECT count(*) FROM meta").fetchone()
    except BaseException:
        db.close()
        raise
    return db


# --- Making ----------------------------------------------------------------------------------------------------------


@contextmanager
def drafting(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A new file `PATH.part`, for its owner only; it becomes `path` if the block ends well, and is gone otherwise.

    `path` must not be there, unless with `force`. Durable when the block has ended.

    Raises:
        ToolError: `path` or its draft is there already, or the disk does not take it.
    """
    draft = beside(path, ".part")
    if path.is_dir() or (path.exists() and not force):
        raise ToolError(f"{path} is there already")
    try:
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise ToolError(f"{draft} is there already: remove it, unless another is just writing it") from None
    except OSError as error:
        raise ToolError(f"{draft} cannot be made: {error.strerror}") from None
    try:
        yield draft
        _sync(draft)
        _publish(draft, path, force=force)
        _sync(path.parent)
    except DAMAGED as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        raise ToolError(f"{path} cannot be written: {said(error)}") from None
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        for suffix in _BESIDE:
            beside(draft, suffix).unlink(missing_ok=True)


def _publish(draft: Path, path: Path, *, force: bool) -> None:
    """Give a draft its name. A link never replaces what came there meanwhile."""
    if not force:
        try:
            os.link(draft, path)
            return
        except FileExistsError:
            raise ToolError(f"{path} is there already") from None
        except OSError:  # a file system without links
            if path.exists():
                raise ToolError(f"{path} is there already") from None
    draft.replace(path)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def disown(db: sqlite3.Connection) -> None:
    """Make a file nobody's: a server that opens it gives each room a new epoch, and looks it all through before."""
    db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (secrets.token_hex(16),))
    db.execute("UPDATE meta SET value = 0 WHERE key = 'clean'")


def free(path: Path) -> None:
    """Refuse a place where a file is, or only the -wal of one that is gone: SQLite would mix it up with a new one."""
    held = holder(path)
    if path.exists():
        raise ToolError(f"{path} is there already" + (f", and open in process {held}" if held else ""))
    if held:
        raise ToolError(f"{path} is gone, but process {held} has it open still")
    wal = beside(path, "-wal")
    if wal.exists() and wal.stat().st_size:
        raise ToolError(f"{wal} is left of a file that is gone; move it away")
