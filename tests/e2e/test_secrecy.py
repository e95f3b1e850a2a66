"""What people say is in no log line, whatever it came in and however wrong that was; nor is a server's inside told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from trio_chat.core.messages import COMMANDS, Command
from trio_chat.schema import fields_of

from .client import Client, dial, join
from .process import Server
from .test_admin import ADMIN, Api

WORD = "xyzzysecretword"
NAMES = ("user", "username", "to", "room", "type", "id")  # whom and where: those may be told to operators


def full(command: type[Command]) -> dict[str, Any]:
    """A frame of a command with the word wherever something may be said."""
    frame: dict[str, Any] = {"type": command.type, "id": 1}
    for field in fields_of(command):
        kind = field.schema.get("type")
        if field.name not in NAMES:
            frame[field.name] = WORD if kind == "string" else 1
    return frame | {"room": "general", "to": "bob", "user": "bob"}


def test_no_word_is_logged_and_no_inside_is_told(start: Callable[..., Server]) -> None:
    server = start(*ADMIN, "--log-level", "debug", "--messages-burst", "1000")
    api = Api(server)
    told: list[str] = []
    body: Any
    with join(server, "bob"), join(server, "alice") as alice:
        alice.ws.send(json.dumps({"type": "message", "content": WORD}))
        told.append(json.dumps(alice.until("message")))
        for command in COMMANDS:
            frame = full(command)
            alice.ws.send(json.dumps(frame))
            alice.ws.send(json.dumps(frame | {"room": [WORD], "content": {WORD: WORD}}))
            alice.ws.send(json.dumps({"type": "ping"}))
        for body in (WORD, f'{{"type": "message", "content": "{WORD}', f'{{"type": "{WORD}"}}', f'"{WORD}"'):
            alice.ws.send(body)
            alice.ws.send(json.dumps({"type": "ping"}))
        alice.ws.send(json.dumps({"type": "ping", "id": "last"}))
        told += [json.dumps(frame) for frame in alice.up_to("pong", id="last")]
    with Client(server, dial(server)) as client:
        client.ws.send(json.dumps({"type": WORD, "username": "x", "token": WORD}))
        told += [json.dumps(frame) for frame in client.to_the_end()[0]]
    for method, path in (("POST", "/v1/announcements"), ("POST", "/v1/rooms/general/messages"), ("POST", "/v1/bans")):
        for body in ({"content": WORD}, {"content": [WORD]}, {"user": "eve", "reason": WORD}, f"{{{WORD}".encode()):
            told.append(json.dumps(api.ask(method, path, body)[1]))
    server.stop()
    assert WORD not in server.log
    assert WORD in "".join(told), "it was said at all"
    for inside in ("Traceback", "trio_chat/", ".py", "site-packages", "sqlite3"):
        assert inside not in "".join(told)
