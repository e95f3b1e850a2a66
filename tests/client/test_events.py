"""Frames as events: typed where they are what they say, `Unknown` where not."""

from __future__ import annotations

from typing import Any

import pytest

from trio_chat.client import (
    ConnectionEnded,
    Deleted,
    Edited,
    Event,
    Failure,
    Message,
    Moderated,
    Private,
    Reacted,
    Reaction,
    Read,
    Refused,
    System,
    TopicSet,
    Typing,
    Unknown,
    UserList,
)
from trio_chat.client.events import entry_of, kind_of, passing_of, room_of

T = "2026-01-31T12:00:00.000Z"
BASE: dict[str, Any] = {"room": "den", "seq": 4, "sender": "ann", "timestamp": T}
OF: dict[str, Any] = {**BASE, "epoch": "e"}

ENTRY_FRAMES: list[tuple[dict[str, Any], Event]] = [
    ({"type": "message", "content": "hi", **BASE}, Message(content="hi", **OF)),
    (
        {
            "type": "message", "content": "hi", "reply_to": 2, "edited": T,
            "reactions": {"👍": {"count": 3, "users": ["bob"]}}, "new": 1, **BASE,
        },
        Message(content="hi", reply_to=2, edited=T, reactions={"👍": Reaction(count=3, users=["bob"])}, **OF),
    ),
    (
        {"type": "private", "content": "hi", "from": "ann", "to": "bob", **BASE},
        Private(content="hi", to="bob", **OF),
    ),
    ({"type": "edited", "of": 2, "content": "ho", **BASE}, Edited(of=2, content="ho", **OF)),
    ({"type": "edited", "of": 2, **BASE}, Edited(of=2, **OF)),
    ({"type": "deleted", "of": 4, **BASE}, Deleted(of=4, **OF)),
    ({"type": "reacted", "of": 2, "emoji": "👍", **BASE}, Reacted(of=2, emoji="👍", **OF)),
    ({"type": "reacted", "of": 2, "emoji": "👍", "remove": True, **BASE}, Reacted(of=2, emoji="👍", remove=True, **OF)),
    (
        {"type": "system", "event": "topic", "content": "ann: tea", "by": "ann", "topic": "tea", "room": "den",
         "seq": 4, "timestamp": T},
        TopicSet(topic="tea", **OF),
    ),
    (
        {"type": "system", "event": "moderation", "content": "", "by": "ann", "action": "mute", "user": "bob",
         "until": T, "room": "den", "seq": 4, "timestamp": T},
        Moderated(action="mute", user="bob", until=T, **OF),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "event"), ENTRY_FRAMES)
def test_entries(frame: dict[str, Any], event: Event) -> None:
    assert entry_of(frame, "den", "e") == event


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "message", **BASE},
        {"type": "message", "content": 7, **BASE},
        {"type": "system", "event": "topic", "content": "", "room": "den", "seq": 4, "timestamp": T},
        {"type": "poll", **BASE},
    ],
)
def test_what_is_no_such_entry_is_unknown(frame: dict[str, Any]) -> None:
    assert entry_of(frame, "den", "e") == Unknown(frame=frame)


PASSING: list[tuple[dict[str, Any], Event]] = [
    ({"type": "typing", "from": "ann", "sender": "ann", "room": "den", "isTyping": False},
     Typing(room="den", sender="ann", typing=False)),
    ({"type": "typing", "from": "ann", "sender": "ann", "to": "bob", "isTyping": True},
     Typing(room="@ann", sender="ann", typing=True)),
    ({"type": "user_list", "users": ["ann"], "timestamp": T, "room": "den", "total": 9, "cursor": "1"},
     UserList(room="den", users=["ann"], total=9, cursor="1")),
    ({"type": "user_list", "users": ["ann", "bob"], "timestamp": T}, UserList(users=["ann", "bob"], total=2)),
    ({"type": "read", "room": "den", "seq": 4, "sender": "ann", "timestamp": T},
     Read(room="den", seq=4, sender="ann", timestamp=T)),
    ({"type": "error", "content": "Too fast", "code": "rate_limited", "retry_after": 0.5},
     Failure(code="rate_limited", content="Too fast", retry_after=0.5)),
    ({"type": "error", "content": "Old"}, Failure(code="", content="Old")),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "event"), PASSING)
def test_what_is_no_entry(frame: dict[str, Any], event: Event) -> None:
    assert passing_of(frame) == event


def test_other_news_of_the_server_bring_their_frame() -> None:
    frame = {"type": "system", "event": "joined", "content": "bob joined", "room": "den", "users": ["bob"]}

    assert passing_of(frame) == System(event="joined", content="bob joined", room="den", fields=frame)


@pytest.mark.parametrize(
    "frame",
    [{}, {"type": 3}, {"type": "party"}, {"type": "system"}, {"type": "typing", "sender": 3}, {"type": "user_list"},
     {"type": "user_list", "users": 3}, {"type": "read"}, {"type": "error"}],
)  # fmt: skip
def test_what_is_not_what_it_says_is_unknown(frame: dict[str, Any]) -> None:
    assert passing_of(frame) == Unknown(frame=frame)


def test_kinds_and_rooms() -> None:
    assert kind_of({"type": "system", "event": "joined"}) == "system/joined"
    assert room_of({"type": "message"}, "ann") == "general"
    private = {"type": "private", "from": "ann", "to": "bob"}
    assert (room_of(private, "ann"), room_of(private, "bob")) == ("@bob", "@ann")


def test_exceptions_say_what_they_know() -> None:
    assert str(Refused("muted", "You are muted", 3.0)) == "muted: You are muted"
    assert str(ConnectionEnded(None, "gone")) == "gone"
    assert str(ConnectionEnded(404, "nothing here")) == "404: nothing here"
