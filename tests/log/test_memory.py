"""What the kind `memory` adds: a bound on all of its entries together."""

from __future__ import annotations

from tests.log.test_contract import NOW, append, later, read, seqs
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
