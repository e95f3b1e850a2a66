"""Blocks: what a user who is blocked writes is for nobody else to see, and nobody says so."""

from __future__ import annotations

import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept, check_sound
from tests.core.scenes import crash, shown
from trio_chat.core import moderating
from trio_chat.core.events import Ack, Deleted, PrivatePosted, SearchResult, TypingShown
from trio_chat.core.messages import (
    Block,
    Delete,
    Edit,
    Find,
    Invite,
    Join,
    Message,
    Private,
    React,
    SetRoom,
    Typing,
    Unblock,
)


def quarrel() -> tuple[Driver, Client, Client]:
    """Alice had a private message of bob's, and blocked him."""
    driver = Driver(messages_burst=1000)
    alice, bob = driver.connect("alice"), driver.connect("bob")
    bob.send(Private(to="alice", content="you!"))
    alice.done(Block(user="Bob", id=1))
    alice.news()
    bob.news()
    return driver, alice, bob


def test_who_is_blocked_notices_nothing() -> None:
    driver, alice, bob = quarrel()
    ack, echo = bob.send(Private(to="alice", content="YOU", id=1))
    assert ack == Ack(id=1, seq=2, room="@alice", epoch="boot-2")
    assert isinstance(echo, PrivatePosted)
    assert echo.content == "YOU"
    assert [event.content for event in shown(bob, "@alice") if isinstance(event, PrivatePosted)] == ["you!", "YOU"]
    assert bob.send(Typing(to="alice", id=2)) == [Ack(id=2)]
    assert not alice.of(TypingShown)
    check_kept(driver)
    check_sound(driver)


def test_the_other_sees_a_place_without_content_and_no_gap() -> None:
    _driver, alice, bob = quarrel()
    bob.send(Private(to="alice", content="YOU"))
    hidden = Deleted(room="@bob", seq=2, of=2, sender="bob", timestamp="2026-01-01T00:00:00.000Z")
    assert alice.news() == [hidden]
    assert shown(alice, "@bob")[-1] == hidden
    for client, found in ((alice, 0), (bob, 1)):
        result = client.send(Find(query="YOU", room="@bob" if client is alice else "@alice", limit=1, id=3))[-1]
        assert isinstance(result, SearchResult)
        assert len(result.hits) == found
        assert result.cursor is not None


def test_a_replay_hides_it_too() -> None:
    driver, alice, bob = quarrel()
    alice.drop()
    bob.send(Private(to="alice", content="YOU"))
    back = driver.resume(alice)
    assert [event.seq for event in back.of(Deleted)] == [2]
    assert not back.of(PrivatePosted)


def test_it_stays_hidden_when_the_block_is_lifted() -> None:
    driver, alice, bob = quarrel()
    bob.send(Private(to="alice", content="YOU"))
    alice.done(Unblock(user="BOB", id=2))
    check_kept(driver)
    bob.send(Private(to="alice", content="sorry"))
    assert alice.of(PrivatePosted)[-1].content == "sorry"
    assert isinstance(shown(alice, "@bob")[1], Deleted)
    assert alice.refused(Unblock(user="bob", id=3)).code == "no_such_user"


def test_an_old_message_cannot_be_made_a_new_one() -> None:
    _driver, alice, bob = quarrel()
    assert bob.refused(Edit(room="@alice", seq=1, content="YOU", id=1)).code == "no_such_entry"
    assert bob.refused(React(room="@alice", seq=1, emoji="+", id=2)).code == "no_such_entry"
    bob.done(Delete(room="@alice", seq=1, id=3))
    alice.done(Private(to="bob", content="I can", id=4))
    assert bob.of(PrivatePosted)[-1].content == "I can"


def test_rooms_are_not_concerned_but_invitations_are() -> None:
    driver, alice, bob = quarrel()
    bob.send(Message(content="hello all"))
    assert alice.contents == ["hello all"]
    bob.send(Join(room="den"))
    bob.send(SetRoom(room="den", kind="private"))
    bob.done(Invite(room="den", user="alice", id=1))
    assert not alice.events("invited")
    assert alice.refused(Join(room="den", id=2)).code == "no_such_room"
    check_kept(driver)


def test_a_guest_who_comes_back_as_another_is_blocked_still() -> None:
    driver, alice, bob = quarrel()
    bob.drop(1000)
    again = driver.connect("bob")
    again.send(Private(to="alice", content="me again"))
    assert not [event for event in alice.of(PrivatePosted) if event.content == "me again"]
    other = driver.connect("other")
    other.send(Private(to="alice", content="hello"))
    assert alice.of(PrivatePosted)[-1].content == "hello"


def test_holds_after_a_crash_and_ends_with_its_owner() -> None:
    driver, alice, bob = quarrel()
    crash(driver)
    back, bob = driver.resume(alice), driver.resume(bob)
    bob.send(Private(to="alice", content="YOU"))
    assert not [event for event in back.of(PrivatePosted) if event.content == "YOU"]
    back.drop(1000)
    check_kept(driver)
    assert not any(kind == "block" for kind, _ in driver.kept)
    driver.crash(lost=[name for name in driver.kept if name[0] == "user"])
    check_kept(driver)


def test_of_a_user_who_is_lost_it_is_dropped() -> None:
    driver, _alice, _bob = quarrel()
    driver.crash(lost=[name for name in driver.kept if name[0] == "user"])
    assert not any(kind == "block" for kind, _ in driver.kept)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, alice, _bob = quarrel()
    for command in (Block(user="alice", id=1), Block(user="nobody", id=2), Unblock(user="#", id=3)):
        assert alice.refused(command).code == "no_such_user"
    alice.done(Block(user="bob", id=4))
    monkeypatch.setattr(moderating, "MAX_BLOCKED", 1)
    driver.connect("cy")
    assert alice.refused(Block(user="cy", id=5)).code == "forbidden"
