"""Talking: every command, over clients that offer `chat` and clients that offer nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .client import Client, contents, join, seqs
from .process import Server

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def pair(server: Server, modern: bool) -> Iterator[tuple[Client, Client]]:
    """Alice and bob, of one kind."""
    with join(server, "alice", modern=modern) as alice, join(server, "bob", modern=modern) as bob:
        yield alice, bob


def test_ack_comes_before_the_own_copy(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("message", content="good morning", id="m1")
    ack = alice.until("ack", id="m1")
    copy = alice.until("message")
    own = dict(copy)

    assert ack == {"type": "ack", "id": "m1", "seq": 1, "room": "general", "epoch": alice.position()["epoch"]}
    assert TIMESTAMP.fullmatch(own.pop("timestamp"))
    assert own == {"type": "message", "content": "good morning", "sender": "alice", "room": "general", "seq": 1}
    assert bob.until("message") == copy
    assert contents(alice.frames) == ["good morning"]
    assert "ack" not in [frame["type"] for frame in bob.so_far()]


def test_without_an_id_there_is_no_ack(pair: tuple[Client, Client]) -> None:
    """But a failure is an error, and a named reply comes all the same."""
    alice, bob = pair
    alice.send("message", content="good morning")
    assert [frame["type"] for frame in alice.so_far()] == ["message"]
    assert contents(bob.so_far()) == ["good morning"]

    alice.send("typing", room="nowhere")
    (error,) = alice.so_far()
    assert (error["type"], error["code"], "id" in error) == ("error", "no_such_room", False)
    bob.send("ping")
    pong = bob.until("pong")
    assert TIMESTAMP.fullmatch(pong["timestamp"])
    assert "id" not in pong
    assert bob.ask("ping")["type"] == "pong"


def test_message_joins_and_creates_its_room(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("message", room="Garden", content="first in here", id=1)
    frames = alice.up_to("message", room="Garden")

    kinds = [frame.get("event", frame["type"]) for frame in frames if frame.get("event") not in ("joined", "left")]
    assert [kind for kind in kinds if kind != "user_list"] == ["room_created", "ack", "message"]
    assert bob.so_far() == []
    bob.send("message", room="garden", content="second in here")
    assert contents(alice.up_to("message", sender="bob")) == ["second in here"]
    assert contents(bob.so_far()) == ["second in here"], "nothing of a room before joining it"


def test_private_is_one_copy_and_one_echo(server: Server, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    with join(server, "carol") as carol:
        alice.send("private", to="Bob", content="just for you", id=1)
        ack, echo = alice.until("ack", id=1), alice.until("private")

        assert (ack["seq"], ack["room"], ack["epoch"]) == (1, "@bob", echo["epoch"])
        assert (echo["from"], echo["sender"], echo["to"]) == ("alice", "alice", "bob")
        assert bob.so_far() == [echo]
        assert alice.so_far() == []
        assert carol.so_far() == []
        assert contents(bob.ask("history", room="@alice")["entries"]) == ["just for you"]


@pytest.mark.parametrize(("to", "code"), [("nobody", "no_such_user"), ("alice", "bad_room")])
def test_private_to_nobody(shared: Server, to: str, code: str) -> None:
    with join(shared, "alice") as alice:
        assert alice.ask("private", to=to, content="anybody there")["code"] == code


def test_typing_goes_to_the_others_and_is_not_kept(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    assert alice.ask("typing", room="general")["type"] == "ack"
    alice.send("typing", room="general")  # within the second: not passed on
    alice.send("typing", room="general", isTyping=False)
    alice.send("typing", to="bob")

    assert alice.so_far() == []
    said = {"type": "typing", "from": "alice", "sender": "alice"}
    assert bob.so_far() == [
        said | {"room": "general", "isTyping": True},
        said | {"room": "general", "isTyping": False},
        said | {"to": "bob", "isTyping": True},
    ]
    assert bob.ask("history", room="general")["entries"] == []


def test_join_leave_rooms_users(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    made = alice.ask("join", room="garden")
    assert (made["type"], made["room"], made["last"]) == ("ack", "garden", 0)
    assert alice.until("system", event="room_created")["room"] == "garden"
    assert bob.ask("users", room="garden")["code"] == "not_in_room"
    assert bob.ask("join", room="GARDEN") == made | {"id": 2}
    assert alice.hears("joined", "bob", "garden")["total"] == 2

    listed = {here["room"]: here["members"] for here in alice.ask("rooms")["rooms"]}
    assert listed == {"general": 2, "garden": 2}
    users = bob.ask("users", room="garden")
    assert (users["type"], users["users"], users["total"]) == ("user_list", ["alice", "bob"], 2)

    assert bob.ask("leave", room="garden")["type"] == "ack"
    assert alice.hears("left", "bob", "garden")["total"] == 1
    alice.send("message", room="garden", content="bob has gone")
    assert contents(alice.so_far()) == ["bob has gone"]
    assert bob.so_far() == [], "nothing of a room after leaving it"
    assert {here["room"] for here in bob.ask("rooms", mine=True)["rooms"]} == {"general"}
    assert bob.ask("leave", room="general")["code"] == "bad_room"
    assert bob.ask("leave", room="garden")["code"] == "not_in_room"
    assert bob.ask("leave", room="nowhere")["code"] == "no_such_room"


def test_last_one_closes_an_empty_room(shared: Server) -> None:
    with join(shared, "last") as alice:
        alice.ask("join", room="brief")
        assert alice.ask("leave", room="brief")["type"] == "ack"
        assert "brief" not in {here["room"] for here in alice.ask("rooms")["rooms"]}


def test_history_is_what_members_got_live(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    for number in range(1, 6):
        alice.send("message", content=f"line number {number}")
    live = alice.so_far("message")

    page = bob.ask("history", room="general")
    assert page["type"] == "history"
    assert page["entries"] == live
    assert (page["room"], page["first"], page["last"], page["more"]) == ("general", 1, 5, False)
    assert page["epoch"] == bob.position()["epoch"]

    newest = bob.ask("history", room="general", limit=2)
    assert (list(seqs(newest["entries"])), newest["more"]) == ([4, 5], True)
    older = bob.ask("history", room="general", before=4, limit=2)
    assert (list(seqs(older["entries"])), older["more"]) == ([2, 3], True)
    first = bob.ask("history", room="general", after=0, limit=3)
    assert (list(seqs(first["entries"])), first["more"]) == ([1, 2, 3], True)
    rest = bob.ask("history", room="general", after=3)
    assert (list(seqs(rest["entries"])), rest["more"]) == ([4, 5], False)
    assert bob.ask("history", room="nowhere")["code"] == "no_such_room"


def test_joined_and_left_are_told_once(server: Server, modern: bool) -> None:
    with join(server, "alice", modern=modern) as alice:
        comings_and_goings(server, alice, modern=modern)


def comings_and_goings(server: Server, alice: Client, *, modern: bool) -> None:
    """Bob comes and goes, and alice is told."""
    assert alice.until("user_list")["users"] == ["alice"]  # its own coming is told
    bob = join(server, "bob", modern=modern)
    joined = alice.until("system", event="joined")
    assert (joined["content"], joined["users"], joined["count"], joined["total"]) == ("bob joined", ["bob"], 1, 2)
    assert alice.until("user_list")["users"] == ["alice", "bob"]
    bob.ws.close()
    left = alice.until("system", event="left", users=["bob"])
    assert (left["content"], left["room"], left["total"]) == ("bob left", "general", 1)
    assert alice.until("user_list")["users"] == ["alice"]

    told = [(frame["event"], frame["users"]) for frame in alice.frames if frame.get("event") in ("joined", "left")]
    assert told == [("joined", ["bob"]), ("left", ["bob"])], "one's own join is the welcome"


def test_key_is_appended_once(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    once = alice.ask("message", content="only once", key="k")
    again = alice.ask("message", content="only once", key="k")
    assert (once["seq"], again["type"], again["seq"]) == (1, "ack", 1)
    assert alice.ask("message", content="something else", key="k")["code"] == "key_reused"
    assert contents(bob.so_far()) == ["only once"]


def test_everyone_sees_one_order(server: Server) -> None:
    """Ten who all talk at once: no gap, no double, and the same for all."""
    with ExitStack() as stack:
        everyone = [stack.enter_context(join(server, f"user{n}", modern=n % 2 == 0)) for n in range(10)]
        for line in range(10):
            for client in everyone:
                client.send("message", content=f"line {line} of {client.name}")
        seen = [client.up_to("message", seq=100) for client in everyone]

    orders = [[(frame["seq"], frame["content"]) for frame in frames if frame["type"] == "message"] for frames in seen]
    assert [seq for seq, _content in orders[0]] == list(range(1, 101))
    assert all(order == orders[0] for order in orders)
