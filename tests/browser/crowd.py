"""Those who are there without a browser: they fill rooms, through the Python client."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

import trio
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.e2e.process import Server
from trio_chat.client import ChatClient, open_chat_client

BATCH = 100  # messages that wait for their acks: as many again come with those, and nobody's outbox is full
SECONDS = 15.0


def run_client(server: Server, name: str, work: Callable[[ChatClient], Awaitable[None]]) -> None:
    """One comes, works, and leaves."""

    async def main() -> None:
        async with open_chat_client(server.url, name) as client:
            await work(client)

    trio.run(main)


def post(server: Server, name: str, contents: list[str], room: str = "general") -> None:
    """Somebody writes all this, in order and a hundred at a time, and leaves."""
    with connect(server.url, subprotocols=[Subprotocol("chat")]) as ws:
        ws.send(json.dumps({"type": "connect", "username": name}))
        for first in range(0, len(contents), BATCH):
            batch = contents[first : first + BATCH]
            for number, content in enumerate(batch):
                ws.send(json.dumps({"type": "message", "room": room, "content": content, "id": first + number}))
            last = first + len(batch) - 1
            while (frame := json.loads(ws.recv(SECONDS))) and (frame["type"], frame.get("id")) != ("ack", last):
                assert frame["type"] != "error", frame


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
