"""The Trio side of the kind `sqlite`: order, groups, bounds, and what an end loses."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.log.kinds import draft
from trio_chat.config import Config
from trio_chat.core.effects import (
    Answer,
    Append,
    Committed,
    Discard,
    Failed,
    Forget,
    Found,
    Keep,
    Now,
    Page,
    Read,
    Request,
    Search,
    Stale,
)
from trio_chat.core.records import Restored, UserRecord
from trio_chat.log import Log, LogError, sqlite
from trio_chat.log.sqlite import REQUEST_BYTES, REQUESTS, SEARCHES, SqliteLog, open_sqlite
from trio_chat.log.store import Job, Store


class Running:
    """A log that is run, and what it answered, in order."""

    def __init__(self, log: SqliteLog) -> None:
        self.log = log
        self.answers: list[Answer] = []
        self._news = trio.Event()

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)
        self._news.set()
        self._news = trio.Event()

    async def until(self, done: Callable[[], bool]) -> None:
        with trio.fail_after(20):
            while not done():
                await self._news.wait()

    async def answers_to(self, *requests: Request) -> list[Answer]:
        """Submit, and wait until all is answered."""
        count = len(self.answers) + len(requests)
        for request in requests:
            assert self.log.submit(request, now()) is None
        await self.until(lambda: len(self.answers) >= count)
        return self.answers[count - len(requests) :]


def now() -> Now:
    return Now(trio.current_time(), time.time())


def message(content: str = "a", **fields: Any) -> Append:
    return Append("lobby", "e", draft(content, at=time.time()), 1, **fields)


def page(max_bytes: int = 10**6, **where: int) -> Read:
    return Read("lobby", "e", 1, 200, max_bytes, **where)  # type: ignore[arg-type]


def query(*words: str) -> Search:
    return Search(((1, "lobby", "e"),), words, 50, 10**6, 1)


def user(number: int) -> UserRecord:
    return UserRecord(key="ann", number=number, name="ann")


def opened(path: Path, **options: Any) -> Any:
    history = Config.of(**options).history
    return open_sqlite(path, history=history, sync="normal", boot="b", wall=time.time)


@asynccontextmanager
async def running(path: Path, **options: Any) -> AsyncIterator[Running]:
    async with opened(path, **options) as log, trio.open_nursery() as nursery:
        one = Running(log)
        nursery.start_soon(log.run, one.answered)
        yield one
        nursery.cancel_scope.cancel()


async def restored(path: Path) -> Restored:
    async with opened(path) as log:
        found: Restored = log.restored
        return found


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much each transaction that was asked for had to do."""
    sizes: list[int] = []
    perform = Store.perform

    def counted(self: Store, batch: Sequence[tuple[Job, Now]]) -> list[Answer]:
        if batch:
            sizes.append(len(batch))
        return perform(self, batch)

    monkeypatch.setattr(Store, "perform", counted)
    return sizes


