"""What a log guarantees of searches, whatever keeps it."""

from __future__ import annotations

import pytest

from tests.log.kinds import DAY, NOW, Make, append, draft, later, make, places, refer, search
from trio_chat.core.effects import Forget, Reaction

__all__ = ["make"]

BOTH = ((1, "lobby", "e"), (2, "other", "e"))


def test_all_words_must_be_there(make: Make) -> None:
    log = make()
    for content in ("one two", "two three", "one", "Two, ONE!", "onetwo"):
        append(log, content)
    assert places(search(log, "one two")) == [("lobby", 4), ("lobby", 1)]
    assert places(search(log, "two")) == [("lobby", 4), ("lobby", 2), ("lobby", 1)]
    assert places(search(log, "tw")) == []
    assert places(search(log, "!")) == []


def test_the_newest_come_first_whatever_their_room(make: Make) -> None:
    log = make()
    for seconds, room in ((0, "lobby"), (1, "other"), (2, "lobby"), (2, "other"), (2, "other")):
        append(log, room=room, now=later(seconds))
    expected = [("other", 3), ("other", 2), ("lobby", 2), ("other", 1), ("lobby", 1)]
    assert places(search(log, "a", rooms=BOTH)) == expected
    assert places(search(log, "a", rooms=BOTH[::-1])) == expected
    assert places(search(log, "a", rooms=((9, "lobby", "e"), (2, "other", "e"))))[0] == ("lobby", 2)
    assert places(search(log, "a", rooms=BOTH[1:])) == [("other", 3), ("other", 2), ("other", 1)]
    for place, skipped in (((2, 2, 3), 1), ((2, 2, 1), 2), ((2, 1, 2), 3), ((1, 2, 1), 4), ((0, 0, 0), 5)):
        at, number, seq = place
        assert places(search(log, "a", rooms=BOTH, before=(NOW.wall + at, number, seq))) == expected[skipped:]


def test_time_is_the_order_though_the_clock_goes_back(make: Make) -> None:
    log = make()
    for seconds in (0, 5, 1, 9, 7, 9):
        append(log, now=later(seconds))
    expected = [("lobby", seq) for seq in (6, 4, 5, 2, 3, 1)]
    assert places(search(log, "a")) == expected
    assert places(search(log, "a", before=(NOW.wall + 7, 1, 5))) == expected[3:]


def test_a_search_is_cut_and_says_so(make: Make) -> None:
    log = make()
    for _ in range(4):
        append(log)  # of 101 bytes
    for limit, max_bytes, count in ((4, 404, 4), (3, 404, 3), (9, 403, 3), (9, 1, 1), (1, 999, 1)):
        found = search(log, "a", limit=limit, max_bytes=max_bytes)
        assert (len(found.hits), found.more) == (count, count < 4)


def test_a_hit_is_shown_in_its_present_state(make: Make) -> None:
    log = make()
    append(log, "old")
    refer(log, "react", 1, author="bob", emoji="+")
    refer(log, "edit", 1, "new", now=later(1))
    assert search(log, "old").hits == ()
    ((room, entry),) = search(log, "new").hits
    assert (room, entry.seq, entry.edited) == ("lobby", 1, NOW.wall + 1)
    assert (entry.draft.content, entry.reactions) == ("new", (Reaction("+", 1, ("bob",)),))


def test_an_edited_entry_keeps_its_place(make: Make) -> None:
    log = make()
    for content in ("a", "a b", "a"):
        append(log, content)
    refer(log, "edit", 1, "a c")
    assert [seq for _, seq in places(search(log, "a"))] == [3, 2, 1]


def test_what_is_deleted_trimmed_forgotten_or_stale_is_not_found(make: Make) -> None:
    log = make(history_limit=3, history_days=1)
    for _ in range(2):
        append(log)
    refer(log, "delete", 2)
    assert places(search(log, "a")) == [("lobby", 1)]
    append(log, "b")
    assert places(search(log, "a")) == []
    assert places(search(log, "b", now=later(DAY))) == [("lobby", 4)]
    assert places(search(log, "b", rooms=((1, "lobby", "f"), (2, "nowhere", "e")))) == []
    assert places(search(log, "b", now=later(DAY + 1))) == []
    append(log, "c", room="other")
    log.forget(Forget("other", "e"))
    append(log, "d", room="other", epoch="f")
    assert places(search(log, "c", rooms=((1, "other", "f"), (1, "other", "e")))) == []


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("Straße", "STRASSE"),
        ("Café", "cafe\u0301"),
        ("Ёлка и ещё", "ещё ёлка"),
        ("ΌΣΟΣ", "όσος"),
        ("مُحَمَّد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("東京タワー", "東京"),
        ("ガラス", "ガ"),
        ("한국어 말", "한국어"),
        ("हिन्दी में", "हिन्दी"),
        ("ภาษาไทย", "ไทย"),
        ("မြန်မာ", "မာ"),
        ("𐐀𐐁", "𐐨𐐩"),
        ("𞤀𞤁 🎉", "𞤢𞤣"),
        ("٣ ३ 3", "٣"),
        ("x" * 99, "x" * 70),
        ('a"b* -c NEAR(d)', 'near "b" * c'),
    ],
)
def test_words_of_every_script(make: Make, content: str, query: str) -> None:
    log = make()
    append(log, content)
    append(log, "other")
    assert places(search(log, query)) == [("lobby", 1)]
    refer(log, "edit", 1, "gone")
    assert places(search(log, query)) == []


def test_a_private_is_found(make: Make) -> None:
    log = make()
    append(log, draft("a", kind="private", to="bob"))
    assert places(search(log, "a")) == [("lobby", 1)]
