"""Who comes back to another process: what they hear, and what they are still."""

from __future__ import annotations

from tests.core.driver import START, Driver
from tests.core.oracle import check_kept
from tests.core.scenes import crash, crowd, say
from trio_chat.core.effects import Ending
from trio_chat.core.errors import Close
from trio_chat.core.events import Ack, Posted, PrivatePosted, ReadShown, UserList
from trio_chat.core.messages import (
    Connect,
    ListUsers,
    MarkRead,
    Message,
    Position,
    Private,
    Resume,
)
from trio_chat.core.records import MemberRecord, RoomRecord, SessionRecord, UserRecord
from trio_chat.core.sessions import digest


class TestWhoComesBack:
    def test_with_positions_hears_what_was_missed_and_no_more(self) -> None:
        driver, alice, bob = crowd()
        crash(driver)
        back = driver.resume(bob)
        say(back, "3")
        there = driver.resume(
            alice, {"den": Position(epoch="boot-2", seq=2), "general": Position(epoch="boot-1", seq=0)}
        )
        assert there.contents == ["3"]
        assert there.events("lagged") == []
        assert there.welcome.resumed
        assert there.welcome.session == alice.session

    def test_whose_session_was_detached_before_needs_no_positions(self) -> None:
        driver, alice, bob = crowd()
        alice.drop(unsent=[("den", 2)])
        say(bob, "3")
        crash(driver)
        back = driver.resume(alice)
        assert back.contents == ["2", "3"]
        assert back.events("lagged") == []

    def test_whose_connection_was_live_hears_that_it_is_not_known(self) -> None:
        driver, alice, _bob = crowd()
        crash(driver)
        back = driver.resume(alice)
        (lagged,) = back.events("lagged")
        assert (lagged.room, lagged.epoch, lagged.first, lagged.last) == ("den", "boot-2", 1, 2)
        assert back.contents == ["1", "2"]
        say(back, "3")
        assert back.contents == ["1", "2", "3"]

    def test_whose_end_was_not_over_is_not_known_either(self) -> None:
        driver, alice, _ = crowd()
        driver.apply(Ending(alice.conn, cut=Close.TOO_SLOW))
        crash(driver)
        back = driver.resume(alice)
        assert [event.room for event in back.events("lagged")] == ["den"]
        assert [event.code for event in back.events("closed_before")] == [4003]
        assert back.contents == ["1", "2"]

    def test_unknown_position_stays_unknown_through_another_crash(self) -> None:
        driver, alice, bob = crowd()
        crash(driver)
        say(driver.resume(bob), "3")
        crash(driver)
        back = driver.resume(alice)
        assert [event.room for event in back.events("lagged")] == ["den"]
        assert back.contents == ["1", "2", "3"]

    def test_known_position_stays_known_through_another_crash(self) -> None:
        driver, alice, bob = crowd()
        alice.drop()
        crash(driver)
        say(driver.resume(bob), "3")
        crash(driver)
        back = driver.resume(alice)
        assert back.events("lagged") == []
        assert back.contents == ["3"]

    def test_position_of_before_the_trimming_has_lagged(self) -> None:
        driver, alice, bob = crowd(history_limit=3)
        alice.drop()
        say(bob, "3", "4", "5", "6")
        crash(driver)
        back = driver.resume(alice)
        (lagged,) = back.events("lagged")
        assert (lagged.first, lagged.last) == (4, 6)
        assert back.contents == ["4", "5", "6"]

    def test_position_of_a_room_without_entries_is_known(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        crash(driver)
        say(driver.resume(bob), "1", room="general")
        back = driver.resume(alice)
        assert back.events("lagged") == []
        assert back.contents == ["1"]

    def test_first_word_of_a_conversation_to_who_is_away(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        bob.drop()
        alice.send(Private(to="bob", content="psst"))
        crash(driver)
        back = driver.resume(bob)
        assert [private.content for private in back.of(PrivatePosted)] == ["psst"]
        assert back.events("lagged") == []
        assert [event.room for event in driver.resume(alice).events("lagged")] == ["@bob"]

    def test_all_are_away_until_they_come(self) -> None:
        driver, alice, bob = crowd()
        crash(driver)
        back = driver.resume(bob)
        users = back.send(ListUsers(room="den"))[-1]
        assert isinstance(users, UserList)
        assert users.users == ["bob"]
        driver.advance(1)
        driver.resume(alice)
        driver.advance(1)
        assert back.events("joined")[-1].users == ["alice"]

    def test_ticket_and_key_are_good_still(self) -> None:
        driver, alice, _bob = crowd(max_attempts=2)
        alice.send(Message(content="once", room="den", key="k"))
        crash(driver)
        for _ in range(5):
            driver.admit(address="10.9.9.9")
        assert "10.9.9.9" in driver.banned
        back = driver.resume(alice, address="10.9.9.9", ticket=alice.welcome.ticket)
        assert back.welcome.ticket == alice.welcome.ticket
        back.news()
        assert back.send(Message(content="once", room="den", key="k", id=1)) == [
            Ack(id=1, seq=3, room="den", epoch="boot-2")
        ]

    def test_ticket_of_a_session_that_ended_is_none_of_another(self) -> None:
        """After a restart a number may be given out again."""
        driver = Driver(max_attempts=2)
        alice = driver.connect("alice")
        alice.drop(1000)
        crash(driver)
        bob = driver.connect("bob")
        assert bob.welcome.ticket.split(".")[0] == alice.welcome.ticket.split(".")[0]
        assert driver.state.chat.people.holder(bob.welcome.ticket) is not None
        assert driver.state.chat.people.holder(alice.welcome.ticket) is None

    def test_session_that_had_ended_stays_ended(self) -> None:
        driver, alice, _ = crowd()
        alice.drop(1000)
        crash(driver)
        back = driver.resume(alice)
        assert back.closed is Close.BAD_HANDSHAKE

    def test_name_of_one_who_is_away_is_taken_over(self) -> None:
        driver, alice, _ = crowd()
        crash(driver)
        rival = driver.connect("Alice")
        assert not rival.welcome.resumed
        assert [room["room"] for room in rival.welcome.rooms] == ["general"]
        assert driver.resume(alice).closed is Close.BAD_HANDSHAKE
        check_kept(driver)


def test_two_sessions_of_one_user() -> None:
    """No guest has two; other users may. Markers are told to the others of them."""
    given = (
        UserRecord(key="sub:1", number=1, name="alice", guest=False),
        SessionRecord(key=digest("one"), number=2, user="sub:1", bucket_of="x"),
        SessionRecord(key=digest("two"), number=3, user="sub:1", bucket_of="x", detached_at=START.wall, positions={}),
        RoomRecord(key="den", name="den", number=2, epoch="old-2", owner="sub:1"),
        MemberRecord(user="sub:1", room="den", number=4),
    )
    driver = Driver(auth="jwt", auth_key="key")
    driver.kept = {(record.kind, record.key): record for record in given}
    crash(driver)
    clients = []
    for token in ("one", "two"):
        client = driver.open()
        client.send(Connect(resume=Resume(session=token)))
        clients.append(client)
    one, two = clients
    assert one.welcome.resumed
    assert two.welcome.resumed
    say(one, "1", "2")
    assert one.contents == two.contents == ["1", "2"]
    two.news()
    assert one.send(MarkRead(room="den", seq=2, id=1))[-1] == Ack(id=1, room="den", seq=2)
    assert two.news() == [ReadShown(room="den", seq=2, sender="alice", timestamp="2026-01-01T00:00:00.000Z")]
    assert two.send(MarkRead(room="den", seq=1, id=2)) == [Ack(id=2, room="den", seq=2)]
    assert one.news() == []
    assert [event.seq for event in two.of(Posted)] == [1, 2]
    check_kept(driver)
