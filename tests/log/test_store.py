"""What the kind `sqlite` adds below the surface: rows that go, slices that are short, rooms that are not in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.log.kinds import DAY, NOW, FileKind, append, draft, later, places, read, refer, search, seqs
from trio_chat.core.effects import Append, Committed, Duplicate, Forget, Now, Search
from trio_chat.log import LogError, spans, tidy
from trio_chat.log.database import Database
from trio_chat.log.scrub import ScrubError, scrub
from trio_chat.log.store import Store


class Opened:
    """Opens a file as often as a test wants, and closes it at the end."""

    def __init__(self, path: Path) -> None:
        self.path, self._logs = path, [FileKind(path)]
        self._logs[0].close()

    def __call__(self, **options: Any) -> FileKind:
        self.close()
        self._logs.append(FileKind(self.path, **options))
        return self._logs[-1]

    def close(self) -> None:
        while len(self._logs) > 1:
            self._logs.pop().close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "chat.db")
    yield made
    made.close()


def rows(log: FileKind, table: str) -> int:
    count: int = log.store._db.row(f"SELECT count(*) FROM {table}")[0]
    return count


def upkeep(log: FileKind, now: Now = NOW) -> int:
    """Slices until there is no more to do; how many."""
    for slices in range(10_000):
        if not log.store.tidy(now):
            return slices
    raise AssertionError("upkeep finds no end")


def room_of(log: FileKind, key: str) -> spans.RoomSpan:
    room = spans.load(log.store._db, key)
    assert room is not None
    return room


def test_nothing_is_nothing_to_do(opened: Opened) -> None:
    log = opened()
    assert log.store.perform([]) == []
    upkeep(log)
    changes = log.store._db.changes
    assert upkeep(log) == 0
    assert log.store._db.changes == changes
    assert NOW.mono < log.store.due <= NOW.mono + tidy.PATROL_EVERY


def test_a_batch_is_one_transaction(opened: Opened) -> None:
    log = opened()
    statements: list[str] = []
    log.store._db._connection.set_trace_callback(statements.append)
    log.store.perform([(Append("lobby", "e", draft(), 1), NOW)] * 100)
    log.store._db._connection.set_trace_callback(None)
    assert [one for one in statements if one in ("BEGIN IMMEDIATE", "COMMIT")] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert len(statements) <= 110  # in a busy room an entry is one statement


def test_what_was_trimmed_goes_from_the_file(opened: Opened) -> None:
    log = opened(history_limit=10)
    for number in range(200):
        append(log, f"{number} a", key=f"k{number}")
    refer(log, "react", 195, emoji="+")
    assert rows(log, "entries") == 201
    upkeep(log)
    assert (rows(log, "entries"), rows(log, "reactions")) == (10, 1)
    room = room_of(log, "lobby")
    assert (room.first, room.swept, room.indexed, room.last) == (192, 192, 201, 201)
    assert len(places(search(log, "a"))) == 9
    for _ in range(10):
        append(log, "b")
    upkeep(log)
    assert (rows(log, "entries"), rows(log, "reactions")) == (10, 0)


def test_what_nobody_asks_for_grows_old_all_the_same(opened: Opened) -> None:
    log = opened(history_days=1, dedupe_window=60)
    for room in range(300):
        append(log, "a", room=f"room {room}", key="k")
    upkeep(log, later(30))
    assert (rows(log, "entries"), rows(log, "keys")) == (300, 300)
    upkeep(log, later(100))
    assert (rows(log, "entries"), rows(log, "keys")) == (300, 0)
    upkeep(log, later(DAY + 1))
    upkeep(log, later(DAY + 1))
    assert rows(log, "entries") == 0
    assert rows(log, "rooms") == 300  # until they are forgotten


def test_a_patrol_comes_once_a_minute(opened: Opened) -> None:
    log = opened(dedupe_window=1)
    upkeep(log)
    append(log, key="k")
    for seconds, left in ((10, 1), (59, 1), (60, 0)):
        upkeep(log, later(seconds))
        assert rows(log, "keys") == left


def test_a_closed_room_goes_by_and_by(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(history_limit=400)
    for number in range(600):
        append(log, f"{number} a", key=f"k{number}")
    refer(log, "react", 600, emoji="+")
    upkeep(log)
    log.forget(Forget("lobby", "e"))
    append(log, "new", epoch="f")
    monkeypatch.setattr(tidy, "SLICE", 0.0)  # each slice does one step
    assert log.store.tidy(NOW)
    log = opened(history_limit=400)  # and goes on after the next start
    assert rows(log, "doomed") > 0
    assert upkeep(log) >= 400 / tidy.ROWS
    tables = ("doomed", "entries", "reactions", "rooms")
    assert [rows(log, table) for table in tables] == [0, 1, 0, 1]
    assert places(search(log, "a", rooms=((1, "lobby", "e"), (1, "lobby", "f")))) == []
    upkeep(log, later(601))
    assert rows(log, "keys") == 0
    log.store._db.execute("INSERT INTO search(search) VALUES ('integrity-check')")


def test_a_slice_is_short_whatever_there_is_to_do(opened: Opened) -> None:
    log = opened(history_limit=100)
    batch = [(Append("lobby", "e", draft(f"{n} some words that are said"), 1), NOW) for n in range(5000)]
    log.store.perform(batch)
    longest = 0.0
    for _ in range(10_000):
        begun = time.thread_time()  # of this thread alone: the machine is others', too
        more = log.store.tidy(NOW)
        longest = max(longest, time.thread_time() - begun)
        if not more:
            break
    assert rows(log, "entries") == 100
    assert longest < 0.2


def test_no_room_waits_for_another(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room with much to index is put behind the others after each slice."""
    log = opened()
    monkeypatch.setattr(tidy, "SLICE", 0.0)
    log.store.perform([(Append("large", "e", draft("a"), 1), NOW)] * 1000)
    log.store.perform([(Append("small", "e", draft("a"), 1), NOW)] * 2)
    for _ in range(4):
        log.store.catch_up(NOW)
    assert room_of(log, "small").indexed >= 1
    assert room_of(log, "large").indexed < 10
    monkeypatch.undo()
    upkeep(log)
    assert room_of(log, "large").indexed == 1000


