"""Reading the log back: pages of history, and replays."""

from __future__ import annotations

import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept
from trio_chat.core.effects import Failed, Page, Read, Stale
from trio_chat.core.events import Ack, Error, HistoryPage, Posted, PrivatePosted, ReadShown, RoomList
from trio_chat.core.messages import GetHistory, Join, Leave, ListRooms, MarkRead, Message, Position, Private


def room_of(count: int, **options: int) -> tuple[Driver, Client]:
    driver = Driver(messages_burst=1000, **options)
    alice = driver.connect("alice")
    for number in range(1, count + 1):
        alice.send(Message(content=f"{number}", room="den"))
    return driver, alice


def page(client: Client, command: GetHistory) -> HistoryPage:
    client.news()
    (found,) = client.send(command)
    assert isinstance(found, HistoryPage), found
    assert found.id == command.id
    return found


def seqs(found: HistoryPage) -> list[int]:
    return [entry.seq for entry in found.entries if isinstance(entry, Posted | PrivatePosted)]


@pytest.mark.parametrize(
    ("command", "expected", "more"),
    [
        (GetHistory(room="den", id=1), list(range(11, 61)), True),
        (GetHistory(room="DEN", limit=200), list(range(1, 61)), False),
        (GetHistory(room="den", limit=3), [58, 59, 60], True),
        (GetHistory(room="den", after=0, limit=2), [1, 2], True),
        (GetHistory(room="den", after=57), [58, 59, 60], False),
        (GetHistory(room="den", after=60), [], False),
        (GetHistory(room="den", after=99), [], False),
        (GetHistory(room="den", before=3), [1, 2], False),
        (GetHistory(room="den", before=1), [], False),
        (GetHistory(room="den", before=5, limit=2), [3, 4], True),
        (GetHistory(room="den", before=999, limit=1), [60], True),
    ],
)
def test_pages(command: GetHistory, expected: list[int], more: bool) -> None:
    _, alice = room_of(60)
    found = page(alice, command)
    assert (seqs(found), found.more) == (expected, more)
    assert (found.room, found.epoch, found.first, found.last) == ("den", "boot-2", 1, 60)


def test_entries_are_the_frames_that_members_got() -> None:
    _, alice = room_of(3)
    assert page(alice, GetHistory(room="den")).entries == alice.of(Posted)
    alice.send(Message(content="re", room="den", reply_to=2))
    assert page(alice, GetHistory(room="den")).entries == alice.of(Posted)


def test_empty_room() -> None:
    found = page(Driver().connect("alice"), GetHistory(room="general"))
    assert (found.entries, found.first, found.last, found.more) == ([], 1, 0, False)


def test_trimmed() -> None:
    _, alice = room_of(10, history_limit=4)
    found = page(alice, GetHistory(room="den", after=2, limit=2))
    assert (seqs(found), found.first, found.last, found.more) == ([7, 8], 7, 10, True)
    assert page(alice, GetHistory(room="den", before=7)).more is False
    assert page(alice, GetHistory(room="den", before=8, limit=1)).more is False


def test_conversation_is_called_after_the_other() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Private(to="bob", content="psst"))
    found = page(bob, GetHistory(room="@Alice"))
    assert found.room == "@alice"
    assert found.entries == bob.of(PrivatePosted)
    assert page(alice, GetHistory(room="@bob")).room == "@bob"


def test_page_is_cut_by_bytes() -> None:
    _, alice = room_of(50, max_message_bytes=8192)
    seen, before = list[int](), 51
    while before > 1:
        found = page(alice, GetHistory(room="den", before=before, id="\x00" * 64))
        assert found.more is (found.first < seqs(found)[0])
        seen = seqs(found) + seen
        before = seen[0]
    assert seen == list(range(1, 51))


