"""A log file whose end, -wal or place was lost: what is left after a kill, and what somebody took away."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.log.faults import upkeep
from tests.log.kinds import NOW, FileKind, append, later, read, seqs
from trio_chat.cli import main
from trio_chat.core.effects import Committed, Failed, Keep, Read
from trio_chat.core.records import RoomRecord
from trio_chat.log import LogError

MOVED = "the file was moved or deleted"
WAL_MOVED = "its -wal was moved or deleted"


def wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def killed(path: Path, *steps: str) -> None:
    """Leave a log as a process does that is killed after `steps`."""
    lines = (
        "import os, signal",
        "from pathlib import Path",
        "from tests.log.faults import Dying",
        "from tests.log.kinds import NOW, FileKind, append",
        f"path = Path({str(path)!r})",
        *steps,
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


def entries(log: FileKind) -> int:
    ((_, span),) = log.restored.spans.items()
    return span.last


# --- After a kill ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        ("log = FileKind(path)",),
        ("log = FileKind(path)", "append(log)"),
        ("log = FileKind(path)", "append(log)", "assert log.store._db.checkpoint(1000)"),
        ("log = FileKind(path)", "append(log)", "log.store._finder.close()", "log.store._db.checkpoint(1000)"),
        ("log = FileKind(path)", "append(log)", "log.tidy(NOW)", "log.store._db.abandon()"),
    ],
    ids=["opened", "appended", "checkpointed", "alone", "abandoned"],
)
def test_a_kill_leaves_the_wal_and_the_trust(path: Path, steps: tuple[str, ...]) -> None:
    with closing(FileKind(path)) as log:
        append(log)
    killed(path, *steps)
    assert wal(path).exists()
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert entries(log) == (2 if "append(log)" in steps else 1)


@pytest.mark.parametrize("statement", range(1, 9))
def test_a_death_while_it_is_closed_loses_no_trust(path: Path, statement: int) -> None:
    killed(
        path,
        "kind = type('DyingAt', (Dying,), {'after': float('inf'), 'length': 1})",
        "log = FileKind(path, factory=kind)",
        "append(log)",
        f"kind.after = {statement}",
        "log.close()",
    )
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert entries(log) == 1


def test_what_is_not_closed_well_for_lack_of_a_disk_keeps_its_wal(path: Path) -> None:
    kind = type("Failing", (FileKind.factory,), {})
    log = FileKind(path, factory=kind)
    append(log)
    log.store._db.execute("PRAGMA query_only = ON")
    log.close()
    assert wal(path).exists()
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert entries(log) == 1


def test_a_log_whose_wal_is_gone_after_a_kill_is_not_trusted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(FileKind(path)) as log:
        append(log)
    killed(path, "log = FileKind(path)", "append(log)")
    wal(path).unlink()
    path.with_name("chat.db-shm").unlink(missing_ok=True)
    with closing(FileKind(path)) as log:
        assert not log.restored.trusted
        assert log.restored.spans["lobby"].epoch == "boot-r1"
        assert entries(log) == 1
        log.keep(Keep(RoomRecord(key="lobby", name="lobby", number=1, epoch="boot-r1")))
    assert "was not closed well, and its -wal is gone: it may have lost its end; all rooms get" in caplog.text
    with closing(FileKind(path)) as log:
        assert log.restored.trusted


def half_checkpointed(path: Path) -> None:
    """Bring the first page of the -wal into the file, and no other: a kill in the middle of a checkpoint.

    SQLite's "WAL-mode File Format": a header of 32 bytes, then frames of 24 bytes (the page's number first) and a page.
    """
    data = wal(path).read_bytes()
    (size,) = struct.unpack_from(">I", data, 8)
    frames = range(32, len(data), 24 + size)
    newest = max(at for at in frames if struct.unpack_from(">I", data, at) == (1,))
    with path.open("r+b") as file:
        file.write(data[newest + 24 : newest + 24 + size])


def test_a_kill_in_the_middle_of_a_checkpoint_is_no_damage(path: Path) -> None:
    """The file alone is malformed: its first page knows of pages that are only in its -wal. The tools see it, too."""
    killed(path, "log = FileKind(path)", "for n in range(200): append(log, str(n) * 300)")
    half_checkpointed(path)
    alone = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        alone.execute("SELECT count(*) FROM entries").fetchone()
    alone.close()

    assert main(["log", "check", str(path)]) == 0
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert entries(log) == 200


def test_a_wal_beside_an_empty_file(path: Path) -> None:
    wal(path).write_bytes(b"x" * 100)
    path.touch()
    with pytest.raises(LogError, match="-wal is left of a file that is empty now"):
        FileKind(path)
    path.unlink()
    with pytest.raises(LogError, match="-wal is left of a file that is gone"):
        FileKind(path)
    assert [file.name for file in sorted(path.parent.iterdir())] == ["chat.db-wal", "chat.db.lock"]


# --- While it is open ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "trouble"), [("chat.db", MOVED), ("chat.db-wal", WAL_MOVED)])
def test_what_is_moved_away_takes_no_more_until_it_is_back(
    path: Path, name: str, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    moved = path.with_name("elsewhere")
    with closing(FileKind(path)) as log:
        assert isinstance(append(log), Committed)
        path.with_name(name).rename(moved)
        for seconds in (1.0, 2.5):
            assert isinstance(append(log, now=later(seconds)), Failed)
            assert log.store.trouble == trouble
        assert seqs(read(log, now=later(2))) == [1]
        moved.rename(path.with_name(name))
        assert isinstance(append(log, now=later(5)), Committed)
        assert log.store.trouble is None
    assert "log: the trouble is over after 4.0 s; 2 new entries were refused" in caplog.text
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert seqs(read(log)) == [1, 2]


def test_a_file_that_was_cut_short_takes_no_more_until_it_is_whole(path: Path) -> None:
    with closing(FileKind(path)) as log:
        assert isinstance(append(log, "x" * 10_000), Committed)
        log.store._db.checkpoint(1000)
        assert isinstance(append(log, now=later(1)), Committed)
        whole = path.read_bytes()
        os.truncate(path, 8192)
        assert isinstance(append(log, now=later(2)), Failed)
        assert log.store.trouble == "the file was cut short"
        with path.open("r+b") as file:
            file.write(whole)
        assert isinstance(append(log, now=later(4)), Committed)
        assert log.store.trouble is None
        assert seqs(read(log)) == [1, 2, 3]


def test_a_file_that_was_cut_short_before_anything_was_written(path: Path) -> None:
    """How large it was when it was opened is known, too."""
    with closing(FileKind(path)) as log:
        append(log, "x" * 10_000)
    with closing(FileKind(path)) as log:
        whole = path.read_bytes()
        os.truncate(path, 8192)
        assert isinstance(append(log, now=later(2)), Failed)
        assert log.store.trouble == "the file was cut short"
        path.write_bytes(whole)


def test_a_file_that_grew_a_moment_before_it_was_cut_short(path: Path) -> None:
    """How large it must be is known from each commit, not only from when it was looked at."""
    with closing(FileKind(path)) as log:
        append(log)
        for _ in range(120):
            append(log, "x" * 40_000, now=later(0.5))
        size = path.stat().st_size
        assert size > 500_000
        whole = path.read_bytes()
        os.truncate(path, size // 2)
        assert isinstance(append(log, now=later(2)), Failed)
        assert log.store.trouble == "the file was cut short"
        path.write_bytes(whole)


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_what_was_read_while_it_was_cut_short_is_read_again(path: Path, size: int) -> None:
    with closing(FileKind(path)) as log:
        append(log, "x" * 10_000)
        log.store._db.checkpoint(1000)
        append(log, now=later(1))
        whole = path.read_bytes()
        os.truncate(path, size)
        append(log, now=later(3))
        log.store.perform([(Read("lobby", "e", 1, 50, 10**6), later(3.5))])
        with path.open("r+b") as file:
            file.write(whole)
        assert isinstance(append(log, now=later(5)), Committed)
        assert seqs(read(log, now=later(5))) == [1, 2, 3]


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_a_stop_writes_nothing_over_a_hole(path: Path, size: int, caplog: pytest.LogCaptureFixture) -> None:
    """What is in the -wal is needed to mend it; the next start refuses it until then."""
    log = FileKind(path)
    append(log, "x" * 10_000)
    log.store._db.checkpoint(1000)
    append(log, now=later(1))
    whole, journal = path.read_bytes(), wal(path).read_bytes()
    os.truncate(path, size)
    log.close()
    assert "log: not closed, but left as it is: the file was cut short" in caplog.text
    assert path.stat().st_size == size
    assert wal(path).read_bytes() == journal
    with pytest.raises(LogError):
        FileKind(path)
    path.write_bytes(whole)
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert seqs(read(log)) == [1, 2]


def test_another_file_in_its_place_is_seen_by_upkeep(path: Path) -> None:
    with closing(FileKind(path)) as log:
        append(log)
        upkeep(log, NOW)
        path.rename(path.with_name("elsewhere"))
        shutil.copy(path.with_name("elsewhere"), path)
        upkeep(log, later(60))
        assert log.store.trouble == MOVED
        assert isinstance(append(log, now=later(61)), Failed)
        path.with_name("elsewhere").replace(path)


def test_a_wal_that_was_deleted_is_saved_by_a_stop(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with closing(FileKind(path)) as log:
        append(log)
        wal(path).unlink()
        upkeep(log, later(2))
        assert log.store.trouble == WAL_MOVED
    assert "the trouble is over" not in caplog.text
    with closing(FileKind(path)) as log:
        assert log.restored.trusted
        assert seqs(read(log)) == [1]
