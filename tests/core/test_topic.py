"""Topics: who may set them, and when they are set."""

from __future__ import annotations

import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept
from tests.core.scenes import WHEN, den, nothing_happened, shown
from trio_chat.core.effects import Failed
from trio_chat.core.events import (
    Ack,
    System,
)
from trio_chat.core.messages import (
    Join,
    Leave,
    ListRooms,
    Private,
    SetTopic,
)


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
        assert (room.settings.topic, room.owner, room.last) == ("tea", "", 1)
        check_kept(driver)

    def test_is_no_owner_s_who_came_second_and_lost_the_first(self) -> None:
        _, alice, bob = den()
        alice.drop(1000)
        assert bob.done(SetTopic(room="den", topic="mine", id=1)).seq == 3


def test_one_that_fails_at_once_is_not_the_one_that_waits() -> None:
    """A log that is full refuses at once what comes behind what it has not answered yet."""
    driver, alice, _ = den()
    driver.held = True
    for topic in ("tea", "coffee"):
        alice.send(SetTopic(room="den", topic=topic))
    waiting = driver._waiting.pop(0)
    driver.answer(Failed)
    driver._waiting.append(waiting)
    driver.release()
    room = driver.state.chat.rooms.get("den")
    assert room is not None
    assert (room.settings.topic, room.planned.topic) == ("tea", "tea")
    check_kept(driver)
