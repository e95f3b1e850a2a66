"""Edits, deletions, reactions, topics, read markers and search, over real sockets and a real file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .client import Client, Frame, join
from .process import Server

Start = Callable[..., Server]
FAST = ("--messages-burst", "10000", "--frames-per-second", "10000")


@pytest.fixture
def pair(start: Start) -> Iterator[tuple[Client, Client]]:
    """alice, who owns the garden, and bob, who is there."""
    server = start(*FAST)
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.ask("join", room="garden")
        bob.ask("join", room="garden")
        yield alice, bob


def entries(client: Client, room: str = "garden") -> list[Frame]:
    """What `history` shows, without the times."""
    page: list[dict[str, Any]] = client.ask("history", room=room)["entries"]
    return [{name: value for name, value in entry.items() if name not in ("timestamp", "epoch")} for entry in page]


def test_edit_and_react(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.ask("message", room="garden", content="tulps")
    assert alice.ask("react", room="garden", seq=1, emoji="🌷")["seq"] == 2
    assert bob.ask("edit", room="garden", seq=1, content="tulips")["seq"] == 3
    edited = alice.until("edited")
    assert (edited["of"], edited["content"], edited["sender"]) == (1, "tulips", "bob")
    assert [frame["of"] for frame in bob.frames if frame["type"] == "reacted"] == [1]
    shown = entries(alice)
    assert shown[0].pop("edited") == edited["timestamp"]
    assert shown[0] == {
        "type": "message",
        "room": "garden",
        "sender": "bob",
        "seq": 1,
        "content": "tulips",
        "reactions": {"🌷": {"count": 1, "users": ["alice"]}},
    }
    assert [entry["type"] for entry in shown] == ["message", "reacted", "edited"]
    assert bob.ask("edit", room="garden", seq=2, content="no message")["code"] == "no_such_entry"
    assert alice.ask("react", room="garden", seq=1, emoji="🌷", remove=True)["seq"] == 4
    assert "reactions" not in entries(bob)[0]


def test_who_may_delete(pair: tuple[Client, Client]) -> None:
    """Its author, and the room's owner; nobody else."""
    alice, bob = pair
    alice.ask("message", room="garden", content="by the owner")
    bob.ask("message", room="garden", content="by a member")
    assert bob.ask("delete", room="garden", seq=1)["code"] == "forbidden"
    assert bob.ask("edit", room="garden", seq=1, content="mine")["code"] == "forbidden"
    assert alice.ask("delete", room="garden", seq=2)["seq"] == 3
    assert bob.until("deleted") | {"timestamp": ""} == {
        "type": "deleted",
        "room": "garden",
        "seq": 3,
        "of": 2,
        "sender": "alice",
        "timestamp": "",
    }
    assert entries(bob)[1] == {"type": "deleted", "room": "garden", "seq": 2, "of": 2, "sender": "bob"}
    assert alice.ask("delete", room="garden", seq=2)["code"] == "no_such_entry"


def test_conversation(pair: tuple[Client, Client]) -> None:
    """Each side hears of it under its own name of the conversation."""
    alice, bob = pair
    alice.ask("private", to="bob", content="psst")
    assert bob.ask("react", room="@alice", seq=1, emoji="+")["room"] == "@alice"
    assert alice.until("reacted")["room"] == "@bob"
    assert alice.ask("delete", room="@bob", seq=1)["room"] == "@bob"
    assert bob.until("deleted")["room"] == "@alice"
    assert bob.ask("topic", room="@alice", topic="ours")["code"] == "bad_room"


def test_topic(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    assert bob.ask("topic", room="garden", topic="weeds")["code"] == "forbidden"
    assert alice.ask("topic", room="garden", topic="roses")["seq"] == 1
    told = bob.until("system", event="topic")
    assert (told["room"], told["seq"], told["by"], told["topic"]) == ("garden", 1, "alice", "roses")
    assert alice.ask("topic", room="general", topic="mine")["code"] == "forbidden"
    alice.ask("leave", room="garden")
    assert bob.ask("topic", room="garden", topic="weeds")["type"] == "ack", "the owner is succeeded"


def test_search(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    for number, line in enumerate(("Red roses", "white ROSES", "red tulips"), 1):
        assert alice.ask("message", room="garden", content=line)["seq"] == number
    alice.ask("private", to="bob", content="roses for you")
    bob.ask("message", content="roses for all")

    def found(client: Client, query: str, **fields: Any) -> list[tuple[str, int]]:
        for _ in range(20):  # what was said just now is found a moment later
            answer = client.ask("search", query=query, **fields)
            hits = [(hit["room"], hit["entry"]["seq"]) for hit in answer["hits"]]
            if len(hits) >= 2:
                break
        return hits

    assert found(bob, "roses") == [("general", 1), ("@alice", 1), ("garden", 2), ("garden", 1)]
    assert found(alice, "red roses") == [("garden", 1)]
    assert found(alice, "röses", room="garden") == [("garden", 2), ("garden", 1)]
    assert found(alice, 'roses" OR "tulips') == []
    page = alice.ask("search", query="roses", limit=1)
    assert len(page["hits"]) == 1
    assert len(alice.ask("search", query="roses", cursor=page["cursor"])["hits"]) == 3
    assert alice.ask("search", query="...")["code"] == "bad_message"
    alice.ask("leave", room="garden")
    assert found(alice, "roses") == [("general", 1), ("@bob", 1)]


@pytest.mark.slow
def test_deleted_words_are_gone_from_the_files(start: Start, tmp_path: Path) -> None:
    """Within a minute: from the file, its journal and its index, and from earlier edits."""
    server = start("--log", f"sqlite:{tmp_path / 'chat.db'}", *FAST)
    with join(server, "alice") as alice:
        for number in range(300):
            what = "Secretive" if number % 3 == 0 else "plain"
            alice.ask("message", content=f"Keepsake {number} and {what}")
        assert b"Secretive" in files(tmp_path)
        for number in range(0, 300, 3):
            alice.ask("edit", seq=number + 1, room="general", content=f"Betterword {number}, Secretive")
            alice.ask("delete", seq=number + 1, room="general")
        assert alice.ask("search", query="secretive")["hits"] == []
        deadline = time.monotonic() + 60
        while any(word in files(tmp_path) for word in (b"Betterword", b"Secretive")):
            assert time.monotonic() < deadline, "a minute later, it is still there"
            time.sleep(0.5)  # nothing says when it is done
        assert b"Keepsake 1 and plain" in files(tmp_path)
        assert len(alice.ask("search", query="keepsake 1")["hits"]) == 1


def files(directory: Path) -> bytes:
    """All that is in the files of the log."""
    return b"".join(file.read_bytes() for file in directory.glob("chat.db*"))
