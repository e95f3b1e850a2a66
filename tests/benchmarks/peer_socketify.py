"""A peer: socketify, uWebSockets (C++) under Python, with its native topics: a room is one, and each user has one.

Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import itertools
import json
import socket
from collections import defaultdict
from typing import Any

from socketify import App, CompressOptions, OpCode  # type: ignore[import-not-found]  # it is installed in a place of its own

from .peer_chat import MAX_BYTES, encoded

app = App()
seqs: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))


def upgrade(response: Any, request: Any, context: Any) -> None:
    """Take everyone; what a connection knows of itself is the dict."""
    heads = (request.get_header(f"sec-websocket-{name}") for name in ("key", "protocol", "extensions"))
    response.upgrade(*heads, context, {"name": ""})


def message(ws: Any, data: str, _opcode: Any) -> None:
    """Do one command."""
    command, user = json.loads(data), ws.get_user_data()
    kind, id = command["type"], command.get("id")
    if kind == "connect":
        name = user["name"] = command["username"]
        ws.subscribe("general")
        ws.subscribe(f"@{name}")
        ws.send(encoded(type="system", event="welcome", content=f"Welcome {name}!", user=name), OpCode.TEXT)
    elif kind == "join":
        ws.subscribe(command["room"])
        ws.send(encoded(type="ack", id=id, room=command["room"]), OpCode.TEXT)
    elif kind == "message":
        room = command["room"]
        seq = next(seqs[room])
        if id is not None:
            ws.send(encoded(type="ack", id=id, room=room, seq=seq), OpCode.TEXT)
        text = encoded(type="message", content=command["content"], sender=user["name"], room=room, seq=seq)
        app.publish(room, text, OpCode.TEXT)
    elif kind == "private":
        private(ws, user["name"], command["to"], command["content"], id)


def private(ws: Any, sender: str, to: str, content: str, id: Any) -> None:
    """One copy to each of both."""
    seq = next(seqs["@".join(sorted([sender, to]))])
    if id is not None:
        ws.send(encoded(type="ack", id=id, seq=seq), OpCode.TEXT)
    text = encoded(type="private", **{"from": sender}, sender=sender, to=to, content=content, seq=seq)
    app.publish(f"@{to}", text, OpCode.TEXT)
    ws.send(text, OpCode.TEXT)


def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # it does not tell which port it took
        port = probe.getsockname()[1]
    options = {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": MAX_BYTES,
        "max_backpressure": 64 << 20,
        "idle_timeout": 40,  # it pings by itself, well before
        "upgrade": upgrade,
        "message": message,
    }
    app.ws("/ws", options)
    app.listen({"port": port, "host": "127.0.0.1"}, lambda _: print(f"ws://127.0.0.1:{port}/ws", flush=True))
    app.run()


if __name__ == "__main__":
    main()
