"""Where a client stands: what is new, what it has, and what must be missing."""

from __future__ import annotations

import pytest

from trio_chat.client.positions import Positions, Verdict, key_of
from trio_chat.core.messages import Position


def at(epoch: str = "e", seq: int = 5) -> Positions:
    """One room, and a place in it."""
    positions = Positions()
    positions.put("den", epoch, seq)
    return positions


def test_entries_are_new_old_or_behind_a_gap() -> None:
    positions = at()

    assert positions.entry("den", 6) is Verdict.NEW
    assert positions.entry("den", 6) is Verdict.OLD
    assert positions.entry("den", 1) is Verdict.OLD
    assert positions.entry("den", 8) is Verdict.GAP
    assert positions.known() == {"den": Position(epoch="e", seq=6)}
    assert positions.entry("den", 7) is Verdict.NEW


def test_the_first_entry_of_an_unknown_room_is_new_and_its_place_not_yet_sayable() -> None:
    positions = Positions()

    assert positions.entry("den", 7) is Verdict.NEW
    assert positions.known() == {}
    assert positions.entry("den", 9) is Verdict.NEW  # without an epoch, nobody can tell what is missing
    positions.told("den", "e", 100)
    assert positions.known() == {"den": Position(epoch="e", seq=9)}


def test_an_entry_that_says_another_epoch_begins_anew() -> None:
    positions = at()

    assert positions.entry("den", 1, "f") is Verdict.NEW
    assert positions.known() == {"den": Position(epoch="f", seq=1)}


def test_an_entry_that_says_the_epoch_of_a_room_without_one_goes_on() -> None:
    positions = Positions()
    positions.entry("@bob", 3)

    assert positions.entry("@bob", 3, "e") is Verdict.OLD
    assert positions.entry("@bob", 4, "e") is Verdict.NEW
    assert positions.known() == {"@bob": Position(epoch="e", seq=4)}


def test_told_of_a_room_one_stands_at_its_end_unless_one_stood_somewhere() -> None:
    positions = Positions()

    positions.told("den", "e", 4)
    positions.told("den", "e", 9)
    assert positions.known() == {"den": Position(epoch="e", seq=4)}
    positions.told("den", "f", 2)
    assert positions.known() == {"den": Position(epoch="f", seq=2)}


def test_told_of_a_room_that_was_put_without_a_place() -> None:
    positions = Positions()
    positions.put("den", "e", None)

    assert positions.known() == {}
    positions.told("den", "e", 3)
    assert positions.known() == {"den": Position(epoch="e", seq=3)}


@pytest.mark.parametrize(
    ("epoch", "first", "last", "stands"),
    [
        ("e", 8, 20, 7),  # trimmed beyond us
        ("e", 3, 20, 5),  # what we have does not come again
        ("e", 1, 4, 0),  # we stood beyond the end: it was another log
        ("f", 3, 20, 2),
    ],
)
def test_lagged(epoch: str, first: int, last: int, stands: int) -> None:
    positions = at()

    positions.lagged("den", epoch, first, last)
    assert positions.known() == {"den": Position(epoch=epoch, seq=stands)}


def test_lagged_in_a_room_that_one_knows_nothing_of() -> None:
    positions = Positions()

    positions.lagged("den", "e", 3, 9)
    assert positions.known() == {"den": Position(epoch="e", seq=2)}


def test_forget_and_keep() -> None:
    positions = at()
    positions.put("@bob", "e", 1)
    positions.put("hall", "e", 1)

    positions.keep(["DEN", "@Bob"])
    assert set(positions.known()) == {"den", "@bob"}
    positions.forget("Den")
    positions.forget("nowhere")
    assert set(positions.known()) == {"@bob"}


def test_ways_to_write_one_name() -> None:
    assert key_of("Straße") == key_of("STRASSE")
    assert key_of("@Bob") == key_of("@bob") != key_of("bob")
    assert key_of("no  name") == "no  name"
    assert Positions().place("den") is None
