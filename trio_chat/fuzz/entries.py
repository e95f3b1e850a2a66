"""What an entry must look like to a reader: live, as it was made; read back, in its present state."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from trio_chat.fuzz.model import Entry, Json, Person, Room
from trio_chat.fuzz.promises import BLOCK, GONE, PRESENT, Promise

Fault: TypeAlias = tuple[Promise | None, str]
ENTRIES = ("message", "private", "edited", "deleted", "reacted")
STATE = ("edited", "reactions")


@attrs.frozen
class Shown:
    """What a frame must have in it, and must not."""

    frame: Json
    lacks: tuple[str, ...]
    promise: Promise | None = None  # that a difference breaks; None: whoever compares knows


def is_entry(frame: Json) -> bool:
    """Whether a frame takes a place in a log."""
    if frame["type"] == "system":
        return frame.get("event") in ("topic", "moderation") and "seq" in frame
    return frame["type"] in ENTRIES


def shown(room: Room, seq: int, reader: Person, *, live: bool) -> Shown | None:
    """An entry as `reader` must see it; None where nobody knows, for a stranger made it."""
    entry = room[seq]
    called = room.called(reader)
    match entry.kind:
        case "stranger":
            return None
        case "message" | "private" if entry.erased or (entry.hidden and entry.author is not reader):
            erased = {"type": "deleted", "room": called, "seq": seq, "of": seq}
            return Shown(erased, ("content",), BLOCK if entry.hidden and not entry.erased else GONE)
        case "message" | "private":
            frame = {"type": entry.kind, "seq": seq, **entry.fields}
            if live:
                return Shown(frame, STATE)
            return Shown(frame | _state(entry), tuple(name for name in STATE if name not in _state(entry)), PRESENT)
        case "topic" | "moderation":
            return Shown({"type": "system", "event": entry.kind, "room": called, "seq": seq, **entry.fields}, ())
        case "edited" if entry.erased:
            return Shown({"type": "edited", "room": called, "seq": seq, "of": entry.of}, ("content",), GONE)
        case _:
            return Shown({"type": entry.kind, "room": called, "seq": seq, "of": entry.of, **entry.fields}, ())


def _state(entry: Entry) -> Json:
    state: Json = {"edited": True} if entry.edited else {}
    if entry.reactions:
        reactions: dict[str, list[str]] = {}
        for emoji, person in entry.reactions:
            reactions.setdefault(emoji, []).append(person.name)
        state["reactions"] = {emoji: {"count": len(names), "users": names} for emoji, names in reactions.items()}
    return state


def compare(frame: Json, expected: Shown | None) -> Fault | None:
    """What is wrong with a frame, or None."""
    if expected is None:
        return None
    for name, value in expected.frame.items():
        found = frame.get(name)
        if name == "edited" and found is not None:
            continue  # when it was
        if found != value or type(found) is not type(value):
            return expected.promise, f"{name!r} should be {value!r}"
    for name in expected.lacks:
        if name in frame:
            return expected.promise, f"there should be no {name!r}"
    return None
