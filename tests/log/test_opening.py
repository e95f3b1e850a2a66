"""Opening a log file: what is refused is not touched, and what may be another's is not trusted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.log.files import crash, fill
from tests.log.kinds import NOW, FileKind, append, draft, places, read, refer, search, seqs
from trio_chat.core.effects import Answer, Committed, Failed, Read
from trio_chat.log import LogError, opening, schema
from trio_chat.log.opening import upgrade

PAGE = 4096


def files(directory: Path) -> dict[str, bytes]:
    """What is in the files of a log; its lock and its shared memory hold no data."""
    return {
        file.name: file.read_bytes()
        for file in sorted(directory.iterdir())
        if file.is_file() and not file.name.endswith((".lock", "-shm"))
    }


def refused(path: Path, match: str) -> str:
    """Opening says so in one line, and changes nothing."""
    before = files(path.parent)
    with pytest.raises(LogError, match=match) as error:
        FileKind(path)
    said = str(error.value)
    assert "\n" not in said
    assert str(path.parent) in said
    after = files(path.parent)
    assert {name: data for name, data in after.items() if data or name in before} == before
    return said


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


# --- What is no log --------------------------------------------------------------------------------------------------


def test_a_new_log_is_its_owner_s(path: Path) -> None:
    with closing(FileKind(path)):
        modes = {file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        assert modes == {0o600}
        assert not path.with_name("chat.db.new").exists()


def test_an_empty_file_becomes_a_log_unless_it_was_one(path: Path) -> None:
    path.touch()
    fill(path, 3)
    path.write_bytes(b"")
    refused(path, "is no log file, or its beginning is damaged")
    path.unlink()
    with closing(FileKind(path)) as log:  # it was moved away: that is meant
        assert log.restored.trusted
        assert read(log).entries == ()


def test_what_is_left_of_making_one_is_no_hindrance(path: Path) -> None:
    path.with_name("chat.db.new").write_bytes(b"half")
    fill(path, 3)
    assert not path.with_name("chat.db.new").exists()


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is a directory, and must be a file"):
        FileKind(tmp_path)


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there is no directory"):
        FileKind(tmp_path / "nowhere" / "chat.db")


@pytest.mark.parametrize("data", [b"hello", b"{}\n" * 999, b"SQLite format 3\0", b"\0" * 9000])
def test_what_is_no_database(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refused(path, "is no log file")


def test_the_database_of_another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    with db:
        db.execute("CREATE TABLE meta(key, value)")
    db.close()
    refused(path, "is the SQLite file of another program")


def test_a_newer_version(path: Path) -> None:
    fill(path, 3)
    for version, match in ((schema.VERSION + 1, "was written by a newer trio_chat"), (0, "there is no version 0")):
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        refused(path, match)


@pytest.mark.skipif(sys.platform != "linux", reason="only there two kinds of locks of one file do not meet")
@pytest.mark.parametrize("how", ["hard link", "lock deleted", "moved"])
def test_one_that_is_open_by_another_name_or_with_another_lock(path: Path, how: str) -> None:
    other = path.with_name("other.db") if how != "lock deleted" else path
    log = FileKind(path)
    append(log)
    if how == "hard link":
        other.hardlink_to(path)
    elif how == "moved":
        path.rename(other)
    else:
        path.with_name("chat.db.lock").unlink()
    with pytest.raises(LogError, match="is open already in another process, by another name or with another lock file"):
        FileKind(other)
    if how == "moved":
        other.rename(path)
    assert isinstance(append(log), Committed)
    log.close()
    with closing(FileKind(path)) as log:
        assert seqs(read(log, epoch=log.restored.spans["lobby"].epoch)) == [1, 2]


def test_one_that_is_open_in_another_process(path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.log.kinds import FileKind
log = FileKind(Path({str(path)!r}))
print("open", flush=True)
input()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert refused(path, "is open already").endswith(f"in process {other.pid}")
    finally:
        other.kill()
        other.communicate()
    FileKind(path).close()


@pytest.mark.parametrize("forbidden", ["file", "directory"])
def test_one_that_may_not_be_read_and_written(tmp_path: Path, forbidden: str) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    path = directory / "chat.db"
    fill(path, 3)
    path.with_name("chat.db.lock").unlink()
    (path if forbidden == "file" else directory).chmod(0o555)
    if forbidden == "file":
        directory.chmod(0o777)
    before = files(directory)
    code = f"""
