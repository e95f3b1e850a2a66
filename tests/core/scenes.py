"""Where several tests begin: who is there, and what was said."""

from __future__ import annotations

from typing import Any

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept, check_sound
from trio_chat.core.effects import Append, Deliver, Keep
from trio_chat.core.events import Event, HistoryPage, RoomList
from trio_chat.core.messages import GetHistory, ListRooms, Message

WHEN = "2026-01-01T00:00:00.000Z"  # when a driver begins


def say(client: Client, *contents: str, room: str = "den") -> None:
    for content in contents:
        client.send(Message(content=content, room=room))


def crowd(**options: float) -> tuple[Driver, Client, Client]:
    """Alice owns the den, bob is in it; "1" and "2" were said."""
    driver = Driver(messages_burst=1000, **options)
    alice, bob = driver.connect("alice"), driver.connect("bob")
    say(alice, "1")
    say(bob, "2")
    return driver, alice, bob


def crash(driver: Driver, *, trusted: bool = True, drop: tuple[str, ...] = ()) -> None:
    driver.crash(trusted=trusted, drop=drop)
    check_kept(driver)
    check_sound(driver)


def own(client: Client) -> dict[str, dict[str, object]]:
    """One's own rooms, by name."""
    listed = client.send(ListRooms(mine=True))[-1]
    assert isinstance(listed, RoomList)
    return {str(room["room"]): room for room in listed.rooms}


def den(**options: Any) -> tuple[Driver, Client, Client]:
    """Alice owns the den, where she said "hi" and bob said "ho"."""
    driver = Driver(messages_burst=1000, **options)
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Message(content="hi", room="den"))
    bob.send(Message(content="ho", room="den"))
    return driver, alice, bob


def shown(client: Client, room: str = "den") -> list[Event]:
    """The history of a room."""
    page = client.send(GetHistory(room=room, limit=200))[-1]
    assert isinstance(page, HistoryPage)
    return page.entries


def nothing_happened(driver: Driver, start: int) -> bool:
    return not any(isinstance(effect, Append | Deliver | Keep) for effect in driver.effects[start:])
