"""Names that may not be taken though they are free: reserved ones, and what looks like one that is held or reserved."""

from __future__ import annotations

from collections.abc import Iterable

from trio_chat.core.lookalikes import looks, skeleton
from trio_chat.core.names import Name, parse_name

# What is read over: gaps, and digits (`1`, `l` and `i` are one) that stand for letters.
_READ_OVER = str.maketrans("0134578l", "oieastbi", " ._-")


class Reserved:
    """Names that are kept from people; of those who ask, none may look like one of them either, or be read as one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: set[str] = set()  # keys
        self._shown: set[str] = set()  # how they look as they are written
        self._looks: set[str] = set()  # that, and how they look in capitals
        self._read: set[str] = set()  # how they are read
        for written in names:
            try:
                name = parse_name(written)
            except ValueError:
                continue  # nobody can have that name
            self._names.add(name.key)
            seen = looks(name)
            self._shown.update(seen.shown)
            self._looks.update(seen.skeletons)
            self._read.add(_read(name))

    def __contains__(self, name: Name) -> bool:
        """Whether the name is reserved."""
        return name.key in self._names

    def has_lookalike(self, name: Name) -> bool:
        """Whether the name looks like a reserved one, as `Looks.like` says, or is read as one: `Adm1n`, `ad.min`."""
        seen = looks(name)
        return seen.capitals in self._shown or not self._looks.isdisjoint(seen.shown) or _read(name) in self._read


def _read(name: Name) -> str:
    return skeleton(name.key).casefold().translate(_READ_OVER)
