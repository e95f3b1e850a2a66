"""Edits, deletions and reactions: who may, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.driver import Driver
from tests.core.scenes import WHEN, den, nothing_happened, shown
from trio_chat.core.codec import encode
from trio_chat.core.events import (
    Ack,
    Deleted,
    Edited,
    Error,
    Posted,
    Reacted,
)
from trio_chat.core.messages import (
    Command,
    Delete,
    Edit,
    GetHistory,
    Join,
    Leave,
    Message,
    React,
    SetTopic,
)
from trio_chat.log import MAX_EMOJI

CHANGES = [
    Edit(room="den", seq=1, content="x", id=1),
    Delete(room="den", seq=1, id=1),
    React(room="den", seq=1, emoji="+", id=1),
]


class TestEdit:
    def test_ack_then_own_copy_and_all_hear_it(self) -> None:
        _driver, alice, bob = den()
        alice.news()
        bob.news()
        edited = Edited(room="den", seq=3, of=1, content="hey", sender="alice", timestamp=WHEN)
        assert alice.send(Edit(room="DEN", seq=1, content="hey", id=1)) == [
            Ack(id=1, seq=3, room="den", epoch="boot-2"),
            edited,
        ]
        assert bob.news() == [edited]

    def test_history_and_replay_show_the_last_content_and_when(self) -> None:
        driver, alice, bob = den()
        bob.drop()
        driver.advance(1)
        alice.send(Edit(room="den", seq=1, content="a"))
        driver.advance(1)
        alice.send(Edit(room="den", seq=1, content="b"))
        first, _, one, two = shown(alice)
        assert first == Posted(
            content="b", sender="alice", room="den", timestamp=WHEN, seq=1, edited="2026-01-01T00:00:02.000Z"
        )
        assert isinstance(one, Edited)
        assert isinstance(two, Edited)
        assert [(edit.seq, edit.of, edit.content) for edit in (one, two)] == [(3, 1, "a"), (4, 1, "b")]
        assert driver.resume(bob).of(Edited) == [one, two]

    def test_moderator_edits_what_others_wrote_and_stays_the_sender_of_the_edit(self) -> None:
        _, alice, _ = den()
        assert alice.done(Edit(room="den", seq=2, content="x", id=1)).seq == 3
        posted = shown(alice)[1]
        assert isinstance(posted, Posted)
        assert (posted.content, posted.sender) == ("x", "bob")
        assert alice.of(Edited)[-1].sender == "alice"

    @pytest.mark.parametrize("command", CHANGES[:2])
    def test_forbidden_for_others(self, command: Command) -> None:
        _driver, alice, bob = den()
        before = shown(alice)
        assert bob.refused(command).code == "forbidden"
        assert alice.send(GetHistory(room="den"))[0].entries == before  # type: ignore[attr-defined]

    def test_general_has_no_moderator(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        bob.send(Message(content="hi"))
        assert alice.refused(Edit(room="general", seq=1, content="x", id=1)).code == "forbidden"
        assert alice.refused(Delete(room="general", seq=1, id=1)).code == "forbidden"
        assert bob.done(Delete(room="general", seq=1, id=1)).seq == 2

    def test_author_is_a_user_not_a_name(self) -> None:
        driver, _alice, bob = den()
        bob.drop(1000)
        bob = driver.connect("bob")
        bob.send(Join(room="den"))
        assert bob.refused(Edit(room="den", seq=2, content="x", id=1)).code == "forbidden"

    def test_the_successor_is_the_moderator(self) -> None:
        _, alice, bob = den()
        alice.send(Leave(room="den"))
        assert bob.done(Delete(room="den", seq=1, id=1)).seq == 3
        alice.send(Join(room="den"))
        assert alice.refused(Delete(room="den", seq=2, id=1)).code == "forbidden"

    @pytest.mark.parametrize("seq", [3, 10**15])
    @pytest.mark.parametrize("make", [Edit, Delete, React])
    def test_no_such_entry(self, make: Any, seq: int) -> None:
        driver, alice, _ = den()
        start = len(driver.effects)
        fields = {Edit: {"content": "x"}, React: {"emoji": "+"}}.get(make, {})
        assert alice.refused(make(room="den", seq=seq, id=1, **fields)).code == "no_such_entry"
        assert nothing_happened(driver, start)

    @pytest.mark.parametrize("command", CHANGES)
    def test_what_is_trimmed_is_no_entry(self, command: Command) -> None:
        driver, alice, _ = den(history_limit=2)
        alice.send(Message(content="3", room="den"))
        start = len(driver.effects)
        assert alice.refused(command).code == "no_such_entry"
        assert nothing_happened(driver, start)

    def test_an_entry_that_is_no_message(self) -> None:
        _, alice, _ = den()
        for command in CHANGES:
            alice.send(command)
        alice.send(SetTopic(room="den", topic="tea"))
        for seq in (1, 3, 4, 6):
            assert alice.refused(Edit(room="den", seq=seq, content="x", id=1)).code == "no_such_entry", seq
            assert alice.refused(Delete(room="den", seq=seq, id=1)).code == "no_such_entry", seq
            assert alice.refused(React(room="den", seq=seq, emoji="+", id=1)).code == "no_such_entry", seq

    @pytest.mark.parametrize(
        ("room", "code"),
        [
            ("attic", "not_in_room"),
            ("nowhere", "no_such_room"),
            ("#", "bad_room"),
            ("", "bad_room"),
            ("@alice", "bad_room"),
            ("@nobody", "no_such_user"),
            ("@", "no_such_user"),
            ("@bob", "no_such_room"),
        ],
    )
    def test_where_one_is_not(self, room: str, code: str) -> None:
        driver, alice, bob = den()
        bob.send(Message(content="1", room="attic"))
        start = len(driver.effects)
        for command in (
            Edit(room=room, seq=1, content="x", id=1),
            Delete(room=room, seq=1, id="two"),
            React(room=room, seq=1, emoji="+", id=3),
        ):
            assert alice.refused(command).code == code
        assert nothing_happened(driver, start)

    def test_without_id(self) -> None:
        _, alice, bob = den()
        alice.news()
        assert [type(event) for event in alice.send(Edit(room="den", seq=1, content="x"))] == [Edited]
        bob.news()
        (error,) = bob.send(Edit(room="den", seq=1, content="y"))
        assert isinstance(error, Error)
        assert (error.code, error.id) == ("forbidden", None)


class TestDelete:
    def test_the_content_is_gone_everywhere(self) -> None:
        driver, alice, bob = den()
        alice.send(Edit(room="den", seq=1, content="secret one"))
        alice.send(Edit(room="den", seq=1, content="secret two"))
        bob.drop()
        bob = driver.resume(bob)
        bob.news()
        alice.news()
        deleted = Deleted(room="den", seq=5, of=1, sender="alice", timestamp=WHEN)
        assert alice.send(Delete(room="den", seq=1, id=1)) == [Ack(id=1, seq=5, room="den", epoch="boot-2"), deleted]
        assert bob.news() == [deleted]
        assert shown(alice) == [
            Deleted(room="den", seq=1, of=1, sender="alice", timestamp=WHEN),
            Posted(content="ho", sender="bob", room="den", timestamp=WHEN, seq=2),
            Edited(room="den", seq=3, of=1, sender="alice", timestamp=WHEN),
            Edited(room="den", seq=4, of=1, sender="alice", timestamp=WHEN),
            deleted,
        ]

    def test_replay_shows_it_in_its_place(self) -> None:
        driver, alice, bob = den()
        bob.drop()
        alice.send(Message(content="secret", room="den"))
        alice.send(Delete(room="den", seq=3))
        back = driver.resume(bob)
        assert [encode(event) for event in back.of(Deleted)] == [
            encode(Deleted(room="den", seq=3, of=3, sender="alice", timestamp=WHEN)),
            encode(Deleted(room="den", seq=4, of=3, sender="alice", timestamp=WHEN)),
        ]
        assert b"secret" not in b"".join(map(encode, back.all))

    def test_reactions_go_with_it(self) -> None:
        _, alice, bob = den()
        bob.send(React(room="den", seq=1, emoji="+"))
        alice.send(Delete(room="den", seq=1))
        first, _, reacted, _ = shown(alice)
        assert isinstance(first, Deleted)
        assert isinstance(reacted, Reacted)
        assert bob.refused(React(room="den", seq=1, emoji="+", remove=True, id=1)).code == "no_such_entry"


class TestReact:
    def test_anybody_may_and_all_hear_it(self) -> None:
        _, alice, bob = den()
        alice.news()
        bob.news()
        reacted = Reacted(room="den", seq=3, of=1, emoji="👍🏽", sender="bob", timestamp=WHEN)
        assert bob.send(React(room="den", seq=1, emoji="👍🏽", id=1)) == [
            Ack(id=1, seq=3, room="den", epoch="boot-2"),
            reacted,
        ]
        assert alice.news() == [reacted]
        alice.send(React(room="den", seq=1, emoji="👍🏽"))
        alice.send(React(room="den", seq=1, emoji="!"))
        posted = shown(bob)[0]
        assert isinstance(posted, Posted)
        assert posted.reactions == {
            "👍🏽": {"count": 2, "users": ["bob", "alice"]},
            "!": {"count": 1, "users": ["alice"]},
        }
        assert posted.edited is None

    def test_again_is_acked_with_the_first_and_told_to_nobody(self) -> None:
        _, alice, bob = den()
        bob.send(React(room="den", seq=1, emoji="+"))
        alice.news()
        bob.news()
        assert bob.send(React(room="den", seq=1, emoji="+", id=1)) == [Ack(id=1, seq=3, room="den", epoch="boot-2")]
        assert alice.news() == []
        assert len(shown(bob)) == 3

    def test_taken_back(self) -> None:
        _, alice, bob = den()
        assert bob.refused(React(room="den", seq=1, emoji="+", remove=True, id=1)).code == "no_such_entry"
        bob.send(React(room="den", seq=1, emoji="+"))
        assert alice.refused(React(room="den", seq=1, emoji="+", remove=True, id=1)).code == "no_such_entry"
        bob.news()
        ack, removed = bob.send(React(room="den", seq=1, emoji="+", remove=True, id=2))
        assert isinstance(ack, Ack)
        assert removed == Reacted(room="den", seq=4, of=1, emoji="+", remove=True, sender="bob", timestamp=WHEN)
        posted = shown(alice)[0]
        assert isinstance(posted, Posted)
        assert posted.reactions is None

    def test_too_many_different_ones(self) -> None:
        _, alice, bob = den()
        for number in range(MAX_EMOJI):
            assert alice.done(React(room="den", seq=1, emoji=f"{number}", id=1)).seq == number + 3
        assert bob.refused(React(room="den", seq=1, emoji="x", id=1)).code == "too_large"
        assert bob.done(React(room="den", seq=1, emoji="7", id=1)).seq == MAX_EMOJI + 3
