"""What the wire looks like, read off the classes of `core.messages`: for the documents, and as JSON Schema."""

from __future__ import annotations

import types
import typing
from typing import Any, NamedTuple

import attrs
import msgspec

from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import EVENTS, Event, Hit, type_of
from trio_chat.core.messages import COMMANDS, Command, Position, Resume
from trio_chat.core.rules import Rule

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ID = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64},
        {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    ]
}


class Field(NamedTuple):
    """A field of a message: its name on the wire, and what it may be."""

    name: str
    schema: dict[str, Any]
    required: bool
    default: Any
    must: str


def fields_of(message: type[Command | Event | Position | Resume | Hit]) -> list[Field]:
    """The fields of a message, without its `type`."""
    if issubclass(message, Event | Hit):
        return _event_fields(message)
    hints = typing.get_type_hints(message)
    found = []
    for field in attrs.fields(message):
        rule = field.validator if isinstance(field.validator, Rule) else None
        schema = _ID if field.name == "id" else _schema_of(hints[field.name]) | (rule.schema if rule else {})
        required = field.default is attrs.NOTHING
        default = None if required or isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
        found.append(Field(field.name, schema, required, default, rule.must if rule else ""))
    return found


def _event_fields(event: type[Event | Hit]) -> list[Field]:
    hints = typing.get_type_hints(event)
    return [
        Field(
            field.encode_name,
            _ID if field.name == "id" else _schema_of(hints[field.name]),
            field.required,
            None if field.required else field.default,
            "",
        )
        for field in msgspec.structs.fields(event)
    ]


def _schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a type as they occur in messages."""
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if hint is Any:
        return {}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        some = [argument for argument in arguments if argument is not type(None)]
        return _schema_of(some[0]) if len(some) == 1 else {"anyOf": [_schema_of(one) for one in some]}
    if origin is list:
        return {"type": "array", "items": _schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    if hint is Event:
        return {"$ref": "#/$defs/events"}
    return _object(hint)


def _object(message: type[Any]) -> dict[str, Any]:
    fields = fields_of(message)
    properties = {field.name: field.schema for field in fields}
    required = [field.name for field in fields if field.required]
    if issubclass(message, Command | Event):
        kind = type_of(message) if issubclass(message, Event) else message.type
        properties = {"type": {"const": kind}} | properties
        required = ["type", *required]
    return {
        "type": "object",
        "description": (message.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "required": required,
    }


def json_schema() -> dict[str, Any]:
    """The protocol as one JSON Schema (2020-12): `$defs` has `commands` and `events`, and the registries of codes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The wire protocol chat, version 1",
        "$comment": "Fields and types that are not here are to be ignored, by both sides.",
        "$defs": {
            "commands": {"oneOf": [_object(command) for command in COMMANDS]},
            "events": {"anyOf": [_object(event) for event in EVENTS]},
            "error_codes": {"enum": [code.value for code in ErrorCode]},
            "close_codes": {"enum": [int(code) for code in Close]},
        },
    }
