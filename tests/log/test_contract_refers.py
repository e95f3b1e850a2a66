"""What a log guarantees of edits, deletes, reactions and topics, whatever keeps it."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from tests.log.kinds import DAY, NOW, Kind, Make, append, draft, filled, later, make, read, refer, search, seqs
from trio_chat.core.effects import Answer, Committed, Draft, Duplicate, Entry, Forget, KeyReused, Reaction, Rejected
from trio_chat.core.errors import ErrorCode
from trio_chat.log import MAX_EMOJI, REACTIONS_BYTES, SHOWN_USERS

__all__ = ["make"]


def entry(log: Kind, seq: int) -> Entry:
    (found,) = read(log, after=seq - 1, limit=1).entries
    assert found.seq == seq
    return found


def code(answer: Answer) -> ErrorCode:
    assert isinstance(answer, Rejected)
    return answer.code


def test_an_edit_is_an_entry_and_changes_another(make: Make) -> None:
    log = filled(make, 2)
    edit = draft("one", kind="edit", of=1, at=NOW.wall + 5)
    answer = append(log, edit, now=later(5))
    assert isinstance(answer, Committed)
    assert answer.entry == Entry(3, "e", edit)
    first = draft("one", at=NOW.wall)
    assert read(log).entries == (
        Entry(1, "e", first, edited=NOW.wall + 5),
        Entry(2, "e", draft("2")),
        Entry(3, "e", edit),
    )


def test_the_last_edit_counts_and_each_keeps_its_words(make: Make) -> None:
    log = filled(make, 1)
    refer(log, "edit", 1, "b", now=later(1))
    refer(log, "edit", 1, "c", now=later(2))
    assert [one.draft.content for one in read(log).entries] == ["c", "b", "c"]
    assert entry(log, 1).edited == NOW.wall + 2


@pytest.mark.parametrize("kind", ["edit", "delete", "react"])
def test_only_messages_that_are_held_can_be_referred_to(make: Make, kind: str) -> None:
    log = make(history_limit=8)
    for number in range(6):
        append(log, f"{number}")
    refer(log, "edit", 6, "x")
    refer(log, "react", 6, emoji="+")
    append(log, draft("about", kind="topic"))
    refer(log, "delete", 6)  # 10; of 3 … 10 are 6 deleted, 7 an edit, 8 a reaction, 9 a topic
    append(log, "y", room="other")
    for of in (None, 0, -1, 2, 6, 7, 8, 9, 10, 11, 2**53 - 1):
        assert code(refer(log, kind, of, emoji="+")) == ErrorCode.NO_SUCH_ENTRY, of
    assert seqs(read(log)) == list(range(3, 11))
    assert isinstance(refer(log, kind, 3, emoji="+"), Committed)


def test_a_private_can_be_referred_to(make: Make) -> None:
    log = make()
    append(log, draft("a", kind="private", to="bob"))
    assert isinstance(refer(log, "edit", 1, "b"), Committed)
    assert entry(log, 1).draft.content == "b"


@pytest.mark.parametrize("kind", ["edit", "delete"])
def test_only_the_author_or_a_moderator_changes(make: Make, kind: str) -> None:
    log = filled(make, 1)
    assert code(refer(log, kind, 1, "x", author="bob")) == ErrorCode.FORBIDDEN
    assert code(refer(log, kind, 9, "x", author="bob")) == ErrorCode.NO_SUCH_ENTRY
    assert read(log).entries == (Entry(1, "e", draft("1")),)
    assert isinstance(refer(log, kind, 1, author="bob", moderator=True), Committed)


def test_what_is_rejected_leaves_no_key(make: Make) -> None:
    log = filled(make, 1)
    assert code(refer(log, "edit", 2, "x", key="k")) == ErrorCode.NO_SUCH_ENTRY
    assert isinstance(append(log, "b", key="k"), Committed)


def test_a_deleted_entry_keeps_its_place_and_nothing_else(make: Make) -> None:
    log = filled(make, 1)
    refer(log, "edit", 1, "b")
    refer(log, "react", 1, author="bob", emoji="+")
    append(log, "c")
    refer(log, "edit", 4, "d")
    assert isinstance(refer(log, "delete", 1), Committed)
    shown = [(one.draft.kind, one.draft.content, one.erased) for one in read(log).entries]
    assert shown == [
        ("message", "", True),
        ("edit", "", True),
        ("react", "", False),
        ("message", "d", False),
        ("edit", "d", False),
        ("delete", "", False),
    ]
    assert (entry(log, 1).edited, entry(log, 1).reactions) == (None, ())


def test_the_retry_of_what_was_deleted_is_a_duplicate(make: Make) -> None:
    """Of exactly what was said; after the log was opened anew nobody can tell that, and any retry is one."""
    log = make()
    append(log, "a", key="k")
    refer(log, "edit", 1, "b", key="l")
    refer(log, "delete", 1, key="m")

    for made, key in ((draft("other"), "k"), (draft("other", kind="edit", of=1), "l")):
        assert isinstance(append(log, made, key=key), KeyReused)
    assert retried(log, draft("a"), "k") == 1
    assert retried(log, draft("b", kind="edit", of=1), "l") == 2
    assert retried(log, draft("", kind="delete", of=1), "m") == 3
    if log.survives:
        log.reopen(NOW)
        assert retried(log, draft("other"), "k") == 1
        assert retried(log, draft("other", kind="edit", of=1), "l") == 2
    assert isinstance(append(log, "other", key="m"), KeyReused)


def retried(log: Kind, made: Draft, key: str) -> int:
    answer = append(log, made, key=key)
    assert isinstance(answer, Duplicate)
    return answer.seq


def test_the_text_of_an_edit_can_be_deleted_when_its_message_is_trimmed(make: Make) -> None:
    """All edits of that message go, and whoever wrote one of them, or a moderator, may ask for it."""
    log = make(history_limit=5)
    append(log, "a")
    refer(log, "edit", 1, "b", key="k")
    refer(log, "edit", 1, "c")
    assert code(refer(log, "delete", 2)) == ErrorCode.NO_SUCH_ENTRY, "the message is held still"
    for number in range(3):
        append(log, f"{number}")
    assert read(log).first == 2
    assert code(refer(log, "delete", 2, author="bob")) == ErrorCode.FORBIDDEN
    for kind in ("edit", "react"):
        assert code(refer(log, kind, 2, "x", emoji="+")) == ErrorCode.NO_SUCH_ENTRY
    assert isinstance(refer(log, "delete", 3, moderator=True), Committed)
    shown = [(one.draft.kind, one.draft.content, one.erased) for one in read(log).entries]
    assert shown == [("edit", "", True), *(("message", f"{n}", False) for n in range(3)), ("delete", "", False)]
    assert retried(log, draft("b", kind="edit", of=1), "k") == 2
    assert code(refer(log, "delete", 3)) == ErrorCode.NO_SUCH_ENTRY


@pytest.mark.parametrize("other", [{"of": 2}, {"kind": "message"}, {"content": "y"}])
def test_a_key_is_of_all_that_an_entry_says(make: Make, other: dict[str, Any]) -> None:
    log = filled(make, 2)
    edit = draft("x", kind="edit", of=1)
    assert isinstance(append(log, edit, key="k"), Committed)
    assert isinstance(append(log, attrs.evolve(edit, **other), key="k"), KeyReused)


def test_an_edit_may_push_its_target_out(make: Make) -> None:
    log = filled(make, 3, history_limit=3)
    answer = refer(log, "edit", 1, "x")
    assert isinstance(answer, Committed)
    assert answer.first == 2
    assert [one.draft.content for one in read(log).entries] == ["2", "3", "x"]
    assert code(refer(log, "delete", 1)) == ErrorCode.NO_SUCH_ENTRY
    assert search(log, "x").hits == ()


def test_what_is_too_old_cannot_be_edited(make: Make) -> None:
    log = make(history_days=1)
    append(log)
    append(log, now=later(DAY))
    assert code(refer(log, "edit", 1, "x", now=later(DAY + 1))) == ErrorCode.NO_SUCH_ENTRY


def test_reactions_are_shown_in_the_order_of_their_first_use(make: Make) -> None:
    log = filled(make, 1)
    for author, emoji in (("ann", "+"), ("bob", "-"), ("cat", "+"), ("bob", "+")):
        assert isinstance(refer(log, "react", 1, author=author, emoji=emoji), Committed)
    shown = entry(log, 1).reactions
    assert shown == (Reaction("+", 3, ("ann", "cat", "bob")), Reaction("-", 1, ("bob",)))
    refer(log, "react", 1, author="ann", emoji="+", remove=True)
    assert entry(log, 1).reactions[0] == Reaction("+", 2, ("cat", "bob"))
    for author in ("cat", "bob"):
        refer(log, "react", 1, author=author, emoji="+", remove=True)
    refer(log, "react", 1, author="ann", emoji="+")
    assert entry(log, 1).reactions == (Reaction("-", 1, ("bob",)), Reaction("+", 1, ("ann",)))
    assert entry(log, 2).reactions == ()


def test_the_same_reaction_is_a_duplicate_and_one_that_is_not_there_cannot_go(make: Make) -> None:
    log = filled(make, 1)
    assert code(refer(log, "react", 1, emoji="+", remove=True)) == ErrorCode.NO_SUCH_ENTRY
    refer(log, "react", 1, emoji="+")
    again = refer(log, "react", 1, emoji="+")
    assert isinstance(again, Duplicate)
    assert again.seq == 2
    assert code(refer(log, "react", 1, author="bob", emoji="+", remove=True)) == ErrorCode.NO_SUCH_ENTRY
    assert isinstance(refer(log, "react", 1, emoji="+", remove=True), Committed)
    assert isinstance(refer(log, "react", 1, emoji="+"), Committed)
    assert seqs(read(log)) == [1, 2, 3, 4]


def test_there_are_so_many_different_reactions(make: Make) -> None:
    log = filled(make, 1)
    for number in range(MAX_EMOJI):
        assert isinstance(refer(log, "react", 1, emoji=f"{number}"), Committed)
    assert code(refer(log, "react", 1, emoji="x")) == ErrorCode.TOO_LARGE
    assert isinstance(refer(log, "react", 1, author="bob", emoji="0"), Committed)
    refer(log, "react", 1, emoji="5", remove=True)
    assert isinstance(refer(log, "react", 1, emoji="x"), Committed)


def test_so_many_names_are_shown_and_the_rest_counted(make: Make) -> None:
    log = filled(make, 1)
    for number in range(SHOWN_USERS + 3):
        refer(log, "react", 1, author=f"user {number}", emoji="+")
    (shown,) = entry(log, 1).reactions
    assert (shown.count, shown.users) == (SHOWN_USERS + 3, tuple(f"user {number}" for number in range(SHOWN_USERS)))


def test_reactions_take_so_many_bytes_of_a_frame(make: Make) -> None:
    log = filled(make, 1)
    size = REACTIONS_BYTES // 11
    names = [f"{number}".ljust(size - 2, "x") + "é" for number in range(5)]
    for emoji in "abc":
        for name in names:
            refer(log, "react", 1, author=name, emoji=emoji)
    shown = entry(log, 1).reactions
    assert [(one.count, len(one.users)) for one in shown] == [(5, 5), (5, 5), (5, 0)]
    assert REACTIONS_BYTES - size < written(shown) <= REACTIONS_BYTES
    refer(log, "react", 1, author=names[0], emoji="a", remove=True)
    refer(log, "react", 1, author="y" * (size + 1), emoji="a")
    assert [len(one.users) for one in entry(log, 1).reactions] == [5, 5, 0]
    refer(log, "react", 1, author=names[1], emoji="a", remove=True)
    refer(log, "react", 1, author="y" * (2 * size), emoji="a")
    assert [len(one.users) for one in entry(log, 1).reactions] == [5, 4, 0]


def written(shown: tuple[Reaction, ...]) -> int:
    """Bytes of the field as JSON."""
    field = {one.emoji: {"count": one.count, "users": one.users} for one in shown}
    return len(json.dumps({"reactions": field}, ensure_ascii=False, separators=(",", ":")).encode())


def test_most_and_longest_reactions_fit(make: Make) -> None:
    log = filled(make, 1)
    for number in range(MAX_EMOJI):
        for user in range(10):
            refer(log, "react", 1, author=f"{user}" + "𐐀" * 31, emoji=chr(0x1F600 + number) * 16)
    shown = entry(log, 1).reactions
    assert [one.count for one in shown] == [10] * MAX_EMOJI
    assert written(shown) <= REACTIONS_BYTES


def test_an_entry_takes_the_bytes_of_its_last_edit(make: Make) -> None:
    log = filled(make, 2)
    refer(log, "edit", 1, "x" * 50)
    sizes = [one.draft.size for one in read(log).entries]
    assert sizes == [150, 101, 150]
    assert seqs(read(log, after=0, max_bytes=250)) == [1]
    assert seqs(read(log, after=0, max_bytes=251)) == [1, 2]


def test_a_deleted_entry_takes_the_bytes_of_its_delete(make: Make) -> None:
    log = make()
    append(log, "x" * 300)
    refer(log, "edit", 1, "y" * 200)
    refer(log, "delete", 1)
    assert [one.draft.size for one in read(log).entries] == [100, 100, 100]
    assert seqs(read(log, after=0, max_bytes=300)) == [1, 2, 3]


def test_a_search_counts_the_bytes_of_reactions(make: Make) -> None:
    log = make()
    for _ in range(2):
        append(log, "a")
    refer(log, "react", 2, emoji="+")
    assert len(search(log, "a", max_bytes=201 + REACTIONS_BYTES).hits) == 1
    assert len(search(log, "a", max_bytes=202 + REACTIONS_BYTES).hits) == 2
    assert search(log, "").hits == ()


def test_reactions_take_bytes_of_a_page(make: Make) -> None:
    log = filled(make, 2)
    refer(log, "react", 2, emoji="+")
    assert seqs(read(log, after=0, max_bytes=201 + REACTIONS_BYTES)) == [1]
    assert seqs(read(log, after=0, max_bytes=202 + REACTIONS_BYTES)) == [1, 2]
    assert len(search(log, "1").hits) == 1


def test_a_topic_is_an_entry(make: Make) -> None:
    log = make()
    topic = draft("about", kind="topic")
    assert isinstance(append(log, topic), Committed)
    assert read(log).entries == (Entry(1, "e", topic),)
    assert search(log, "about").hits == ()


def test_a_new_room_knows_nothing_of_the_old_one_s_reactions(make: Make) -> None:
    log = filled(make, 1)
    refer(log, "react", 1, emoji="+")
    log.forget(Forget("lobby", "e"))
    append(log, epoch="f")
    assert read(log, epoch="f").entries == (Entry(1, "f", draft("a")),)
