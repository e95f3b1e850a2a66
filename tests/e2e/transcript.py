"""Print what two seed-style clients say and hear: `python -m tests.e2e.transcript ws://127.0.0.1:10000/ws`.

One line a frame: who, whether it is sent (→) or received (←), and the JSON, its long opaque strings cut short.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import trio

from .seed_client import Frame, Line, SeedClient

SECONDS = 10.0  # within which it is over
OPAQUE = ("session", "ticket")
SHOWN = 8  # characters of an opaque string


class Transcript:
    """Prints what is new, step by step: so the order of lines does not hang on the network's mood."""

    def __init__(self, clients: list[SeedClient], out: Callable[[str], object]) -> None:
        self._clients, self._out = clients, out
        self._printed = {client.name: 0 for client in clients}

    async def step(self, speaker: SeedClient, doing: Awaitable[None], **heard: Callable[[], object]) -> None:
        """Do something, wait until each of those named has heard it, and print. Cancelled: its lines are not."""
        await doing
        for client in self._clients:
            await client.until(heard.get(client.name, lambda: True))
        for client in sorted(self._clients, key=lambda client: client is not speaker):
            new = client.lines[self._printed[client.name] :]
            self._printed[client.name] += len(new)
            for line in new:
                self._out(shown(client.name, line))


def shown(name: str, line: Line) -> str:
    """One frame as a line."""
    return f"{name:5} {line.way} {json.dumps(shortened(line.frame), ensure_ascii=False)}"


def shortened(frame: Frame) -> dict[str, Any]:
    """A frame whose opaque strings are cut."""
    return {name: f"{value[:SHOWN]}…" if name in OPAQUE else value for name, value in frame.items()}


async def transcribe(url: str, out: Callable[[str], object] = print) -> None:
    """Alice and bob meet at `url`, talk, and part. Cancelled: they are cut off."""

    async def dial() -> trio.abc.Stream:
        place = urlsplit(url)
        return await trio.open_tcp_stream(place.hostname, place.port or 80)  # type: ignore[arg-type]

    clients = alice, bob, other = [SeedClient(name, dial) for name in ("alice", "bob", "Alice")]
    step = Transcript(clients, out).step

    def both(type: str, **fields: object) -> dict[str, Callable[[], object]]:
        return {client.name: partial(client.got, type, **fields) for client in (alice, bob)}

    async with trio.open_nursery() as nursery:

        async def come(client: SeedClient) -> None:
            nursery.start_soon(client.run)
            await client.until(lambda: client.connected)

        await step(alice, come(alice), alice=lambda: alice.got("user_list"))
        await step(bob, come(bob), **both("user_list", users=["alice", "bob"]))
        await step(alice, alice.say("message", content="Hello, bob!"), **both("message"))
        await step(bob, bob.say("typing", to="alice"), alice=lambda: alice.got("typing"))
        await step(bob, bob.say("private", to="alice", content="Hello yourself."), **both("private"))
        await step(alice, alice.say("ping"), alice=lambda: alice.got("pong"))
        await step(other, other.run())  # the name is taken, whatever its case: it is told so, and gives up
        await step(bob, bob.hang_up(1000), alice=lambda: alice.users == ["alice"])
        await alice.hang_up(1000)


async def main(url: str) -> None:
    """Print it, within `SECONDS`."""
    with trio.fail_after(SECONDS):
        await transcribe(url)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a server that nobody named alice or bob is at")
    trio.run(main, parser.parse_args().url)
