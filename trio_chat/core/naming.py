"""Names that may not be taken though they are free: reserved ones, and what looks like one that is held or reserved."""

from __future__ import annotations

from collections.abc import Iterable

from trio_chat.core.lookalikes import looks
from trio_chat.core.names import Name, parse_name


class Reserved:
    """Names that are kept from people; of those who ask, none may look like one of them either."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, Name] = {}
        for written in names:
            try:
                name = parse_name(written)
            except ValueError:
                continue  # nobody can have that name
            self._names[name.key] = name

    def __contains__(self, name: Name) -> bool:
        """Whether the name is reserved."""
        return name.key in self._names

    def has_lookalike(self, name: Name) -> bool:
        """Whether the name looks like a reserved one."""
        seen = looks(name)
        return any(looks(reserved).like(seen) for reserved in self._names.values())
