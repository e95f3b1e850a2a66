"""A peer: aiohttp's `WebSocketResponse`, one `send_str()` for each member, on the standard event loop.

`send_str()` may wait for a slow reader: a room's lock, which is fair, keeps its messages in order.
Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from contextlib import nullcontext

from aiohttp import WSMsgType, web  # type: ignore[import-not-found]  # peers are installed in places of their own

from .peer_chat import HEARTBEAT, MAX_BYTES, Chat

chat = Chat[web.WebSocketResponse]()
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


async def handle(request: web.Request) -> web.WebSocketResponse:
    """Serve one connection until it closes."""
    connection = web.WebSocketResponse(heartbeat=HEARTBEAT, compress=False, max_msg_size=MAX_BYTES, protocols=("chat",))
    await connection.prepare(request)
    try:
        async for message in connection:
            if message.type == WSMsgType.TEXT:
                await answer(connection, message.data)
    finally:
        chat.left(connection)
    return connection


async def answer(connection: web.WebSocketResponse, data: str) -> None:
    """Do one command and send what comes of it."""
    for out in chat.take(connection, data):
        async with locks[out.place] if out.place else nullcontext():
            for member in list(out.to):
                if not member.closed:
                    await member.send_str(out.text)


async def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_get("/ws", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4_096, shutdown_timeout=1).start()
    print(f"ws://127.0.0.1:{runner.addresses[0][1]}/ws", flush=True)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