class Gate:
    """Holds the writer's thread until `open` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str = "perform") -> None:
        self.open, self.reached = Event(), Event()
        held = getattr(Store, method)

        def waiting(store: Store, *args: Any) -> Any:
            self.reached.set()
            assert self.open.wait(20)
            return held(store, *args)

        monkeypatch.setattr(Store, method, waiting)


async def reached(gate: Gate) -> None:
    assert await trio.to_thread.run_sync(gate.reached.wait, 20)


def is_a_log(log: SqliteLog) -> Log:
    return log


# --- Order and groups ------------------------------------------------------------------------------------------------


async def test_answers_come_in_order_and_pages_show_what_was_before(path: Path) -> None:
    async with running(path) as one:
        answers = await one.answers_to(page(), message("a"), page(), message("b"), message("c"), page())
        assert [type(answer) for answer in answers] == [Page, Committed, Page, Committed, Committed, Page]
        assert [len(answer.entries) for answer in answers if isinstance(answer, Page)] == [0, 1, 3]
        assert [answer.entry.seq for answer in answers if isinstance(answer, Committed)] == [1, 2, 3]
        assert is_a_log(one.log).trouble is None


async def test_what_gathers_while_a_transaction_runs_is_one(
    path: Path, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    async with running(path) as one:
        one.log.submit(message(), now())
        await reached(gate)
        for number in range(100):
            one.log.submit(message(f"{number}"), now())
        gate.open.set()
        await one.until(lambda: len(one.answers) == 101)
        assert batches == [1, 100]
        seqs = [answer.entry.seq for answer in one.answers if isinstance(answer, Committed)]
        assert seqs == list(range(1, 102))


async def test_many_at_once_share_transactions(path: Path, batches: list[int]) -> None:
    async with running(path) as one:
        for _ in range(5):
            await one.answers_to(*[message()] * 200)
        assert sum(batches) == 1000
        assert len(batches) <= 10


async def test_forgetting_keeps_its_place(path: Path) -> None:
    async with running(path) as one:
        one.log.submit(message("old"), now())
        one.log.forget(Forget("lobby", "e"))
        one.log.submit(Append("lobby", "f", draft("new"), 1), now())
        one.log.submit(page(), now())
        await one.until(lambda: len(one.answers) == 3)
        assert [type(answer) for answer in one.answers] == [Committed, Committed, Stale]


# --- Bounds ----------------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_and_what_is_kept_is_never_refused(path: Path) -> None:
    async with opened(path) as log:
        for _ in range(REQUESTS):
            assert log.submit(message(), now()) is None
        for request in (message(), page()):
            assert log.submit(request, now()) == Failed(request, 1.0)
        for number in range(1000):
            log.keep(Keep(user(number)))
        log.forget(Forget("nowhere", "e"))
        assert len(log._waiting) == REQUESTS + 2
        assert log.submit(query("a"), now()) is None
    found = await restored(path)
    assert found.records == (user(999),)
    assert found.spans["lobby"].last == REQUESTS


async def test_what_waits_is_bounded_in_bytes(path: Path) -> None:
    large = Append("lobby", "e", draft("a", at=time.time()), 1)
    object.__setattr__(large.draft, "size", REQUEST_BYTES // 2)
    async with running(path) as one:
        assert [one.log.submit(large, now()) for _ in range(3)] == [None, None, Failed(large, 1.0)]
        pages = page(max_bytes=REQUEST_BYTES // 2)
        assert [one.log.submit(pages, now()) for _ in range(3)] == [None, None, Failed(pages, 1.0)]
        await one.until(lambda: len(one.answers) == 4)
        assert one.log.submit(large, now()) is None
        assert one.log.submit(pages, now()) is None


async def test_searches_have_a_queue_of_their_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "search")
    async with running(path) as one:
        one.log.submit(query("a"), now())
        await reached(gate)
        assert [one.log.submit(query("a"), now()) for _ in range(SEARCHES)] == [None] * SEARCHES
        assert one.log.submit(query("b"), now()) == Failed(query("b"), 1.0)
        answers = await one.answers_to(message(), page())  # nothing of that waits for a search
        assert [type(answer) for answer in answers] == [Committed, Page]
        gate.open.set()
        await one.until(lambda: len(one.answers) == SEARCHES + 3)


# --- Records ---------------------------------------------------------------------------------------------------------


async def test_of_a_record_the_last_word_counts(path: Path) -> None:
    async with opened(path) as log:
        log.keep(Keep(user(1)))
        log.submit(message(keep=(Keep(user(2)),)), now())
        log.keep(Keep(user(3)))
        log.keep(Discard("user", "bob"))
        assert len(log._waiting) == 3
    assert (await restored(path)).records == (user(3),)
    async with opened(path) as log:
        log.keep(Keep(user(4)))
        log.submit(message(keep=(Keep(user(5)),)), now())
    assert (await restored(path)).records == (user(5),)
    async with opened(path) as log:
        log.keep(Keep(user(6)))
        log.keep(Discard("user", "ann"))
    assert (await restored(path)).records == ()


# --- The end ---------------------------------------------------------------------------------------------------------


async def test_what_waits_at_the_end_is_committed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three batches one is in the thread, one waits, and one comes when nothing runs any longer."""
    gate = Gate(monkeypatch)
    async with opened(path) as log:
        one = Running(log)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run, one.answered)
            log.submit(message("in the thread"), now())
            await reached(gate)
            log.submit(message("waits"), now())
            nursery.cancel_scope.cancel()
        log.submit(message("late"), now())
        log.keep(Keep(user(1)))
        gate.open.set()
    assert one.answers == []
    async with running(path) as one:
        (answer,) = await one.answers_to(page())
        assert isinstance(answer, Page)
        assert [entry.draft.content for entry in answer.entries] == ["in the thread", "waits", "late"]
        assert one.log.restored.records == (user(1),)


async def test_a_batch_whose_thread_never_began_is_committed(path: Path) -> None:
    async with opened(path) as log:
        with trio.CancelScope() as scope:
            log.submit(message(), now())
            await log._writer.acquire_on_behalf_of("another")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(log.run, lambda answer: None)
                await wait_all_tasks_blocked()
                assert not log._waiting
                scope.cancel()
        log._writer.release_on_behalf_of("another")
    assert (await restored(path)).spans["lobby"].last == 1


async def test_the_end_does_not_wait_for_a_disk_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "FLUSH", 0.05)
    gate = Gate(monkeypatch)
    closed = Event()
    close = Store.close

    def closing(store: Store) -> None:
        close(store)
        closed.set()

    monkeypatch.setattr(Store, "close", closing)
    async with opened(path) as log:
        log.submit(message(), now())
    assert "the disk did not answer" in caplog.text
    assert log.trouble is None
    gate.open.set()  # the thread ends when the disk answers, if the process lives on
    assert await trio.to_thread.run_sync(closed.wait, 20)


