"""Connections are cut at any byte, in either direction: what was sent comes out once, in order (promises 2, 3, 5)."""

from __future__ import annotations

import itertools
import random
import time

import pytest
import trio

from tests.client.proxy import Plan, Proxy, anywhere, open_proxy
from tests.e2e.process import Server
from trio_chat.client import Backoff, ChatClient, Event, Message, Private, open_chat_client

AT_ONCE = Backoff(base=0.005, max=0.02, jitter=0.005)
ROUND_SECONDS = 20.0
SENT = 15  # by each writer, to the room and to the reader
rounds = itertools.count(time.monotonic_ns() % 100_000)


async def write(client: ChatClient, room: str, reader: str, name: str, chance: random.Random) -> dict[int, str]:
    """Send to the room and privately, one after the other or at once. Returns what the room's seqs must hold."""
    posted: dict[int, str] = {}

    async def post(content: str) -> None:
        posted[(await client.send_message(content, room)).seq] = content

    for i in range(0, SENT, 3):
        async with trio.open_nursery() as three:
            for content in (f"{name} {j}" for j in range(i, i + 3)):
                three.start_soon(post, content)
        for j in range(i, i + 3):
            await client.send_private(reader, f"{name} private {j}")
        await trio.sleep(chance.random() / 200)
    return posted


async def collect(client: ChatClient, wanted: int, slowly: float, written: trio.Event) -> list[Event]:
    """The entries of the room and of conversations, until there are as many as there must be, and what is too much."""
    entries: list[Event] = []
    while len(entries) < wanted:
        entries += [event for event in [await anext(client)] if isinstance(event, Message)]
        await trio.sleep(slowly)
    await written.wait()  # who writes may still ask whether it was done
    await client.ping()
    with trio.move_on_after(0.02):
        async for event in client:
            entries += [event] if isinstance(event, Message) else []
    return entries


async def one_round(proxy: Proxy, seed: int) -> None:
    """Two writers, a reader and a slow one with a small inbox, all over the cutting proxy."""
    chance, round_ = random.Random(seed), next(rounds)
    room, reader = f"room {round_}", f"reader {round_}"
    posted: dict[int, str] = {}
    entries: dict[str, list[Event]] = {}
    written, done = trio.Event(), trio.Event()

    async def writer(name: str, task_status: trio.TaskStatus[None]) -> None:
        async with open_chat_client(proxy.url, f"{name} {round_}", wait=True, backoff=AT_ONCE) as client:
            posted.update(await write(client, room, reader, name, chance))
            task_status.started()
            await done.wait()  # a guest's conversations end with the guest

    async def read(name: str, inbox: int, slowly: float, privates: int, task_status: trio.TaskStatus[None]) -> None:
        async with open_chat_client(
            proxy.url, name, wait=True, inbox=inbox, backoff=AT_ONCE, jitter=chance.random
        ) as client:
            await client.join(room)
            task_status.started()
            entries[name] = await collect(client, 2 * SENT + privates, slowly, written)

    async with trio.open_nursery() as everybody:
        async with trio.open_nursery() as readers:
            await readers.start(read, reader, 1000, 0, 2 * SENT)
            await readers.start(read, f"slow {round_}", 3, 0.001, 0)
            async with trio.open_nursery() as writers:
                for name in ("ann", "bob"):
                    writers.start_soon(everybody.start, writer, name)
                await trio.sleep(chance.random() / 20)
                await proxy.cut_all()
            proxy.plan = Plan
            written.set()
        done.set()

    assert sorted(posted) == list(range(1, 2 * SENT + 1))
    for name, seen in entries.items():
        messages = [event for event in seen if isinstance(event, Message) and event.room == room]
        assert [event.seq for event in messages] == sorted(posted), name
        assert {event.seq: event.content for event in messages} == posted, name
    for name in ("ann", "bob"):
        talk = [event for event in entries[reader] if isinstance(event, Private) and event.room == f"@{name} {round_}"]
        assert [event.content for event in talk] == [f"{name} private {j}" for j in range(SENT)]
        assert [event.seq for event in talk] == list(range(1, SENT + 1))


async def many(server: Server, seeds: list[int]) -> int:
    """Rounds over one proxy. Returns how often it cut."""
    async with open_proxy(server.port) as proxy:
        for seed in seeds:
            chance = random.Random(f"plan {seed}")
            proxy.plan = lambda chance=chance: anywhere(chance)  # type: ignore[misc]  # mypy knows no defaults of lambdas
            print(f"seed {seed}")  # shown where the round fails
            with trio.fail_after(ROUND_SECONDS):
                await one_round(proxy, seed)
        return proxy.cuts


async def test_all_that_was_sent_comes_out_once_and_in_order(server: Server) -> None:
    first = random.randrange(10**6)
    assert await many(server, list(range(first, first + 8))) > 30


@pytest.mark.slow
async def test_the_same_for_longer(server: Server) -> None:
    first = random.randrange(10**6)
    assert await many(server, list(range(first, first + 150))) > 500
