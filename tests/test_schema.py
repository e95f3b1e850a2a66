"""The JSON Schema says of messages what the codec says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from trio_chat.cli import main
from trio_chat.core.codec import Decoder, encode
from trio_chat.core.events import Ack, Error, HistoryPage, Posted, TypingShown
from trio_chat.core.messages import COMMANDS, Bad
from trio_chat.schema import fields_of, json_schema

decode = Decoder(content_chars=1000, message_bytes=100_000).decode
SCHEMA = json_schema()


def valid(kind: str, value: Any) -> bool:
    schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize(
    "command",
    [
        {"type": "connect", "username": "a", "id": 0},
        {"type": "connect", "resume": {"session": "s", "rooms": {"general": {"epoch": "e", "seq": 0}}}},
        {"type": "message", "content": "x", "key": "k", "reply_to": 1},
        {"type": "private", "to": "a", "content": "x"},
        {"type": "ping", "id": "x" * 64},
        {"type": "typing", "to": "a"},
        {"type": "join", "room": "a", "after": {"epoch": "e", "seq": 3}},
        {"type": "leave", "room": "a"},
        {"type": "history", "room": "a", "before": 9, "limit": 200},
        {"type": "rooms", "mine": True},
        {"type": "users"},
        {"type": "connect", "username": 5},
        {"type": "message"},
        {"type": "message", "content": ""},
        {"type": "message", "content": "x", "key": ""},
        {"type": "message", "content": "x", "reply_to": 0},
        {"type": "private", "content": "x"},
        {"type": "ping", "id": "x" * 65},
        {"type": "ping", "id": -1},
        {"type": "join"},
        {"type": "join", "room": "a", "after": {"epoch": "e"}},
        {"type": "join", "room": "a", "after": {"epoch": "e", "seq": -1}},
        {"type": "history", "room": "a", "limit": 201},
        {"type": "rooms", "mine": "yes"},
        {"type": "dance"},
    ],
)
def test_schema_and_codec_agree_on_commands(command: dict[str, Any]) -> None:
    assert valid("commands", command) == (not isinstance(decode(json.dumps(command)), Bad))


def test_events_are_valid() -> None:
    posted = Posted(content="x", sender="a", room="r", timestamp="t", seq=1)
    page = HistoryPage(room="r", epoch="e", entries=[posted], first=1, last=1, more=False)
    events = (posted, page, Ack(id=1), Error(content="x", code="internal"))
    for event in (*events, TypingShown(from_="a", sender="a", room="r", isTyping=True)):
        assert valid("events", json.loads(encode(event)))
    assert not valid("events", {"type": "ack"})


def test_every_command_has_its_fields_in_the_schema() -> None:
    for command, schema in zip(COMMANDS, SCHEMA["$defs"]["commands"]["oneOf"], strict=True):
        assert set(schema["properties"]) == {"type"} | {field.name for field in fields_of(command)}


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
