"""What falls due after a restart, and what the clocks have to do with it."""

from __future__ import annotations

import pytest

from tests.core.driver import START, Driver
from tests.core.oracle import check_kept, check_sound
from tests.core.scenes import crash, crowd, say
from trio_chat.core.chat import DAY
from trio_chat.core.effects import Now, Tick
from trio_chat.core.errors import Close
from trio_chat.core.messages import (
    Join,
    Leave,
    SetTopic,
)
from trio_chat.core.sessions import digest


class TestDeadlines:
    def test_resume_window_counts_on_from_the_detach(self) -> None:
        driver, alice, bob = crowd(resume_window=100)
        alice.drop()
        driver.advance(60)
        crash(driver)
        driver.advance(39)
        assert "alice" in driver.state.chat.people.by_name
        driver.advance(1)
        assert list(driver.state.chat.people.by_name) == ["bob"]
        assert driver.resume(alice).closed is Close.BAD_HANDSHAKE
        driver.advance(59)
        assert driver.resume(bob).welcome.resumed
        check_kept(driver)

    def test_window_of_who_was_live_begins_with_the_restart(self) -> None:
        driver, _, _ = crowd(resume_window=100)
        driver.advance(60)
        crash(driver)
        driver.advance(90)
        crash(driver)
        driver.advance(9)
        assert len(driver.state.chat.people.by_name) == 2
        driver.advance(1)
        assert len(driver.state.chat.people.by_name) == 0
        check_kept(driver)

    def test_window_that_was_over_before_the_restart(self) -> None:
        driver, alice, _bob = crowd(resume_window=100)
        alice.drop()
        driver.now = Now(driver.now.mono + 100, driver.now.wall + 100)
        crash(driver)
        assert list(driver.state.chat.people.by_name) == ["bob"]

    def test_several_sessions_fall_due_in_their_order(self) -> None:
        driver = Driver(resume_window=100)
        clients = [driver.connect(f"{number}") for number in range(4)]
        for number in (2, 0, 3):
            clients[number].drop()
            driver.advance(10)
        crash(driver)
        assert [session.user.name.text for session in driver.state.chat.detached] == ["2", "0", "3", "1"]
        driver.advance(70)
        assert list(driver.state.chat.people.by_name) == ["0", "1", "3"]
        driver.advance(10)
        assert list(driver.state.chat.people.by_name) == ["1", "3"]

    @pytest.mark.parametrize("wall", [-1000.0, -DAY, 0.0])
    def test_wall_clock_that_was_set_back_ends_nothing_too_early_nor_never(self, wall: float) -> None:
        driver, alice, bob = crowd(resume_window=100, history_days=1)
        for client in (alice, bob):
            client.drop(1000)
        carol = driver.connect("carol")
        carol.drop()
        driver.now = Now(driver.now.mono, driver.now.wall + wall)
        driver.crash()
        check_sound(driver)
        mono = driver.now.mono
        due = driver.state.chat.detached.next(), driver.state.chat.deserted.next()
        assert due == (mono + 100, mono + DAY)
        driver.state.apply(Tick(), Now(mono + 99, START.wall))
        assert len(driver.state.chat.people.by_name) == 1
        driver.state.apply(Tick(), Now(mono + DAY, START.wall))
        assert len(driver.state.chat.people.by_name) == 0
        assert driver.state.chat.rooms.get("den") is None

    def test_another_monotonic_clock(self) -> None:
        """It begins anew with the machine: what fell due in thousands of seconds falls due as late as before."""
        driver, alice, _ = crowd(resume_window=100)
        alice.drop()
        driver.now = Now(5.0, driver.now.wall + 60)
        driver.crash()
        assert driver.state.chat.detached.next() == 45.0
        assert [session.user.name.text for session in driver.state.chat.detached] == ["alice", "bob"]

    def test_deserted_room_counts_on(self) -> None:
        driver, alice, bob = crowd(history_days=1)
        for client in (alice, bob):
            client.send(Leave(room="den"))
        driver.advance(DAY - 100)
        crash(driver)
        driver.advance(99)
        assert driver.state.chat.rooms.get("den") is not None
        driver.advance(1)
        assert driver.state.chat.rooms.get("den") is None
        assert "den" not in driver.log._rooms
        check_kept(driver)

    def test_deserted_room_that_is_joined_again_is_owned(self) -> None:
        driver, alice, bob = crowd(history_days=1)
        for client in (alice, bob):
            client.send(Leave(room="den"))
        crash(driver)
        bob = driver.resume(bob)
        bob.send(Join(room="den"))
        assert bob.done(SetTopic(room="den", topic="mine", id=1)).seq == 3
        crash(driver)
        driver.advance(500)
        bob = driver.resume(bob)
        assert bob.done(SetTopic(room="den", topic="still mine", id=1)).seq == 4

    def test_room_that_is_deserted_by_the_restart_itself(self) -> None:
        """Its only member had no session any longer."""
        driver, alice, bob = crowd(history_days=1)
        bob.send(Leave(room="den"))
        driver.crash(lost=[("session", digest(alice.session))])
        check_kept(driver)
        check_sound(driver)
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.owner, room.deserted_at) == ("", driver.now.wall)
        assert list(driver.state.chat.people.by_name) == ["bob"]

    def test_room_whose_members_came_back_though_it_is_said_to_be_deserted(self) -> None:
        """Of a later desertion the old time says nothing."""
        driver = Driver(history_days=1)
        alice = driver.connect("alice")
        say(alice, "1")
        alice.send(Leave(room="den"))
        deserted = driver.kept["room", "den"]
        alice.send(Join(room="den"))
        driver.kept["room", "den"] = deserted
        driver.advance(100)
        crash(driver)
        alice = driver.resume(alice)
        assert alice.done(SetTopic(room="den", topic="mine", id=1)).seq == 2
        driver.advance(1000)
        alice.send(Leave(room="den"))
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert room.deserted_at == driver.now.wall
