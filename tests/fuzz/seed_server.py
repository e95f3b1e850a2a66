"""A server of another make: what the seed system did, on asyncio and `websockets`. `python -m tests.fuzz.seed_server`.

It knows names, `general` and other rooms, privates and pings; no `id`, no `seq`, no log. The fuzzer must say so.
With `--acks` it is a version that somebody began to bring up to date: it welcomes and acks as the protocol says, and
still does what the seed did beside that.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

USERS: dict[str, ServerConnection] = {}
NUMBERS = itertools.count(1)
LIMITS = {"message_bytes": 1_048_576, "content_chars": 1000, "messages_per_second": 1e6, "messages_burst": 1e6}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, "timestamp": now(), **fields})


async def handle(socket: ServerConnection, *, acks: bool) -> None:
    """One client: by its name, until it goes. Whatever it says goes to all, without a thought of who is in a room."""
    name = ""
    try:
        async for data in socket:
            try:
                frame = json.loads(data)
            except ValueError:
                await socket.send(text("error", content="Invalid JSON", code="bad_json"))
                continue
            if not name:
                name = frame["username"]
                if name in USERS:
                    await socket.send(text("error", content="Username is already taken", code="username_taken"))
                    return
                USERS[name] = socket
                await socket.send(
                    welcome(name, frame.get("id")) if acks else text("system", content=f"Welcome {name}!")
                )
                broadcast(USERS.values(), text("user_list", users=list(USERS), room="general", total=len(USERS)))
                continue
            await answer(socket, name, frame, acks=acks)
    except ConnectionClosed:
        pass
    finally:
        if USERS.get(name) is socket:
            del USERS[name]


def welcome(name: str, answer_to: Any) -> str:
    return text(
        "system",
        event="welcome",
        content=f"Welcome {name}!",
        id=answer_to,
        user=name,
        session=f"session of {name}",
        ticket="none",
        server="seed",
        protocol=1,
        heartbeat={"interval": 20, "timeout": 20},
        reconnect={"base": 1, "max": 30, "jitter": 1},
        limits=LIMITS,
        resumed=False,
        rooms=[{"room": "general", "epoch": "seed", "last": 0, "read": 0}],
    )


async def answer(socket: ServerConnection, name: str, frame: dict[str, Any], *, acks: bool) -> None:
    kind, given = frame.get("type"), {"id": frame["id"]} if acks and "id" in frame else {}
    if kind == "ping":
        await socket.send(text("pong", **given))
    elif kind == "message":
        room, seq = frame.get("room", "general"), next(NUMBERS)
        if given:
            await socket.send(text("ack", **given, room=room, epoch="seed", seq=seq))
        said = text("message", sender=name, room=room, content=frame["content"], seq=seq)
        broadcast(USERS.values(), said)
    elif kind == "private" and frame.get("to") in USERS:
        said = text("private", **{"from": name}, sender=name, to=frame["to"], content=frame["content"])
        broadcast([USERS[frame["to"]], socket], said)
    elif given and kind in ("join", "leave"):
        await socket.send(text("ack", **given, room=frame["room"], epoch="seed", last=0))
    elif kind not in ("join", "leave", "typing"):
        await socket.send(text("error", content="Unknown type", code="unknown_type", **given))


def choose(_socket: ServerConnection, offered: Any) -> Subprotocol | None:
    return Subprotocol("chat") if "chat" in offered else None


async def main(*, acks: bool) -> None:
    async def one(socket: ServerConnection) -> None:
        await handle(socket, acks=acks)

    async with serve(one, "127.0.0.1", 0, select_subprotocol=choose, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}/ws", file=sys.stderr, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(acks="--acks" in sys.argv))
