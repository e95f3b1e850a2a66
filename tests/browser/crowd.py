"""Those who are there without a browser: they fill rooms, through the Python client."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

import trio

from tests.e2e.process import Server
from trio_chat.client import ChatClient, open_chat_client


def run_client(server: Server, name: str, work: Callable[[ChatClient], Awaitable[None]]) -> None:
    """One comes, works, and leaves."""

    async def main() -> None:
        async with open_chat_client(server.url, name) as client:
            await work(client)

    trio.run(main)


def post(server: Server, name: str, contents: list[str], room: str = "general") -> None:
    """Somebody writes all this, in order, and leaves."""

    async def work(client: ChatClient) -> None:
        for content in contents:
            await client.send_message(content, room)

    run_client(server, name, work)


@contextmanager
def present(server: Server, names: list[str]) -> Iterator[None]:
    """These are in `general`, for as long as the block lasts."""
    there, over = threading.Event(), threading.Event()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            for name in names:
                await stack.enter_async_context(open_chat_client(server.url, name))
            there.set()
            await trio.to_thread.run_sync(over.wait)

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    try:
        assert there.wait(60)
        yield
    finally:
        over.set()
        thread.join(60)
