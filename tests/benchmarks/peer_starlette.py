"""A peer: Starlette on uvicorn with all of `uvicorn[standard]` (httptools, uvloop, websockets).

`send_text()` may wait for a slow reader: a room's lock, which is fair, keeps its messages in order.
Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from contextlib import nullcontext

import uvicorn  # type: ignore[import-not-found]  # peers are installed in places of their own
from starlette.applications import Starlette  # type: ignore[import-not-found]
from starlette.routing import WebSocketRoute  # type: ignore[import-not-found]
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState  # type: ignore[import-not-found]

from .peer_chat import HEARTBEAT, MAX_BYTES, Chat

chat = Chat[WebSocket]()
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


async def handle(connection: WebSocket) -> None:
    """Serve one connection until it closes."""
    await connection.accept(subprotocol="chat")
    try:
        async for data in connection.iter_text():
            await answer(connection, data)
    except WebSocketDisconnect:
        pass
    finally:
        chat.left(connection)


async def answer(connection: WebSocket, data: str) -> None:
    """Do one command and send what comes of it."""
    for out in chat.take(connection, data):
        async with locks[out.place] if out.place else nullcontext():
            for member in list(out.to):
                if member.application_state == WebSocketState.CONNECTED:
                    await member.send_text(out.text)


def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    print(f"ws://127.0.0.1:{listener.getsockname()[1]}/ws", flush=True)
    app = Starlette(routes=[WebSocketRoute("/ws", handle)])
    config = uvicorn.Config(
        app, log_level="warning", ws_ping_interval=HEARTBEAT, ws_max_size=MAX_BYTES, ws_per_message_deflate=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
