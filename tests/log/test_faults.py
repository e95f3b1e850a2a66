"""A log file whose disk fails, is full or locked, or whose process dies, at every statement: the contract holds."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from math import inf
from pathlib import Path

import pytest

from tests.log.faults import OPTIONS, Step, do, failing, scenario, upkeep
from tests.log.kinds import NOW, FileKind, append, draft, later, places, read, search, seqs
from tests.log.model import Model
from trio_chat.core.effects import (
    Answer,
    Append,
    Change,
    Committed,
    Discard,
    Failed,
    Forget,
    Keep,
    Now,
    Page,
    Read,
    Search,
)
from trio_chat.core.records import UserRecord
from trio_chat.log import LogError

ERRORS = ("database or disk is full", "disk I/O error", "database is locked")
STATEMENTS = 201  # of the scenario; a test sees to it
END = later(1000)
ROOMS = (("lobby", "e"), ("other", "f"))


def mirror(model: Model, step: Step, now: Now, answers: list[Answer] | None) -> None:
    """Let the model do what the log did; what the log answered is right, or `Failed`, and then nothing was done."""
    if isinstance(step, Keep | Discard):
        model.keep(step)
    elif isinstance(step, Forget):
        model.forget(step)
    elif isinstance(step, Append | Read | Change):
        if answers is None:
            model.submit(step, now)
        elif isinstance(answers[0], Failed):
            assert answers == [Failed(step, 1.0)]
        else:
            assert answers == [model.submit(step, now)]


def state(log: FileKind | Model) -> object:
    """All that can be asked, in the end."""
    pages = [log.submit(Read(room, epoch, 1, 200, 10**6, after=0), END) for room, epoch in ROOMS]
    rooms = tuple((number, *room) for number, room in enumerate(ROOMS))
    words = ("b", "two", "three", "one", "anew", "another")
    return pages, [log.submit(Search(rooms, (word,), 50, 10**6, 1), END) for word in words]


def kept(log: FileKind) -> dict[tuple[str, str], object]:
    return {(one.kind, one.key): one for one in log.restored.records}


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("part", range(4))
def test_after_a_fault_at_any_statement_the_contract_holds(tmp_path: Path, part: int, length: int) -> None:
    for after in range(part, STATEMENTS, 4 if length == 1 else 12):
        kind = failing(inf, ERRORS[after // 4 % 3], length)
        log, model = FileKind(tmp_path / f"{after}.db", factory=kind, **OPTIONS), Model(**OPTIONS)
        kind.after = after
        failed = 0
        for step, now in scenario():
            answers = do(log, step, now)
            failed += any(isinstance(answer, Failed) for answer in answers)
            mirror(model, step, now, answers)
        assert kind.after < 0
        assert failed <= length
        for seconds in range(100, 1001, 100):  # upkeep that failed waits
            upkeep(log, later(seconds))
        assert log.store.trouble is None
        assert state(log) == state(model)
        log.reopen(END)
        assert (log.restored.trusted, kept(log), log.restored.spans) == (True, model.kept, model.spans(END))
        assert state(log) == state(model)
        log.close()


def test_the_scenario_has_so_many_statements(tmp_path: Path) -> None:
    kind = failing(inf, length=0)
    with closing(FileKind(tmp_path / "chat.db", factory=kind, **OPTIONS)) as log:
        kind.after = 0
        for step, now in scenario():
            do(log, step, now)
        assert -kind.after >= STATEMENTS > -kind.after - 10


@pytest.mark.parametrize("after", range(3, STATEMENTS, 19))
def test_after_the_death_of_the_process_all_that_was_answered_is_there(tmp_path: Path, after: int) -> None:
    path = tmp_path / "chat.db"
    command = [sys.executable, "-m", "tests.log.faults", str(path), str(after)]
    died = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    done = len(died.stdout.splitlines())
    model, possible = Model(**OPTIONS), []
    for number, (step, now) in enumerate(scenario()):
        if number in (done, done + 1):
            possible.append((dict(model.kept), model.spans(END), state(model)))
        mirror(model, step, now, None)
    with closing(FileKind(path, **OPTIONS, now=END)) as log:
        assert log.restored.trusted
        assert (kept(log), log.restored.spans, state(log)) in possible
        upkeep(log, END)
        assert (kept(log), log.restored.spans, state(log)) in possible


# --- What really happens to disks ------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(bytes(300_000))
    with closing(FileKind(small / "chat.db")) as log:
        committed = 0
        while isinstance(append(log, f"{committed} " + "x" * 5000), Committed):
            committed += 1
        assert log.store.trouble == "database or disk is full"
        assert committed > 10
        log.keep(Keep(UserRecord(key="ann", number=1, name="ann")))
        for seconds in (0.5, 1.0, 2.5):
            assert isinstance(append(log, "x" * 5000, now=later(seconds)), Failed)
            assert len(seqs(read(log))) == committed
            log.store.tidy(later(seconds))
        ballast.unlink()
        answer = append(log, "at last", now=later(4))
        assert isinstance(answer, Committed)
        assert answer.entry.seq == committed + 1
        assert log.store.trouble is None
        assert places(search(log, "at last", now=later(60))) == [("lobby", committed + 1)]
        log.reopen(later(60))
        assert len(log.restored.records) == 1
        assert len(seqs(read(log))) == committed + 1
    assert caplog.text.count("nothing can be committed") == 1


def test_a_file_that_can_only_be_read_from_now_on(tmp_path: Path) -> None:
    with closing(FileKind(tmp_path / "chat.db")) as log:
        append(log, "a")
        assert places(search(log, "a")) == [("lobby", 1)]
        log.store._db.execute("PRAGMA query_only = ON")
        append(log, "b")
        assert log.store.trouble == "attempt to write a readonly database"
        assert places(search(log, "a")) == [("lobby", 1)]
        log.forget(Forget("lobby", "e"))
        assert read(log).entries == ()
        assert isinstance(append(log, "c", epoch="f", now=later(2)), Failed)
        log.store._db.execute("PRAGMA query_only = OFF")
        assert isinstance(append(log, "c", epoch="f", now=later(4)), Committed)
        assert seqs(read(log, epoch="f")) == [1]
        assert log.store.trouble is None


def test_another_program_that_writes(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    code = f"""
import sqlite3
db = sqlite3.connect({str(path)!r}, isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
input()
db.execute("ROLLBACK")
print("free", flush=True)
input()
"""
    with closing(FileKind(path)) as log:
        append(log, "a")
        other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert other.stdin is not None
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"locked\n"
            assert isinstance(append(log, "b"), Failed)
            assert log.store.trouble == "database is locked"
            assert seqs(read(log)) == [1]
            assert not log.store.tidy(later(0.5))
            other.stdin.write(b"\n")
            other.stdin.flush()
            assert other.stdout.readline() == b"free\n"
            upkeep(log, later(3))
            assert log.store.trouble is None
            assert isinstance(append(log, "c"), Committed)
        finally:
            other.kill()
            other.communicate()


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """The connection cannot be made anew after a failure: all is refused, and nothing raises."""
    kind = failing(inf, "disk I/O error", 3)
    log = FileKind(tmp_path / "chat.db", factory=kind)
    append(log, "a")
    moved = tmp_path / "moved"
    (tmp_path / "chat.db").rename(moved)
    kind.after = 1  # the INSERT, the ROLLBACK and the first statement of the next connection
    for seconds in (0.0, 2.0, 4.0):
        assert isinstance(append(log, "b", now=later(seconds)), Failed)
        assert isinstance(log.submit(Read("lobby", "e", 1, 9, 999), NOW), Failed)
        assert not log.store.tidy(later(seconds))
    assert log.store.trouble is not None
    moved.rename(tmp_path / "chat.db")
    upkeep(log, later(6))
    assert isinstance(append(log, "c", now=later(8)), Committed)
    assert seqs(read(log)) == [1, 2]
    log.close()


def test_what_cannot_be_closed_is_closed_anyway(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kind = failing(inf, "disk I/O error", 1000)
    log = FileKind(tmp_path / "chat.db", factory=kind)
    append(log, "a")
    kind.after = 0
    log.close()
    assert "not closed cleanly: disk I/O error" in caplog.text
    with closing(FileKind(tmp_path / "chat.db")) as log:
        assert seqs(read(log)) == [1]
        assert log.restored.trusted


# --- Bugs, and damage that is met late -------------------------------------------------------------------------------


def test_one_request_that_cannot_be_done_harms_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No codec lets a lone surrogate in; if one did, SQLite would not take it."""
    with closing(FileKind(tmp_path / "chat.db")) as log:
        good, bad = Append("lobby", "e", draft("a"), 1), Append("lobby", "e", draft("\ud800"), 1)
        poison = Keep(UserRecord(key="ann", number=1, name="\ud800"))
        fine = Keep(UserRecord(key="bob", number=1, name="bob"))
        page = Read("lobby", "e", 1, 9, 999)
        answers = log.store.perform([(one, NOW) for one in (good, poison, bad, fine, page, good)])
        assert [type(answer) for answer in answers] == [Committed, Failed, Page, Committed]
        assert log.store.trouble is None
        log.store._db.execute("PRAGMA query_only = ON")
        append(log, "b")
        assert log.store.perform([(poison, NOW)]) == []  # while nothing can be committed, too
        log.store._db.execute("PRAGMA query_only = OFF")
        upkeep(log, later(9))
        log.reopen(NOW)
        assert [record.key for record in log.restored.records] == ["bob"]
        assert seqs(read(log)) == [1, 2]
    assert caplog.text.count("bug: Append was not done") == 1
    assert caplog.text.count("bug: Keep was not done") == 2


def test_damage_within_a_row_is_met_by_those_who_ask_for_it(tmp_path: Path) -> None:
    with closing(FileKind(tmp_path / "chat.db")) as log:
        for _ in range(3):
            append(log, "a")
        assert len(search(log, "a").hits) == 3
        log.store._db.execute("UPDATE entries SET kind = 99 WHERE id & 0xFFFF = 2")
        assert isinstance(log.submit(Read("lobby", "e", 1, 9, 9999), NOW), Failed)
        assert seqs(read(log, after=2)) == [3]
        assert isinstance(append(log, "b"), Committed)
        request = Search(((1, "lobby", "e"),), ("a",), 9, 9999, 1)
        assert log.submit(request, NOW) == Failed(request)
        assert log.store.trouble is None


def test_upkeep_that_fails_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(FileKind(tmp_path / "chat.db")) as log:
        append(log, "a")
        log.store._db.execute("DROP TABLE doomed")
        upkeep(log, NOW)
        upkeep(log, later(29))
        assert caplog.text.count("upkeep failed") == 1
        assert log.store.due >= NOW.mono + 30
        upkeep(log, later(31))
        assert caplog.text.count("upkeep failed") == 2
        assert isinstance(append(log, "b"), Committed)


def test_rows_that_nobody_could_have_written_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    FileKind(path).close()
    db = sqlite3.connect(path)
    with db:
        db.execute("INSERT INTO kept VALUES ('user', 'x', '{')")
    db.close()
    with pytest.raises(LogError, match="is damaged: Input data was truncated"):
        FileKind(path)


def test_a_search_that_takes_too_long_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(FileKind(tmp_path / "chat.db", history_limit=10_000)) as log:
        for _ in range(500):
            append(log, "a")
        assert len(search(log, "a").hits) == 200
        monkeypatch.setattr("trio_chat.log.search.SEARCH_SECONDS", -1.0)
        monkeypatch.setattr("trio_chat.log.search._LOOK_EVERY", 10)
        request = Search(((1, "lobby", "e"),), ("a",), 9, 9999, 1)
        assert log.submit(request, NOW) == Failed(request)
        monkeypatch.undo()
        assert len(search(log, "a").hits) == 200
