"""What was said and heard in a run, in order, for people and for programs."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

import attrs

Way: TypeAlias = Literal["→", "←", "·"]
WIDTH = 400  # characters of a line, for people
NOISE = ("pong", "user_list")


@attrs.frozen
class Line:
    """One frame, sent (→) or received (←), or something else that happened (·)."""

    who: str
    way: Way
    what: Any

    def __str__(self) -> str:
        """For people."""
        text = self.what if isinstance(self.what, str) else json.dumps(self.what, ensure_ascii=False)
        text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
        return f"{self.who} {self.way} {text if len(text) <= WIDTH else text[: WIDTH - 1] + '…'}"


@attrs.define
class Transcript:
    """The lines of a run."""

    lines: list[Line] = attrs.field(factory=list)

    def note(self, who: str, way: Way, what: Any) -> None:
        """Something happened."""
        self.lines.append(Line(who, way, what))

    def shown(self) -> list[str]:
        """All lines, but for the pings that only wait for what is on its way, and lists that nobody asked for."""
        return [str(line) for line in self.lines if not _is_noise(line.what)]


def _is_noise(what: Any) -> bool:
    if not isinstance(what, dict):
        return False
    if str(what.get("id", "")).startswith("barrier"):
        return True
    return what.get("type") == "user_list" and "id" not in what
