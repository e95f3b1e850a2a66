"""Names that are taken for one another, though they are not the same: skeletons, as UTS 39 (section 4) makes them.

Two names look alike where what is shown of them does: as they are written, or one of them in capitals (`АDМIN` with two
Cyrillic letters is no `admin`, and looks like `ADMIN`).
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

import attrs

from trio_chat.core.confusables import TABLE
from trio_chat.core.names import Name


@attrs.frozen
class Looks:
    """How a name looks: `shown` as it is written and in small letters, `capitals` in capitals."""

    shown: tuple[str, ...]
    capitals: str

    def like(self, other: Looks) -> bool:
        """Whether one may be taken for the other. Capitals alone are no proof: few write so."""
        return (
            any(one in other.shown for one in self.shown)
            or self.capitals in other.shown
            or other.capitals in self.shown
        )

    @property
    def skeletons(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.shown, self.capitals)))


@lru_cache(maxsize=8192)
def looks(name: Name) -> Looks:
    """How the name looks."""
    return Looks((skeleton(name.text), skeleton(name.key)), skeleton(name.text.upper()))


def skeleton(text: str) -> str:
    """What stands for all texts that are shown like this one; it is not for showing."""
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFD", decomposed.translate(_prototypes()))


@cache
def _prototypes() -> dict[int, str]:
    """Character → what it looks like; read when the first name comes."""
    table = {}
    for group in TABLE.split(";"):
        text, _, chars = group.partition("<")
        prototype = "".join(chr(int(code, 16)) for code in text.split())
        table.update({int(code, 16): prototype for code in chars.split()})
    return table
