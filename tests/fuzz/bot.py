"""A client to be tested, ours: it says something every now and then, until it may not. `… URL`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Awaitable, Callable

import trio

from trio_chat.client import ConnectionEnded, OutcomeUnknown, open_chat_client


async def main(url: str, connect: Callable[[], Awaitable[trio.abc.Stream]] | None = None) -> None:
    with trio.move_on_after(300):
        async with open_chat_client(url, "bot", connect=connect) as client, trio.open_nursery() as nursery:

            async def listen() -> None:
                async for _ in client:
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            try:
                for number in itertools.count():
                    try:
                        await client.send_message(f"I am here, {number}")
                    except OutcomeUnknown:
                        continue
                    await trio.sleep(0.5)
            except ConnectionEnded:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[-1])
    except* ConnectionEnded:
        pass
