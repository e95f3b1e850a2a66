"""What one connection may hear: each frame that breaks a promise is told by the right one, and good ones are not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from trio_chat.fuzz.ear import Due, Ear
from trio_chat.fuzz.model import Entry, Person, Room, World
from trio_chat.fuzz.peer import Peer
from trio_chat.fuzz.promises import LAGGED, TYPING, Broken
from trio_chat.fuzz.transcript import Transcript
from trio_chat.fuzz.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, closing, encode

NOW = "2026-01-31T12:00:00.000Z"


class Scene:
    """Ann hears of `den`, where bob wrote twice, and of her conversation with him, where he wrote once."""

    def __init__(self, sock: socket.socket) -> None:
        self.world = World(Room("general", open=True))
        self.ann, self.bob = Person("ann", "a"), Person("bob", "b")
        self.world.people = {"ann": self.ann, "bob": self.bob}
        for person in (self.bob, self.ann):
            self.den = self.world.enter(person, "den")
        self.talk = self.world.begin_talk(self.ann, self.bob)
        self.den.epoch, self.talk.epoch = "e", "t"
        self.ear = Ear(self.ann, Peer("ann", sock, Transcript()), self.world)
        self.ear.gains(self.den)
        self.ear.gains(self.talk)
        for number in (1, 2):
            self.den.append(self.entry("message", room="den", content=f"tea {number}"), number)
        fields = {"from": "bob", "to": "ann", "content": "psst", "epoch": "t"}
        self.talk.append(self.entry("private", **fields), 1)

    def entry(self, kind: str, **fields: Any) -> Entry:
        return Entry(kind, self.bob, {"sender": "bob", **fields})

    def hears(self, *frames: dict[str, Any]) -> None:
        for frame in frames:
            self.ear.peer.feed(encode(TEXT, json.dumps({"timestamp": NOW, **frame}).encode(), mask=False))
        self.ear.take()


@pytest.fixture
def scene() -> Iterator[Scene]:
    ours, theirs = socket.socketpair()
    yield Scene(ours)
    ours.close()
    theirs.close()


def said(seq: int, **changes: Any) -> dict[str, Any]:
    return {"type": "message", "room": "den", "sender": "bob", "content": f"tea {seq}", "seq": seq, **changes}


def system(event: str, **fields: Any) -> dict[str, Any]:
    return {"type": "system", "event": event, "content": "", **fields}


PRIVATE = {"type": "private", "from": "bob", "sender": "bob", "to": "ann", "content": "psst", "seq": 1, "epoch": "t"}
CAME = system("joined", room="den", users=["bob"], count=1, total=2)
TYPES = {"type": "typing", "from": "bob", "sender": "bob", "room": "den", "isTyping": True}
ACK = {"type": "ack", "id": 1}


def test_what_is_good_is_good(scene: Scene) -> None:
    scene.ear.asked[1] = None
    lack = scene.ear.lacks()
    assert lack is not None
    assert lack.promise.name == "5"
    scene.hears(ACK, said(1), said(2), PRIVATE, CAME, {"type": "sparkle"}, system("sparkled"))
    assert scene.ear.lacks() is None


@pytest.mark.parametrize(
    ("frames", "promise"),
    [
        ([said(2)], "1"),
        ([said(1), said(1)], "1"),
        ([said(1), said(2), said(3)], "5"),
        ([said(1, content="milk")], "Server to client, replay"),
        ([said(1, room="den 2")], "4"),
        ([PRIVATE | {"from": "cy", "sender": "cy"}], "4"),
        ([system("left", room="attic", users=["cy"], count=1, total=0)], "4"),
        ([TYPES], "4"),
        ([TYPES | {"room": "attic"}], "4"),
        ([{"type": "typing", "from": "bob", "sender": "bob", "to": "ann", "isTyping": True}], "4"),
        ([ACK], "5"),
        ([{"type": "error", "code": "bad_json", "content": ""}], "5"),
        ([{"type": "pong"}], "5"),
        ([CAME, CAME], "8"),
        ([system("joined", room="den", users=["ann"], count=1, total=2)], "8, alone"),
        ([system("lagged", room="den", epoch="e", first=1, last=2)], "3, lagged"),
        ([system("welcome", user="ann", session="a")], "Transport"),
        ([{"type": "ack"}], "Transport"),
        ([said(1) | {"seq": "1"}], "Transport"),
        ([said(1) | {"seq": True}], "Transport"),
        ([{"type": "message", "content": "no sender"}], "Transport"),
    ],
    ids=str,
)
def test_what_breaks_a_promise_is_told_by_it(scene: Scene, frames: list[dict[str, Any]], promise: str) -> None:
    with pytest.raises(Broken) as broken:
        scene.hears(*frames)
    assert broken.value.promise.name == promise


def test_counts_alone_may_be_of_anybody(scene: Scene) -> None:
    """Past `presence_limit` nobody is named: who was there may have left, and come again."""
    scene.hears(CAME)
    for event, total in (("left", 1), ("joined", 2)):
        scene.hears(system(event, room="den", count=1, total=total), CAME)
    with pytest.raises(Broken):
        scene.hears(CAME)


def test_counts_of_one_room_say_nothing_of_another(scene: Scene) -> None:
    scene.ear.gains(scene.world.enter(scene.ann, "attic"))
    with pytest.raises(Broken) as broken:
        scene.hears(CAME, system("left", room="attic", count=1, total=1), CAME)
    assert broken.value.promise.name == "8"


def test_a_replay_shows_what_became_of_an_entry(scene: Scene) -> None:
    scene.ear.gains(scene.den, 0)
    scene.world.edit(scene.den, 1, "milk")
    scene.den[1].reactions["👍", scene.bob] = 9
    scene.world.delete(scene.den, 2)
    with pytest.raises(Broken, match="'content' should be 'milk'"):
        scene.hears(said(1))
    with pytest.raises(Broken, match=r"there should be|'edited' should be"):
        scene.hears(said(1, content="milk"))
    reactions = {"👍": {"count": 1, "users": ["bob"]}}
    scene.hears(said(1, content="milk", edited=NOW, reactions=reactions))
    gone = {"type": "deleted", "room": "den", "sender": "bob", "seq": 2, "of": 2}
    with pytest.raises(Broken) as broken:
        scene.hears(said(2))
    assert broken.value.promise.name == "The log, deleted"
    with pytest.raises(Broken, match="there should be no 'content'"):
        scene.hears({**gone, "content": "tea 2"})
    scene.hears(gone)


def test_lagged_comes_first_and_says_where_the_log_is(scene: Scene) -> None:
    scene.ear.gains(scene.den, 9)
    scene.ear.lagging[scene.den] = LAGGED
    for wrong in (said(1), system("lagged", room="den", epoch="e", first=1, last=7)):
        scene.ear.lagging[scene.den] = LAGGED
        with pytest.raises(Broken) as broken:
            scene.hears(wrong)
        assert broken.value.promise is LAGGED
    scene.ear.lagging[scene.den] = LAGGED
    lack = scene.ear.lacks()
    assert lack is not None
    assert lack.promise is LAGGED
    scene.hears(system("lagged", room="den", epoch="e", first=1, last=2), said(1), said(2), PRIVATE)
    assert scene.ear.lacks() is None


def test_an_own_entry_comes_behind_its_ack(scene: Scene) -> None:
    scene.ear.asked[1] = None
    scene.ear.own[scene.den, 1] = 1
    with pytest.raises(Broken) as broken:
        scene.hears(said(1))
    assert broken.value.promise.name == "Server to client, ack"


def test_what_passes_is_heard_once(scene: Scene) -> None:
    scene.ear.due.append(Due({"type": "typing", "from": "bob", "room": "den"}, True, TYPING))
    scene.hears(said(1), said(2), PRIVATE)
    lack = scene.ear.lacks()
    assert lack is not None
    assert lack.promise is TYPING
    scene.hears(TYPES)
    assert scene.ear.lacks() is None
    with pytest.raises(Broken):
        scene.hears(TYPES)


def test_strangers_may_write_in_general_only(scene: Scene) -> None:
    general = scene.world.enter(scene.ann, "general")
    scene.ear.gains(general)
    scene.hears(said(1, room="general", sender="cy"), said(2, room="general", sender="di"))
    assert general.last == 2
    with pytest.raises(Broken, match="nobody did"):
        scene.hears(said(3, room="general", sender="bob"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (encode(TEXT, b"{}"), "a frame is masked"),
        (encode(TEXT, b"{}", mask=False, rsv=4), "reserved bits"),
        (encode(TEXT, b"nonsense", mask=False), "no JSON"),
        (encode(TEXT, b"[]", mask=False), "no object with a type"),
        (encode(TEXT, b"\xff", mask=False), "no JSON"),
        (encode(BINARY, b"{}", mask=False), "opcode 2"),
        (encode(CONTINUATION, b"{}", mask=False), "does not follow"),
        (encode(TEXT, b"{", mask=False, fin=False) + encode(TEXT, b"}", mask=False), "does not follow"),
        (encode(CLOSE, closing(1006), mask=False), "1006 may not be sent"),
        (encode(CLOSE, closing(1000), mask=False) + encode(PING, mask=False), "behind the close frame"),
    ],
)
def test_bytes_that_no_server_may_send(scene: Scene, data: bytes, what: str) -> None:
    with pytest.raises(Broken, match=what):
        scene.ear.peer.feed(data)


def test_an_end_that_nobody_asked_for(scene: Scene) -> None:
    scene.ear.peer.unasked()
    scene.ear.peer.ended()
    with pytest.raises(Broken, match="without a close frame"):
        scene.ear.peer.unasked()
