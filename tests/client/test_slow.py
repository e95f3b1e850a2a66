"""A consumer that is slower than its room: it gets everything, and its address is banned from nowhere."""

from __future__ import annotations

from itertools import pairwise

import trio

from tests.e2e.process import Server
from trio_chat.client import Message, Welcomed, open_chat_client

COUNT = 160


async def test_small_inbox_and_slow_consumer(server: Server) -> None:
    """With what a server admits by default: 20 attempts within 15 s."""
    seqs: list[int] = []
    welcomes = 0
    with trio.fail_after(20):
        async with open_chat_client(server.url, "slow", inbox=20) as slow, trio.open_nursery() as nursery:

            async def talk() -> None:
                for at in range(COUNT // 40):  # each sends what it may at once
                    async with open_chat_client(server.url, f"fast {at}") as fast, trio.open_nursery() as senders:
                        for number in range(40):
                            senders.start_soon(fast.send_message, f"{at} {number}")

            nursery.start_soon(talk)
            async for event in slow:
                welcomes += isinstance(event, Welcomed)
                if isinstance(event, Message):
                    seqs.append(event.seq)
                    await trio.sleep(0.005)
                if len(seqs) == COUNT:
                    break
    assert seqs == list(range(seqs[0], seqs[0] + COUNT))
    assert welcomes <= 3
    assert "banned" not in server.log


async def test_catching_up_again_and_again_is_paced(server: Server) -> None:
    """Who asks with each event has to read on, and leaves out what there is no room for."""
    seqs: list[int] = []
    times: list[float] = []
    with trio.fail_after(20):
        async with open_chat_client(server.url, "slow", inbox=10) as slow, trio.open_nursery() as nursery:

            async def talk() -> None:
                async with open_chat_client(server.url, "fast") as fast, trio.open_nursery() as senders:
                    for number in range(36):
                        senders.start_soon(fast.send_message, f"{number}")

            nursery.start_soon(talk)
            async for event in slow:
                if isinstance(event, Welcomed):
                    times.append(trio.current_time())
                if isinstance(event, Message):
                    seqs.append(event.seq)
                    await slow.ping()
                if len(seqs) == 36:
                    break
    assert seqs == list(range(seqs[0], seqs[0] + 36))
    assert len(times) >= 4, "the first, one that came at once, and two that are paced"
    assert all(later - earlier > 0.9 for earlier, later in pairwise(times[1:]))
