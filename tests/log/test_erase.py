"""What was deleted is nowhere: a minute later its words are in no file of the log."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.log.kinds import NOW, FileKind, draft, later, places, search
from trio_chat.core.effects import Append, Committed, Forget, Now, Search
from trio_chat.core.words import words_of

COUNT = 2000
KEPT = "kept"
SECONDS = 60


def marker(*of: object) -> str:
    """A word that shares no beginning with another: the index stores a word as what differs from the one before."""
    return hashlib.blake2b(repr(of).encode(), digest_size=12).hexdigest()


def traces(path: Path, words: Iterable[str]) -> list[str]:
    """Those of `words` that are in a file of the log."""
    data = b"".join(file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith(".lock"))
    return [word for word in words if word[4:].encode() in data]


def fill(log: FileKind) -> list[str]:
    """Messages of many sizes, some of them edited; returns the words of what is to be deleted, by `delete`."""
    dice = random.Random(7)
    doomed = []
    batch = []
    for seq in range(1, COUNT + 1):
        size = dice.choice((1, 2, 3, 3, 3, 10, 10, 10, 40, 200))
        content = " ".join([marker("said", seq), KEPT, *(marker("said", seq, number) for number in range(size))])
        batch.append((Append("lobby", "e", draft(content), 1, key=f"k{seq}"), NOW))
    log.store.perform(batch)
    while log.store.tidy(NOW):
        pass
    for seq in range(5, COUNT + 1, 5):
        longer = "longer " * dice.choice((0, 5, 50, 100, 200))  # so that pages are split
        edit = draft(f"{marker('edited', seq)} {longer}", kind="edit", of=seq)
        log.store.perform([(Append("lobby", "e", edit, 1, key=f"e{seq}"), NOW)])
    for seq in range(1, COUNT + 1):
        if seq % 10 in (3, 5):
            doomed.append(marker("said", seq))
            if seq % 5 == 0:
                doomed.append(marker("edited", seq))
    return doomed


def delete(log: FileKind, now: Now = NOW) -> None:
    for seq in range(1, COUNT + 1):
        if seq % 10 in (3, 5):
            (answer,) = log.store.perform([(Append("lobby", "e", draft("", kind="delete", of=seq), 1), now)])
            assert isinstance(answer, Committed)


def pass_a_minute(log: FileKind, since: float = 0.0) -> None:
    """As the task does that owns the log: a round of upkeep when it is due, at least a second after the last."""
    for second in range(SECONDS + 1):
        now = later(since + second)
        if log.store.due <= now.mono:
            while log.store.tidy(now):
                pass


def found(log: FileKind, word: str) -> int:
    return len(places(search(log, word, limit=COUNT, max_bytes=10**9)))


def test_the_words_of_what_was_deleted_are_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    assert len(traces(path, doomed)) > 400  # what was edited may be overwritten, or cross the end of a page
    delete(log)
    pass_a_minute(log)
    assert traces(path, doomed) == []
    alive = [marker("said", seq) for seq in range(1, COUNT + 1) if seq % 10 not in (0, 3, 5)]
    assert len(traces(path, alive)) > len(alive) * 0.9
    assert [found(log, word) for word in alive[::100]] == [1] * len(alive[::100])
    assert [found(log, word) for word in doomed[::50]] == [0] * len(doomed[::50])
    assert found(log, KEPT) == len(alive)
    log.close()
    assert traces(path, doomed) == []
    log = FileKind(path)
    assert found(log, KEPT) == len(alive)
    log.close()


def dies(module: str, path: Path, slices: int) -> None:
    """Let a process of `module` begin, and die by kill -9 after so many slices of upkeep."""
    command = [sys.executable, "-m", module, str(path), str(slices)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL


def die(log: FileKind, slices: int) -> None:
    """What that process does when it has begun."""
    for _ in range(slices):
        log.store.tidy(NOW)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("slices", [0, 1, 5, 12, 20])
def test_a_death_in_between_only_puts_it_off(tmp_path: Path, slices: int) -> None:
    """The next process erases what this one began to, within its first minute."""
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    log.close()
    dies("tests.log.test_erase", path, slices)
    log = FileKind(path)
    assert log.restored.trusted
    pass_a_minute(log)
    assert traces(path, doomed) == []
    assert found(log, KEPT) == COUNT - COUNT // 5 - COUNT // 10
    log.close()


def test_a_room_that_was_closed_is_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    fill(log)
    log.forget(Forget("lobby", "e"))
    pass_a_minute(log)
    assert traces(path, (marker("said", seq) for seq in range(1, COUNT + 1))) == []
    rows = [log.store._db.row(f"SELECT count(*) FROM {table}")[0] for table in ("entries", "doomed", "rooms")]
    assert rows == [0, 0, 0]
    log.close()


def test_what_is_deleted_while_another_erasure_runs_is_erased_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    first = marker("said", 1)
    log.store.perform([(Append("lobby", "e", draft("", kind="delete", of=1), 1), NOW)])
    while log.store._tidy._erasure is None:
        assert log.store.tidy(NOW)
    delete(log)
    pass_a_minute(log)
    assert traces(path, [first, *doomed]) == []
    log.close()


def test_a_search_puts_the_erasing_off_but_not_for_ever(tmp_path: Path) -> None:
    """While somebody reads an old state of the file, it cannot be scrubbed; between two searches it is."""
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    delete(log)
    reader = log.store._finder._db
    reader.execute("BEGIN")
    reader.row("SELECT count(*) FROM meta")
    pass_a_minute(log)
    assert traces(path, doomed)
    assert log.store.due < later(SECONDS + 1).mono  # it is tried again, soon
    for _ in range(50):
        reader.rollback()
        log.store.catch_up(later(SECONDS + 1))
        reader.execute("BEGIN")
        reader.row("SELECT count(*) FROM meta")
    assert traces(path, doomed) == []
    reader.rollback()
    assert words_of(KEPT) == [KEPT]
    log.close()


def test_a_file_that_cannot_be_scrubbed_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    log.store.perform([(Append("lobby", "e", draft("a"), 1), NOW)])
    while log.store.tidy(NOW):
        pass
    log.store.perform([(Append("lobby", "e", draft("", kind="delete", of=1), 1), NOW)])
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.write(other, bytes(100))
    log.store._tidy._file, file = other, log.store._tidy._file
    pass_a_minute(log)
    os.close(other)
    log.store._tidy._file = file
    assert caplog.text.count("cannot be scrubbed") == 1
    assert (tmp_path / "other").read_bytes() == bytes(100)
    assert log.submit(Search(((1, "lobby", "e"),), ("a",), 9, 999, 1), NOW) is not None
    log.close()


if __name__ == "__main__":
    started = FileKind(Path(sys.argv[1]))
    delete(started)
    die(started, int(sys.argv[2]))