@pytest.mark.parametrize("answer", [Failed, Stale])
def test_log_is_away(answer: type[Failed | Stale]) -> None:
    driver, alice = room_of(1)
    driver.held = True
    alice.send(GetHistory(room="den", id=5))
    alice.send(GetHistory(room="den", id=6))
    driver.answer(answer)
    error = alice.all[-1]
    assert isinstance(error, Error)
    assert (error.code, error.id, error.retry_after) == ("unavailable", 5, 1.0)
    alice.drop()
    assert driver.answer(answer)[1:] == []


def test_who_left_before_the_log_answered_is_refused() -> None:
    driver, alice = room_of(1)
    driver.held = True
    alice.send(GetHistory(room="den", id=5))
    alice.send(Leave(room="den"))
    driver.release()
    error = alice.all[-1]
    assert isinstance(error, Error)
    assert (error.id, error.code) == (5, "not_in_room")


def test_conversation_that_ended_before_the_log_answered() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Private(to="bob", content="psst"))
    driver.held = True
    alice.send(GetHistory(room="@bob", id=5))
    bob.drop(1000)
    driver.release()
    error = alice.all[-1]
    assert isinstance(error, Error)
    assert (error.id, error.code) == (5, "no_such_room")


def test_page_for_who_is_gone() -> None:
    driver, alice = room_of(1)
    driver.held = True
    alice.send(GetHistory(room="den", id=5))
    alice.drop()
    driver.release()
    assert alice.of(HistoryPage) == []


