"""A peer: `websockets` on asyncio, with its `broadcast()`; compression is off, as in our server.

Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from .peer_chat import HEARTBEAT, MAX_BYTES, Chat

chat = Chat[ServerConnection]()


async def handle(connection: ServerConnection) -> None:
    """Serve one connection until it closes."""
    try:
        async for data in connection:
            for out in chat.take(connection, str(data)):
                broadcast(out.to, out.text)
    except ConnectionClosed:
        pass
    finally:
        chat.left(connection)


async def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    options = {"ping_interval": HEARTBEAT, "max_size": MAX_BYTES, "compression": None}
    async with serve(handle, "127.0.0.1", 0, backlog=4_096, **options) as server:  # type: ignore[arg-type]  # a dict's types
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"ws://127.0.0.1:{port}/ws", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
