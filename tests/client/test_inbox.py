"""What waits for the iteration: bounded, woken, and closed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_chat.client import ConnectionEnded, Disconnected, Event, Position, Unknown, Welcomed
from trio_chat.client.inbox import Inbox

LOST = Disconnected(code=1006, reason="lost", delay=1.0)


def event(number: int = 0) -> Event:
    return Unknown(frame={"number": number})


def welcomed(*, resumed: bool = False, **lost: int) -> Welcomed:
    return Welcomed(
        user="ann", resumed=resumed, rooms={}, lost={room: Position(epoch="e", seq=seq) for room, seq in lost.items()}
    )


async def test_events_come_out_in_order() -> None:
    inbox = Inbox(3)
    for number in range(3):
        inbox.put(event(number))

    assert (len(inbox), inbox.full) == (3, True)
    assert [await inbox.get() for _ in range(3)] == [event(number) for number in range(3)]
    assert (len(inbox), inbox.full) == (0, False)


async def test_get_waits_for_an_event_and_cancelling_it_loses_none(autojump_clock: trio.testing.MockClock) -> None:
    inbox, got = Inbox(3), []

    async def get() -> None:
        got.append(await inbox.get())

    with trio.move_on_after(1):
        await inbox.get()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        inbox.put(event())
    assert got == [event()]


async def test_one_of_two_who_wait_gets_it() -> None:
    inbox, got = Inbox(3), []

    async def get() -> None:
        got.append(await inbox.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        inbox.put(event(1))
        await wait_all_tasks_blocked()
        assert got == [event(1)]
        inbox.put(event(2))
    assert got == [event(1), event(2)]


async def test_taking_one_out_is_a_change() -> None:
    inbox = Inbox(1)
    inbox.put(event())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.changed)
        await wait_all_tasks_blocked()
        await inbox.get()


async def test_a_full_inbox_has_no_room_for_news_of_a_connection_that_is_resumed() -> None:
    inbox = Inbox(1)
    inbox.put(event())
    for news in (LOST, welcomed(resumed=True)):
        inbox.put(news)

    assert len(inbox) == 1


async def test_a_full_inbox_takes_a_new_session_and_what_was_lost_with_the_first() -> None:
    inbox = Inbox(1)
    inbox.put(event())
    inbox.put(welcomed(den=3, hall=1))
    inbox.put(welcomed(den=9, attic=2))

    assert len(inbox) == 2
    assert [await inbox.get(), await inbox.get()] == [event(), welcomed(den=3, hall=1, attic=2)]


async def test_after_the_end_comes_what_waits_and_then_the_error_anew_each_time() -> None:
    inbox, error = Inbox(3), ConnectionEnded(4504, "kicked")
    inbox.put(event())
    inbox.close(error)

    assert await inbox.get() == event()
    for _ in range(2):
        with pytest.raises(ConnectionEnded, match="4504: kicked") as caught:
            await inbox.get()
        assert caught.value is not error


async def test_who_waits_hears_of_the_end() -> None:
    inbox = Inbox(3)

    async def get() -> None:
        with pytest.raises(trio.EndOfChannel):
            await inbox.get()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        inbox.close(None)
