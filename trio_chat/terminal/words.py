"""What others wrote, as a terminal may have it: as it is, but for what a terminal obeys and what would forge a line."""

from __future__ import annotations

from unicodedata import category

JOINERS = "\u200c\u200d"  # within emoji, and within words of Persian and of India
UNSEEN = dict.fromkeys(map(ord, f"{JOINERS}\u200e\u200f"))


def harmless(text: str) -> str:
    """For a line of output: what a terminal could obey, or break the line at, is escaped."""
    return text if text.isprintable() else "".join(map(_harmless, text))


def on_screen(text: str) -> str:
    """The same for a screen, on which terminals do not agree how wide a joiner is: it is left out."""
    return harmless(text.translate(UNSEEN))


def _harmless(one: str) -> str:
    return one if one.isprintable() or one in JOINERS or category(one) == "Zs" else repr(one)[1:-1]
