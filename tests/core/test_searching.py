"""Search: which messages, in which order, page by page, and what becomes of an answer that comes late."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.core.driver import Client, Driver
from trio_chat.core.effects import Failed, Found, Search
from trio_chat.core.events import Error, Hit, Posted, PrivatePosted, SearchResult
from trio_chat.core.messages import Command, Delete, Edit, Find, Join, Leave, Message, Private, React, SetTopic

WHEN = "2026-01-01T00:00:00.000Z"


def trio() -> tuple[Driver, Client, Client]:
    """Alice and bob are in the den; alice alone is in the attic."""
    driver = Driver(messages_burst=1000)
    alice, bob = driver.connect("alice"), driver.connect("bob")
    for client, room in ((alice, "den"), (bob, "den"), (alice, "attic")):
        client.send(Join(room=room))
    return driver, alice, bob


def say(driver: Driver, client: Client, room: str, *contents: str) -> None:
    """One a second."""
    for content in contents:
        driver.advance(1)
        client.send(Message(content=content, room=room))


def find(client: Client, query: str, **fields: Any) -> SearchResult:
    client.news()
    (result,) = client.send(Find(query=query, id="q", **fields))
    assert isinstance(result, SearchResult), result
    assert result.id == "q"
    return result


def places(result: SearchResult) -> list[tuple[str, int]]:
    found = []
    for hit in result.hits:
        assert isinstance(hit.entry, Posted | PrivatePosted)
        found.append((hit.room, hit.entry.seq))
    return found


class TestWhatIsFound:
    def test_newest_first_in_all_rooms_that_one_is_in(self) -> None:
        driver, alice, bob = trio()
        say(driver, alice, "den", "one tea", "two")
        say(driver, alice, "attic", "three tea")
        say(driver, bob, "general", "four TEA!")
        say(driver, bob, "elsewhere", "five tea")
        driver.advance(1)
        bob.send(Private(to="alice", content="six tea"))
        assert places(find(alice, "tea")) == [("@bob", 1), ("general", 1), ("attic", 1), ("den", 1)]
        assert places(find(bob, "tea")) == [("@alice", 1), ("elsewhere", 1), ("general", 1), ("den", 1)]

    def test_in_one_room(self) -> None:
        driver, alice, bob = trio()
        say(driver, alice, "den", "tea")
        say(driver, alice, "attic", "tea")
        bob.send(Private(to="alice", content="tea"))
        assert places(find(alice, "tea", room="DEN")) == [("den", 1)]
        assert places(find(alice, "tea", room="@Bob")) == [("@bob", 1)]

    def test_all_words_in_any_order_and_whatever_the_case(self) -> None:
        driver, alice, _ = trio()
        say(driver, alice, "den", "Green tea", "tea, greenish", "TEA (green)", "Grün")
        assert places(find(alice, "tea GREEN tea")) == [("den", 3), ("den", 1)]
        assert places(find(alice, "grun")) == [("den", 4)]
        assert places(find(alice, "coffee")) == []

    @pytest.mark.parametrize(
        "query", ['"tea', "tea*", "tea OR", "NEAR(tea)", "den:tea", "-tea", "tea'; --", "^tea", "(tea"]
    )
    def test_syntax_of_an_engine_is_plain_words(self, query: str) -> None:
        driver, alice, _ = trio()
        words = "tea or near den"
        say(driver, alice, "den", words)
        assert places(find(alice, query)) == [("den", 1)]

    def test_a_hit_is_what_history_would_show(self) -> None:
        driver, alice, bob = trio()
        bob.send(Message(content="tea", room="den", reply_to=None))
        bob.send(React(room="den", seq=1, emoji="+"))
        driver.advance(1.5)
        bob.send(Edit(room="den", seq=1, content="green tea"))
        assert find(alice, "tea").hits == [
            Hit(
                room="den",
                epoch="boot-2",
                entry=Posted(
                    content="green tea",
                    sender="bob",
                    room="den",
                    timestamp=WHEN,
                    seq=1,
                    edited="2026-01-01T00:00:01.500Z",
                    reactions={"+": {"count": 1, "users": ["bob"]}},
                ),
            )
        ]

    def test_present_state_is_found_and_the_former_is_not(self) -> None:
        driver, alice, _ = trio()
        say(driver, alice, "den", "tea", "coffee", "milk")
        alice.send(Edit(room="den", seq=1, content="water"))
        alice.send(Delete(room="den", seq=2))
        alice.send(SetTopic(room="den", topic="milk"))
        alice.send(Edit(room="den", seq=3, content="milk"))
        assert places(find(alice, "tea")) == places(find(alice, "coffee")) == []
        assert places(find(alice, "water")) == [("den", 1)]
        assert places(find(alice, "milk")) == [("den", 3)]

    def test_what_was_said_before_one_came_is_found_and_what_one_left_is_not(self) -> None:
        driver, alice, bob = trio()
        say(driver, alice, "attic", "tea")
        assert places(find(bob, "tea")) == []
        bob.send(Join(room="attic"))
        assert places(find(bob, "tea")) == [("attic", 1)]
        bob.send(Leave(room="attic"))
        assert places(find(bob, "tea")) == []

    def test_after_a_restart(self) -> None:
        driver, alice, _ = trio()
        say(driver, alice, "den", "tea one", "tea two")
        cursor = find(alice, "tea", limit=1).cursor
        driver.crash()
        back = driver.resume(alice)
        assert places(find(back, "tea")) == [("den", 2), ("den", 1)]
        assert places(find(back, "tea", cursor=cursor)) == [("den", 1)]


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 200])
    @pytest.mark.parametrize("apart", [0.0, 0.1])
    def test_each_once_and_in_order(self, limit: int, apart: float) -> None:
        driver, alice, bob = trio()
        said = list[tuple[str, int]]()
        for number in range(12):
            room = ("den", "attic", "general")[number * number % 3]
            alice.send(Message(content=f"tea {number}", room=room))
            said.append((room, 1 + sum(other == room for other, _ in said)))
            driver.advance(apart)
        bob.send(Private(to="alice", content="tea"))
        if apart == 0:  # then by the age of the room
            said.sort(key=lambda place: (("general", "den", "attic").index(place[0]), place[1]))
        expected = [("@bob", 1), *reversed(said)]
        seen, cursor, pages = list[tuple[str, int]](), None, 0
        while True:
            result = find(alice, "tea", limit=limit, cursor=cursor)
            assert len(result.hits) <= limit
            seen += places(result)
            cursor, pages = result.cursor, pages + 1
            if cursor is None:
                break
        assert seen == expected
        assert pages == -(-len(expected) // limit)

    def test_what_is_said_meanwhile_moves_no_page(self) -> None:
        driver, alice, _ = trio()
        say(driver, alice, "den", "tea 1", "tea 2", "tea 3")
        first = find(alice, "tea", limit=1)
        say(driver, alice, "den", "tea 4")
        alice.send(Delete(room="den", seq=3))
        assert places(find(alice, "tea", cursor=first.cursor)) == [("den", 2), ("den", 1)]

    @pytest.mark.parametrize(
        "cursor",
        ["x", "1", "1-1-1", "1.0-1", "1.0-1-1-1", "-1.0-1-1", "1.0-1-1 ", "١.0-1-1", "1e5-1-1", "inf-1-1", "1.0-1-x"],
    )
    def test_cursor_of_nobody_s(self, cursor: str) -> None:
        driver, alice, _ = trio()
        start = len(driver.effects)
        error = alice.refused(Find(query="tea", cursor=cursor, id=1))
        assert (error.code, error.content) == ("bad_message", "cursor must be one that the server sent")
        assert not any(isinstance(effect, Search) for effect in driver.effects[start:])

    @pytest.mark.parametrize(
        ("cursor", "expected"), [("9" * 50 + ".0-9999-99999", [("den", 1)]), ("0.0-0-0", []), ("1.0-1-" + "9" * 58, [])]
    )
    def test_cursor_of_any_place(self, cursor: str, expected: list[tuple[str, int]]) -> None:
        driver, alice, _ = trio()
        say(driver, alice, "den", "tea")
        assert places(find(alice, "tea", cursor=cursor)) == expected


class TestRefusals:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (Find(query="tea", room="elsewhere", id=1), "not_in_room"),
            (Find(query="tea", room="nowhere", id=1), "no_such_room"),
            (Find(query="tea", room="#", id=1), "bad_room"),
            (Find(query="tea", room="", id=1), "bad_room"),
            (Find(query="tea", room="@alice", id=1), "bad_room"),
            (Find(query="tea", room="@bob", id=1), "no_such_room"),
            (Find(query="tea", room="@nobody", id=1), "no_such_user"),
            (Find(query="... !?", id=1), "bad_message"),
            (Find(query="_", id=1), "bad_message"),
            (Find(query="\u0301", id=1), "bad_message"),
        ],
    )
    def test_nothing_is_asked(self, command: Command, code: str) -> None:
        driver, alice, bob = trio()
        bob.send(Join(room="elsewhere"))
        start = len(driver.effects)
        assert alice.refused(command).code == code
        assert not any(isinstance(effect, Search) for effect in driver.effects[start:])


class TestLateAnswers:
    def held(self, **fields: Any) -> tuple[Driver, Client, Client]:
        driver, alice, bob = trio()
        say(driver, alice, "den", "tea")
        say(driver, alice, "attic", "tea")
        say(driver, bob, "den", "tea")
        driver.held = True
        alice.news()
        alice.send(Find(query="tea", id=1, **fields))
        return driver, alice, bob

    def test_left_meanwhile(self) -> None:
        driver, alice, _ = self.held()
        alice.send(Leave(room="den"))
        driver.release()
        result = alice.all[-1]
        assert isinstance(result, SearchResult)
        assert places(result) == [("attic", 1)]

    def test_left_the_room_of_the_last_hit(self) -> None:
        """There are more behind it, and the cursor leads there."""
        driver, alice, _ = self.held(limit=1)
        alice.send(Leave(room="den"))
        driver.release()
        result = alice.all[-1]
        assert isinstance(result, SearchResult)
        assert result.hits == []
        assert places(find(alice, "tea", cursor=result.cursor)) == [("attic", 1)]

    def test_room_of_another_epoch(self) -> None:
        driver, alice, _ = self.held()
        entry = driver.log._rooms["den"].entries[1]
        old = attrs.evolve(entry, epoch="old")
        driver.answer(lambda request: Found(request, (("den", old), ("den", entry), ("nowhere", entry))))
        result = alice.all[-1]
        assert isinstance(result, SearchResult)
        assert [hit.epoch for hit in result.hits] == ["boot-2"]

    def test_failed(self) -> None:
        driver, alice, _ = self.held()
        driver.answer(lambda request: Failed(request, 3))
        error = alice.all[-1]
        assert isinstance(error, Error)
        assert (error.id, error.code, error.retry_after) == (1, "unavailable", 3)

    def test_gone(self) -> None:
        driver, alice, _ = self.held()
        alice.drop()
        driver.release()
        assert alice.of(SearchResult) == []
        driver, alice, _ = self.held()
        alice.drop()
        assert driver.answer(Failed) == []
        assert alice.of(Error) == []

    def test_not_connected_yet(self) -> None:
        driver, _alice, _ = self.held()
        newcomer = driver.open()
        request = Search((), ("tea",), 10, 1000, newcomer.conn, None, 1)
        assert driver.apply(Found(request, ())) == []
