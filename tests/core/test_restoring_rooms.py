"""The rooms that a process takes over: what is there again, and what is not to be trusted."""

from __future__ import annotations

import attrs

from tests.core.driver import Driver
from tests.core.oracle import check_kept, check_sound
from tests.core.scenes import crash, crowd, own, say
from trio_chat.core.effects import Forget
from trio_chat.core.events import HistoryPage, PrivatePosted
from trio_chat.core.messages import (
    Delete,
    Edit,
    GetHistory,
    Join,
    Leave,
    MarkRead,
    Position,
    Private,
    React,
    SetTopic,
)
from trio_chat.core.records import Restored, RoomRecord, Span


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
        crash(driver)
        assert driver.notes == []
        driver.connect("alice")
        driver.notes.clear()
        crash(driver)
        assert [note.text % note.args for note in driver.notes] == ["log: users who may come back: 1; rooms: 1"]

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
            "log: users who may come back: 2; rooms: 3, each in a new epoch"
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
