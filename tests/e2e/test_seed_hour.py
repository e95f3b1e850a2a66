"""An hour of a seed client that closes every 30 s and comes back by name, in virtual time and no real network."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import wrap_client_stream

import trio_chat
from trio_chat.config import Config

from .seed_client import SeedClient

HOUR, STAY = 3600.0, 30.0  # seconds
INTERVAL = 0.5  # the default presence_interval


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """A listener whose peers are in this process."""

    def __init__(self) -> None:
        self._dialled, self._accepted = trio.open_memory_channel[trio.abc.Stream](0)

    async def accept(self) -> trio.abc.Stream:
        """The next peer. Cancelled: it waits for the next `accept`."""
        try:
            return await self._accepted.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def dial(self) -> trio.abc.Stream:
        """A client's end of a new connection. Cancelled: there is none."""
        ours, theirs = memory_stream_pair()
        await self._dialled.send(theirs)
        return ours

    async def aclose(self) -> None:
        """Refuse whoever dials from now on."""
        self._accepted.close()
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def virtual_server(caplog: pytest.LogCaptureFixture) -> AsyncIterator[tuple[MemoryListener, trio.Nursery]]:
    """A whole server by its defaults, and a nursery for its clients; nothing may go wrong in it."""
    listener = MemoryListener()
    with caplog.at_level(logging.INFO):
        async with trio.open_nursery() as serving:
            await serving.start(partial(trio_chat.serve, Config.of(log="memory"), listeners=[listener]))
            async with trio.open_nursery() as clients:
                yield listener, clients
                clients.cancel_scope.cancel()
            serving.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def restless(client: SeedClient, contents: list[str]) -> None:
    """Say something, stay for `STAY` seconds, hang up without a code; and again, for an hour."""
    while trio.current_time() < HOUR:
        await client.until(lambda: client.connected)
        contents.append(f"restless {len(client.closes)}")
        await client.say("message", content=contents[-1])
        await client.say("ping")
        await trio.sleep(STAY)
        await client.hang_up()
        await client.until(lambda: not client.connected)


async def chatty(client: SeedClient, contents: list[str]) -> None:
    """Say something every seven seconds, for an hour."""
    while trio.current_time() < HOUR:
        contents.append(f"steady {len(contents)}")
        await client.say("message", content=contents[-1])
        await trio.sleep(7)


def lists_are_right(steady: SeedClient) -> None:
    """No list names anybody twice, or anybody else."""
    for told in steady.got("user_list"):
        assert sorted(told["users"]) in (["restless", "steady"], ["steady"]), told
        assert told["total"] == len(told["users"])


@pytest.mark.parametrize("delay", [1.0, 0.1], ids=["told of", "within the interval"])
async def test_an_hour_of_coming_back_by_name(
    delay: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A second client sees each coming and going once, and all messages once; one undone in time is told to nobody."""
    said: list[str] = []
    with trio.fail_after(2 * HOUR):
        async with virtual_server(caplog) as (listener, clients):
            steady = SeedClient("steady", listener.dial)
            seed = SeedClient("restless", listener.dial, first_delay=delay)
            clients.start_soon(steady.run)
            await steady.until(lambda: steady.got("user_list", users=["steady"]))
            clients.start_soon(seed.run)
            async with trio.open_nursery() as hour:
                hour.start_soon(restless, seed, said)
                hour.start_soon(chatty, steady, said)
            await seed.until(lambda: seed.connected)
            await steady.until(lambda: len(steady.got("message")) == len(said))
            await trio.sleep(2 * INTERVAL)  # what is to be told has been

    assert steady.closes == []
    assert set(seed.closes) == {1005}
    cycles = len(seed.closes)
    assert cycles == -(-HOUR // (STAY + delay))
    assert [frame["content"] for frame in steady.got("message")] == said
    assert [frame["seq"] for frame in steady.got("message")] == list(range(1, len(said) + 1))
    assert not steady.got("error")
    assert not seed.got("error")
    lists_are_right(steady)
    told = [(frame["event"], frame["users"]) for frame in steady.got("system") if frame["event"] in ("joined", "left")]
    first, comings = (
        (("joined", ["steady"]), ("joined", ["restless"])),
        [("left", ["restless"]), ("joined", ["restless"])],
    )
    told = [one for one in told if one != first[0]]
    assert told == [first[1], *(comings * cycles if delay > INTERVAL else [])]
    assert sorted(steady.users) == ["restless", "steady"]


async def test_one_who_vanished_without_a_word_gets_the_name_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """No close frame, no end of the connection: its old self is asked for life, and is gone after two seconds."""
    async with virtual_server(caplog) as (listener, clients):
        steady, seed = SeedClient("steady", listener.dial), SeedClient("restless", listener.dial)
        clients.start_soon(steady.run)
        ours = await listener.dial()
        async with trio.open_nursery() as browser:
            ws = await wrap_client_stream(browser, ours, "chat.example", "/ws")  # type: ignore[arg-type]
            await ws.send_message('{"type": "connect", "username": "restless"}')
            assert "Welcome restless!" in await ws.get_message()
            browser.cancel_scope.cancel()  # nobody reads any longer, and nobody closes
        await trio.sleep(5)
        before = trio.current_time()
        clients.start_soon(seed.run)
        await seed.until(lambda: seed.connected)
        assert trio.current_time() - before == 2
        await trio.sleep(2 * INTERVAL)
        lists_are_right(steady)
        assert sorted(steady.users) == ["restless", "steady"]
        assert not steady.got("system", event="left"), "one undone within the interval is told to nobody"
