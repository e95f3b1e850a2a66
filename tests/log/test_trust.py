"""Whether a log file is what the last process left: else all its rooms get a new epoch."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.log.files import crash, fill
from tests.log.kinds import FileKind, append, read, seqs
from trio_chat.core.effects import Committed, Keep
from trio_chat.core.records import RoomRecord
from trio_chat.log import opening
from trio_chat.log.lockfile import Lock
from trio_chat.log.opening import machine_boot
from trio_chat.log.tool_stats import stats


def silent(doing: str, done: int, of: int) -> None:
    """No progress is shown."""


def reopened(path: Path, *, trusted: bool) -> None:
    with closing(FileKind(path)) as log:
        assert log.restored.trusted is trusted
        ((room, span),) = log.restored.spans.items()
        assert room == "lobby"
        assert span.epoch == ("e" if trusted else "boot-r1")
        assert isinstance(append(log, "again", epoch=span.epoch), Committed)
        assert seqs(read(log, epoch=span.epoch, limit=1)) == [span.last + 1]


def test_a_log_that_was_closed_or_crashed_is_trusted(path: Path) -> None:
    fill(path, 3)
    reopened(path, trusted=True)
    crash(path)
    reopened(path, trusted=True)


def test_a_restored_backup_is_not_trusted(path: Path, tmp_path: Path) -> None:
    fill(path, 3)
    shutil.copy(path, tmp_path / "backup")
    reopened(path, trusted=True)
    shutil.copy(tmp_path / "backup", path)
    reopened(path, trusted=False)


def test_a_copy_from_elsewhere_is_not_trusted(path: Path, tmp_path: Path) -> None:
    fill(path, 3)
    shutil.copy(path, tmp_path / "copy.db")
    reopened(tmp_path / "copy.db", trusted=False)
    reopened(path, trusted=True)


def test_a_copy_of_a_crashed_log_without_its_lock_is_not_trusted(path: Path) -> None:
    fill(path, 3)
    crash(path)
    path.with_name("chat.db.lock").unlink()
    reopened(path, trusted=False)


@pytest.mark.parametrize("ended", ["closed", "crashed"])
def test_a_start_that_did_not_get_as_far_as_the_records_is_no_reason_for_trust(path: Path, ended: str) -> None:
    """They have the epochs of before then, and what is held would be taken for the entries of other rooms."""
    fill(path, 3)
    path.with_name("chat.db.lock").unlink()
    for _ in range(2):
        ending = "log.close()" if ended == "closed" else "os._exit(0)"
        code = (
            f"import os, pathlib, tests.log.kinds as kinds; log = kinds.FileKind(pathlib.Path({str(path)!r})); {ending}"
        )
        subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
        assert not stats(path, 1, silent).trusted
    with closing(FileKind(path)) as log:
        assert not log.restored.trusted
        log.keep(Keep(RoomRecord(key="lobby", name="lobby", number=1, epoch="boot-r1")))
        assert isinstance(append(log, "again", epoch="boot-r1"), Committed)
        assert stats(path, 1, silent).trusted
    with closing(FileKind(path)) as log:
        assert log.restored.trusted


def full(lock: Lock) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_lock_file_that_cannot_be_written_leaves_doubt(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 3)
    path.with_name("chat.db.lock").unlink()
    with closing(FileKind(path)) as log, monkeypatch.context() as broken:
        broken.setattr(Lock, "vouch", full)
        log.keep(Keep(RoomRecord(key="lobby", name="lobby", number=1, epoch="boot-r1")))
        assert isinstance(append(log, "again", epoch="boot-r1"), Committed)
    with closing(FileKind(path)) as log:
        assert not log.restored.trusted
        assert seqs(read(log, epoch="boot-r1")) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("sync", "trusted"), [("normal", False), ("full", True)])
def test_after_a_power_cut(path: Path, monkeypatch: pytest.MonkeyPatch, sync: str, trusted: bool) -> None:
    monkeypatch.setattr(FileKind, "sync", sync)
    fill(path, 3)
    log = FileKind(path)
    shutil.copytree(path.parent, path.parent / "after")
    log.close()
    monkeypatch.setattr(opening, "machine_boot", lambda: "another")
    left = path.parent / "after" / "chat.db"
    with closing(FileKind(left)) as log:
        assert log.restored.trusted is trusted


def test_after_a_clean_end_the_machine_may_start_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 3)
    monkeypatch.setattr(opening, "machine_boot", lambda: "another")
    reopened(path, trusted=True)


def test_a_machine_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_boot() == machine_boot()
    monkeypatch.setattr(opening, "BOOT_ID", tmp_path / "nowhere")
    assert machine_boot() == ""


@pytest.mark.parametrize("statement", range(1, 12))
def test_a_death_while_it_is_opened_loses_no_trust(path: Path, statement: int) -> None:
    """Wherever it is cut short, the file is known by the next process."""
    fill(path, 3)
    code = f"""
from pathlib import Path
from tests.log.faults import Dying
from tests.log.kinds import FileKind
Dying.after, Dying.length = {statement}, 1
FileKind(Path({str(path)!r}), factory=Dying)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    reopened(path, trusted=True)
