"""What the kind `memory` adds: a bound on all of its entries together."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.log.kinds import NOW, append, later, read, refer, seqs
from trio_chat.config import Config
from trio_chat.core.effects import Forget
from trio_chat.log.memory import MemoryLog


def test_over_its_bytes_the_room_written_to_loses_its_oldest() -> None:
    log = MemoryLog(Config().history, total_bytes=505)
    for room in ("lobby", "other"):
        for _ in range(2):
            append(log, room=room)
    assert log.bytes == 404
    append(log)
    assert log.bytes == 505
    append(log)
    assert log.bytes == 505
    assert seqs(read(log)) == [2, 3, 4]
    assert seqs(read(log, room="other")) == [1, 2]
    append(log, "x" * 300, room="other")
    assert seqs(read(log, room="other")) == [3]  # the last one stays, whatever it takes


def test_bytes_are_given_back() -> None:
    log = MemoryLog(Config.of(history_limit=3, history_days=1).history)
    for _ in range(9):
        append(log)
    assert log.bytes == 303
    read(log, now=later(90_000))
    assert log.bytes == 0
    append(log, room="other", now=NOW)
    log.forget(Forget("other", "e"))
    log.forget(Forget("lobby", "e"))
    assert log.bytes == 0


def test_keys_are_forgotten_as_new_entries_come() -> None:
    log = MemoryLog(Config.of(dedupe_window=60, history_limit=1).history)
    for number in range(100):
        append(log, key=f"{number}")
    for _ in range(60):
        append(log, now=later(60))
    assert not log._rooms["lobby"].keys


def test_what_is_counted_is_what_is_held() -> None:
    log = MemoryLog(Config.of(history_limit=4).history)
    append(log, "a")
    refer(log, "edit", 1, "x" * 50)
    assert log.bytes == 2 * 150
    refer(log, "delete", 1)
    refer(log, "react", 1, emoji="+")  # rejected
    assert log.bytes == sum(entry.draft.size for entry in read(log).entries)
    for _ in range(4):
        append(log)
    assert log.bytes == 404


def test_of_what_is_gone_nothing_is_left() -> None:
    log = MemoryLog(Config.of(history_limit=3).history)
    for seq in range(1, 90, 3):
        append(log)
        refer(log, "react", seq, emoji="+")
        refer(log, "edit", seq, "b")
    room = log._rooms["lobby"]
    assert (len(room.entries), len(room.words), len(room.marks)) == (3, 1, 1)
    refer(log, "delete", 88)
    assert (room.words, room.marks) == ({}, {})


async def test_it_has_nothing_to_wait_for(autojump_clock: MockClock) -> None:
    log = MemoryLog(Config().history)
    with trio.move_on_after(1000) as scope:
        await log.run(lambda answer: None)
    assert scope.cancelled_caught
    assert log.trouble is None