class TestReplay:
    def behind(self, driver: Driver, after: int = 0) -> Client:
        """Bob joins from a position, and his outbox is full."""
        bob = driver.connect("bob")
        driver.full.add(bob.conn)
        bob.send(Join(room="den", id=1, after=Position(epoch="boot-2", seq=after)))
        return bob

    def test_trimmed_meanwhile(self) -> None:
        driver, alice = room_of(3, history_limit=3)
        bob = self.behind(driver)
        for number in (4, 5):
            alice.send(Message(content=f"{number}", room="den"))
        driver.drained(bob)
        (lagged,) = bob.events("lagged")
        assert (lagged.first, lagged.last) == (3, 5)
        assert bob.contents == ["3", "4", "5"]

    def test_all_trimmed_meanwhile(self) -> None:
        driver, alice = room_of(3, history_days=1)
        bob = self.behind(driver)
        driver.advance(100_000)
        driver.drained(bob)
        (lagged,) = bob.events("lagged")
        assert (lagged.first, lagged.last) == (4, 3)
        alice.send(Message(content="4", room="den"))
        assert bob.contents == ["4"]

    def test_left_meanwhile(self) -> None:
        driver, _ = room_of(3)
        bob = self.behind(driver)
        bob.send(Leave(room="den"))
        driver.drained(bob)
        assert bob.contents == []

    def test_left_and_began_anew_meanwhile(self) -> None:
        driver, alice = room_of(3)
        bob = self.behind(driver)
        bob.send(Leave(room="den"))
        bob.send(Join(room="den", after=Position(epoch="boot-2", seq=0)))
        driver.drained(bob)
        alice.send(Message(content="4", room="den"))
        assert bob.contents == ["1", "2", "3", "4"]

    def test_room_was_closed_and_made_anew_meanwhile(self) -> None:
        driver, alice = room_of(3, history_days=1)
        bob = self.behind(driver)
        driver.advance(100_000)
        alice.send(GetHistory(room="den"))
        for client in (alice, bob):
            client.send(Leave(room="den"))
        alice.send(Message(content="new", room="den"))
        bob.send(Join(room="den", after=Position(epoch="boot-2", seq=0)))
        driver.drained(bob)
        alice.send(Message(content="newer", room="den"))
        assert bob.contents == ["new", "newer"]
        assert bob.closed is None

    def test_conversation_ended_meanwhile(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.drop()
        bob.send(Private(to="alice", content="psst"))
        driver.held = True
        back = driver.resume(alice)
        bob.drop(1000)
        driver.release()
        assert back.of(PrivatePosted) == []

    def test_answer_to_a_request_of_nobody(self) -> None:
        driver, _ = room_of(3)
        assert driver.apply(Page(Read("den", "boot-2", 99, 1, 1, after=0), (), 1, 3)) == []
        open_only = driver.open()
        assert driver.apply(Page(Read("den", "boot-2", open_only.conn, 1, 1, after=0), (), 1, 3)) == []


class TestRead:
    def test_moves_forward_only_and_the_ack_says_where_it_stands(self) -> None:
        driver, alice = room_of(5)
        assert alice.done(MarkRead(room="DEN", seq=3, id=1)) == Ack(id=1, room="den", seq=3)
        assert alice.done(MarkRead(room="den", seq=1, id=2)) == Ack(id=2, room="den", seq=3)
        assert alice.done(MarkRead(room="den", seq=3, id=3)) == Ack(id=3, room="den", seq=3)
        assert alice.done(MarkRead(room="den", seq=5, id=4)) == Ack(id=4, room="den", seq=5)
        assert alice.send(MarkRead(room="den", seq=5)) == []
        check_kept(driver)
        assert [room["read"] for room in driver.resume(alice).welcome.rooms] == [0, 5]

    def test_is_one_s_own_and_told_to_nobody_else(self) -> None:
        driver, alice = room_of(2)
        bob = driver.connect("bob")
        bob.send(Join(room="den"))
        bob.news()
        alice.send(MarkRead(room="den", seq=2))
        assert bob.news() == []
        bob.send(ListRooms())
        (listed,) = bob.of(RoomList)
        assert [room["read"] for room in listed.rooms] == [0, 0]

    def test_in_a_conversation_each_has_one(self) -> None:
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        alice.send(Private(to="bob", content="psst"))
        assert bob.done(MarkRead(room="@Alice", seq=1, id=1)) == Ack(id=1, room="@alice", seq=1)
        for client, read in ((alice, 0), (bob, 1)):
            client.send(ListRooms(mine=True))
            assert [room["read"] for room in client.of(RoomList)[-1].rooms] == [0, read]
        check_kept(driver)

    def test_is_gone_with_the_membership(self) -> None:
        driver, alice = room_of(2)
        alice.send(MarkRead(room="den", seq=2))
        alice.send(Leave(room="den"))
        alice.send(ListRooms())
        assert "read" not in alice.of(RoomList)[-1].rooms[1]
        alice.send(Join(room="den"))
        assert alice.done(MarkRead(room="den", seq=1, id=1)).seq == 1
        check_kept(driver)

    def test_what_is_trimmed_may_be_read(self) -> None:
        _, alice = room_of(5, history_limit=2)
        assert alice.done(MarkRead(room="den", seq=1, id=1)).seq == 1

    @pytest.mark.parametrize(
        ("room", "seq", "code"),
        [
            ("den", 3, "no_such_entry"),
            ("general", 1, "no_such_entry"),
            ("attic", 1, "not_in_room"),
            ("nowhere", 1, "no_such_room"),
            ("#", 1, "bad_room"),
            ("@alice", 1, "bad_room"),
            ("@bob", 1, "no_such_room"),
            ("@nobody", 1, "no_such_user"),
        ],
    )
    def test_refusals(self, room: str, seq: int, code: str) -> None:
        driver, alice = room_of(2)
        bob = driver.connect("bob")
        bob.send(Message(content="1", room="attic"))
        before = dict(driver.kept)
        assert alice.refused(MarkRead(room=room, seq=seq, id=1)).code == code
        assert driver.kept == before
        assert bob.of(ReadShown) == []

    def test_while_the_entry_is_on_its_way(self) -> None:
        """It is none yet."""
        driver, alice = room_of(2)
        driver.held = True
        alice.send(Message(content="3", room="den"))
        assert alice.refused(MarkRead(room="den", seq=3, id=1)).code == "no_such_entry"
        driver.release()
        assert alice.done(MarkRead(room="den", seq=3, id=2)).seq == 3
