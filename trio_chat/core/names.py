"""Names of users and rooms: how they are written, and when two are the same."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import attrs

MAX_CHARS = 32  # code points of a normalised name
MAX_RAW_CHARS = 128  # of the raw text; normalising joins at most four code points into one
# Letters and marks that are shown as nothing (Unicode's Default_Ignorable_Code_Point): two names would look the same.
INVISIBLE = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x3164, *range(0xFE00, 0xFE10), 0xFFA0])
) | frozenset(map(chr, range(0xE0100, 0xE01F0)))
RULE = "1-32 letters, digits, '_', '-', '.' or single inner spaces, not starting with '@' or '#'"


@attrs.frozen
class Name:
    """A valid name: `text` is shown (NFKC), `key` is compared (case-folded)."""

    text: str
    key: str


def name_subject(name: Name) -> str:
    """What is kept under a name, and not of one user: whatever holds for a guest (see `User.subject`)."""
    return f"name:{name.key}"


def parse_name(raw: str) -> Name:
    """Normalise `raw`.

    Raises:
        ValueError: it breaks `RULE`.
    """
    if not raw or len(raw) > MAX_RAW_CHARS:  # before the cache: nobody fills it with megabytes
        raise ValueError(RULE)
    return _parse(raw)


@lru_cache(maxsize=8192)
def _parse(raw: str) -> Name:
    text = unicodedata.normalize("NFKC", raw)
    if not text or len(text) > MAX_CHARS or text[0] == " " or text[-1] == " " or "  " in text:
        raise ValueError(RULE)
    if unicodedata.category(text[0])[0] == "M" or not all(map(_allowed, text)):
        raise ValueError(RULE)
    return Name(text, unicodedata.normalize("NFKC", text.casefold()))


def _allowed(char: str) -> bool:
    """Letters, decimal digits and the marks that many scripts write their vowels with; no symbols, no controls."""
    if char in INVISIBLE:
        return False
    return char in " _-." or unicodedata.category(char) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd")
