"""Whether a frame that came has the fields that the document says, each of its type."""

from __future__ import annotations

from functools import cache
from typing import Any

from trio_chat.core.events import EVENTS, type_of
from trio_chat.fuzz.promises import FRAMES, Broken
from trio_chat.schema import Field, fields_of

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


@cache
def _shapes() -> dict[str, list[list[Field]]]:
    found: dict[str, list[list[Field]]] = {}
    for event in EVENTS:
        found.setdefault(type_of(event), []).append(fields_of(event))
    return found


def check(who: str, frame: dict[str, Any]) -> None:
    """Complain about a frame of a known type that is not as the document says.

    Raises:
        Broken: it is not.
    """
    shapes = _shapes().get(frame["type"])
    if shapes is None:
        return
    if frame["type"] == "system":  # the welcome has a shape of its own
        shapes = [shape for shape in shapes if ("session" in {one.name for one in shape}) is _is_welcome(frame)]
    faults = [_fault(frame, shape) for shape in shapes]
    if all(faults):
        raise Broken(FRAMES, f"{who}: a {frame['type']!r} frame {faults[0]}: {frame}")


def _is_welcome(frame: dict[str, Any]) -> bool:
    return frame.get("event") == "welcome"


def _fault(frame: dict[str, Any], shape: list[Field]) -> str:
    for field in shape:
        if field.name not in frame:
            if field.required:
                return f"has no {field.name!r}"
            continue
        if not _fits(frame[field.name], field.schema):
            return f"has a wrong {field.name!r}"
    return ""


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(_fits(value, one) for one in schema["anyOf"])
    expected = _TYPES.get(schema.get("type", ""))
    if expected is None:
        return True
    if isinstance(value, bool):
        return expected is bool
    return isinstance(value, expected)
