"""The life of a session: connecting, resuming, taking a name over, and what was missed."""

from __future__ import annotations

import json

import pytest

from tests.core.driver import Client, Driver
from trio_chat.core import connecting
from trio_chat.core.chat import RECONNECT
from trio_chat.core.codec import encode
from trio_chat.core.effects import Alive, Disconnected, Ending, Received, Refused, Tick
from trio_chat.core.errors import Close
from trio_chat.core.events import Error, Pong, Posted, PrivatePosted, System, Welcome
from trio_chat.core.messages import (
    Command,
    Connect,
    GetHistory,
    Join,
    Leave,
    ListRooms,
    Message,
    Ping,
    Position,
    Private,
    Resume,
)
from trio_chat.core.sessions import Session, digest


def speak(client: Client, *contents: str, room: str = "general") -> None:
    for content in contents:
        client.driver.receive(client.conn, Message(content=content, room=room))


def error(client: Client) -> Error:
    """The last thing that a client received, which must be an error."""
    last = client.all[-1]
    assert isinstance(last, Error), last
    return last


class TestConnect:
    def test_welcome_is_the_first_frame_and_says_it_all(self) -> None:
        driver = Driver(ping_interval=7, ping_timeout=3, content_chars=99)
        client = driver.open()
        (welcome,) = client.send(Connect(username="Álice", id="c1"))
        assert welcome == Welcome(
            event="welcome",
            protocol=1,
            content="Welcome Álice!",
            timestamp="2026-01-01T00:00:00.000Z",
            id="c1",
            user="Álice",
            session="token-1",
            ticket=client.welcome.ticket,
            server="trio_chat",
            heartbeat={"interval": 7, "timeout": 3},
            reconnect=RECONNECT,
            limits={
                "message_bytes": 1_048_576,
                "content_chars": 99,
                "rooms_per_user": 100,
                "messages_per_second": 10,
                "messages_burst": 40,
            },
            resumed=False,
            rooms=[{"room": "general", "epoch": "boot-1", "last": 0, "read": 0}],
        )
        wire = json.loads(encode(welcome))
        assert (wire["type"], wire["event"], wire["protocol"]) == ("system", "welcome", 1)

    def test_name_is_shown_normalised(self) -> None:
        assert Driver().connect("ＢＯＢ").welcome.user == "BOB"

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (Connect(id=1), "bad_username"),
            (Connect(id=1, username=""), "bad_username"),
            (Connect(id=1, username="@a"), "bad_username"),
            (Connect(id=1, resume=Resume(session="nobody's")), "bad_username"),
            (Ping(id=1), "not_connected"),
            (Message(id=1, content="a"), "not_connected"),
        ],
    )
    def test_what_is_no_connect_is_refused_and_closed(self, command: Command, code: str) -> None:
        client = Driver().open()
        refused = client.refused(command)
        assert refused.code == code
        assert "Username" not in refused.content
        assert client.closed is Close.BAD_HANDSHAKE
        assert client.send(Connect(username="a")) == []

    def test_a_token_where_there_are_none(self) -> None:
        """Its bearer must hear what is wrong: they did say who they are."""
        client = Driver().open()
        client.send(Connect(token="eyJ"))
        assert error(client).content == "username must be given: there are no tokens here"

    def test_nothing_falls_due_for_who_was_turned_away(self) -> None:
        driver = Driver()
        client = driver.open()
        client.send(Ping())
        assert not any("4500" in note.text % note.args for note in driver.notes)
        driver.advance(60)
        client.drop()
        assert driver.state.next_due() is None

    def test_a_second_connect_is_refused(self) -> None:
        client = Driver().connect("alice")
        assert client.refused(Connect(username="bob", id=2)).code == "already_connected"
        assert client.closed is None

    def test_no_connect_in_time(self) -> None:
        driver = Driver(connect_timeout=15)
        client = driver.open()
        driver.advance(14.9)
        assert client.closed is None
        driver.advance(0.1)
        assert client.closed is Close.CONNECT_TIMEOUT
        client.drop()
        assert driver.state.next_due() is None

    def test_a_lost_connection_that_never_connected_leaves_nothing(self) -> None:
        driver = Driver()
        driver.open().drop()
        driver.advance(0)
        assert driver.apply(Disconnected(99)) == []
        assert driver.apply(Alive(99)) == []
        assert driver.state.chat.conns == {}

    def test_ticket_admits_a_banned_address(self) -> None:
        driver = Driver(max_attempts=1)
        ticket = driver.connect("alice", address="a").welcome.ticket
        for expected in (429, 403):
            _, verdict = driver.admit(address="a")
            assert isinstance(verdict, Refused)
            assert verdict.status == expected
        driver.open(address="a", ticket=ticket)

    def test_tickets_of_one_admission_are_no_admissions_without_end(self) -> None:
        """Each new session has a new ticket, but not a new count."""
        driver = Driver(max_attempts=3)
        ticket = driver.connect("user 0", address="a").welcome.ticket
        for _ in range(3):
            driver.admit(address="a")
        for number in range(1, 4):
            ticket = driver.connect(f"user {number}", address="a", ticket=ticket).welcome.ticket
        for _ in range(2):
            _, verdict = driver.admit(address="a", ticket=ticket)
            assert isinstance(verdict, Refused)
            assert verdict.status == 403

    def test_who_begins_to_end_frees_the_session_before_the_socket_is_gone(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        driver.apply(Ending(alice.conn, cut=Close.HEARTBEAT_MISSED))
        bob.send(Message(content="missed"))
        back = driver.resume(alice)
        assert [event.event for event in back.of(System)] == ["closed_before"]
        assert back.contents == ["missed"]
        assert driver.apply(Ending(alice.conn)) == []
        assert driver.apply(Ending(99)) == []
        driver.drop(alice, unsent=[("general", 1)])
        assert alice.conn not in driver.state.chat.conns
        assert back.conn in driver.state.chat.conns


class TestNameOfAnother:
    def test_detached_loses_it_at_once(self) -> None:
        driver = Driver()
        old = driver.connect("alice")
        old.send(Join(room="den"))
        old.drop()
        new = driver.connect("ALICE")
        assert new.welcome.resumed is False
        assert [room["room"] for room in new.welcome.rooms] == ["general"]
        assert driver.probed == []
        late = driver.open()
        late.send(Connect(resume=Resume(session=old.session)))
        assert error(late).code == "bad_username"

    def test_seed_client_comes_back_by_name_and_nobody_hears_of_it(self) -> None:
        driver = Driver()
        bob = driver.connect("bob")
        seed = driver.connect("alice", modern=False)
        driver.advance(1)
        bob.news()
        for _ in range(5):
            seed.drop()
            seed = driver.connect("alice", modern=False)
        driver.advance(1)
        assert bob.news() == []
        assert len(driver.state.chat.people.by_id) == 2

    def test_live_is_probed_and_keeps_it(self) -> None:
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        assert driver.probed == [alice.conn]
        assert other.all == []
        driver.apply(Alive(alice.conn))
        refused = error(other)
        assert refused.code == "username_taken"
        assert refused.content.startswith("Username")
        assert other.closed is Close.NAME_TAKEN
        assert alice.closed is None
        driver.advance(10)
        other.drop()
        assert not driver.state.chat.askers
        assert alice.done(Message(content="still here", id=1)).seq == 1

    def test_answer_carries_the_id_of_the_connect(self) -> None:
        driver = Driver()
        alice, other = driver.connect("alice"), driver.open()
        assert other.send(Connect(username="alice", id="mine")) == []
        driver.apply(Alive(alice.conn))
        assert error(other).id == "mine"

    def test_live_without_life_loses_it_after_two_seconds(self) -> None:
        driver = Driver(connect_timeout=1)
        alice, other = driver.connect("alice"), driver.connect("alice")
        driver.advance(1.9)
        assert other.all == []
        assert alice.closed is None
        driver.advance(0.1)
        assert other.welcome.user == "alice"
        assert alice.closed is Close.HEARTBEAT_MISSED
        late = driver.open()
        late.send(Connect(resume=Resume(session=alice.session), username="carl"))
        assert late.welcome.resumed is False
        alice.drop()
        assert other.done(Message(content="mine now", id=1)).seq == 1

    @pytest.mark.parametrize("code", [1000, 1001, None])
    def test_holder_leaves_meanwhile(self, code: int | None) -> None:
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        driver.advance(1)
        alice.drop(code)
        assert other.welcome.user == "alice"
        assert driver.now.mono == 1001

    def test_holder_was_cut_meanwhile(self) -> None:
        """It is detached, though its last bytes still come in; the name goes to who asked."""
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        connecting.cut(driver.state.chat, alice.conn, Close.TOO_SLOW, driver.now)
        driver.apply(Alive(alice.conn))
        assert other.closed is None
        driver.advance(2)
        assert other.welcome.user == "alice"

    def test_holder_resumes_meanwhile(self) -> None:
        """That is a sign of life, though not of the connection which was asked."""
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        driver.advance(1)
        again = driver.resume(alice)
        assert alice.closed is Close.REPLACED
        assert error(other).code == "username_taken"
        driver.advance(5)
        assert again.closed is None

    def test_asker_leaves_meanwhile(self) -> None:
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        other.drop()
        driver.advance(5)
        driver.apply(Alive(alice.conn))
        assert alice.closed is None

    def test_what_was_sent_behind_the_connect_waits_for_the_welcome(self) -> None:
        driver = Driver()
        alice, other = driver.connect("alice"), driver.connect("alice")
        assert other.send(Ping(id=1)) + other.send(Message(content="hello", id=2)) == []
        alice.drop(1000)
        assert isinstance(other.all[0], Welcome)
        assert [event.id for event in other.of(Pong)] == [1]
        assert other.contents == ["hello"]

    def test_and_also_where_the_time_is_over(self) -> None:
        driver = Driver()
        driver.connect("alice")
        other = driver.connect("alice")
        other.send(Ping(id=1))
        driver.advance(2)
        assert isinstance(other.all[0], Welcome)
        assert [event.id for event in other.of(Pong)] == [1]

    def test_too_much_behind_the_connect(self) -> None:
        driver = Driver(messages_burst=2, messages_per_second=4)
        alice, other = driver.connect("alice"), driver.connect("alice")
        assert other.send(Ping(id=1)) + other.send(Ping(id=2)) == []
        other.send(Ping(id=3))
        assert (error(other).code, error(other).id, error(other).retry_after) == ("rate_limited", 3, 0.25)
        assert other.closed is Close.BAD_HANDSHAKE
        driver.advance(5)
        assert alice.closed is None

    def test_much_behind_the_connect_is_too_much_though_it_is_few(self) -> None:
        driver = Driver()
        _, other = driver.connect("alice"), driver.connect("alice")
        for size in (65_000, 500):
            assert driver.apply(Received(other.conn, Ping(), size=size)) == []
        driver.apply(Received(other.conn, Ping(id=3), size=100))
        assert error(other).code == "rate_limited"
        assert other.closed is Close.BAD_HANDSHAKE

    def test_of_several_who_asked_the_first_gets_it_and_keeps_it_when_alive(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        first, second = driver.connect("alice"), driver.connect("alice")
        driver.advance(1)
        third = driver.connect("alice")
        driver.advance(1)
        assert first.welcome.user == "alice"
        assert alice.closed is Close.HEARTBEAT_MISSED
        assert second.all == third.all == []
        assert driver.probed[-1] == first.conn
        driver.advance(1)  # third asked one second ago, of the one who is gone: it asks again
        assert driver.probed[-2:] == [first.conn, first.conn]
        assert first.closed is None
        driver.apply(Alive(first.conn))
        assert error(second).code == error(third).code == "username_taken"
        driver.advance(5)
        assert first.closed is None

    def test_of_several_who_asked_one_after_the_other_gets_it_if_none_shows_life(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        askers = [driver.connect("alice") for _ in range(3)]
        alice.drop()
        assert [bool(asker.all) for asker in askers] == [True, False, False]
        driver.advance(2)
        assert [bool(asker.all) for asker in askers] == [True, True, False]
        assert askers[0].closed is Close.HEARTBEAT_MISSED
        driver.advance(2)
        assert [bool(asker.all) for asker in askers] == [True, True, True]

    def test_alive_of_who_holds_no_name(self) -> None:
        driver = Driver()
        assert driver.apply(Alive(driver.open().conn)) == []


class TestResume:
    def test_missed_entries_come_once_and_in_order(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "1", "2")
        alice.drop()
        speak(bob, "3", "4")
        back = driver.resume(alice)
        assert back.welcome.resumed
        assert back.session == alice.session
        speak(bob, "5")
        assert back.contents == ["3", "4", "5"]
        assert isinstance(back.all[0], Welcome)
        assert back.welcome.rooms == [{"room": "general", "epoch": "boot-1", "last": 4, "read": 0}]

    def test_name_is_ignored(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.drop()
        back = driver.open()
        back.send(Connect(username="@no name", resume=Resume(session=alice.session)))
        assert back.welcome.user == "alice"

    def test_unknown_session_is_a_plain_connect(self) -> None:
        client = Driver().open()
        client.send(Connect(username="alice", resume=Resume(session="gone")))
        assert client.welcome.resumed is False

    def test_live_connection_is_replaced(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Join(room="den"))
        driver.advance(1)
        bob.news()
        back = driver.resume(alice)
        assert alice.closed is Close.REPLACED
        alice.news()
        assert alice.send(Ping()) == []
        alice.drop()
        speak(bob, "hello")
        driver.advance(1)
        assert back.contents == bob.contents == ["hello"]
        assert back.events("closed_before") == []
        assert [type(event) for event in bob.news()] == [Posted]

    @pytest.mark.parametrize("code", [1001, 1005, 4999, None])
    def test_every_other_close_of_a_client_leaves_the_session(self, code: int | None) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.drop(code)
        assert driver.resume(alice).events("closed_before") == []

    @pytest.mark.parametrize("code", [Close.TOO_SLOW, Close.INTERNAL, Close.HEARTBEAT_MISSED])
    def test_our_close_is_told_straight_after_the_welcome_and_once(self, code: Close) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.drop(cut=code)
        back = driver.resume(alice)
        told = back.all[1]
        assert isinstance(told, System)
        assert (told.event, told.code, told.reason) == ("closed_before", code, code.reason)
        back.drop()
        assert driver.resume(back).events("closed_before") == []

    def test_client_s_1000_ends_the_session(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.drop(1000)
        other = driver.open()
        other.send(Connect(username="bob", resume=Resume(session=alice.session)))
        assert other.welcome.resumed is False

    def test_window_is_over(self) -> None:
        driver = Driver(resume_window=100)
        alice = driver.connect("alice")
        alice.drop()
        driver.advance(99.9)
        back = driver.resume(alice)
        back.drop()
        driver.advance(100)
        assert driver.state.chat.people.by_name == {}
        late = driver.open()
        late.send(Connect(username="alice", resume=Resume(session=alice.session)))
        assert late.welcome.resumed is False

    def test_unsent_is_sent_again(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "1", "2", "3", "4")
        alice.drop(unsent=[("general", 3), ("nowhere", 1)])
        assert driver.resume(alice).contents == ["3", "4"]

    def test_unsent_from_before_a_leave_is_not_sent_again(self) -> None:
        """Nor is what was said while it was away: it is to hear from its joining on (promise 4)."""
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for client in (alice, bob):
            client.send(Join(room="den"))
        for number, command in enumerate([Ping(), Leave(room="den"), Join(room="den")], 1):
            alice.send(command)
            bob.send(Message(content=f"{number}", room="den"))
        alice.drop(unsent=[("den", 1)])
        assert driver.resume(alice).contents == ["3"]

    def test_unsent_of_a_replay_is_sent_again(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for client in (alice, bob):
            client.send(Join(room="den"))
        speak(bob, "1", "2", room="den")
        alice.send(Leave(room="den"))
        alice.send(Join(room="den", after=Position(epoch="boot-2", seq=1)))
        assert alice.contents == ["1", "2", "2"]
        alice.drop(unsent=[("den", 2)])
        assert driver.resume(alice).contents == ["2"]

    def test_unsent_of_a_connection_that_we_cut(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "1", "2", "3", "4")
        connecting.cut(driver.state.chat, alice.conn, Close.FLOODING, driver.now)
        speak(bob, "5")
        alice.drop(cut=Close.FLOODING, unsent=[("general", 3)])
        back = driver.resume(alice)
        assert back.contents == ["3", "4", "5"]
        assert back.events("closed_before")[0].code == Close.FLOODING

    def test_unsent_of_a_connection_that_was_replaced_is_the_new_one_s_no_longer(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "1", "2")
        back = driver.resume(alice)
        alice.drop(unsent=[("general", 1)])
        back.drop()
        assert driver.resume(back).contents == []

    def position(self, driver: Driver, seq: int, room: str = "general") -> dict[str, Position]:
        return {room: Position(epoch=driver.state.chat.general.epoch, seq=seq)}

    @pytest.mark.parametrize(("seq", "expected"), [(0, ["1", "2", "3"]), (1, ["2", "3"]), (3, [])])
    @pytest.mark.parametrize("room", ["general", "GENERAL"])
    def test_given_position_goes_before_the_kept_one(self, seq: int, expected: list[str], room: str) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "1", "2", "3")
        alice.drop()
        back = driver.resume(alice, self.position(driver, seq, room))
        speak(bob, "4")
        assert back.contents == [*expected, "4"]
        assert back.events("lagged") == []

    def test_position_beyond_the_last_has_lagged(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        speak(alice, "1", "2")
        alice.drop()
        back = driver.resume(alice, self.position(driver, 3))
        (lagged,) = back.events("lagged")
        assert (lagged.room, lagged.epoch, lagged.first, lagged.last) == ("general", "boot-1", 1, 2)
        assert back.contents == ["1", "2"]
        assert back.all.index(lagged) == 1

    def test_another_epoch_has_lagged(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        speak(alice, "1", "2")
        alice.drop()
        back = driver.resume(alice, {"general": Position(epoch="old", seq=2)})
        assert len(back.events("lagged")) == 1
        assert back.contents == ["1", "2"]

    def test_trimmed_has_lagged(self) -> None:
        driver = Driver(history_limit=2)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.drop()
        speak(bob, "1", "2", "3")
        back = driver.resume(alice)
        (lagged,) = back.events("lagged")
        assert (lagged.first, lagged.last) == (2, 3)
        assert back.contents == ["2", "3"]

    def test_just_not_trimmed_has_not_lagged(self) -> None:
        driver = Driver(history_limit=2)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "1")
        alice.drop()
        speak(bob, "2", "3")
        back = driver.resume(alice)
        assert back.events("lagged") == []
        assert back.contents == ["2", "3"]

    def test_position_of_a_room_that_one_is_not_in_is_ignored(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        speak(bob, "secret", room="den")
        alice.drop()
        given = {
            name: Position(epoch="boot-2", seq=0) for name in ("den", "@bob", "@alice", "@nobody", "nowhere", "#", "")
        }
        back = driver.resume(alice, given)
        assert [type(event) for event in back.all] == [Welcome]

    def test_conversation_is_resumed_too(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        bob.send(Private(to="alice", content="1"))
        alice.drop()
        bob.send(Private(to="alice", content="2"))
        back = driver.resume(alice)
        assert [event.content for event in back.of(PrivatePosted)] == ["2"]
        assert [room["room"] for room in back.welcome.rooms] == ["general", "@bob"]
        epoch = back.of(PrivatePosted)[0].epoch
        again = driver.resume(back, {"@Bob": Position(epoch=epoch, seq=0)})
        assert [event.content for event in again.of(PrivatePosted)] == ["1", "2"]

    def test_first_word_to_who_is_away_waits_for_the_return(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.drop()
        bob.send(Private(to="alice", content="1"))
        assert [event.content for event in driver.resume(alice).of(PrivatePosted)] == ["1"]

    def test_room_left_is_not_resumed(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for client in (alice, bob):
            client.send(Join(room="den"))
        alice.send(Leave(room="den"))
        alice.drop()
        speak(bob, "1", room="den")
        back = driver.resume(alice)
        assert back.contents == []
        assert back.refused(GetHistory(room="den")).code == "not_in_room"

    def test_long_absence_is_replayed_page_by_page(self) -> None:
        driver = Driver(messages_burst=1000)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.drop()
        speak(bob, *map(str, range(450)))
        back = driver.open()
        driver.full.add(back.conn)
        back.send(Connect(resume=Resume(session=alice.session)))
        assert back.contents == []
        speak(bob, "450")
        back.send(Ping())
        driver.drained(back)
        speak(bob, "451")
        assert back.contents == [str(number) for number in range(452)]

    def test_cut_off_within_a_replay_goes_on_from_there(self) -> None:
        driver = Driver(messages_burst=1000)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.drop()
        speak(bob, *map(str, range(300)))
        back = driver.open()
        driver.full.add(back.conn)
        back.send(Connect(resume=Resume(session=alice.session)))
        back.drop()
        driver.drained(back)
        assert back.contents == []
        assert driver.resume(alice).contents == [str(number) for number in range(300)]


class TestWelcomeFits:
    def test_many_rooms_are_cut_and_said_to_be(self) -> None:
        driver = Driver(max_message_bytes=8192, rooms_per_user=200, messages_burst=300, rooms_created_per_hour=200)
        name = "𐐀" * 32
        alice = driver.connect(name)
        for number in range(100):
            alice.send(Join(room=f"{number:03}" + "𐐀" * 29))
        alice.drop()
        back = driver.open()
        back.send(Connect(id="\x00" * 64, resume=Resume(session=alice.session)))
        welcome = back.welcome
        assert welcome.more is True
        assert 0 < len(welcome.rooms) < 101
        assert welcome.rooms[0]["room"] == "general"
        seen, cursor = list[str](), None
        while True:
            back.send(ListRooms(mine=True, limit=200, cursor=cursor, id="\x00" * 64))
            listed = json.loads(encode(back.all[-1]))
            seen += [room["room"] for room in listed["rooms"]]
            cursor = listed.get("cursor")
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 101


class TestEnd:
    def test_rooms_and_conversations_end_with_a_guest(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Join(room="den"))
        alice.send(Private(to="bob", content="hi"))
        driver.advance(1)
        alice.drop(1000)
        chat = driver.state.chat
        assert chat.rooms.get("den") is None
        assert bob.refused(GetHistory(room="@alice")).code == "no_such_user"
        assert list(chat.people.by_name["bob"].talks) == []
        driver.connect("alice")
        assert bob.refused(GetHistory(room="@alice")).code == "no_such_room"

    def test_conversation_with_who_is_away_ends_too(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Private(to="bob", content="hi"))
        bob.drop()
        alice.drop(1000)
        assert [room["room"] for room in driver.resume(bob).welcome.rooms] == ["general"]

    def test_user_with_another_session_stays(self) -> None:
        """No guest has two sessions; other users will."""
        driver = Driver(presence_interval=0.5)
        alice, bob = driver.connect("alice"), driver.connect("bob")
        chat = driver.state.chat
        user = chat.people.by_name["alice"]
        second = chat.people.add_session(Session(99, digest("second"), user))
        second.positions["general"] = 0
        alice.send(Join(room="den"))
        assert second.positions["den"] == 0
        back = driver.open()
        back.send(Connect(resume=Resume(session="second")))
        driver.advance(1)
        bob.news()
        alice.drop()
        driver.advance(1000)
        speak(bob, "hi")
        driver.advance(1)
        assert back.contents == ["hi"]
        assert chat.people.by_name["alice"].sessions == [second]
        assert [type(event) for event in bob.news()] == [Posted]
        back.drop()
        driver.advance(1)
        assert bob.events("left")[-1].users == ["alice"]

    def test_ticks_without_reason_do_nothing(self) -> None:
        driver = Driver()
        driver.connect("alice")
        driver.advance(1)
        assert driver.apply(Tick()) == []
