"""Messages that exist are valid; what each field must be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.events import EVENTS, timestamp, type_of
from trio_chat.core.messages import (
    COMMANDS,
    GetHistory,
    Join,
    ListRooms,
    ListUsers,
    Message,
    Position,
    Private,
    React,
    SetTopic,
    Typing,
    valid_id,
)
from trio_chat.core.rules import MAX_ID


@pytest.mark.parametrize("value", ["a", "x" * 64, "é", 0, 1, MAX_ID])
def test_good_id(value: object) -> None:
    assert valid_id(value)


@pytest.mark.parametrize("value", ["", "x" * 65, -1, MAX_ID + 1, True, False, 1.0, None, [], {}])
def test_bad_id(value: object) -> None:
    assert not valid_id(value)


@pytest.mark.parametrize(
    ("make", "fields", "must"),
    [
        (Message, {"content": ""}, "content must be a string that is not empty"),
        (Message, {"content": "a", "key": ""}, "key must be a string of 1-64 characters"),
        (Message, {"content": "a", "key": "k" * 65}, "key must be a string of 1-64 characters"),
        (Message, {"content": "a", "reply_to": 0}, "reply_to must be an integer from 1 to 2**53 - 1"),
        (Private, {"to": "b", "content": ""}, "content must be a string that is not empty"),
        (GetHistory, {"room": "r", "limit": 0}, "limit must be an integer from 1 to 200"),
        (GetHistory, {"room": "r", "limit": 201}, "limit must be an integer from 1 to 200"),
        (GetHistory, {"room": "r", "before": 0}, "before must be an integer from 1 to 2**53 - 1"),
        (GetHistory, {"room": "r", "after": -1}, "after must be an integer from 0 to 2**53 - 1"),
        (GetHistory, {"room": "r", "before": 1, "after": 0}, "before and after must not be given both"),
        (ListRooms, {"limit": 201}, "limit must be an integer from 1 to 200"),
        (ListUsers, {"cursor": ""}, "cursor must be a string of 1-64 characters"),
        (Typing, {}, "to or room must be given, and not both"),
        (Typing, {"to": "a", "room": "b"}, "to or room must be given, and not both"),
        (Position, {"epoch": "e", "seq": -1}, "seq must be an integer from 0 to 2**53 - 1"),
        (Position, {"epoch": "e", "seq": MAX_ID + 1}, "seq must be an integer from 0 to 2**53 - 1"),
    ],
)
def test_a_wrong_field_is_named(make: Any, fields: dict[str, object], must: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        make(**fields)
    assert str(caught.value) == must


def test_defaults() -> None:
    assert Message(content="a").room == "general"
    assert ListUsers().room == "general"
    assert GetHistory(room="r").limit == ListRooms().limit == ListUsers().limit == 50
    assert Typing(to="a").isTyping
    assert Join(room="r", after=Position(epoch="e", seq=0)).after is not None


def test_each_type_is_one_command() -> None:
    kinds = [command.type for command in COMMANDS]
    judges = ["kick", "mute", "unmute", "ban", "unban", "promote", "demote"]
    proving = ["connect", "register", "login", "refresh", "password"]
    talking = ["message", "private", "ping", "typing", "join", "leave", "history", "search"]
    changing = ["edit", "delete", "react", "read", "topic"]
    assert kinds == [
        *proving,
        *talking,
        *changing,
        *judges,
        "room",
        "invite",
        "block",
        "unblock",
        "rooms",
        "users",
    ]
    kinds = ["system", "user_list", "message", "private", "error", "pong", "typing", "ack", "history", "room_list"]
    kinds += ["edited", "deleted", "reacted", "read", "search_result"]
    assert {type_of(event) for event in EVENTS} == set(kinds)


@pytest.mark.parametrize(
    ("wall", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1769860800, "2026-01-31T12:00:00.000Z"),
        (1769860800.1239, "2026-01-31T12:00:00.123Z"),
    ],
)
def test_timestamp(wall: float, written: str) -> None:
    assert timestamp(wall) == written


@given(wall=st.floats(0, 4e9))
def test_timestamps_have_one_form_and_sort(wall: float) -> None:
    assert len(timestamp(wall)) == 24
    assert timestamp(wall) <= timestamp(wall + 1)


@pytest.mark.parametrize(
    "emoji", ["👍", "👍🏽", "❤️", "🇩🇪", "👨‍👩‍👧", "1️⃣", "+", "é", "🏴\U000e0067\U000e0062\U000e007f"]
)
def test_emoji(emoji: str) -> None:
    assert React(room="r", seq=1, emoji=emoji).emoji == emoji


@pytest.mark.parametrize(
    "emoji",
    ["", "\u200b", "\u200d", "\ufe0f", "\u202e", "\u3164", "\u2800", "a b", 'a"', "\\a", "\u202ea", "x" * 33, "é" * 33],
)
def test_no_emoji(emoji: str) -> None:
    with pytest.raises(ValueError, match="something to see"):
        React(room="r", seq=1, emoji=emoji)


@pytest.mark.parametrize("topic", ["a\nb", "\u202ehi", "\u2066\u202a", "\u2028", "x" * 251])
def test_no_topic(topic: str) -> None:
    with pytest.raises(ValueError, match="at most 250 characters"):
        SetTopic(room="r", topic=topic)
