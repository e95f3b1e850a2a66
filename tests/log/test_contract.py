"""What a log guarantees, whatever keeps it: the same tests for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trio_chat.config import Config
from trio_chat.core.effects import (
    Answer,
    Append,
    Committed,
    Draft,
    Duplicate,
    Entry,
    Forget,
    KeyReused,
    Now,
    Page,
    Read,
    Stale,
)
from trio_chat.log import Log
from trio_chat.log.memory import MemoryLog

DAY = 86_400.0
NOW = Now(1000.0, 1_000_000_000.0)


def memory(**options: Any) -> Log:
    return MemoryLog(Config.of(**options).history)


Make = Callable[..., Log]
KINDS = pytest.mark.parametrize("make", [memory])


def later(seconds: float, now: Now = NOW) -> Now:
    return Now(now.mono + seconds, now.wall + seconds)


def draft(content: str = "a", *, at: float = NOW.wall, author: str = "ann", reply_to: int | None = None) -> Draft:
    return Draft("message", author, author, content, at, len(content) + 100, room="lobby", reply_to=reply_to)


def append(
    log: Log, what: Draft | str = "a", *, room: str = "lobby", epoch: str = "e", key: str | None = None, now: Now = NOW
) -> Answer | None:
    made = draft(what, at=now.wall) if isinstance(what, str) else what
    return log.submit(Append(room, epoch, made, 1, 7, key), now)


def read(
    log: Log,
    *,
    room: str = "lobby",
    epoch: str = "e",
    limit: int = 200,
    max_bytes: int = 10**6,
    now: Now = NOW,
    **where: int,
) -> Page:
    answer = log.submit(Read(room, epoch, 1, limit, max_bytes, **where), now)  # type: ignore[arg-type]
    assert isinstance(answer, Page)
    return answer


def seqs(page: Page) -> list[int]:
    return [entry.seq for entry in page.entries]


def filled(make: Make, count: int, **options: Any) -> Log:
    log = make(**options)
    for number in range(1, count + 1):
        append(log, f"{number}")
    return log


@KINDS
def test_entries_are_numbered_from_one_in_each_room(make: Make) -> None:
    log = make()
    for number in (1, 2, 3):
        for room in ("lobby", "other"):
            answer = append(log, f"{number}", room=room)
            assert isinstance(answer, Committed)
            assert answer.entry == Entry(number, "e", draft(f"{number}"))
            assert answer.first == 1
            assert answer.request.answer_to == 7


@KINDS
def test_an_empty_room_is_an_empty_page(make: Make) -> None:
    page = read(make())
    assert (page.entries, page.first, page.last) == ((), 1, 0)


@KINDS
@pytest.mark.parametrize(
    ("where", "limit", "expected"),
    [
        ({}, 3, [8, 9, 10]),
        ({}, 200, list(range(1, 11))),
        ({"after": 0}, 3, [1, 2, 3]),
        ({"after": 4}, 2, [5, 6]),
        ({"after": 8}, 200, [9, 10]),
        ({"after": 10}, 5, []),
        ({"after": 2**53 - 1}, 5, []),
        ({"before": 1}, 5, []),
        ({"before": 3}, 5, [1, 2]),
        ({"before": 9}, 3, [6, 7, 8]),
        ({"before": 11}, 2, [9, 10]),
        ({"before": 2**53 - 1}, 2, [9, 10]),
    ],
)
def test_pages(make: Make, where: dict[str, Any], limit: int, expected: list[int]) -> None:
    page = read(filled(make, 10), limit=limit, **where)
    assert seqs(page) == expected
    assert (page.first, page.last) == (1, 10)


@KINDS
def test_a_page_is_cut_by_bytes_and_holds_one_entry_at_least(make: Make) -> None:
    log = filled(make, 9)  # of 101 bytes each
    assert seqs(read(log, max_bytes=303)) == [7, 8, 9]
    assert seqs(read(log, max_bytes=302)) == [8, 9]
    assert seqs(read(log, max_bytes=303, after=0)) == [1, 2, 3]
    assert seqs(read(log, max_bytes=1, after=3)) == [4]
    assert seqs(read(log, max_bytes=1, before=3)) == [2]


@KINDS
def test_a_room_keeps_its_newest(make: Make) -> None:
    log = filled(make, 10, history_limit=4)
    assert seqs(read(log, after=0)) == [7, 8, 9, 10]
    page = read(log, before=7)
    assert (seqs(page), page.first, page.last) == ([], 7, 10)
    answer = append(log)
    assert isinstance(answer, Committed)
    assert answer.first == 8


@KINDS
def test_a_room_keeps_no_entry_for_too_long(make: Make) -> None:
    log = make(history_days=1)
    append(log, "old")
    append(log, "new", now=later(DAY / 2))
    assert seqs(read(log, now=later(DAY))) == [1, 2]
    assert seqs(read(log, now=later(DAY + 1))) == [2]
    page = read(log, now=later(9 * DAY))
    assert (seqs(page), page.first, page.last) == ([], 3, 2)
    answer = append(log, now=later(9 * DAY))
    assert isinstance(answer, Committed)
    assert (answer.entry.seq, answer.first) == (3, 3)


@KINDS
def test_a_key_is_committed_once(make: Make) -> None:
    log = make()
    assert isinstance(append(log, key="k"), Committed)
    again = append(log, key="k")
    assert isinstance(again, Duplicate)
    assert again.seq == 1
    assert isinstance(append(log, "b", key="k"), KeyReused)
    assert isinstance(append(log, draft("a", reply_to=1), key="k"), KeyReused)
    assert seqs(read(log)) == [1]


@KINDS
def test_a_key_is_the_author_s_and_the_room_s(make: Make) -> None:
    log = make()
    assert isinstance(append(log, key="k"), Committed)
    assert isinstance(append(log, draft("b", author="bob"), key="k"), Committed)
    assert isinstance(append(log, "c", key="k", room="other"), Committed)
    assert isinstance(append(log, "d", key="K"), Committed)


@KINDS
def test_a_key_is_remembered_for_a_while_even_if_its_entry_is_gone(make: Make) -> None:
    log = make(dedupe_window=60, history_limit=1)
    append(log, key="k")
    append(log, "b")
    again = append(log, key="k", now=later(59.9))
    assert isinstance(again, Duplicate)
    assert again.seq == 1
    renewed = append(log, "other", key="k", now=later(60))
    assert isinstance(renewed, Committed)
    assert isinstance(append(log, "other", key="k", now=later(100)), Duplicate)


@KINDS
def test_a_refused_key_is_not_renewed(make: Make) -> None:
    log = make(dedupe_window=60)
    append(log, key="k")
    append(log, key="k", now=later(59))
    assert isinstance(append(log, key="k", now=later(60)), Committed)


@KINDS
def test_a_forgotten_room_begins_anew(make: Make) -> None:
    log = filled(make, 3)
    append(log, "x", key="k")
    log.forget(Forget("lobby", "e"))
    log.forget(Forget("lobby", "e"))
    assert (read(log).entries, read(log).last) == ((), 0)
    answer = append(log, "x", key="k", epoch="f")
    assert isinstance(answer, Committed)
    assert (answer.entry.seq, answer.entry.epoch) == (1, "f")


@KINDS
def test_reading_makes_no_room(make: Make) -> None:
    """A replay may ask for a room that was closed since; its name is free for a new one."""
    log = filled(make, 3)
    log.forget(Forget("lobby", "e"))
    assert read(log, after=1).entries == ()
    assert isinstance(append(log, epoch="f"), Committed)


@KINDS
def test_another_epoch_is_stale(make: Make) -> None:
    log = filled(make, 1)
    assert append(log, epoch="f") == Stale(Append("lobby", "f", draft(), 1, 7))
    request = Read("lobby", "f", 1, 10, 100, after=0)
    assert log.submit(request, NOW) == Stale(request)


@attrs.define
class ModelRoom:
    """A room as a plain list; what was trimmed is cut off its front."""

    epoch: str
    entries: list[tuple[int, Draft]] = attrs.field(factory=list)
    last: int = 0
    keys: dict[tuple[str, str], tuple[int, str, float]] = attrs.field(factory=dict)


ROOMS = st.sampled_from(["lobby", "@talk"])
AUTHORS = st.sampled_from(["ann", "bob"])


class LogMachine(RuleBasedStateMachine):
    """Any sequence of requests, against lists."""

    make: Make

    @initialize()
    def begin(self) -> None:
        self.log = self.make(history_limit=5, history_days=1, dedupe_window=600)
        self.now, self.epochs = NOW, 0
        self.rooms: dict[str, ModelRoom] = {}

    def room(self, name: str) -> ModelRoom:
        if name not in self.rooms:
            self.epochs += 1
            self.rooms[name] = ModelRoom(f"epoch {self.epochs}")
        self.trim(self.rooms[name])
        return self.rooms[name]

    def trim(self, room: ModelRoom) -> None:
        room.entries = [(seq, entry) for seq, entry in room.entries if entry.at >= self.now.wall - DAY][-5:]

    @rule(name=ROOMS, author=AUTHORS, content=st.sampled_from("ab"), key=st.none() | st.sampled_from("klm"))
    def append(self, name: str, author: str, content: str, key: str | None) -> None:
        room = self.room(name)
        made = draft(content, at=self.now.wall, author=author)
        request = Append(name, room.epoch, made, 1, None, key)
        answer = self.log.submit(request, self.now)
        if key is not None:
            seq, before, until = room.keys.get((author, key), (0, "", 0.0))
            if until > self.now.mono:
                assert answer == (Duplicate(request, seq) if before == content else KeyReused(request))
                return
            room.keys[author, key] = (room.last + 1, content, self.now.mono + 600)
        room.last += 1
        room.entries.append((room.last, made))
        self.trim(room)
        assert answer == Committed(request, Entry(room.last, room.epoch, made), room.entries[0][0])

    @rule(
        name=ROOMS,
        side=st.sampled_from(["after", "before", ""]),
        seq=st.integers(1, 20),
        limit=st.integers(1, 7),
        fit=st.integers(1, 7),
    )
    def read(self, name: str, side: str, seq: int, limit: int, fit: int) -> None:
        room = self.room(name)
        page = read(
            self.log,
            room=name,
            epoch=room.epoch,
            limit=limit,
            max_bytes=101 * fit,
            now=self.now,
            **({side: seq} if side else {}),
        )
        count = min(limit, fit)
        if side == "after":
            expected = [pair for pair in room.entries if pair[0] > seq][:count]
        else:
            expected = [pair for pair in room.entries if side == "" or pair[0] < seq][-count:]
        assert [(entry.seq, entry.draft) for entry in page.entries] == expected
        assert {entry.epoch for entry in page.entries} <= {room.epoch}
        assert page.last == room.last
        assert page.first == room.last - len(room.entries) + 1

    @rule(name=ROOMS)
    def forget(self, name: str) -> None:
        room = self.rooms.pop(name, None)
        if room is not None:
            self.log.forget(Forget(name, room.epoch))

    @rule(name=ROOMS)
    def stale(self, name: str) -> None:
        if self.room(name).last:
            request = Append(name, "an epoch of old", draft(), 1)
            assert self.log.submit(request, self.now) == Stale(request)

    @rule(seconds=st.sampled_from([1.0, 300.0, 600.0, DAY / 2]))
    def wait(self, seconds: float) -> None:
        self.now = later(seconds, self.now)

    @invariant()
    def rooms_are_held_without_gaps(self) -> None:
        for name, room in getattr(self, "rooms", {}).items():
            page = read(self.log, room=name, epoch=room.epoch, after=0, now=self.now)
            assert seqs(page) == list(range(page.first, page.last + 1))


class MemoryMachine(LogMachine):
    """The kind `memory`."""

    make = staticmethod(memory)


MemoryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)
TestMemory = MemoryMachine.TestCase