import os, sys
from pathlib import Path
from tests.log.kinds import FileKind
from trio_chat.log import LogError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    FileKind(Path({str(path)!r}))
except LogError as error:
    print(error)
"""
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and os.geteuid() == 0 and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60, check=True)
    (said,) = done.stdout.decode().splitlines()
    assert "Permission denied" in said
    assert files(directory) == before
    directory.chmod(0o755)


# --- Damage ----------------------------------------------------------------------------------------------------------


def anything(path: Path) -> list[Answer] | LogError:
    """Open a damaged log and ask it for all; whatever it says, it raises nothing but `LogError`."""
    answers: list[Answer] = []
    try:
        opened = FileKind(path)
    except LogError as error:
        return error
    with closing(opened) as log:
        answers += [append(log, "new", key="k"), refer(log, "edit", 7, "words"), refer(log, "delete", 9)]
        answers.append(log.submit(Read("lobby", "e", 1, 200, 10**6), NOW))
        log.tidy(NOW)
    return answers


def test_damage_is_found_or_met_and_never_made_worse(path: Path, tmp_path: Path) -> None:
    """After a crash all pages are looked at; what a page says cannot be checked, and is seen by who reads it."""
    whole = tmp_path / "whole"
    whole.mkdir()
    fill(whole / "chat.db")
    crash(whole / "chat.db")
    size = (whole / "chat.db").stat().st_size
    found = 0
    for offset in [*range(0, 100, 7), *range(100, size, PAGE // 2 + 11)]:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(whole, tmp_path / "copy")
        damaged = tmp_path / "copy" / "chat.db"
        overwrite(damaged, offset, os.urandom(32) if offset % 2 else b"\xff" * 32)
        before = files(damaged.parent)
        said = anything(damaged)
        if isinstance(said, LogError):
            found += 1
            assert "\n" not in str(said)
            assert files(damaged.parent) == before
        else:
            assert len(said) == 4
            assert {type(answer).__name__ for answer in said} <= {"Committed", "Failed", "Page", "Rejected"}
    assert found > 5


@pytest.mark.parametrize("offset", [0, 20, 68, 105])
def test_a_damaged_beginning_is_always_found(path: Path, offset: int) -> None:
    fill(path)
    overwrite(path, offset, b"\xff" * 30)
    refused(path, "damaged|another program|cannot be opened")


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("keep", [50, PAGE, 5 * PAGE, 9 * PAGE + 1])
def test_a_file_that_lost_its_end(path: Path, keep: int, crashed: bool) -> None:
    fill(path)
    if crashed:
        crash(path)
    with path.open("r+b") as file:
        file.truncate(keep)
    refused(path, "damaged")


def test_pages_of_nothing_after_a_crash(path: Path) -> None:
    fill(path)
    crash(path)
    overwrite(path, 2 * PAGE, bytes(PAGE * 20))
    refused(path, "is damaged: .*; restore a backup, or move it away to begin anew")


def test_a_wal_of_a_file_that_is_gone(path: Path) -> None:
    fill(path)
    crash(path)
    path.unlink()
    refused(path, "is left of a file that is gone")


def test_a_wal_of_another_file(path: Path, tmp_path: Path) -> None:
    """A backup was put in place of the file, and what the crash left beside it would be mixed up with it."""
    fill(path)
    shutil.copy(path, tmp_path / "backup")
    crash(path)
    shutil.copy(tmp_path / "backup", path)
    refused(path, "-wal is not of this chat.db")
    path.with_name("chat.db-wal").unlink()
    with closing(FileKind(path)) as log:
        assert not log.restored.trusted
        assert len(read(log, epoch="boot-r1").entries) == 200


def test_a_wal_whose_file_has_no_generation(path: Path) -> None:
    fill(path)
    crash(path)
    data = path.read_bytes()
    path.write_bytes(data[:PAGE] + bytes(len(data) - PAGE))
    refused(path, "damaged")


# --- Versions --------------------------------------------------------------------------------------------------------

NEXT = schema.VERSION + 1
STEP = "ALTER TABLE rooms ADD COLUMN mood TEXT NOT NULL DEFAULT 'good'; UPDATE rooms SET mood = 'old'"
STEPS = (*schema.MIGRATIONS, STEP)


def test_an_older_file_is_brought_to_the_newest_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 3)
    before = path.read_bytes()
    monkeypatch.setattr(opening, "VERSION", NEXT)
    monkeypatch.setattr(schema, "MIGRATIONS", STEPS)
    monkeypatch.setattr(opening, "upgrade", lambda path, version: upgrade(path, version, STEPS))
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert seqs(read(log)) == [1, 2, 3, 4]
        assert log.store._db.row("SELECT mood FROM rooms") == ("old",)
        assert log.store._db.row("PRAGMA user_version") == (NEXT,)
    backup = path.with_name(f"chat.db.v{schema.VERSION}.bak")
    assert backup.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (4,)
    assert len(backup.read_bytes()) == len(before)
    FileKind(path).close()


def test_an_upgrade_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 3)
    monkeypatch.setattr(opening, "VERSION", NEXT)
    monkeypatch.setattr(
        opening,
        "upgrade",
        lambda path, version: upgrade(path, version, (*schema.MIGRATIONS, f"{STEP}; SELECT nonsense")),
    )
    for _ in range(2):  # and what is left of it is no hindrance
        with pytest.raises(LogError, match=f"cannot be brought to version {NEXT}: no such column: nonsense"):
            FileKind(path)
    monkeypatch.undo()
    with closing(FileKind(path)) as log:
        assert seqs(read(log)) == [1, 2, 3, 4]
        assert log.store._db.row("PRAGMA user_version") == (schema.VERSION,)


def test_a_new_file_has_all_migrations(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "VERSION", NEXT)
    monkeypatch.setattr(schema, "MIGRATIONS", STEPS)
    with closing(FileKind(path)) as log:
        append(log)
        assert log.store._db.row("SELECT mood FROM rooms") == ("good",)


def test_a_file_of_version_1_is_read(path: Path) -> None:
    """It had neither verdicts of moderators nor blocked privates."""
    fill(path, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for column in ("until", "hidden"):
            db.execute(f"ALTER TABLE entries DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    with closing(FileKind(path)) as log:
        assert [entry.draft.hidden for entry in read(log).entries] == [False] * 4
        append(log, draft("spam", kind="ban", to="bob", until=5.0))
        append(log, draft("psst", kind="private", hidden=True))
    with closing(FileKind(path)) as log:
        ban, private = read(log).entries[-2:]
        assert (ban.draft.kind, ban.draft.to, ban.draft.until, ban.draft.content) == ("ban", "bob", 5.0, "spam")
        assert private.draft.hidden


def test_other_words_are_indexed_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Python may know another Unicode, and make other words of the same content."""
    fill(path, 30)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = '1.1.0' WHERE key = 'words'")
        db.execute("INSERT INTO search(search) VALUES ('delete-all')")
    with closing(FileKind(path)) as log:
        assert len(places(search(log, "word"))) == 30
        (words,) = log.store._db.row("SELECT value FROM meta WHERE key = 'words'")
        assert words == unicodedata.unidata_version


def test_a_system_without_file_locks_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(LogError, match="needs the file locks of a POSIX system"):
        FileKind(path)


def test_a_lock_that_cannot_be_made(path: Path) -> None:
    path.with_name("chat.db.lock").mkdir()
    with pytest.raises(LogError, match="cannot be opened: Is a directory"):
        FileKind(path)


@pytest.mark.parametrize("name", ["_make", "_claim"])
def test_what_is_opened_is_released_by_a_bug_too(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def bug(*args: object, **options: object) -> Callable[[], None]:
        raise RuntimeError("bug")

    with monkeypatch.context() as patched:
        patched.setattr(opening, name, bug)
        with pytest.raises(RuntimeError, match="bug"):
            FileKind(path)
    FileKind(path).close()


def test_failed_is_said_of_what_cannot_be_read(path: Path) -> None:
    fill(path, 3)
    with closing(FileKind(path)) as log:
        log.store._db.execute("ALTER TABLE entries RENAME TO elsewhere")
        request = Read("lobby", "e", 1, 9, 9999)
        assert log.submit(request, NOW) == Failed(request, 1.0)
