"""The peer: the same room as a competent user of `websockets` writes it, on asyncio and with its `broadcast()`.

It speaks the part of the protocol that the load needs: `connect`, `message`, `ping`. A message is serialised once;
compression is off, as in our server. Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

ROOM = "general"


def encoded(**frame: Any) -> str:
    """Serialise one frame, with the time at which that was done."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({**frame, "timestamp": now}, separators=(",", ":"), ensure_ascii=False)


class Room:
    """The one room: everyone who is connected is in it."""

    def __init__(self) -> None:
        self.members: set[ServerConnection] = set()
        self.seqs = itertools.count(1)

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one connection until it closes."""
        try:
            name = json.loads(await connection.recv())["username"]
            await connection.send(encoded(type="system", event="welcome", content=f"Welcome {name}!", user=name))
            self.members.add(connection)
            async for data in connection:
                self.answer(connection, name, json.loads(data))
        except ConnectionClosed:
            pass
        finally:
            self.members.discard(connection)

    def answer(self, connection: ServerConnection, name: str, command: dict[str, Any]) -> None:
        """Do one command. Nothing here waits: between taking a `seq` and sending it no other task may run."""
        if command["type"] == "ping":
            broadcast([connection], encoded(type="pong", id=command.get("id")))
        elif command["type"] == "message":
            seq = next(self.seqs)
            if "id" in command:
                broadcast([connection], encoded(type="ack", id=command["id"], room=ROOM, seq=seq))
            message = encoded(type="message", content=command["content"], sender=name, room=ROOM, seq=seq)
            broadcast(self.members, message)


async def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # No pings: a run is shorter than any sensible interval, and the load answers none.
    async with serve(Room().handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"ws://127.0.0.1:{port}/ws", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
