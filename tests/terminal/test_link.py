"""The hand-over between the client's thread and the screen's: bounded, and over when either end is."""

from __future__ import annotations

import asyncio

import pytest
import trio

from tests.e2e.client import join
from tests.e2e.process import Server
from trio_chat.client import ChatClient, ConnectionEnded, Event, Message, Refused, UserList
from trio_chat.terminal import link as module
from trio_chat.terminal.link import Link
from trio_chat.terminal.login import Login

from .conftest import SECONDS


class Screen:
    """Takes what the link tells, as it likes."""

    def __init__(self, server: Server, name: str) -> None:
        self.told: list[Event | Exception] = []
        self.news = asyncio.Event()
        self.link = Link(Login(url=server.url, name=name), self.tell)
        self.link.start()

    def tell(self, what: Event | Exception) -> None:
        self.told.append(what)
        self.news.set()

    async def until(self, count: int) -> None:
        while len(self.told) < count:
            self.news.clear()
            await self.news.wait()


def test_a_slow_screen_slows_the_reading(server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more events are under way than may be; an answer comes all the same, and nothing is lost."""
    monkeypatch.setattr(module, "ON_THE_WAY", 3)

    async def run() -> None:
        screen = Screen(server, f"ann {room}")
        await screen.until(1)
        await screen.link.ask(lambda client: client.join(room))
        with join(server, f"bob {room}") as bob:
            for i in range(20):
                bob.send("message", room=room, content=f"number {i}.", id=i)
            await asyncio.to_thread(bob.until, "ack", id=19)
        await screen.link.ask(lambda client: client.ping())
        await screen.until(3)
        await screen.link.ask(lambda client: client.ping())
        assert len(screen.told) == 3
        while not any(isinstance(event, Message) and event.content == "number 19." for event in screen.told):
            screen.link.taken()
            await screen.until(len(screen.told) + 1)
        said = [event.content for event in screen.told if isinstance(event, Message)]
        assert said == [f"number {i}." for i in range(20)]
        await screen.link.stop()

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_answers_and_errors_cross(server: Server, room: str) -> None:
    async def run() -> None:
        screen = Screen(server, f"ann {room}")
        await screen.until(1)
        assert isinstance(await screen.link.ask(lambda client: client.users()), UserList)
        with pytest.raises(Refused):
            await screen.link.ask(lambda client: client.users("nowhere"))
        await screen.link.stop()
        with pytest.raises(ConnectionEnded):
            await screen.link.ask(lambda client: client.users())
        assert not any(isinstance(what, Exception) for what in screen.told)

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_asked_too_early_there_is_no_client(server: Server, room: str) -> None:
    async def run() -> None:
        screen = Screen(server, f"ann {room}")
        with pytest.raises(ConnectionEnded):
            await screen.link.ask(lambda client: client.users())
        await screen.link.stop()

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_who_asks_may_give_up(server: Server, room: str) -> None:
    """Then the function is cancelled in its thread; and one that waits when all ends hears of it."""

    async def run() -> None:
        screen = Screen(server, f"ann {room}")
        await screen.until(1)
        begun, cancelled = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        async def wait(client: ChatClient) -> None:
            loop.call_soon_threadsafe(begun.set)
            try:
                await trio.sleep_forever()
            finally:
                loop.call_soon_threadsafe(cancelled.set)

        asking = asyncio.create_task(screen.link.ask(wait))
        await begun.wait()
        asking.cancel()
        await cancelled.wait()
        begun.clear()
        last = asyncio.create_task(screen.link.ask(wait))
        await begun.wait()
        await screen.link.stop()
        with pytest.raises(ConnectionEnded):
            await last

    asyncio.run(asyncio.wait_for(run(), SECONDS))
