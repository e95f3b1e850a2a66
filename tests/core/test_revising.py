"""Edits, deletions, reactions and topics: who may, what becomes of them, and what the log says to them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept
from trio_chat.core.codec import encode
from trio_chat.core.effects import Append, Deliver, Failed, Keep, KeyReused, Rejected, Stale
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import (
    Ack,
    Deleted,
    Edited,
    Error,
    Event,
    HistoryPage,
    Posted,
    PrivatePosted,
    Reacted,
    System,
)
from trio_chat.core.messages import (
    Command,
    Connect,
    Delete,
    Edit,
    GetHistory,
    Join,
    Leave,
    ListRooms,
    Message,
    Private,
    React,
    Resume,
    SetTopic,
)
from trio_chat.log import MAX_EMOJI

WHEN = "2026-01-01T00:00:00.000Z"
CHANGES = [
    Edit(room="den", seq=1, content="x", id=1),
    Delete(room="den", seq=1, id=1),
    React(room="den", seq=1, emoji="+", id=1),
]


def den(**options: Any) -> tuple[Driver, Client, Client]:
    """Alice owns the den, where she said "hi" and bob said "ho"."""
    driver = Driver(messages_burst=1000, **options)
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Message(content="hi", room="den"))
    bob.send(Message(content="ho", room="den"))
    return driver, alice, bob


def shown(client: Client, room: str = "den") -> list[Event]:
    """The history of a room."""
    page = client.send(GetHistory(room=room, limit=200))[-1]
    assert isinstance(page, HistoryPage)
    return page.entries


def error_text(code: str) -> str:
    return next(known.text for known in ErrorCode if known.value == code)


def nothing_happened(driver: Driver, start: int) -> bool:
    return not any(isinstance(effect, Append | Deliver | Keep) for effect in driver.effects[start:])


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


class TestConversation:
    def talk(self) -> tuple[Driver, Client, Client]:
        driver = Driver()
        alice, bob = driver.connect("Alice"), driver.connect("bob")
        alice.send(Private(to="bob", content="psst"))
        return driver, alice, bob

    def test_each_side_sees_its_own_name_of_the_room(self) -> None:
        driver, alice, bob = self.talk()
        for number, command in enumerate(
            (
                Edit(room="@BOB", seq=1, content="shh", id=1),
                React(room="@bob", seq=1, emoji="+", id=1),
                Delete(room="@bob", seq=1, id=1),
            ),
            2,
        ):
            alice.news()
            bob.news()
            ack, own = alice.send(command)
            assert ack == Ack(id=1, seq=number, room="@bob", epoch="boot-2")
            (other,) = bob.news()
            assert isinstance(own, Edited | Reacted | Deleted)
            assert isinstance(other, Edited | Reacted | Deleted)
            assert (own.room, other.room) == ("@bob", "@Alice")
            assert (own.seq, own.of, own.sender) == (other.seq, other.of, other.sender) == (number, 1, "Alice")
        for client, called in ((alice, "@bob"), (bob, "@Alice")):
            entries = shown(client, called)
            assert [getattr(entry, "room", None) for entry in entries] == [called] * 4
        bob.drop()
        alice.send(Private(to="bob", content="2"))
        alice.send(Edit(room="@bob", seq=5, content="two"))
        back = driver.resume(bob)
        (edited,) = back.of(Edited)
        assert edited.room == "@Alice"
        assert [private.content for private in back.of(PrivatePosted)] == ["two"]

    def test_nobody_moderates_the_other(self) -> None:
        _, _, bob = self.talk()
        assert bob.refused(Edit(room="@alice", seq=1, content="x", id=1)).code == "forbidden"
        assert bob.refused(Delete(room="@alice", seq=1, id=1)).code == "forbidden"
        assert bob.done(React(room="@alice", seq=1, emoji="+", id=1)).room == "@Alice"

    def test_while_the_other_is_away(self) -> None:
        driver, alice, bob = self.talk()
        bob.drop()
        start = len(driver.effects)
        assert alice.done(Edit(room="@bob", seq=1, content="x", id=1)).seq == 2
        (delivered,) = [effect for effect in driver.effects[start:] if isinstance(effect, Deliver)]
        assert delivered.conns == (alice.conn,)
        assert [edited.room for edited in driver.resume(bob).of(Edited)] == ["@Alice"]

    def test_ended_before_the_log_answered(self) -> None:
        driver, alice, bob = self.talk()
        driver.held = True
        alice.send(Edit(room="@bob", seq=1, content="x", id=1))
        alice.send(Delete(room="@bob", seq=1, id=2))
        bob.drop(1000)
        alice.news()
        driver.answer(lambda request: Rejected(request, ErrorCode.NO_SUCH_ENTRY))
        driver.release()
        error, ack = alice.news()
        assert isinstance(error, Error)
        assert (error.id, error.code) == (1, "no_such_entry")
        assert isinstance(ack, Ack | Error)
        assert ack.id == 2


class TestTopic:
    def test_owner_sets_it_and_all_hear_it(self) -> None:
        driver, alice, bob = den()
        alice.news()
        bob.news()
        told = System(
            event="topic",
            content="alice set the topic: tea",
            timestamp=WHEN,
            room="den",
            seq=3,
            by="alice",
            topic="tea",
        )
        assert alice.send(SetTopic(room="Den", topic="tea", id=1)) == [
            Ack(id=1, seq=3, room="den", epoch="boot-2"),
            told,
        ]
        assert bob.news() == [told]
        assert shown(bob)[-1] == told
        assert self.topic(bob) == "tea"
        check_kept(driver)
        alice.send(SetTopic(room="den", topic=""))
        assert bob.of(System)[-1].topic == ""
        assert self.topic(bob) is None
        check_kept(driver)

    @staticmethod
    def topic(client: Client) -> str | None:
        listed = client.send(ListRooms())[-1]
        return next(room.get("topic") for room in listed.rooms if room["room"] == "den")  # type: ignore[attr-defined,no-any-return]

    @pytest.mark.parametrize(
        ("room", "code"),
        [
            ("den", "forbidden"),
            ("general", "forbidden"),
            ("attic", "not_in_room"),
            ("nowhere", "no_such_room"),
            ("#", "bad_room"),
            ("@alice", "bad_room"),
            ("@nobody", "bad_room"),
        ],
    )
    def test_refusals(self, room: str, code: str) -> None:
        driver, alice, bob = den()
        alice.send(Join(room="attic"))
        alice.send(Private(to="bob", content="psst"))
        start = len(driver.effects)
        assert bob.refused(SetTopic(room=room, topic="tea", id=1)).code == code
        assert nothing_happened(driver, start)
        assert self.topic(bob) is None

    def test_is_set_when_it_is_committed_and_not_before(self) -> None:
        driver, alice, _ = den()
        driver.held = True
        alice.send(SetTopic(room="den", topic="tea", id=1))
        alice.send(SetTopic(room="den", topic="coffee", id=2))
        assert self.topic(alice) is None
        driver.answer(Failed)
        assert self.topic(alice) is None
        driver.release()
        assert self.topic(alice) == "coffee"
        check_kept(driver)

    def test_two_at_once(self) -> None:
        driver, alice, bob = den()
        driver.held = True
        alice.send(SetTopic(room="den", topic="tea", id=1))
        alice.send(SetTopic(room="den", topic="coffee", id=2))
        driver.release()
        assert [told.topic for told in bob.events("topic")] == ["tea", "coffee"]
        assert self.topic(bob) == "coffee"
        check_kept(driver)

    def test_of_who_left_meanwhile_is_set_all_the_same(self) -> None:
        """The log took it; who left hears only that it did."""
        driver, alice, bob = den()
        driver.held = True
        alice.send(SetTopic(room="den", topic="tea", id=1))
        alice.send(Leave(room="den", id=2))
        alice.news()
        driver.release()
        assert alice.news() == [Ack(id=1, seq=3, room="den", epoch="boot-2")]
        assert self.topic(bob) == "tea"
        assert bob.done(SetTopic(room="den", topic="coffee", id=3)).seq == 4
        check_kept(driver)

    def test_as_the_first_entry_of_a_room_that_all_left(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Join(room="den"))
        driver.held = True
        alice.send(SetTopic(room="den", topic="tea"))
        alice.send(Leave(room="den"))
        check_kept(driver)
        driver.release()
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.topic, room.owner, room.last) == ("tea", "", 1)
        check_kept(driver)

    def test_is_no_owner_s_who_came_second_and_lost_the_first(self) -> None:
        _, alice, bob = den()
        alice.drop(1000)
        assert bob.done(SetTopic(room="den", topic="mine", id=1)).seq == 3


@pytest.mark.parametrize("command", [*CHANGES, SetTopic(room="den", topic="tea", id=1)])
class TestAnswersOfTheLog:
    @pytest.mark.parametrize(
        ("make", "code", "retry_after"),
        [
            (Stale, "unavailable", 1.0),
            (lambda request: Failed(request, 2.5), "unavailable", 2.5),
            (lambda request: Rejected(request, ErrorCode.FORBIDDEN), "forbidden", None),
            (lambda request: Rejected(request, ErrorCode.TOO_LARGE, "so it is"), "too_large", None),
            (KeyReused, "key_reused", None),
        ],
    )
    def test_no(self, command: Command, make: Any, code: str, retry_after: float | None) -> None:
        driver, alice, bob = den()
        driver.held = True
        alice.news()
        bob.news()
        assert alice.send(command) == []
        driver.answer(make)
        (error,) = alice.news()
        assert isinstance(error, Error)
        assert (error.id, error.code, error.retry_after) == (1, code, retry_after)
        assert error.content == ("so it is" if code == "too_large" else error_text(code))
        assert bob.news() == []
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.pending, room.last, room.topic) == (0, 2, "")
        check_kept(driver)

    def test_who_asked_is_gone(self, command: Command) -> None:
        driver, alice, bob = den()
        driver.held = True
        alice.send(command)
        alice.drop()
        bob.news()
        driver.release()
        assert [type(event) for event in bob.news()] in ([Edited], [Deleted], [Reacted], [System])
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.pending, room.last) == (0, 3)
        driver.held = True
        bob.send(Message(content="x", room="den"))
        bob.drop()
        driver.answer(lambda request: Rejected(request, ErrorCode.FORBIDDEN))
        assert room.pending == 0

    def test_who_left_meanwhile_hears_the_ack_and_nothing_of_the_room(self, command: Command) -> None:
        driver, alice, _ = den()
        driver.held = True
        alice.send(command)
        alice.send(Leave(room="den", id=2))
        alice.news()
        driver.release()
        assert alice.news() == [Ack(id=1, seq=3, room="den", epoch="boot-2")]

    def test_whoever_is_being_replayed_to_gets_it_in_its_order(self, command: Command) -> None:
        driver, alice, bob = den()
        bob.drop()
        alice.send(Message(content="3", room="den"))
        back = driver.open()
        driver.full.add(back.conn)
        back.send(Connect(resume=Resume(session=bob.session)))
        alice.send(command)
        assert back.of(Posted) == []
        driver.drained(back)
        assert [event.seq for event in back.all if getattr(event, "seq", None)] == [3, 4]  # type: ignore[attr-defined]
