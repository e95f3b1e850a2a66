"""Opening a log file: whether it is one, whether it is whole, and whether it is what the last process left.

Nothing is written to a file before all of that is known, and all that a start needs of it is read and decoded. Raises
`LogError`, with one line for people.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import msgspec

from trio_chat.config import History
from trio_chat.core.records import Record
from trio_chat.log import LogError, kept
from trio_chat.log.database import BUSY_MS, DAMAGED, Database, Value, said
from trio_chat.log.lockfile import Lock
from trio_chat.log.schema import APPLICATION_ID, META, MIGRATIONS, VERSION, create, migrate
from trio_chat.log.spans import RoomSpan, load_all

log = logging.getLogger(__name__)
Sync: TypeAlias = Literal["normal", "full"]
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux: another after each start of the machine
_MAGIC = b"SQLite format 3\0"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)  # no damage: another program has it
# What a file may do that is not what a log writes.
_IN_WORDS = (sqlite3.Error, msgspec.MsgspecError, ValueError)
_STRANGE = (sqlite3.Error, msgspec.MsgspecError, LookupError, TypeError, ValueError, OverflowError, AttributeError)


@attrs.frozen
class Contents:
    """What a start needs of a log file. `rooms` are trimmed; in the file they are not yet."""

    meta: dict[str, Any]
    rooms: list[RoomSpan]
    records: tuple[Record, ...]


@attrs.frozen
class Opened:
    """An open log file. `file`: a descriptor of it, see `scrub`."""

    path: Path
    lock: Lock
    file: int
    db: Database
    trusted: bool
    contents: Contents


def open_log(
    path: Path,
    *,
    history: History,
    sync: Sync,
    boot: str,
    wall: float,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> Opened:
    """Open the log file `path`, which is made where there is none. `boot`: part of the new epochs, if need be."""
    path = path.resolve()
    if path.is_dir():
        raise LogError(f"{path} is a directory, and must be a file")
    if not path.parent.is_dir():
        raise LogError(f"{path}: there is no directory {path.parent}")
    lock = Lock(path)
    try:
        new = not path.exists() or (path.stat().st_size == 0 and not lock.tokens)  # else it is one that lost all
        if new:
            _make(path)
        file = _descriptor(path)
        try:
            lock.hold(file)
            whole = new or _wal(path).exists()
            if not new:
                _check(path, file, lock)
            contents = _read(path, history, wall)
            _make_private(path, file)
            db = Database(path, sync, factory)
            try:
                doubt = None if new else _doubt(contents.meta, lock.tokens, whole=whole)
                _claim(path, db, contents, lock, sync, boot, doubt)
                return Opened(path, lock, file, db, doubt is None, contents)
            except BaseException:
                db.abandon()
                raise
        except BaseException:
            os.close(file)
            raise
    except (*DAMAGED, OSError) as error:
        lock.release()
        raise LogError(f"{path} cannot be opened: {said(error)}") from None
    except BaseException:
        lock.release()
        raise


def _make(path: Path) -> None:
    """Make an empty log file, wholly or not at all, that only its owner can read."""
    wal = _wal(path)
    if wal.exists() and wal.stat().st_size:
        now = "is empty now" if path.exists() else "is gone"
        raise LogError(f"{wal} is left of a file that {now}; SQLite would mix it up with a new one: move it away")
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        create(db)
        first = {
            "secret": secrets.token_bytes(32),
            "generation": secrets.token_hex(16),
            "boot_id": "",
            "sync": "",
            "clean": 1,
            "words": unicodedata.unidata_version,
            "erase": 0,
            "tries": 0,
        }
        db.executemany("INSERT INTO meta VALUES (?, ?)", first.items())
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _descriptor(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise LogError(f"{path} cannot be read and written: {error.strerror}") from None


def _check(path: Path, file: int, lock: Lock) -> None:
    """Refuse what is not a whole log file of ours. The header comes first: SQLite itself might mend a foreign file.

    `quick_check` reads it all, 0.2 to 1 s per million entries: only after a crash. Damage of a file that was closed
    well is found when it is met.
    """
    head = os.pread(file, 100, 0)
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise LogError(f"{path} is no log file, or its beginning is damaged")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise LogError(f"{path} is the SQLite file of another program")
    _check_wal(path, lock)
    try:
        db = _reader(path)
    except sqlite3.OperationalError:
        raise
    except DAMAGED as error:
        raise _damaged(path, said(error)) from None
    try:
        (version,) = db.row("PRAGMA user_version")
        if version > VERSION:
            raise LogError(f"{path} was written by a newer trio_chat: it has version {version}, known is {VERSION}")
        if version < 1:
            raise _damaged(path, f"there is no version {version}")
        (clean,) = db.row("SELECT value FROM meta WHERE key = 'clean'")
        (size,), (pages,) = db.row("PRAGMA page_size"), db.row("PRAGMA page_count")
        damage = None
        if clean and db.nothing_in_wal():
            if os.fstat(file).st_size < size * pages:
                damage = "its end is missing"
        else:
            (verdict,) = db.row("PRAGMA quick_check(1)")
            damage = None if verdict == "ok" else verdict.replace("\n", " ")
    except (*DAMAGED, TypeError) as error:
        if getattr(error, "sqlite_errorcode", None) in _BUSY:
            raise
        damage = said(error)
    finally:
        db.close()
    if damage is not None:
        raise _damaged(path, damage)
    if version < VERSION:
        upgrade(path, version)


def _reader(path: Path) -> Database:
    """A connection that changes nothing, and makes no -wal."""
    return Database(path, None, lies=not _wal(path).exists())


def _read(path: Path, history: History, wall: float) -> Contents:
    """Read and decode all that a start needs, so that what is damaged is refused as it is."""
    db = _reader(path)
    try:
        meta = dict(db.rows("SELECT key, value FROM meta"))
        for key, kind in META.items():
            if not isinstance(meta.get(key), kind):
                raise ValueError(f"{key} is missing or no {kind.__name__}")
        rooms = load_all(db)
        for room in rooms:
            room.trim(db, history, wall)
        return Contents(meta, rooms, tuple(kept.load(db)))
    except _STRANGE as error:
        if getattr(error, "sqlite_errorcode", None) in _BUSY:
            raise
        words = said(error) if isinstance(error, _IN_WORDS) else "it has a value that no log writes"
        raise _damaged(path, words) from None
    finally:
        db.close()


def _make_private(path: Path, file: int) -> None:
    """Let only its owner read the file: SQLite makes the -wal and the -shm as readable as it is."""
    mode = os.fstat(file).st_mode & 0o777
    if not mode & 0o077:
        return
    try:
        os.fchmod(file, 0o600)
        for name in ("-wal", "-shm"):
            beside = path.with_name(f"{path.name}{name}")
            if beside.exists():
                beside.chmod(0o600)
    except PermissionError:
        log.warning("log: others can read %s, and it is another user's: its mode %03o cannot be changed", path, mode)
    else:
        log.info("log: %s had the mode %03o; now only its owner can read it", path, mode)


def _damaged(path: Path, damage: str) -> LogError:
    return LogError(f"{path} is damaged: {damage}; restore a backup, or move it away to begin anew")


def _check_wal(path: Path, lock: Lock) -> None:
    """Refuse a file whose -wal is another's: SQLite would write what is in it over a backup that was put in its place.

    `regenerate` sees to it that the file itself holds the token that it is known by. A file that cannot be read without
    its -wal is no backup: a process was killed while it brought the one into the other. The two together are checked.
    """
    wal = _wal(path)
    if not wal.exists() or wal.stat().st_size == 0:
        return
    alone = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)  # as if there were no -wal
    try:
        row = alone.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    except DAMAGED:
        return
    finally:
        alone.close()
    if lock.tokens and (row is None or row[0] not in (token.lstrip("!") for token in lock.tokens)):
        raise LogError(f"{wal} is not of this {path.name}; SQLite would mix them up: move it away")


def upgrade(path: Path, version: int, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Make an older file one of the newest version; `PATH.v1.bak` is what version 1 was."""
    backup = path.with_name(f"{path.name}.v{version}.bak")
    backup.unlink(missing_ok=True)
    os.close(os.open(backup, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    source, copy = sqlite3.connect(path, isolation_level=None), sqlite3.connect(backup)
    try:
        source.backup(copy)
        migrate(source, version, migrations)
    except sqlite3.Error as error:
        raise LogError(f"{path} cannot be brought to version {len(migrations) + 1}: {error}") from None
    finally:
        copy.close()
        source.close()
    log.info("log: %s has version %d now; what it was is in %s", path, len(migrations) + 1, backup)


# --- Trust -----------------------------------------------------------------------------------------------------------


def machine_boot() -> str:
    """What is the same until the machine starts anew; empty where that is not known."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _claim(path: Path, db: Database, contents: Contents, lock: Lock, sync: Sync, boot: str, doubt: str | None) -> None:
    """Make the file ours. Where there is `doubt` whether it is what the last process left, rooms get a new epoch."""
    db.execute("PRAGMA journal_mode = WAL")
    meta = contents.meta
    if doubt is not None:
        log.warning("log: %s %s; all rooms get a new epoch", path, doubt)

    def change() -> None:
        if doubt is not None:
            db.execute("UPDATE rooms SET epoch = ? || '-r' || id", (boot,))
        if meta["words"] != unicodedata.unidata_version:  # other words may be made of the same content
            db.execute("INSERT INTO search(search) VALUES ('delete-all')")
            db.execute("UPDATE rooms SET indexed = swept - 1")
            db.execute("UPDATE doomed SET indexed = low - 1")
        now: dict[str, Value] = {"boot_id": machine_boot(), "sync": sync, "words": unicodedata.unidata_version}
        db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(value, key) for key, value in now.items()])
        db.execute("UPDATE meta SET value = 0 WHERE key = 'clean'")

    generation = meta["generation"]
    if doubt is None:
        regenerate(db, lock, change, known=generation)
    else:  # the records still have the old epochs; `Store` vouches for the file when they are kept anew
        regenerate(db, lock, change, known=f"!{generation}", trusted=False)
    if doubt is not None:
        for room in contents.rooms:
            room.epoch = f"{boot}-r{room.id}"
    if meta["words"] != unicodedata.unidata_version:
        for room in contents.rooms:
            room.indexed = room.swept - 1


def _doubt(meta: dict[str, Any], tokens: tuple[str, ...], *, whole: bool) -> str | None:
    """What speaks against it. `whole`: it has its -wal, which after `kill -9` is always there, though perhaps empty."""
    if f"!{meta['generation']}" in tokens:
        return "was given new epochs by a start that did not get far"
    if meta["generation"] not in tokens:
        return "is not the file that was used here last"
    if not meta["clean"] and not whole:
        return "was not closed well, and its -wal is gone: it may have lost its end"
    booted = machine_boot()
    if not meta["clean"] and meta["sync"] == "normal" and (not booted or meta["boot_id"] != booted):
        return "was open when the machine went down, and may have lost its end"
    return None


def regenerate(
    db: Database, lock: Lock, change: Callable[[], None], *, known: str | None = None, trusted: bool = True
) -> None:
    """Commit `change` with a new token. Wherever it is cut short, the token in the file is one of those in the lock.

    `known`: the token that is in the file now, with a "!" if it is not to be trusted; `trusted`: whether it is then.
    """
    token = secrets.token_hex(16)
    told = token if trusted else f"!{token}"
    current = lock.tokens
    if known is not None:  # the file itself may still have an older token, if the last process died where we are now
        current = (known,) if db.checkpoint(BUSY_MS) else (*current, known)
    lock.write(*dict.fromkeys(current), told)
    db.begin()
    try:
        change()
        db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (token,))
        db.commit()
    except BaseException:
        db.rollback()
        raise
    if db.checkpoint(BUSY_MS):  # else the file itself still has the old one
        lock.write(told)
