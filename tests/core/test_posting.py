"""Saying something: messages, privates, typing, and what the log answers."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept
from trio_chat.core.effects import (
    Answer,
    Append,
    Committed,
    Duplicate,
    Entry,
    Failed,
    Forget,
    KeyReused,
    Reply,
    Stale,
)
from trio_chat.core.events import Ack, Error, Pong, Posted, PrivatePosted, TypingShown
from trio_chat.core.messages import Command, Edit, GetHistory, Join, Leave, Message, Ping, Private, SetTopic, Typing
from trio_chat.core.posting import TYPING_TARGETS


def pair(**options: float) -> tuple[Driver, Client, Client]:
    driver = Driver(**options)
    return driver, driver.connect("alice"), driver.connect("bob")


COMMANDS_OF_A_ROOM = [
    Message(content="1", room="den", id=1),
    Edit(room="den", seq=1, content="1", id=1),
    SetTopic(room="den", topic="tea", id=1),
]
ANSWERS: list[Callable[[Append], Answer]] = [
    lambda request: Committed(request, Entry(2, request.epoch, request.draft), 1),
    lambda request: Duplicate(request, 2),
    KeyReused,
    Stale,
    Failed,
]


class TestMessage:
    def test_ack_comes_before_one_s_own_copy(self) -> None:
        _driver, alice, bob = pair()
        ack, own = alice.send(Message(content="hi", id=1))[-2:]
        assert ack == Ack(id=1, seq=1, room="general", epoch="boot-1")
        assert own == Posted(content="hi", sender="alice", room="general", timestamp="2026-01-01T00:00:00.000Z", seq=1)
        assert bob.of(Posted) == [own]

    def test_without_id_there_is_no_ack(self) -> None:
        _, alice, _ = pair()
        assert [type(event) for event in alice.send(Message(content="hi"))[-1:]] == [Posted]
        assert alice.of(Ack) == []

    def test_joins_and_creates_the_room(self) -> None:
        _, alice, bob = pair()
        alice.send(Message(content="1", room="Den"))
        assert alice.events("room_created")[0].room == "Den"
        bob.send(Message(content="2", room="den"))
        assert bob.events("room_created") == []
        assert bob.of(Posted)[0].room == "Den"
        assert alice.contents == ["1", "2"]

    @pytest.mark.parametrize("room", ["@bob", "@", "#", "", "a" * 33])
    def test_bad_room(self, room: str) -> None:
        _, alice, _ = pair()
        assert alice.refused(Message(content="a", room=room, id=1)).code == "bad_room"

    def test_reply_to(self) -> None:
        _driver, alice, _ = pair(history_limit=2)
        for content in "123":
            alice.send(Message(content=content))
        assert alice.refused(Message(content="a", reply_to=1, id=1)).code == "no_such_entry"
        assert alice.refused(Message(content="a", reply_to=4, id=2)).code == "no_such_entry"
        alice.send(Message(content="a", reply_to=3))
        assert alice.of(Posted)[-1].reply_to == 3

    def test_reply_in_a_room_that_one_is_not_in(self) -> None:
        driver, alice, bob = pair()
        alice.send(Message(content="1", room="den"))
        assert bob.refused(Message(content="a", room="den", reply_to=2, id=1)).code == "no_such_entry"
        assert bob.refused(Message(content="a", room="attic", reply_to=1, id=2)).code == "no_such_entry"
        assert driver.state.chat.rooms.get("attic") is None
        assert bob.refused(Leave(room="den")).code == "not_in_room"
        bob.send(Message(content="a", room="den", reply_to=1))
        assert alice.of(Posted)[-1].reply_to == 1

    def test_key_is_appended_once(self) -> None:
        _, alice, bob = pair(dedupe_window=60)
        alice.send(Message(content="a", key="k", id=1))
        alice.news()
        assert alice.send(Message(content="a", key="k", id=2)) == [Ack(id=2, seq=1, room="general", epoch="boot-1")]
        assert alice.send(Message(content="a", key="k")) == []
        assert alice.refused(Message(content="b", key="k", id=3)).code == "key_reused"
        bob.send(Message(content="b", key="k"))
        assert alice.contents == ["a", "b"]

    def test_key_survives_a_resume(self) -> None:
        driver, alice, bob = pair()
        alice.send(Message(content="a", key="k"))
        alice.drop()
        back = driver.resume(alice)
        assert back.done(Message(content="a", key="k", id=1)).seq == 1
        assert bob.contents == ["a"]

    def test_left_before_the_log_answered(self) -> None:
        """The message counts, the one who left does not hear of it any longer."""
        driver, alice, bob = pair()
        for client in (alice, bob):
            client.send(Join(room="den"))
        driver.held = True
        alice.send(Message(content="a", room="den", id=1))
        alice.send(Leave(room="den"))
        alice.news()
        driver.release()
        assert alice.news() == [Ack(id=1, seq=1, room="den", epoch="boot-2")]
        assert bob.contents == ["a"]

    def test_gone_before_the_log_answered(self) -> None:
        driver, alice, bob = pair()
        driver.held = True
        alice.send(Message(content="a", id=1))
        alice.send(Message(content="b", id=2))
        alice.drop(1000)
        driver.answer(Failed)
        driver.release()
        assert alice.of(Ack) == []
        assert bob.contents == ["b"]

    def test_room_is_closed_when_the_only_entry_failed(self) -> None:
        driver, alice, _ = pair()
        driver.held = True
        alice.send(Message(content="a", room="den", id=1))
        alice.send(Leave(room="den"))
        driver.answer(lambda request: Failed(request, 7.0))
        error = alice.all[-1]
        assert isinstance(error, Error)
        assert (error.code, error.id, error.retry_after) == ("unavailable", 1, 7.0)
        assert driver.state.chat.rooms.get("den") is None

    @pytest.mark.parametrize("command", COMMANDS_OF_A_ROOM)
    @pytest.mark.parametrize("make", ANSWERS)
    def test_answer_to_a_room_of_before_leaves_the_new_one_alone(
        self, command: Command, make: Callable[[Append], Answer]
    ) -> None:
        """The room was closed, and made anew in another epoch."""
        driver, alice, bob = pair()
        alice.send(Message(content="0", room="den"))
        driver.held = True
        alice.send(command)
        first = driver.state.chat.rooms.get("den")
        assert first is not None
        alice.send(Leave(room="den"))
        driver.state.chat.rooms.close(first)
        driver.log.forget(Forget("den", first.epoch))
        bob.send(Message(content="new", room="den"))
        bob.send(SetTopic(room="den", topic="tea"))
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert room.epoch != first.epoch
        before = attrs.asdict(room, recurse=False)
        bob.news()
        (reply,) = driver.answer(make)
        assert isinstance(reply, Reply)
        assert reply.conn == alice.conn
        if isinstance(reply.event, Ack):
            assert reply.event == Ack(id=1, seq=2, room="den", epoch=first.epoch)
        else:
            assert isinstance(reply.event, Error)
            assert reply.event.id == 1
        assert attrs.asdict(room, recurse=False) == before
        driver.release()
        assert bob.contents == ["new"]
        assert (room.pending, room.last, room.settings.topic) == (0, 2, "tea")
        check_kept(driver)


class TestPrivate:
    def test_a_copy_and_an_echo(self) -> None:
        _, alice, bob = pair()
        ack, echo = alice.send(Private(to="BOB", content="psst", id=1))[-2:]
        assert isinstance(echo, PrivatePosted)
        assert ack == Ack(id=1, seq=1, room="@bob", epoch=echo.epoch)
        assert (echo.from_, echo.sender, echo.to, echo.content, echo.seq) == ("alice", "alice", "bob", "psst", 1)
        assert bob.of(PrivatePosted) == alice.of(PrivatePosted) == [echo]

    def test_both_share_one_order(self) -> None:
        driver, alice, bob = pair()
        carol = driver.connect("carol")
        for sender, to in ((alice, "bob"), (bob, "alice"), (alice, "carol"), (bob, "alice")):
            sender.send(Private(to=to, content="x"))
        assert [event.seq for event in bob.of(PrivatePosted)] == [1, 2, 3]
        assert [event.seq for event in carol.of(PrivatePosted)] == [1]

    @pytest.mark.parametrize(
        ("to", "code"),
        [
            ("alice", "bad_room"),
            ("ALICE", "bad_room"),
            ("nobody", "no_such_user"),
            ("@bob", "no_such_user"),
            ("", "no_such_user"),
        ],
    )
    def test_refusals(self, to: str, code: str) -> None:
        _, alice, _ = pair()
        assert alice.refused(Private(to=to, content="a", id=1)).code == code

    def test_reply_to(self) -> None:
        driver, alice, bob = pair()
        assert alice.refused(Private(to="bob", content="a", reply_to=1, id=1)).code == "no_such_entry"
        assert not driver.state.chat.people.by_name["alice"].talks
        alice.send(Private(to="bob", content="a"))
        bob.send(Private(to="alice", content="b", reply_to=1))
        assert alice.of(PrivatePosted)[-1].reply_to == 1

    def test_key(self) -> None:
        _, alice, bob = pair()
        alice.send(Private(to="bob", content="a", key="k"))
        alice.news()
        assert alice.send(Private(to="bob", content="a", key="k", id=1))[0] == Ack(
            id=1, seq=1, room="@bob", epoch="boot-2"
        )
        assert alice.refused(Private(to="bob", content="b", key="k", id=2)).code == "key_reused"
        assert len(bob.of(PrivatePosted)) == 1

    def test_the_other_ended_before_the_log_answered(self) -> None:
        """The command still has its one answer."""
        driver, alice, bob = pair()
        driver.held = True
        alice.send(Private(to="bob", content="a", id=1))
        alice.send(Private(to="bob", content="b", id=2))
        bob.drop(1000)
        driver.answer(Failed)
        driver.release()
        error, ack = alice.all[-2:]
        assert isinstance(error, Error)
        assert (error.id, error.code) == (1, "unavailable")
        assert isinstance(ack, Ack)
        assert (ack.id, ack.room) == (2, "@bob")


class TestTyping:
    def test_to_the_others_of_a_room(self) -> None:
        driver, alice, bob = pair()
        carol = driver.connect("carol")
        alice.news()
        assert alice.send(Typing(room="General", id=1)) == [Ack(id=1)]
        shown = TypingShown(from_="alice", sender="alice", room="general", isTyping=True)
        assert bob.of(TypingShown) == carol.of(TypingShown) == [shown]
        assert alice.of(TypingShown) == []
        assert not any(isinstance(effect, Append) for effect in driver.effects)

    @pytest.mark.parametrize("command", [Typing(to="Bob", id=1), Typing(room="@Bob", id=1)])
    def test_to_a_user(self, command: Typing) -> None:
        driver, alice, bob = pair()
        carol = driver.connect("carol")
        alice.done(command)
        assert bob.of(TypingShown) == [TypingShown(from_="alice", sender="alice", to="bob", isTyping=True)]
        assert alice.of(TypingShown) == carol.of(TypingShown) == []

    def test_one_a_second_for_each_target_and_a_stop_always(self) -> None:
        driver, alice, bob = pair()
        for _ in range(3):
            alice.done(Typing(room="general", id=1))
        alice.send(Typing(to="bob"))
        assert [shown.room for shown in bob.of(TypingShown)] == ["general", None]
        alice.send(Typing(room="general", isTyping=False))
        alice.send(Typing(room="general", isTyping=False))
        assert len(bob.of(TypingShown)) == 4
        alice.send(Typing(room="general"))
        assert len(bob.of(TypingShown)) == 4
        driver.advance(1)
        alice.send(Typing(room="general"))
        assert len(bob.of(TypingShown)) == 5

    def test_never_more_than_that_however_many_targets(self) -> None:
        driver, alice, bob = pair(messages_burst=1000)
        others = [driver.connect(f"user {number}") for number in range(TYPING_TARGETS + 9)]
        for _ in range(2):
            alice.send(Typing(to="bob"))
            for number in range(len(others)):
                alice.send(Typing(to=f"user {number}"))
        assert len(bob.of(TypingShown)) == 1
        assert all(len(other.of(TypingShown)) <= 1 for other in others)
        driver.advance(1)
        alice.send(Typing(to=f"user {len(others) - 1}"))
        assert len(others[-1].of(TypingShown)) == 1
        user = driver.state.chat.people.by_name["alice"]
        assert len(user.sessions[0].typed) == TYPING_TARGETS

    def test_to_who_is_away(self) -> None:
        _, alice, bob = pair()
        bob.drop()
        acks = alice.done(Typing(to="bob", id=1)), alice.done(Typing(room="general", id=2))
        assert acks == (Ack(id=1), Ack(id=2))

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (Typing(to="alice", id=1), "bad_room"),
            (Typing(room="@alice", id=1), "bad_room"),
            (Typing(to="nobody", id=1), "no_such_user"),
            (Typing(room="attic", id=1), "not_in_room"),
            (Typing(room="nowhere", id=1), "no_such_room"),
            (Typing(room="#", id=1), "bad_room"),
            (GetHistory(room="attic", id=1), "not_in_room"),
            (GetHistory(room="nowhere", id=1), "no_such_room"),
            (GetHistory(room="@alice", id=1), "bad_room"),
            (GetHistory(room="@bob", id=1), "no_such_room"),
            (GetHistory(room="@nobody", id=1), "no_such_user"),
            (GetHistory(room="", id=1), "bad_room"),
        ],
    )
    def test_refusals(self, command: Command, code: str) -> None:
        _, alice, bob = pair()
        bob.send(Join(room="attic"))
        assert alice.refused(command).code == code


def test_ping() -> None:
    _, alice, _ = pair()
    alice.news()
    assert alice.send(Ping(id="p")) == [Pong(timestamp="2026-01-01T00:00:00.000Z", id="p")]
    assert alice.send(Ping()) == [Pong(timestamp="2026-01-01T00:00:00.000Z")]


def test_frames_of_the_largest_contents_fit() -> None:
    """The driver looks at the size of every frame."""
    driver = Driver(max_message_bytes=8192)
    one, other = driver.connect("𐐀" * 32), driver.connect("𐐁" * 31 + "x")
    for content in ("x" * 4094, "\x00" * 682, "😀" * 1023):
        one.send(Message(content=content, room="𐐂" * 32, reply_to=None))
        one.send(Private(to=other.welcome.user, content=content))
        one.send(Message(content=content, room="𐐂" * 32, reply_to=1, id="\x00" * 64))
        one.send(GetHistory(room="𐐂" * 32, id="\x00" * 64))
        one.send(GetHistory(room="@" + other.welcome.user, id="\x00" * 64))
    assert not one.of(Error)
