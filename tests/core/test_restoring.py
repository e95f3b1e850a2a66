"""What a process takes over from the one before it."""

from __future__ import annotations

from itertools import count

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.driver import START, Client, Died, Driver
from tests.core.oracle import check_kept, check_sound
from trio_chat.core.chat import DAY
from trio_chat.core.effects import Ending, Forget, Now, Tick
from trio_chat.core.errors import Close
from trio_chat.core.events import Ack, HistoryPage, Posted, PrivatePosted, ReadShown, RoomList, UserList
from trio_chat.core.messages import (
    Connect,
    Delete,
    Edit,
    GetHistory,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    MarkRead,
    Message,
    Position,
    Private,
    React,
    Resume,
    SetTopic,
)
from trio_chat.core.records import MemberRecord, Restored, RoomRecord, SessionRecord, Span, UserRecord
from trio_chat.core.sessions import digest


def say(client: Client, *contents: str, room: str = "den") -> None:
    for content in contents:
        client.send(Message(content=content, room=room))


def crowd(**options: float) -> tuple[Driver, Client, Client]:
    """Alice owns the den, bob is in it; "1" and "2" were said."""
    driver = Driver(messages_burst=1000, **options)
    alice, bob = driver.connect("alice"), driver.connect("bob")
    say(alice, "1")
    say(bob, "2")
    return driver, alice, bob


def crash(driver: Driver, *, trusted: bool = True, drop: tuple[str, ...] = ()) -> None:
    driver.crash(trusted=trusted, drop=drop)
    check_kept(driver)
    check_sound(driver)


def own(client: Client) -> dict[str, dict[str, object]]:
    """One's own rooms, by name."""
    listed = client.send(ListRooms(mine=True))[-1]
    assert isinstance(listed, RoomList)
    return {str(room["room"]): room for room in listed.rooms}


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


