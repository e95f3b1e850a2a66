"""What the fields of commands must be: each rule once, for the check, for people and for the published schema."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import attrs

from trio_chat.core.names import INVISIBLE

MAX_ID = 2**53 - 1  # the largest integer that JavaScript holds exactly
JOINERS = {"\u200d", *map(chr, range(0xE0020, 0xE0080))}  # between the parts of an emoji: joiner and tags
BLANK = INVISIBLE | {"\u2800"}
OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e")  # they would turn round what stands behind them, too


@attrs.frozen(eq=False)
class Rule:
    """What a field's value must be: a validator, with its words for people and its JSON Schema for programs."""

    must: str
    good: Callable[[Any], bool]
    schema: dict[str, Any]

    def __call__(self, _instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Check; what is None was left out. The message goes out as it is."""
        if value is not None and not self.good(value):
            raise ValueError(f"{attribute.name} must be {self.must}")


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Zl", "Zp") or char in OVERRIDES


def _is_emoji(text: str) -> bool:
    """There is something to see, nothing unseen but what joins, and nothing that needs an escape in JSON."""
    if any(char in '"\\' or (unicodedata.category(char)[0] in "CZ" and char not in JOINERS) for char in text):
        return False
    return any(unicodedata.category(char)[0] in "LNPS" and char not in BLANK for char in text)


short = Rule("a string of 1-64 characters", lambda value: 1 <= len(value) <= 64, {"minLength": 1, "maxLength": 64})
full = Rule("a string that is not empty", bool, {"minLength": 1})
seq = Rule("an integer from 1 to 2**53 - 1", lambda value: 1 <= value <= MAX_ID, {"minimum": 1, "maximum": MAX_ID})
position = Rule("an integer from 0 to 2**53 - 1", lambda value: 0 <= value <= MAX_ID, {"minimum": 0, "maximum": MAX_ID})
topic = Rule(
    "a string of at most 250 characters, without control characters and bidirectional overrides",
    lambda value: len(value) <= 250 and not any(map(_is_control, value)),
    {"maxLength": 250},
)
emoji = Rule(
    "a string of 1-32 characters and at most 64 bytes, something to see among them, and no space, quote or backslash",
    lambda value: 1 <= len(value) <= 32 and len(value.encode()) <= 64 and _is_emoji(value),
    {"minLength": 1, "maxLength": 32},
)
query = Rule("a string of 1-256 characters", lambda value: 1 <= len(value) <= 256, {"minLength": 1, "maxLength": 256})
duration = Rule(
    "a number of seconds from 1 to 315360000",
    lambda value: 1 <= value <= 315_360_000,
    {"minimum": 1, "maximum": 315_360_000},
)
slow = Rule(
    "a number of seconds from 0 to 86400", lambda value: 0 <= value <= 86_400, {"minimum": 0, "maximum": 86_400}
)
access = Rule(
    "public, private or readonly",
    lambda value: value in ("public", "private", "readonly"),
    {"enum": ["public", "private", "readonly"]},
)
limit = Rule("an integer from 1 to 200", lambda value: 1 <= value <= 200, {"minimum": 1, "maximum": 200})
password = Rule(
    "a string of 1-1024 characters", lambda value: 1 <= len(value) <= 1024, {"minLength": 1, "maxLength": 1024}
)
new_password = Rule(
    "a string of 8-1024 characters", lambda value: 8 <= len(value) <= 1024, {"minLength": 8, "maxLength": 1024}
)
