"""A peer: picows, a WebSocket library in Cython, on uvloop.

Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal

import uvloop  # type: ignore[import-not-found]  # peers are installed in places of their own
from picows import (  # type: ignore[import-not-found]
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from .peer_chat import HEARTBEAT, Chat

chat = Chat[WSTransport]()


class Connection(WSListener):  # type: ignore[misc]  # its base is unknown here
    """One connection; the library calls it for each frame."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Do one command; `send()` never waits."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            for out in chat.take(transport, frame.get_payload_as_utf8_text()):
                data = out.text.encode()
                for member in out.to:
                    member.send(WSMsgType.TEXT, data)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is over."""
        chat.left(transport)


def listener(_request: WSUpgradeRequest) -> WSListener:
    """Take everyone."""
    return Connection()


async def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await ws_create_server(
        listener, "127.0.0.1", 0, backlog=4_096, enable_auto_ping=True, auto_ping_idle_timeout=HEARTBEAT
    )
    print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(main())
