"""What is counted: everything once, as one thing."""

from __future__ import annotations

import json

import pytest

from trio_chat.bench.plan import Plan
from trio_chat.bench.tally import Tally


@pytest.fixture
async def tally() -> Tally:
    """Three in two rooms (0 and 2 share one), five messages: 0, 2 and 3 go to room 0, 1 and 4 to room 1."""
    one = Tally(Plan(url="ws://x", connections=3, rooms=2, rate=5, seconds=1))
    for connection in range(3):
        one.enter(connection)
    return one


def ack(tally: Tally, connection: int, n: int) -> None:
    tally.take(connection, json.dumps({"type": "ack", "id": n}))


def deliver(tally: Tally, connection: int, n: int) -> None:
    tally.take(connection, json.dumps({"type": "message", "content": f"{tally.token} {n}"}))


def test_each_message_has_its_place_in_its_room() -> None:
    plan = Plan(url="ws://x", connections=7, rooms=3, rate=100, seconds=1)
    places = [plan.place(n) for n in range(plan.messages)]
    for room in range(3):
        assert [place for in_room, place in places if in_room == room] == [*range(plan.messages_in(room))]
    assert sum(plan.messages_in(room) for room in range(3)) == plan.messages


async def test_all_that_comes_is_complete(tally: Tally) -> None:
    assert tally.ask(0)
    ack(tally, 0, 0)
    deliver(tally, 0, 0)
    tally.finish()
    assert not tally.complete.is_set()
    deliver(tally, 2, 0)
    assert tally.complete.is_set()
    assert (tally.sent, len(tally.acks), len(tally.deliveries), tally.errors) == (1, 1, 2, {})


async def test_a_refused_message_is_neither_unanswered_nor_lost(tally: Tally) -> None:
    tally.ask(0)
    tally.take(0, '{"type": "error", "code": "rate_limited", "id": 0}')
    tally.finish()
    assert tally.errors == {"rate_limited": 1}
    assert tally.complete.is_set()


async def test_an_unanswered_message_is_not_lost_as_well(tally: Tally) -> None:
    tally.ask(0)
    tally.finish()
    assert tally.errors == {"unanswered": 1}
    assert not tally.complete.is_set()


async def test_an_acked_message_that_does_not_come_is_lost_to_each_who_is_there(tally: Tally) -> None:
    tally.ask(0)
    ack(tally, 0, 0)
    assert tally.errors == {"lost": 2}
    tally.leave(2, "4003 too_slow")
    assert tally.errors == {"lost": 1, "closed 4003 too_slow": 1}
    deliver(tally, 0, 0)
    assert tally.errors == {"closed 4003 too_slow": 1}


async def test_a_message_that_could_not_be_sent_is_not_sent(tally: Tally) -> None:
    tally.ask(1)
    tally.unsend(1)
    tally.leave(1, "1006 connection lost")
    assert not tally.ask(4)
    tally.finish()
    assert tally.sent == 0
    assert tally.errors == {"not sent": 2, "closed 1006 connection lost": 1}
    assert tally.complete.is_set()


async def test_who_is_closed_while_it_sends_has_not_sent(tally: Tally) -> None:
    tally.ask(1)
    tally.leave(1, "1006 connection lost")
    tally.unsend(1)
    assert tally.errors == {"not sent": 1, "closed 1006 connection lost": 1}


async def test_doubles_are_told_even_where_something_else_is_lost(tally: Tally) -> None:
    tally.ask(0)
    ack(tally, 0, 0)
    ack(tally, 0, 0)
    deliver(tally, 0, 0)
    deliver(tally, 0, 0)
    deliver(tally, 1, 0)
    assert tally.errors == {"answered twice": 1, "doubled": 1, "in the wrong room": 1, "lost": 1}


async def test_a_copy_may_come_before_the_ack(tally: Tally) -> None:
    tally.ask(0)
    deliver(tally, 2, 0)
    ack(tally, 0, 0)
    assert tally.errors == {"lost": 1}


@pytest.mark.parametrize("data", ["{", "[1, 2]", '{"type": 5}', '{"type": "message", "content": 5}', b"\xff"])
async def test_what_is_no_frame_is_told(tally: Tally, data: str | bytes) -> None:
    tally.take(0, data)
    assert tally.errors == {"not understood": 1}


@pytest.mark.parametrize("content", ["hello", "{token} x", "{token} 5", "{token} -1", "{token} ²"])
async def test_what_others_say_is_nothing(tally: Tally, content: str) -> None:
    tally.take(0, json.dumps({"type": "message", "content": content.format(token=tally.token)}))
    assert tally.deliveries == []
    assert tally.errors == {}


async def test_the_last_who_goes_stops_the_load(tally: Tally) -> None:
    for connection in range(3):
        assert not tally.deserted
        tally.leave(connection, "4001 draining")
    assert tally.deserted
    assert tally.stopped is not None
