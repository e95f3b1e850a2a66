"""Commands that wait: how they are sent, sent again, and answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trio_chat.client import (
    Deleted,
    Edited,
    HistoryPage,
    Hit,
    Joined,
    Message,
    OutcomeUnknown,
    Posted,
    Refused,
    RoomInfo,
    RoomPage,
    SearchPage,
    TopicSet,
    UserList,
)
from trio_chat.client.calls import Call, Calls, new_call, outcome_of
from trio_chat.client.events import Answered, Failed
from trio_chat.core.messages import Position

T = "2026-01-31T12:00:00.000Z"
MESSAGE = {"type": "message", "room": "den", "sender": "ann", "timestamp": T, "content": "hi", "seq": 3}
HI = Message(room="den", epoch="e", seq=3, sender="ann", timestamp=T, content="hi")


def call(kind: str, *, number: int = 1, repeated: bool = False, **fields: Any) -> Call:
    made = new_call(number, kind, fields, {})
    made.repeated = repeated
    return made


def test_a_command_is_json_without_what_is_none() -> None:
    made = new_call(7, "join", {"room": "den", "after": Position(epoch="e", seq=2), "x": None}, {})

    assert json.loads(made.text) == {"type": "join", "id": 7, "room": "den", "after": {"epoch": "e", "seq": 2}}
    assert (made.room, made.keyed) == ("den", False)
    assert call("private", to="bob", content="hi", key="k").room == "@bob"
    assert call("ping").room == ""


@pytest.mark.parametrize(
    ("content", "good"), [("x" * 10, True), ("x" * 11, False), ("\x01" * 10, False), ("ü" * 6, False)]
)
def test_what_is_too_large_is_refused_at_once(content: str, good: bool) -> None:
    limits = {"message_bytes": 4096 + 12, "content_chars": 10}

    if good:
        new_call(1, "message", {"content": content}, limits)
        return
    with pytest.raises(Refused, match="too_large"):
        new_call(1, "message", {"content": content}, limits | ({} if content[0] == "x" else {"content_chars": 99}))


def test_a_frame_that_is_too_large_without_a_content_is_refused_too() -> None:
    with pytest.raises(Refused, match="too_large"):
        new_call(1, "join", {"room": "x" * 5000}, {"message_bytes": 5000})


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        new_call(1, "message", {"content": "\ud800"}, {})


ANSWERS: list[tuple[Call, dict[str, Any], object]] = [
    (call("message"), {"type": "ack", "seq": 3, "room": "den", "epoch": "e"}, Posted(seq=3, room="den", epoch="e")),
    (call("private"), {"type": "ack", "seq": 3, "room": "@bob", "epoch": "e"}, Posted(seq=3, room="@bob", epoch="e")),
    (call("join"), {"type": "ack", "room": "den", "epoch": "e", "last": 0}, Joined(room="den", epoch="e", last=0)),
    (call("leave"), {"type": "ack", "room": "den"}, None),
    (call("ping"), {"type": "pong", "timestamp": T}, None),
    (call("edit"), {"type": "ack", "seq": 9, "room": "den", "epoch": "e"}, None),
    (
        call("history"),
        {"type": "history", "room": "den", "epoch": "e", "first": 1, "last": 9, "more": True, "entries": [
            MESSAGE, {"type": "edited", "room": "den", "seq": 4, "of": 3, "sender": "ann", "timestamp": T},
            {"type": "deleted", "room": "den", "seq": 5, "of": 5, "sender": "ann", "timestamp": T},
            {"type": "system", "event": "topic", "content": "", "room": "den", "seq": 6, "by": "ann", "topic": "tea",
             "timestamp": T}]},
        HistoryPage(room="den", epoch="e", first=1, last=9, more=True, entries=[
            HI, Edited(room="den", epoch="e", seq=4, of=3, sender="ann", timestamp=T),
            Deleted(room="den", epoch="e", seq=5, of=5, sender="ann", timestamp=T),
            TopicSet(room="den", epoch="e", seq=6, sender="ann", timestamp=T, topic="tea")]),
    ),
    (
        call("search"),
        {"type": "search_result", "hits": [{"room": "den", "epoch": "e", "entry": MESSAGE}], "cursor": "c"},
        SearchPage(hits=[Hit(room="den", epoch="e", entry=HI)], cursor="c"),
    ),
    (
        call("rooms"),
        {"type": "room_list", "rooms": [{"room": "den", "members": 2, "kind": "public", "epoch": "e", "last": 3}]},
        RoomPage(rooms=[RoomInfo(room="den", members=2, epoch="e", last=3)]),
    ),
    (
        call("users"),
        {"type": "user_list", "users": ["ann"], "room": "den", "total": 1, "timestamp": T},
        UserList(room="den", users=["ann"], total=1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "frame", "result"), ANSWERS)
def test_answers_are_typed(asked: Call, frame: dict[str, Any], result: object) -> None:
    assert outcome_of(asked, frame) == Answered(id=1, result=result)


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        ("message", {"type": "ack"}),
        ("history", {"type": "history"}),
        ("history", {"type": "history", "room": "den", "epoch": "e", "entries": 3}),
        ("history", {"type": "history", "room": "den", "epoch": "e", "entries": [3]}),
        ("search", {"type": "search_result", "hits": [{}]}),
        ("users", {"type": "ack"}),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_of_its_caller(kind: str, frame: dict[str, Any]) -> None:
    outcome = outcome_of(call(kind), frame)

    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Refused)
    assert outcome.error.code == "bad_answer"


def error(code: str, **fields: Any) -> dict[str, Any]:
    return {"type": "error", "code": code, "content": "No", **fields}


def test_an_error_is_a_refusal() -> None:
    outcome = outcome_of(call("message", key="k"), error("slow_mode", retry_after=2))

    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Refused)
    assert (outcome.error.code, outcome.error.content, outcome.error.retry_after) == ("slow_mode", "No", 2.0)


@pytest.mark.parametrize(
    ("kind", "code"), [("delete", "no_such_entry"), ("leave", "not_in_room"), ("leave", "no_such_room")]
)
def test_what_the_first_sending_did_is_done(kind: str, code: str) -> None:
    assert outcome_of(call(kind, repeated=True), error(code)) == Answered(id=1, result=None)
    assert isinstance(outcome_of(call(kind), error(code)), Failed)
    assert isinstance(outcome_of(call(kind, repeated=True), error("forbidden")), Failed)


@pytest.mark.parametrize(("code", "known"), [("muted", False), ("no_such_user", False), ("bad_room", True)])
def test_a_refused_repetition_says_nothing_of_the_first_sending(code: str, known: bool) -> None:
    outcome = outcome_of(call("message", key="k", repeated=True), error(code))

    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Refused if known else OutcomeUnknown)


def test_what_is_sent_once_more() -> None:
    assert call("message", key="k", repeated=True).retries(error("rate_limited", retry_after=1))
    assert not call("message", key="k", repeated=True).retries(error("muted"))
    assert not call("message", key="k").retries(error("rate_limited", retry_after=1))
    assert not call("edit", repeated=True).retries(error("rate_limited", retry_after=1))


def waiting(*kinds: str, rate: float = 1000.0) -> Calls:
    """Commands 1, 2, … that wait to be sent."""
    calls = Calls()
    calls.pace({"messages_per_second": rate / 0.9, "messages_burst": 2 / 0.9}, 0.0)
    for number, kind in enumerate(kinds, 1):
        calls.add(call(kind, number=number))
    return calls


def ids(frames: list[str]) -> list[int]:
    return [json.loads(frame)["id"] for frame in frames]


def test_they_are_sent_in_order_no_faster_than_allowed() -> None:
    calls = waiting("ping", "ping", "ping", "ping", rate=1.0)

    assert calls.next_due() == 0.0
    assert ids(calls.take_due(0.0)) == [1, 2]
    assert calls.in_flight
    assert calls.next_due() == pytest.approx(1.0)
    assert calls.take_due(0.5) == []
    assert ids(calls.take_due(1.0)) == [3]
    assert ids(calls.take_due(2.0)) == [4]
    assert calls.next_due() is None


def test_what_is_lost_is_sent_again_in_the_old_order_but_no_typing() -> None:
    calls = waiting("ping", "typing", "message")
    calls.take_due(0.0)
    calls.add(call("ping", number=4))

    assert [dropped.id for dropped in calls.lost()] == [2]
    assert [(one.id, one.repeated, one.sent) for one in calls] == [
        (1, True, False),
        (3, False, False),
        (4, False, False),
    ]
    assert not calls.in_flight
    assert ids(calls.take_due(1.0)) == [1, 3]
    calls.lost()
    assert ids(calls.take_due(2.0)) == [1, 3]
    assert ids(calls.take_due(3.0)) == [4]


def test_once_more_not_before_its_time() -> None:
    calls = waiting("message", "ping")
    assert ids(calls.take_due(0.0)) == [1, 2]
    first = calls.sent(1)
    assert first is not None

    calls.again(first, 5.0)
    assert calls.sent(1) is None
    assert calls.next_due() == 5.0
    assert calls.take_due(4.0) == []
    assert ids(calls.take_due(5.0)) == [1]


def test_only_what_was_sent_can_be_answered() -> None:
    calls = waiting("ping", "ping", "ping")
    assert calls.sent(1) is None
    calls.take_due(0.0)

    assert calls.sent(1) is not None
    calls.remove(1)
    assert calls.sent(1) is None
    calls.remove(3)
    assert [one.id for one in calls.clear()] == [2]
    assert calls.take_due(9.0) == []
