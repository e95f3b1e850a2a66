"""Servers that are killed while people talk: the checker of the crash harness looks at all that anybody saw."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.cluster.valkey import Valkey
from tests.crash.harness import Campaign, run


async def leases_end(server: Valkey) -> None:
    """Each lease is over at once: nobody waits ten seconds for it."""
    while True:
        await trio.sleep(0.1)
        await trio.to_thread.run_sync(server.ask, "DEL", "trio_chat:lease")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_server_dies(server: Valkey, tmp_path: Path, seed: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leases_end, server)
        outcome = await run(Campaign(seed, 10, log=server.url), tmp_path)
        nursery.cancel_scope.cancel()
    assert not outcome.report.findings, str(outcome)
    assert outcome.report.acked > 100