class TestWhatIsThereAgain:
    def test_topics_owners_markers_and_entries(self) -> None:
        driver, alice, bob = crowd()
        alice.send(SetTopic(room="den", topic="tea"))
        bob.send(MarkRead(room="den", seq=2))
        alice.send(Private(to="bob", content="psst"))
        alice.send(MarkRead(room="@bob", seq=1))
        alice.send(Edit(room="den", seq=1, content="one"))
        bob.send(React(room="den", seq=1, emoji="+"))
        alice.send(Delete(room="den", seq=2))
        before = own(alice), own(bob), alice.send(GetHistory(room="den"))[-1]
        for _ in range(2):
            crash(driver)
            alice, bob = driver.resume(alice), driver.resume(bob)
            assert (own(alice), own(bob), alice.send(GetHistory(room="den"))[-1]) == before
            assert {room["room"]: room["read"] for room in bob.welcome.rooms} == {"general": 0, "den": 2, "@alice": 0}
            assert {room["room"]: room["read"] for room in alice.welcome.rooms} == {"general": 0, "den": 0, "@bob": 1}
        assert bob.refused(SetTopic(room="den", topic="mine", id=1)).code == "forbidden"
        assert bob.refused(Edit(room="den", seq=1, content="mine", id=1)).code == "forbidden"
        assert alice.done(SetTopic(room="den", topic="tea for two", id=2)).seq == 7
        assert bob.done(React(room="den", seq=1, emoji="+", id=3)).seq == 5

    def test_order_of_joining_decides_who_owns_next(self) -> None:
        driver = Driver()
        names = ["alice", "carol", "bob", "dave"]
        clients = {name: driver.connect(name) for name in sorted(names)}
        for name in names:
            clients[name].send(Join(room="den"))
        clients["carol"].send(Leave(room="den"))
        clients["carol"].send(Join(room="den"))
        crash(driver)
        for name, following in [("alice", "bob"), ("bob", "dave"), ("dave", "carol")]:
            clients[name] = driver.resume(clients[name])
            clients[name].send(Leave(room="den"))
            room = driver.state.chat.rooms.get("den")
            assert room is not None
            assert room.owner == driver.state.chat.people.by_name[following].id
            crash(driver)

    def test_rooms_are_listed_in_the_order_of_their_making(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        for room in "dbca":
            alice.send(Join(room=room))
        crash(driver)
        alice = driver.resume(alice)
        alice.send(Join(room="aa"))
        assert list(own(alice)) == ["general", *"dbca", "aa"]

    def test_numbers_and_epochs_are_never_used_again(self) -> None:
        driver, _alice, _bob = crowd()
        seen = set[str]()
        for number in range(4):
            crash(driver)
            client = driver.connect(f"new {number}")
            client.send(Join(room=f"room {number}"))
            client.send(Private(to="alice", content="hi"))
            chat = driver.state.chat
            made = {room.epoch for room in chat.rooms.all() if room.key not in ("general", "den")}
            ids = set(chat.people.by_id)
            assert len(made) == 2 * (number + 1)
            assert len(ids) == number + 3
            check_kept(driver)
            check_sound(driver)
            seen |= made | ids
        assert len(seen) == 8 + 6

    def test_empty_room_is_made_anew_in_another_epoch(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        first = alice.done(Join(room="den", id=1))
        alice.send(Leave(room="den"))
        crash(driver)
        alice = driver.resume(alice)
        assert alice.done(Join(room="den", id=1)).epoch != first.epoch

    def test_rooms_created_per_hour_and_limits_go_on(self) -> None:
        driver = Driver(rooms_per_user=3)
        alice = driver.connect("alice")
        for room in "ab":
            alice.send(Join(room=room))
        crash(driver)
        assert driver.resume(alice).refused(Join(room="c", id=1)).code == "too_many_rooms"

    def test_nothing_was_kept(self) -> None:
        driver = Driver()
        assert driver.notes == []
        crash(driver)
        assert [note.text % note.args for note in driver.notes] == ["log: 0 users may come back, to 1 rooms"]

    def test_where_all_was_lost_but_the_entries(self) -> None:
        """They belong to rooms that nobody knows: they go, but for those of `general`."""
        driver, alice, _ = crowd()
        say(alice, "hi", room="general")
        crash(driver, drop=("room", "user", "member", "session"))
        assert driver.log._rooms.keys() == {"general"}
        new = driver.connect("alice")
        page = new.send(GetHistory(room="general"))[-1]
        assert isinstance(page, HistoryPage)
        assert (len(page.entries), page.last) == (1, 1)
        assert new.refused(GetHistory(room="den", id=1)).code == "no_such_room"


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


class TestUntrusted:
    def test_each_room_is_in_a_new_epoch_and_all_have_lagged(self) -> None:
        driver, alice, bob = crowd()
        say(alice, "hi", room="general")
        alice.send(Private(to="bob", content="psst"))
        alice.send(Join(room="empty"))
        alice.send(MarkRead(room="den", seq=2))
        old = {str(room["room"]): room["epoch"] for room in own(alice).values()}
        alice.drop()
        crash(driver, trusted=False)
        assert driver.notes[-1].text % driver.notes[-1].args == (
            "log: 2 users may come back, to 3 rooms, each in a new epoch"
        )
        back = driver.resume(alice, {"den": Position(epoch=str(old["den"]), seq=1)})
        new = own(back)
        assert all(new[room]["epoch"] != old[room] for room in old)
        assert len({room["epoch"] for room in new.values()}) == 4
        assert {event.room for event in back.events("lagged")} == {"general", "den", "@bob", "empty"}
        assert all(room["read"] == 0 for room in new.values())
        assert back.contents == ["hi", "1", "2"]
        assert [private.content for private in back.of(PrivatePosted)] == ["psst"]
        assert [event.room for event in driver.resume(bob).events("lagged")] == ["general", "den", "@alice"]

    def test_and_what_was_said_since_is_trusted(self) -> None:
        driver, alice, bob = crowd()
        crash(driver, trusted=False)
        alice, bob = driver.resume(alice), driver.resume(bob)
        alice.drop()
        bob.send(MarkRead(room="den", seq=1))
        say(bob, "3")
        epoch = own(bob)["den"]["epoch"]
        crash(driver)
        alice = driver.resume(alice)
        assert alice.contents == ["3"]
        assert alice.events("lagged") == []
        bob = driver.resume(bob)
        assert (own(bob)["den"]["epoch"], own(bob)["den"]["read"]) == (epoch, 1)

    def test_without_entries_rooms_stay_and_stand_at_nothing(self) -> None:
        """The file was restored from before the first entry."""
        driver, alice, bob = crowd()
        for room in list(driver.log._rooms):
            del driver.log._rooms[room]
        crash(driver, trusted=False)
        back = driver.resume(alice)
        assert own(back)["den"]["last"] == 0
        say(back, "new")
        assert driver.resume(bob).contents == ["new"]

    def test_marker_beyond_the_last_entry_is_taken_back(self) -> None:
        """And so are positions, where a log says that it is trusted and holds less than it did."""
        driver, alice, bob = crowd()
        bob.send(MarkRead(room="den", seq=2))
        bob.drop()
        driver.log._rooms["den"].entries.pop(2)
        driver.log._rooms["den"].last = 1
        driver.crash()
        check_sound(driver)
        alice = driver.resume(alice)
        say(alice, "other 2")
        back = driver.resume(bob)
        assert back.contents == ["other 2"]
        assert own(back)["den"]["read"] == 1


def records(driver: Driver) -> list[tuple[str, str]]:
    return list(driver.kept)


class TestLostRecords:
    """What refers to nothing is dropped, and what is left is sound."""

    @pytest.mark.parametrize("kind", ["room", "user", "member", "session"])
    def test_all_of_a_kind(self, kind: str) -> None:
        driver, alice, bob = crowd()
        alice.send(Private(to="bob", content="psst"))
        crash(driver, drop=(kind,))
        chat = driver.state.chat
        back = driver.resume(alice)
        if kind in ("user", "session"):
            assert back.closed is Close.BAD_HANDSHAKE
            assert {name for name, _ in driver.kept} <= {"room"}
            assert chat.people.by_name == {}
        else:
            talk = ["@bob"] if kind == "member" else []
            assert [room["room"] for room in back.welcome.rooms] == ["general", *talk]
            assert back.contents == []
        driver.resume(bob)
        driver.advance(1000)
        check_kept(driver)

    def test_of_two_with_one_name_the_older_stays(self) -> None:
        given = Restored(
            records=(
                UserRecord(key="b", number=2, name="Alice"),
                UserRecord(key="a", number=1, name="alice"),
                SessionRecord(key="k", number=2, user="b", bucket_of="x"),
                SessionRecord(key="l", number=1, user="a", bucket_of="x"),
                MemberRecord(user="b", room="general", number=1),
            )
        )
        driver = Driver()
        driver.kept = {(record.kind, record.key): record for record in given.records}
        crash(driver)
        assert driver.state.chat.people.by_name["alice"].id == "a"
        assert {name for name in driver.kept if name[0] != "room"} == {
            ("user", "a"),
            ("session", "l"),
            ("member", "a\ngeneral"),
        }

    def test_member_of_a_conversation_of_others_is_none(self) -> None:
        driver, alice, bob = crowd()
        carol = driver.connect("carol")
        alice.send(Private(to="bob", content="psst"))
        (talk,) = [room for room in driver.state.chat.rooms.all() if room.between]
        intruder = driver.state.chat.people.by_name["carol"].id
        record = MemberRecord(user=intruder, room=talk.key, number=99)
        driver.kept[record.kind, record.key] = record
        crash(driver)
        assert [room["room"] for room in driver.resume(carol).welcome.rooms] == ["general"]
        assert own(driver.resume(bob)).keys() == {"general", "den", "@alice"}

    def test_entries_of_a_room_that_is_gone_are_forgotten(self) -> None:
        driver, alice, _ = crowd()
        effects = driver.crash(lost=[("room", "den")])
        assert Forget("den", "boot-2") in effects
        alice = driver.resume(alice)
        say(alice, "new")
        assert alice.contents == ["new"]

    @given(st.data())
    def test_single_records_at_random(self, data: st.DataObject) -> None:
        driver, alice, bob = crowd(history_days=1, resume_window=100)
        carol = driver.connect("carol")
        alice.send(Private(to="bob", content="psst"))
        carol.send(Private(to="bob", content="psst"))
        alice.send(Join(room="empty"))
        carol.send(Join(room="den"))
        say(carol, "1", room="attic")
        carol.send(Leave(room="attic"))
        alice.send(SetTopic(room="den", topic="tea"))
        bob.drop()
        for _ in range(2):
            lost = data.draw(st.sets(st.sampled_from(sorted(driver.kept))))
            trusted = data.draw(st.booleans())
            before = driver.kept | {}
            driver.crash(lost=lost, trusted=trusted)
            check_kept(driver)
            check_sound(driver)
            assert set(driver.kept) - {("room", "general")} <= {
                name for name in before if name not in lost or name[0] == "member"
            }
        for name, client in (("alice", alice), ("bob", bob), ("carol", carol)):
            back = driver.resume(client)
            if back.closed is not None:
                back = driver.connect(name)
            say(back, "still there", room="den")
            assert back.contents[-1] == "still there"
            check_kept(driver)
        driver.advance(DAY * 2)
        check_kept(driver)
        check_sound(driver)


def life(driver: Driver) -> None:
    """Something of everything that keeps records."""
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Message(content="1", room="den", key="k"))
    bob.send(Join(room="den"))
    bob.drop()
    alice.send(Private(to="bob", content="psst"))
    bob = driver.resume(bob)
    alice.send(SetTopic(room="den", topic="tea"))
    bob.send(MarkRead(room="den", seq=1))
    bob.send(Join(room="attic"))
    bob.send(Leave(room="attic"))
    alice.send(Leave(room="den"))
    bob.send(Edit(room="den", seq=1, content="one"))
    bob.send(SetTopic(room="den", topic="coffee"))
    alice.drop()
    rival = driver.connect("alice")
    rival.send(Private(to="bob", content="pssst"))
    rival.send(Join(room="den"))
    bob.drop(1000)
    driver.advance(3)
    rival.drop(unsent=[("general", 1)])


def test_crash_between_any_two_effects() -> None:
    """Of what was done, acked and told before, all is there; and who had a `welcome` comes back."""
    for lifetime in count(1):
        driver = Driver()
        driver.lifetime = lifetime
        try:
            life(driver)
        except Died:
            pass
        else:
            break
        sessions = dict[str, Client]()
        for conn, inbox in driver.inboxes.items():
            if any(getattr(event, "event", None) == "welcome" for event in inbox):
                client = Client(driver, conn)
                sessions[client.session] = client
        held = {name: room.last for name, room in driver.log._rooms.items()}
        topics = [told.topic for conn in driver.inboxes for told in Client(driver, conn).events("topic")]
        known = {
            record.key
            for record in driver.kept.values()
            if isinstance(record, SessionRecord) and ("user", record.user) in driver.kept
        }
        crash(driver)
        for token, client in sessions.items():
            if digest(token) in known:
                assert driver.resume(client).welcome.resumed
                check_kept(driver)
        den = driver.state.chat.rooms.get("den")
        if den is not None:
            assert den.last == held.get("den", 0)
            if topics:
                assert den.topic in (topics[-1], "coffee")
        driver.advance(2000)
        check_kept(driver)
        check_sound(driver)
    assert lifetime > 60


def test_two_sessions_of_one_user() -> None:
    """No guest has two; other users will. Markers are told to the others of them."""
    given = (
        UserRecord(key="sub", number=1, name="alice"),
        SessionRecord(key=digest("one"), number=2, user="sub", bucket_of="x"),
        SessionRecord(key=digest("two"), number=3, user="sub", bucket_of="x", detached_at=START.wall, positions={}),
        RoomRecord(key="den", name="den", number=2, epoch="old-2", owner="sub"),
        MemberRecord(user="sub", room="den", number=4),
    )
    driver = Driver()
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


def test_spans_alone_give_general_its_place() -> None:
    driver = Driver()
    driver.state = driver._state("other")
    driver.kept.clear()
    effects = driver.apply(
        Restored(spans={"general": Span(epoch="e", first=3, last=5), "x": Span(epoch="f", first=1, last=1)})
    )
    assert effects[-1] == Forget("x", "f")
    alice = driver.connect("alice")
    assert alice.welcome.rooms == [{"room": "general", "epoch": "e", "last": 5, "read": 0}]
    record = driver.kept["room", "general"]
    assert isinstance(record, RoomRecord)
    assert attrs.evolve(record, epoch="") == RoomRecord(key="general", name="general", number=1, epoch="")
