"""Servers that are killed while people talk, and a Redis that is killed, too: one checker of all that anybody saw."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio

from tests.cluster.valkey import Valkey
from tests.crash.harness import Campaign, run

DEATHS = 3  # of the Redis


async def leases_end(server: Valkey) -> None:
    """Each lease is over at once: nobody waits ten seconds for it."""
    while True:
        await trio.sleep(0.1)
        await trio.to_thread.run_sync(server.ask, "DEL", "trio_chat:lease")


async def redis_dies(server: Valkey, chance: Random, deaths: list[float]) -> None:
    """Now and then the Redis is killed, and comes back with all that it acknowledged, while the server is up."""
    await trio.sleep(2)
    for _ in range(DEATHS):
        await trio.to_thread.run_sync(server.kill)
        await trio.sleep(chance.random() / 2)
        await trio.to_thread.run_sync(server.start)
        deaths.append(trio.current_time())
        await trio.sleep(2 + chance.random())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_server_dies(server: Valkey, tmp_path: Path, seed: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leases_end, server)
        outcome = await run(Campaign(seed, 10, log=server.url), tmp_path)
        nursery.cancel_scope.cancel()
    assert not outcome.report.findings, str(outcome)
    assert outcome.report.acked > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_redis_dies(server: Valkey, tmp_path: Path, seed: int) -> None:
    deaths: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(redis_dies, server, Random(seed), deaths)
        outcome = await run(Campaign(seed, 0, log=server.url, calm=30), tmp_path)
        nursery.cancel_scope.cancel()
    assert not outcome.report.findings, str(outcome)
    assert outcome.report.acked > 100
    assert len(deaths) == DEATHS
