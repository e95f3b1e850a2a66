"""What a log guarantees of entries, whatever keeps it: the same tests for each kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.log.kinds import DAY, NOW, Make, append, draft, filled, later, make, read, seqs
from trio_chat.core.effects import Append, Committed, Duplicate, Entry, Forget, KeyReused, Read, Stale

__all__ = ["make"]


def test_entries_are_numbered_from_one_in_each_room(make: Make) -> None:
    log = make()
    for number in (1, 2, 3):
        for room in ("lobby", "other"):
            answer = append(log, f"{number}", room=room)
            assert isinstance(answer, Committed)
            assert answer.entry == Entry(number, "e", draft(f"{number}"))
            assert answer.first == 1
            assert answer.request.answer_to == 7


def test_an_empty_room_is_an_empty_page(make: Make) -> None:
    page = read(make())
    assert (page.entries, page.first, page.last) == ((), 1, 0)


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


def test_a_page_is_cut_by_bytes_and_holds_one_entry_at_least(make: Make) -> None:
    log = filled(make, 9)  # of 101 bytes each
    assert seqs(read(log, max_bytes=303)) == [7, 8, 9]
    assert seqs(read(log, max_bytes=302)) == [8, 9]
    assert seqs(read(log, max_bytes=303, after=0)) == [1, 2, 3]
    assert seqs(read(log, max_bytes=1, after=3)) == [4]
    assert seqs(read(log, max_bytes=1, before=3)) == [2]


def test_a_room_keeps_its_newest(make: Make) -> None:
    log = filled(make, 10, history_limit=4)
    assert seqs(read(log, after=0)) == [7, 8, 9, 10]
    page = read(log, before=7)
    assert (seqs(page), page.first, page.last) == ([], 7, 10)
    answer = append(log)
    assert isinstance(answer, Committed)
    assert answer.first == 8


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


def test_a_key_is_committed_once(make: Make) -> None:
    log = make()
    assert isinstance(append(log, key="k"), Committed)
    again = append(log, key="k")
    assert isinstance(again, Duplicate)
    assert again.seq == 1
    assert isinstance(append(log, "b", key="k"), KeyReused)
    assert isinstance(append(log, draft("a", reply_to=1), key="k"), KeyReused)
    assert seqs(read(log)) == [1]


def test_a_key_is_the_author_s_and_the_room_s(make: Make) -> None:
    log = make()
    assert isinstance(append(log, key="k"), Committed)
    assert isinstance(append(log, draft("b", author="bob"), key="k"), Committed)
    assert isinstance(append(log, "c", key="k", room="other"), Committed)
    assert isinstance(append(log, "d", key="K"), Committed)


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


def test_a_refused_key_is_not_renewed(make: Make) -> None:
    log = make(dedupe_window=60)
    append(log, key="k")
    append(log, key="k", now=later(59))
    assert isinstance(append(log, key="k", now=later(60)), Committed)


def test_a_forgotten_room_begins_anew(make: Make) -> None:
    log = filled(make, 3)
    append(log, "x", key="k")
    log.forget(Forget("lobby", "e"))
    log.forget(Forget("lobby", "e"))
    assert (read(log).entries, read(log).last) == ((), 0)
    answer = append(log, "x", key="k", epoch="f")
    assert isinstance(answer, Committed)
    assert (answer.entry.seq, answer.entry.epoch) == (1, "f")


def test_reading_makes_no_room(make: Make) -> None:
    """A replay may ask for a room that was closed since; its name is free for a new one."""
    log = filled(make, 3)
    log.forget(Forget("lobby", "e"))
    assert read(log, after=1).entries == ()
    assert isinstance(append(log, epoch="f"), Committed)


def test_another_epoch_is_stale(make: Make) -> None:
    log = filled(make, 1)
    assert append(log, epoch="f") == Stale(Append("lobby", "f", draft(), 1, 7))
    request = Read("lobby", "f", 1, 10, 100, after=0)
    assert log.submit(request, NOW) == Stale(request)
