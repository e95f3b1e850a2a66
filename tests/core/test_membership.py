"""Being in rooms: joining, leaving, listing, and what is told of it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept
from trio_chat.core.codec import encode
from trio_chat.core.effects import Forget
from trio_chat.core.events import Ack, Error, Posted, RoomList, System, UserList, Welcome
from trio_chat.core.membership import become_member
from trio_chat.core.messages import (
    Command,
    GetHistory,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    Message,
    Ping,
    Position,
    Private,
    Typing,
)


def listed(client: Client, command: Command) -> RoomList | UserList:
    client.news()
    (event,) = client.send(command)
    assert isinstance(event, RoomList | UserList), event
    assert event.id == command.id
    return event


def names(client: Client, command: Command) -> list[str]:
    found = listed(client, command)
    return found.users if isinstance(found, UserList) else [room["room"] for room in found.rooms]


class TestJoin:
    def test_creator_is_acked_and_told_and_then_told_no_more(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        driver.advance(1)
        bob.news()
        alice.news()
        ack, created = alice.send(Join(room="Den", id=1))
        assert ack == Ack(id=1, room="Den", epoch="boot-2", last=0)
        assert isinstance(created, System)
        assert (created.event, created.room, created.epoch, created.last) == ("room_created", "Den", "boot-2", 0)
        driver.advance(1)
        (users,) = alice.news()
        assert isinstance(users, UserList)
        assert (users.room, users.users, users.total) == ("Den", ["alice"], 1)
        assert bob.news() == []

    def test_where_one_already_is_nothing_changes_and_after_is_ignored(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Message(content="1", room="den"))
        driver.advance(1)
        alice.news()
        again = alice.send(Join(room="DEN", id=2, after=Position(epoch="boot-2", seq=0)))
        assert again == [Ack(id=2, room="den", epoch="boot-2", last=1)]
        assert alice.send(Join(room="den")) == []
        driver.advance(1)
        assert alice.news() == []

    def test_after_gives_what_was_missed_behind_the_ack(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for content in "123":
            alice.send(Message(content=content, room="den"))
        bob.news()
        ack, *replayed = bob.send(Join(room="den", id=1, after=Position(epoch="boot-2", seq=1)))
        assert ack == Ack(id=1, room="den", epoch="boot-2", last=3)
        assert replayed == alice.of(Posted)[1:]
        alice.send(Message(content="4", room="den"))
        assert bob.contents == ["2", "3", "4"]

    @pytest.mark.parametrize("after", [Position(epoch="boot-2", seq=9), Position(epoch="old", seq=1)])
    def test_after_a_foreign_position_has_lagged(self, after: Position) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Message(content="1", room="den"))
        bob.news()
        ack, lagged, *_ = bob.send(Join(room="den", id=1, after=after))
        assert isinstance(ack, Ack)
        assert isinstance(lagged, System)
        assert (lagged.event, lagged.first, lagged.last) == ("lagged", 1, 1)
        assert bob.contents == ["1"]

    def test_without_after_nothing_of_before(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Message(content="1", room="den"))
        bob.send(Join(room="den"))
        assert bob.contents == []

    @pytest.mark.parametrize("room", ["@alice", "@nobody", "#den", "", "a" * 33, "a\u202eb"])
    def test_bad_room(self, room: str) -> None:
        driver = Driver()
        driver.connect("alice")
        assert driver.connect("bob").refused(Join(room=room, id=1)).code == "bad_room"

    def test_too_many_rooms_of_a_user(self) -> None:
        driver = Driver(rooms_per_user=2)
        alice = driver.connect("alice")
        alice.done(Join(room="den", id=1))
        refused = alice.refused(Join(room="attic", id=2))
        assert (refused.code, refused.retry_after) == ("too_many_rooms", None)
        assert driver.state.chat.rooms.get("attic") is None
        assert alice.done(Join(room="den", id=3)).room == "den"
        alice.send(Leave(room="den"))
        alice.done(Join(room="attic", id=4))

    def test_too_many_rooms_in_all(self) -> None:
        driver = Driver(max_rooms=2)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.done(Join(room="den", id=1))
        assert bob.refused(Join(room="attic", id=1)).code == "too_many_rooms"
        assert bob.refused(Message(content="a", room="attic", id=2)).code == "too_many_rooms"
        bob.done(Join(room="den", id=3))

    def test_rooms_created_by_one_user(self) -> None:
        driver = Driver(rooms_created_per_hour=2)
        alice = driver.connect("alice", trusted=True)
        alice.done(Join(room="1", id=1))
        driver.advance(600)
        alice.done(Join(room="2", id=2))
        refused = alice.refused(Join(room="3", id=3))
        assert (refused.code, refused.retry_after) == ("rate_limited", 3000)
        driver.connect("bob", trusted=True).done(Join(room="3", id=1))
        alice.done(Join(room="3", id=4))
        driver.advance(3000)
        alice.done(Join(room="4", id=5))

    def test_rooms_created_from_one_address(self) -> None:
        driver = Driver(rooms_created_per_hour=2)
        for name in ("alice", "bob"):
            driver.connect(name, address="office").done(Join(room=name, id=1))
        carol = driver.connect("carol", address="office")
        assert carol.refused(Message(content="a", room="carol", id=1)).code == "rate_limited"
        driver.connect("dave", address="home").done(Join(room="dave", id=1))
        driver.advance(3600)
        carol.done(Join(room="carol", id=2))

    def test_of_who_is_away(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        user = driver.state.chat.people.by_name["alice"]
        alice.drop()
        driver.advance(1)
        room = driver.state.chat.rooms.create(user.name)
        become_member(driver.state.chat, user, room, driver.now)
        assert len(room.present) == 0
        assert user.sessions[0].positions["alice"] == 0


class TestDeserted:
    """A room that nobody is in is kept as long as its entries are, and no longer: else `max_rooms` would fill up."""

    def test_it_is_closed_when_its_last_entry_expires(self) -> None:
        driver = Driver(history_days=1)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Message(content="hello", room="den"))
        alice.send(Leave(room="den"))
        driver.advance(86_399)
        assert driver.state.chat.rooms.get("den") is not None
        driver.advance(1)
        assert driver.state.chat.rooms.get("den") is None
        bob.send(GetHistory(room="den"))
        assert bob.of(Error)[-1].code == "no_such_room"

    def test_who_joins_in_time_keeps_it(self) -> None:
        driver = Driver(history_days=1)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Message(content="hello", room="den"))
        alice.send(Leave(room="den"))
        driver.advance(80_000)
        bob.send(Join(room="den"))
        driver.advance(80_000)
        assert driver.state.chat.rooms.get("den") is not None

    def test_it_stays_while_the_log_is_about_to_take_another_entry(self) -> None:
        driver = Driver(history_days=1)
        alice = driver.connect("alice")
        driver.held = True
        alice.send(Message(content="hello", room="den", id=1))
        alice.send(Leave(room="den"))
        driver.advance(86_400)
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert room.pending == 1
        alice.news()
        driver.release()
        assert alice.news() == [Ack(id=1, seq=1, room="den", epoch="boot-2")]
        driver.advance(86_399)
        assert driver.state.chat.rooms.get("den") is room
        check_kept(driver)
        driver.advance(1)
        assert driver.state.chat.rooms.get("den") is None
        check_kept(driver)


class TestLeave:
    def test_nothing_comes_after_the_ack(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for client in (alice, bob):
            client.send(Join(room="den"))
        driver.advance(1)
        alice.news()
        assert alice.send(Leave(room="DEN", id=1)) == [Ack(id=1, room="den")]
        bob.send(Message(content="1", room="den"))
        bob.send(Typing(room="den"))
        driver.advance(1)
        assert alice.news() == []
        (left,) = bob.events("left")
        assert (left.room, left.users, left.count, left.total) == ("den", ["alice"], 1, 1)

    def test_comes_back_to_what_is_said_from_then_on(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for client in (alice, bob):
            client.send(Join(room="den"))
        alice.send(Leave(room="den"))
        bob.send(Message(content="1", room="den"))
        alice.send(Join(room="den"))
        bob.send(Message(content="2", room="den"))
        assert alice.contents == ["2"]

    def test_empty_room_is_closed(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Join(room="den"))
        alice.send(Leave(room="den"))
        assert Forget("den", "boot-2") in driver.effects
        assert alice.refused(Leave(room="den")).code == "no_such_room"
        driver.advance(1)
        assert alice.done(Join(room="den", id=1)).epoch == "boot-3"

    def test_room_with_entries_stays(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Message(content="1", room="den"))
        alice.send(Leave(room="den"))
        assert alice.refused(Leave(room="den")).code == "not_in_room"
        assert alice.done(Join(room="den", id=1)).last == 1

    def test_room_whose_entries_are_known_to_be_gone_is_closed(self) -> None:
        driver = Driver(history_days=1)
        alice = driver.connect("alice")
        alice.send(Message(content="1", room="den"))
        driver.advance(100_000)
        alice.send(GetHistory(room="den"))
        alice.send(Leave(room="den"))
        assert driver.state.chat.rooms.get("den") is None

    def test_room_with_an_entry_on_its_way_stays(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        driver.held = True
        alice.send(Message(content="1", room="den", id=5))
        alice.send(Leave(room="den"))
        assert driver.state.chat.rooms.get("den") is not None
        driver.release()
        assert alice.all[-1] == Ack(id=5, seq=1, room="den", epoch="boot-2")
        assert driver.state.chat.rooms.get("den") is not None

    @pytest.mark.parametrize(
        ("room", "code"),
        [
            ("general", "bad_room"),
            ("GENERAL", "bad_room"),
            ("@bob", "bad_room"),
            ("@nobody", "bad_room"),
            ("#", "bad_room"),
            ("attic", "not_in_room"),
            ("nowhere", "no_such_room"),
        ],
    )
    def test_refusals(self, room: str, code: str) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        bob.send(Join(room="attic"))
        alice.send(Private(to="bob", content="hi"))
        assert alice.refused(Leave(room=room, id=1)).code == code
        if room.casefold() != "general":
            assert alice.refused(ListUsers(room=room, id=2)).code == code


class TestPresence:
    def crowd(self, count: int, **options: int) -> tuple[Driver, list[Client]]:
        driver = Driver(max_connections_per_address=10_000, **options)
        return driver, [driver.connect(f"user {number}") for number in range(count)]

    def test_joins_are_told_together_and_not_to_the_one_who_is_named(self) -> None:
        driver, (alice,) = self.crowd(1)
        driver.advance(0.5)
        assert [event.event for event in alice.of(System)] == []
        driver.connect("bob")
        driver.advance(0.2)
        driver.connect("carol")
        driver.advance(0.2)
        assert alice.events("joined") == []
        driver.advance(0.1)
        (joined,) = alice.events("joined")
        assert (joined.users, joined.count, joined.total, joined.room) == (["bob", "carol"], 2, 3, "general")
        assert joined.content == "2 users joined"
        assert alice.of(UserList)[-1].users == ["user 0", "bob", "carol"]

    def test_a_batch_goes_to_all_alike_and_one_name_not_to_its_own(self) -> None:
        driver, (alice, bob) = self.crowd(2)
        driver.advance(1)
        assert len(alice.events("joined")) == len(bob.events("joined")) == 1
        carol = driver.connect("carol")
        driver.advance(1)
        assert alice.events("joined")[-1].content == "carol joined"
        assert carol.events("joined") == []
        assert carol.of(UserList)[-1].total == 3

    def test_detach_is_a_left_and_resume_a_joined(self) -> None:
        driver, (alice, bob) = self.crowd(2)
        driver.advance(1)
        alice.drop()
        driver.advance(1)
        (left,) = bob.events("left")
        assert (left.users, left.total, left.content) == (["user 0"], 1, "user 0 left")
        assert names(bob, ListUsers()) == ["user 1"]
        driver.resume(alice)
        driver.advance(1)
        assert bob.events("joined")[-1].users == ["user 0"]

    def test_detach_undone_in_time_is_told_to_nobody(self) -> None:
        driver, (alice, bob) = self.crowd(2)
        driver.advance(1)
        bob.news()
        alice.drop()
        driver.advance(0.4)
        back = driver.resume(alice)
        driver.advance(5)
        assert bob.news() == []
        assert [type(event) for event in back.all] == [Welcome]

    def test_at_most_one_of_each_kind_in_an_interval(self) -> None:
        driver, clients = self.crowd(30)
        driver.advance(1)
        watcher = clients[0]
        for client in clients[1:]:
            client.drop()
            driver.advance(0.1)
            driver.connect(f"new {client.conn}")
            driver.advance(0.13)
        driver.advance(1)
        for kind in ("joined", "left"):
            times = [float(event.timestamp[17:-1]) for event in watcher.events(kind)]
            assert all(later - earlier > 0.498 for earlier, later in pairwise(times))

    def test_n_joins_cost_n(self) -> None:
        driver, clients = self.crowd(300)
        driver.advance(1)
        assert all(len(client.all) <= 3 for client in clients)

    def test_a_crowd_is_told_less_often(self) -> None:
        """By its size: what a second of coming and going costs does not grow with the room."""
        driver, clients = self.crowd(2000)
        driver.advance(1)
        told = len(clients[0].events("joined"))
        driver.connect("x")
        driver.advance(0.9)
        assert len(clients[0].events("joined")) == told
        driver.advance(0.2)
        assert len(clients[0].events("joined")) == told + 1

    def test_past_the_limit_there_are_counts_only(self) -> None:
        driver, clients = self.crowd(6, presence_limit=5)
        driver.advance(1)
        (joined,) = clients[0].events("joined")
        assert (joined.users, joined.count, joined.total, joined.content) == (None, 6, 6, "6 users joined")
        assert clients[0].of(UserList) == []
        assert len(names(clients[0], ListUsers())) == 6
        clients[1].drop(1000)
        driver.advance(1)
        left = clients[0].events("left")[-1]
        assert (left.users, left.count, left.content) == (["user 1"], 1, "user 1 left")
        driver.connect("x")
        driver.advance(1)
        assert clients[0].events("joined")[-1].content == "1 user joined"

    def test_seed_clients_get_lists_of_general_only(self) -> None:
        driver = Driver()
        seed, modern = driver.connect("seed", modern=False), driver.connect("modern")
        for client in (seed, modern):
            client.send(Join(room="den"))
        driver.advance(1)
        assert [event.room for event in seed.of(UserList)] == ["general"]
        assert sorted(event.room for event in modern.of(UserList)) == ["den", "general"]
        modern.send(Leave(room="den"))
        driver.advance(1)
        assert seed.events("left")[-1].room == "den"
        assert [event.room for event in seed.of(UserList)] == ["general"]
        assert names(seed, ListUsers(room="den")) == ["seed"]

    def test_nobody_is_left_to_be_told(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Message(content="1", room="den"))
        alice.drop()
        driver.advance(1)
        assert len(alice.of(UserList)) == 0

    def test_lists_of_long_names_fit(self) -> None:
        """The driver looks at the size of every frame."""
        driver = Driver(max_message_bytes=8192, presence_limit=1000)
        clients = [driver.connect(f"{number:03}" + "𐐀" * 29) for number in range(200)]
        driver.advance(1)
        unasked = clients[0].of(UserList)[-1]
        assert unasked.total == 200
        assert unasked.cursor is not None
        assert clients[0].events("joined")[-1].users is None
        found, cursor = list[str](), None
        while True:
            page = listed(clients[0], ListUsers(limit=200, cursor=cursor, id="\x00" * 64))
            assert isinstance(page, UserList)
            found += page.users
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [client.welcome.user for client in clients]
        for client in clients[1:]:
            client.drop()
        driver.advance(1)
        assert clients[0].events("left")[-1].count == 199


class TestLists:
    def test_users_page_by_page(self) -> None:
        driver = Driver()
        clients = [driver.connect(f"user {number}") for number in range(5)]
        first = listed(clients[0], ListUsers(limit=2, id=9))
        assert isinstance(first, UserList)
        assert (first.users, first.total, first.room) == (["user 0", "user 1"], 5, "general")
        clients[1].drop()  # a cursor outlives the one that it names
        assert names(clients[0], ListUsers(cursor=first.cursor)) == ["user 2", "user 3", "user 4"]

    def test_rooms(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Message(content="1", room="den"))
        alice.send(Private(to="bob", content="psst"))
        shown = listed(bob, ListRooms(id=1))
        assert isinstance(shown, RoomList)
        assert shown.rooms == [
            {"room": "general", "members": 2, "kind": "public", "epoch": "boot-1", "last": 0, "read": 0},
            {"room": "den", "members": 1, "kind": "public", "epoch": "boot-2", "last": 1},
        ]
        assert names(bob, ListRooms(mine=True)) == ["general", "@alice"]
        assert names(alice, ListRooms(mine=True)) == ["general", "den", "@bob"]
        assert shown.cursor is None
        assert "guest:" not in json.dumps(json.loads(encode(shown)))

    def test_members_tell_presence(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Private(to="bob", content="psst"))
        bob.drop()
        shown = listed(alice, ListRooms(mine=True))
        assert isinstance(shown, RoomList)
        assert [(room["room"], room["members"], room["kind"]) for room in shown.rooms] == [
            ("general", 1, "public"),
            ("@bob", 1, "private"),
        ]

    @pytest.mark.parametrize("mine", [True, False])
    def test_rooms_page_by_page(self, mine: bool) -> None:
        alice = Driver().connect("alice")
        for number in range(5):
            alice.send(Join(room=f"{number}"))
        first = listed(alice, ListRooms(limit=2, mine=mine))
        assert isinstance(first, RoomList)
        second = listed(alice, ListRooms(limit=4, mine=mine, cursor=first.cursor))
        assert isinstance(second, RoomList)
        assert [room["room"] for room in first.rooms + second.rooms] == ["general", *"01234"]
        assert second.cursor is None

    @pytest.mark.parametrize(
        "command", [ListRooms(id=1, cursor="x"), ListUsers(id=1, cursor="-1"), ListUsers(id=1, cursor="²")]
    )
    def test_cursor_of_nobody_s(self, command: Command) -> None:
        refused = Driver().connect("alice").refused(command)
        assert (refused.code, refused.content) == ("bad_message", "cursor must be one that the server sent")

    def test_a_cursor_of_the_largest_kind(self) -> None:
        alice = Driver().connect("alice")
        assert names(alice, ListUsers(cursor="9" * 64)) == names(alice, ListRooms(cursor="9" * 64)) == []

    def test_users_where_one_is_not(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        bob.send(Join(room="den"))
        assert alice.refused(ListUsers(room="den", id=1)).code == "not_in_room"
        assert alice.refused(ListUsers(room="nowhere", id=1)).code == "no_such_room"
        assert alice.send(Ping(id=1))