def test_rooms_that_are_not_in_memory(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "CACHED", 3)
    log = opened(history_limit=2)
    for number in range(5):
        for room in range(10):
            answer = append(log, f"{number}", room=f"room {room}", key=f"{number}")
            assert isinstance(answer, Committed)
            assert answer.entry.seq == number + 1
            assert len(log.store._spans._cache) <= 3
    assert isinstance(append(log, "4", room="room 0", key="4"), Duplicate)
    assert seqs(read(log, room="room 0")) == [4, 5]
    upkeep(log)
    assert rows(log, "entries") == 20


def test_a_room_that_was_made_and_closed_at_once(opened: Opened) -> None:
    log = opened()
    append(log, "old", epoch="d")
    made = Append("lobby", "e", draft("a"), 1)
    again = Append("lobby", "f", draft("b"), 1)
    jobs = (Forget("lobby", "d"), made, Forget("lobby", "e"), again)
    answers = log.store.perform([(job, NOW) for job in jobs])
    assert [type(answer) for answer in answers] == [Committed, Committed]
    assert seqs(read(log, epoch="f")) == [1]
    upkeep(log)
    assert (rows(log, "entries"), rows(log, "rooms")) == (1, 1)


def test_what_was_indexed_before_is_never_indexed_twice(opened: Opened) -> None:
    """Edits and deletes before and after the indexing, and the index agrees with itself."""
    log = opened(history_limit=20)
    for number in range(40):
        append(log, f"word{number} a")
        if number % 3 == 0:
            refer(log, "edit", number // 3 * 5 + 1, f"edited{number} b")
        if number % 7 == 0:
            log.store.catch_up(NOW)
        if number % 5 == 0:
            refer(log, "delete", max(1, number))
    upkeep(log, later(30))
    log.store._db.execute("INSERT INTO search(search) VALUES ('integrity-check')")
    shown = {one.seq for one in read(log).entries if one.draft.kind == "message" and "a" in one.draft.content.split()}
    assert {seq for _, seq in places(search(log, "a"))} == shown


def test_the_oldest_search_page_is_found_without_passing_all(opened: Opened) -> None:
    log = opened()
    log.store.perform([(Append("lobby", "e", draft("a", at=NOW.wall + n), 1), NOW) for n in range(3000)])
    found = search(log, "a", before=(NOW.wall + 10, 1, 11), now=later(4000), limit=5)
    assert [seq for _, seq in places(found)] == [10, 9, 8, 7, 6]


def test_a_search_whose_file_is_gone(opened: Opened) -> None:
    log = opened()
    append(log, "a")
    assert len(search(log, "a").hits) == 1
    finder = log.store._finder
    finder.close()
    moved = opened.path.with_name("moved")
    opened.path.rename(moved)
    request = Search(((1, "lobby", "e"),), ("a",), 9, 999, 1)
    for _ in range(2):
        assert type(log.submit(request, NOW)).__name__ == "Failed"
    moved.rename(opened.path)
    assert type(log.submit(request, NOW)).__name__ == "Failed"  # now it is opened again
    assert len(search(log, "a").hits) == 1


def test_what_fails_in_the_making_is_released(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*args: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Store, "_restore", bug)
        with pytest.raises(MemoryError):
            FileKind(opened.path)
    opened()
    with pytest.raises(LogError, match=f"is open already in process {os.getpid()}"):
        FileKind(opened.path)


def test_only_what_is_expected_is_scrubbed(opened: Opened, tmp_path: Path) -> None:
    log = opened()
    append(log, "a")
    db = log.store._db
    other = tmp_path / "other"
    head = opened.path.read_bytes()[:32]
    for data, match in (
        (bytes(100_000), "says another page size or journal"),
        (head[:18] + b"\1\1" + bytes(999_999), "says another page size or journal"),
        (head + bytes(999), "are too many"),
    ):
        other.write_bytes(data)
        file = os.open(other, os.O_RDWR)
        with pytest.raises(ScrubError, match=match):
            scrub(db, file, 2, 1.0)
        os.close(file)
        assert other.read_bytes() == data
    (pages,) = db.row("PRAGMA page_count")
    assert scrub(db, log.store._opened.file, 2, 1.0) == pages + 1
    assert scrub(db, log.store._opened.file, 2, -1.0) == pages + 1  # a step at least, of up to 256 pages
    reader = Database(opened.path, None)
    append(log, "b")
    reader.execute("BEGIN")
    reader.row("SELECT * FROM meta")
    assert scrub(db, log.store._opened.file, 2, 1.0) is None
    reader.close()
    assert isinstance(append(log, "c"), Committed)
