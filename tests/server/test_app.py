"""`serve` as a whole: how it starts, how it ends, and that nothing outlives it."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_chat.config import Config
from trio_chat.log.memory import MemoryLog
from trio_chat.server.app import serve

from .harness import SECRETS, MemoryListener, Peer, request, took, upgrade


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208


@asynccontextmanager
async def served(stop: trio.Event, **options: object) -> AsyncIterator[MemoryListener]:
    """A server on a listener in memory; it must end by itself."""
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, Config.of(log="memory", **options), stop=stop, listeners=[listener]))
        yield listener


async def test_start_gives_the_addresses_and_cancelling_leaves_nothing() -> None:
    before = open_descriptors()
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(serve, Config.of(host="127.0.0.1", port=0, log="memory"))
        assert address[0] == "127.0.0.1"
        peer = Peer(await trio.open_tcp_stream(*address))
        await peer.connect("alice")
        head = Peer(await trio.open_tcp_stream(*address))
        await head.send(b"GET")
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.fail_after(5):
            assert await peer.closed() == 4001
            await peer.drop()
            await head.ended()
            await head.drop()
    assert trio.lowlevel.current_statistics().tasks_living <= 5
    assert open_descriptors() == before


async def test_an_address_that_is_taken_is_an_error_at_the_start() -> None:
    (taken,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    before = open_descriptors()
    async with taken:
        with pytest.raises(OSError, match="in use") as caught:
            await serve(Config.of(host="127.0.0.1", port=taken.socket.getsockname()[1], log="memory"))
        assert not isinstance(caught.value, ExceptionGroup)
        assert open_descriptors() == before


async def test_stop_with_nobody_here_returns_at_once(autojump_clock: MockClock) -> None:
    stop = trio.Event()
    started = trio.current_time()
    async with served(stop) as listener:
        stop.set()
    assert trio.current_time() == started
    with pytest.raises(trio.ClosedResourceError):
        listener.connect()


@pytest.mark.parametrize("seconds", [0, 0.5, 1, 8])
async def test_stop_drains_within_its_time_and_returns(seconds: float, autojump_clock: MockClock) -> None:
    stop = trio.Event()
    codes: list[int] = []

    async def hears(peer: Peer) -> None:
        codes.append(await peer.closed())

    async with served(stop, drain_seconds=seconds, max_attempts=1000) as listener, trio.open_nursery() as nursery:
        for number in range(30):
            peer = listener.connect()
            await peer.connect(f"user {number}")
            nursery.start_soon(hears, peer)
        idle = listener.connect()
        await idle.send(b"GET")
        stop.set()
        started = trio.current_time()
    assert codes == [4001] * 30
    assert trio.current_time() - started <= seconds + 1.001


async def test_while_it_drains_newcomers_are_told_to_come_back(autojump_clock: MockClock) -> None:
    stop = trio.Event()
    async with served(stop) as listener:
        alice = listener.connect()
        await alice.connect("alice")
        stop.set()
        assert (await alice.event("system", event="draining"))["jitter"] >= 1
        peer, check = listener.connect(), listener.connect()
        await peer.send(upgrade())
        response = await peer.response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        await check.send(request("GET", "/readyz"))
        assert (await check.response()).status == 503
        assert await alice.closed() == 4001


async def test_the_parts_can_be_handed_in(autojump_clock: MockClock) -> None:
    """Two runs of the same inputs say the same: clock, chance and log are arguments."""
    said = []
    for _ in range(2):
        stop, listener, config = trio.Event(), MemoryListener(), Config.of(presence_interval=1, log="memory")
        log = MemoryLog(config.history)
        start = partial(serve, config, stop=stop, listeners=[listener], entries=log, wall=lambda: 1e9, secrets=SECRETS)
        async with trio.open_nursery() as nursery:
            assert await nursery.start(start) == [("memory", 0)]
            peer = listener.connect()
            welcome = await peer.connect("alice")
            await peer.say("message", content="hello")
            said.append((welcome["rooms"], welcome["timestamp"], await peer.event("message")))
            await peer.drop()
            stop.set()
        assert log.bytes > 0
    assert said[0] == said[1]
    assert said[0][0][0]["epoch"] == "test-1"
    assert said[0][1] == "2001-09-09T01:46:40.000Z"


async def test_it_serves_until_it_is_cancelled(autojump_clock: MockClock) -> None:
    with trio.move_on_after(100) as scope:
        await serve(Config.of(log="memory"), listeners=[MemoryListener()])
    assert scope.cancelled_caught
    elapsed, _ = await took(trio.lowlevel.checkpoint)
    assert elapsed == 0