async def test_cancelling_loses_nothing(path: Path) -> None:
    """Whenever it is cancelled, all that was submitted is there, once, and what was answered is true."""
    submitted = 0
    for turn in range(12):
        async with opened(path) as log:
            assert (log.restored.spans["lobby"].last if submitted else 0) == submitted
            one = Running(log)
            with trio.move_on_after(turn / 1000):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(log.run, one.answered)
                    while True:
                        log.submit(message(f"{submitted}"), now())
                        submitted += 1
                        await trio.lowlevel.checkpoint()


async def test_a_search_at_the_end_is_cut_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_chat.log.search.SEARCH_SECONDS", 60.0)
    gate = Gate(monkeypatch, "search")
    with trio.fail_after(20):
        async with running(path) as one:
            one.log.submit(query("a"), now())
            await reached(gate)
            gate.open.set()
    assert (await restored(path)).trusted


async def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is a directory"):
        async with opened(tmp_path):
            pass
    async with opened(tmp_path / "chat.db"):
        with pytest.raises(LogError, match="is open already in process"):
            async with opened(tmp_path / "chat.db"):
                pass


# --- Searches and upkeep ---------------------------------------------------------------------------------------------


async def test_a_search_finds_what_was_answered_before(path: Path) -> None:
    async with running(path) as one:
        for number in range(20):
            await one.answers_to(*[message(f"word{number} b")] * 20)
            (found,) = await one.answers_to(query(f"word{number}"))
            assert isinstance(found, Found)
            assert len(found.hits) == 20


async def test_searches_go_on_while_others_write(path: Path) -> None:
    async with running(path) as one:

        async def write() -> None:
            for number in range(60):
                await one.answers_to(*[message(f"{number} a")] * 50)

        def searched(count: int) -> bool:
            return sum(isinstance(answer, Found) for answer in one.answers) == count

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                for number in range(20):
                    committed = sum(isinstance(answer, Committed) for answer in one.answers)
                    one.log.submit(query("a"), now())
                    await one.until(partial(searched, number + 1))
                    found = [answer for answer in one.answers if isinstance(answer, Found)][-1]
                    assert len(found.hits) >= min(committed, 50)
        assert sum(isinstance(answer, Failed) for answer in one.answers) == 0


async def test_upkeep_is_done_without_being_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "GROUP", 0.01)
    async with running(path, history_limit=5) as one:
        await one.answers_to(*[message("a")] * 300)

        def rows() -> int:
            with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
                count: int = db.execute("SELECT count(*) FROM entries").fetchone()[0]
            db.close()
            return count

        with trio.fail_after(20):
            while await trio.to_thread.run_sync(rows) > 5:  # noqa: ASYNC110  (what goes from the file tells nobody)
                await trio.sleep(0.01)


async def test_upkeep_rests_when_there_is_nothing_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    tidy = Store.tidy

    def counted(store: Store, at: Now) -> bool:
        nonlocal calls
        calls += 1
        return tidy(store, at)

    monkeypatch.setattr(Store, "tidy", counted)
    monkeypatch.setattr(sqlite, "GROUP", 0.001)
    async with running(path) as one:
        await one.answers_to(message())
        with trio.move_on_after(0.3):
            await trio.sleep_forever()
    assert calls < 12


# --- Trouble ---------------------------------------------------------------------------------------------------------


async def test_trouble_is_told_once_and_ends_by_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trio_chat.log.store.RETRY", 0.05)
    caplog.set_level(logging.INFO, "trio_chat.log")
    async with running(path) as one:
        await one.answers_to(message("a"))
        store = one.log._store
        store._db.execute("PRAGMA query_only = ON")
        answers = await one.answers_to(message("b"), page())
        assert isinstance(answers[0], Failed)
        assert isinstance(answers[1], Page)
        assert one.log.trouble == "attempt to write a readonly database"
        one.log.keep(Keep(user(1)))
        for _ in range(3):
            refused, found = await one.answers_to(message("c"), query("a"))
            assert {type(refused), type(found)} == {Failed, Found}
        store._db.execute("PRAGMA query_only = OFF")
        with trio.fail_after(20):
            while one.log.trouble is not None:  # noqa: ASYNC110  (nobody asks for anything, and so nobody is told)
                await trio.sleep(0.01)
        assert [type(answer) for answer in await one.answers_to(message("d"))] == [Committed]
    lines = [record.getMessage() for record in caplog.records if "trouble" in record.msg or "refused" in record.msg]
    assert lines[0] == "log: nothing can be committed, and messages are refused: attempt to write a readonly database"
    assert len(lines) == 2
    over = re.fullmatch(r"log: the trouble is over after \d+\.\d s; 4 new entries were refused", lines[1])
    assert over, lines[1]
    assert (await restored(path)).records == (user(1),)
