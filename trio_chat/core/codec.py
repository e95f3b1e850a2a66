"""Bytes to commands and events to bytes. `msgspec` stays behind this file, and the classes of the events.

`Decoder.decode` never raises: what is no valid command comes back as `Bad`, ready to be answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import Event
from trio_chat.core.messages import COMMANDS, ID_RULE, Bad, Command, CommandId, valid_id

HEADROOM = 4096  # bytes of a frame that a content must leave for the rest of it (PROTOCOL, "Transport")

_encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class _Head(msgspec.Struct):
    """What is read first: which command it is, and what to answer under. Both are checked by hand, for clear errors."""

    type: Any = None
    id: Any = None


_read_head = msgspec.json.Decoder(_Head).decode
_JSON_NAMES = {
    "object": "an object",
    "array": "an array",
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
}


def json_size(text: str) -> int:
    """Bytes of `text` as the JSON string that is sent, quotes included."""
    return len(_encode_json(text))


class Decoder:
    """Decode frames under the sizes that the configuration gives.

    Args:
        content_chars: code points of a `content`.
        message_bytes: bytes of a frame; a content must leave `HEADROOM` of them.
    """

    def __init__(self, *, content_chars: int, message_bytes: int) -> None:
        self._chars = content_chars
        self._bytes = message_bytes - HEADROOM
        self._readers: dict[str, Callable[[str | bytes], Command]] = {
            command.type: msgspec.json.Decoder(command).decode for command in COMMANDS
        }

    def decode(self, frame: str | bytes) -> Command:
        """The command in one text frame, or a `Bad` that says what is wrong with it (promise 7)."""
        answer_to: CommandId | None = None
        try:
            head = _read_head(frame)
            if head.id is not None and not valid_id(head.id):
                return _bad(ErrorCode.BAD_MESSAGE, f"id must be {ID_RULE}")
            answer_to = head.id
            reader = self._readers.get(head.type) if isinstance(head.type, str) else None
            if reader is None:
                return _unknown(head.type, answer_to)
        except msgspec.ValidationError as error:
            return _no_object(frame, error)
        except (ValueError, RecursionError):  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
            return _no_json(frame)
        try:
            command = reader(frame)
        except msgspec.ValidationError as error:
            return _bad(ErrorCode.BAD_MESSAGE, _explain(error), answer_to)
        except ValueError:  # bad UTF-8 in a field that the head had skipped
            return _bad(ErrorCode.BAD_JSON, None, answer_to)
        content = getattr(command, "content", None)
        if content is not None and (
            len(content) > self._chars
            # Only what may be too long is encoded: a code point takes six bytes at most, as an escape.
            or (6 * len(content) + 2 > self._bytes and json_size(content) > self._bytes)
        ):
            return _bad(
                ErrorCode.TOO_LARGE,
                f"content must be at most {self._chars} characters, and {self._bytes} bytes as JSON",
                answer_to,
            )
        return command


def _bad(code: ErrorCode, content: str | None = None, answer_to: CommandId | None = None) -> Bad:
    return Bad(code=code, content=content or code.text, id=answer_to)


def _no_object(frame: str | bytes, error: msgspec.ValidationError) -> Bad:
    """What the head is not; its fields may be anything, but an integer has its bounds for msgspec, too."""
    try:
        msgspec.json.decode(frame, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return _bad(ErrorCode.BAD_JSON)
    if str(error).startswith("Expected `object`"):
        return _bad(ErrorCode.BAD_MESSAGE, "The frame must be a JSON object")
    return _bad(ErrorCode.BAD_MESSAGE, f"id must be {ID_RULE}")


def _no_json(frame: str | bytes) -> Bad:
    """What msgspec can't read, and the grammar of JSON allows: half a surrogate pair, which browsers do write.

    Its `id` is known, and is answered under (promise 5).
    """
    try:
        found = json.loads(frame, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _bad(ErrorCode.BAD_JSON)
    answer_to = found.get("id") if isinstance(found, dict) else None
    text = "The frame must not hold half of a surrogate pair, or a number out of range"
    return _bad(ErrorCode.BAD_MESSAGE, text, answer_to if valid_id(answer_to) else None)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _unknown(kind: object, answer_to: CommandId | None) -> Bad:
    if isinstance(kind, str):
        return _bad(ErrorCode.UNKNOWN_TYPE, None, answer_to)  # not echoed: see `errors` on seed clients
    return _bad(ErrorCode.BAD_MESSAGE, "type must be a string", answer_to)


def _explain(error: msgspec.ValidationError) -> str:
    """Say which field must be what, from msgspec's "Expected `str`, got `int` - at `$.room`" or our validators."""
    if isinstance(error.__cause__, ValueError):  # one of our validators, whose text is for people already
        return str(error.__cause__)
    text = str(error)
    if text.startswith("Object missing required field"):
        return f"{text.split('`')[1]} must be given"
    expected, _, where = text.partition(" - at ")
    path = where.strip("`").removeprefix("$.").replace("[...]", ".*") or "the frame"
    kinds = expected.split("`")[1].split(" | ") if "`" in expected else ["valid"]
    return f"{path} must be {' or '.join(_JSON_NAMES.get(kind, kind) for kind in kinds)}"


def encode(event: Event) -> bytes:
    """The event as JSON, once for all who get it."""
    return _encode_json(event)


def frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame (RFC 6455 section 5.2): a server's are the same for every member."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
