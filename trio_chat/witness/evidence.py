"""What transcripts prove of a server, put together from all clients, and what is wrong with it."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from trio_chat.witness.transcript import Connection, Frame, Place

# What can be wrong, and the promise that it breaks (PROTOCOL.md, "Promises"; or the part that says it).
KINDS = {
    "order": "1, order",
    "gap": "1, no gaps",
    "double": "1 and 3, exactly once",
    "lost": "2, an acked entry survives",
    "tail": "2, what was told is never taken back",
    "changed": "2, the same entry at its place for ever",
    "twice": "2, at most once in the log",
    "key": "2, a key is acked with its first seq",
    "deleted": "a deleted content is gone everywhere",
    "lagged": "3, lagged before a gap, and only there",
    "outside": "4, nothing before joining or after leaving",
    "answer": "5, exactly one answer per id",
    "epoch": "a crash of the process changes no epoch",
    "session": "3, a session and what it has is resumed",
    "server": "7, the server stays up",
}


@attrs.frozen
class Finding:
    """Something that must not be. `excerpt`: the lines that show it."""

    kind: str
    text: str
    excerpt: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The promise, what is wrong, and the excerpt below."""
        return "\n    ".join((f"[{KINDS[self.kind]}] {self.text}", *self.excerpt))


@attrs.frozen
class Shown:
    """An entry as somebody was shown it, or (`acked`) as its author was told that it is there.

    `since`: when the connection was opened. `version`: the highest `seq` that the connection had been told by then of
    an edit or deletion of this entry, or of the one that this is an edit of.
    """

    place: Place
    frame: Frame
    by: str
    at: float
    since: float
    version: int = 0
    acked: bool = False


@attrs.frozen
class Claim:
    """A server said how far a room's log goes, to a connection that was opened at `since`."""

    room: str
    epoch: str
    last: int
    by: str
    since: float
    frame: Frame


@attrs.frozen
class Keyed:
    """An ack of a command with a key; `whose` tells users of one name apart."""

    whose: tuple[str, int]
    room: str
    key: str
    content: str
    place: Place


Sent: TypeAlias = tuple[str, int, str | None]  # name, which user of that name, key


@attrs.define(eq=False)
class Evidence:
    """All that was shown, acked and claimed. `committed`: see `kept_since`."""

    committed: dict[int, float]
    rejoined: frozenset[str] = frozenset()  # names that were more than one user
    findings: list[Finding] = attrs.field(factory=list)
    shown: list[Shown] = attrs.field(factory=list)
    claims: list[Claim] = attrs.field(factory=list)
    keyed: list[Keyed] = attrs.field(factory=list)
    sent: dict[str, list[Sent]] = attrs.field(factory=dict)  # a content that was posted → by whom
    edits: dict[str, tuple[str, int]] = attrs.field(factory=dict)  # a content of an edit → room and seq

    def find(self, kind: str, text: str, *excerpt: str) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(kind, text, excerpt))

    def kept_since(self, at: float, process: int) -> bool:
        """Whether what `process` was to keep at `at` is surely kept: it committed an entry that was sent after that."""
        return self.committed.get(process, 0.0) > at


def names_of_several(connections: list[Connection]) -> frozenset[str]:
    """The names that may have been more than one user: of a guest, with the session ends the user.

    Who never heard its welcome was one, too, and cannot come back to it.
    """
    counted: dict[str, int] = {}
    for connection in connections:
        welcome = connection.welcome
        lines = connection.lines
        unheard = lines and all(line.ours for line in lines) and "resume" not in lines[0].frame
        if unheard or (welcome is not None and not welcome["resumed"]):
            counted[connection.name] = counted.get(connection.name, 0) + 1
    return frozenset(name for name, count in counted.items() if count > 1)


def committed_until(connections: list[Connection]) -> dict[int, float]:
    """For each process, when the last command was sent that it committed an entry for."""
    until: dict[int, float] = {}
    keys: set[tuple[str, str]] = set()
    for connection in sorted(connections, key=lambda one: one.opened_at):
        asked: dict[Any, float] = {}
        for line in connection.lines:
            frame = line.frame
            if line.ours and frame["type"] in ("message", "private", "edit"):
                key = (connection.name, frame.get("key") or "")
                if not key[1] or key not in keys:
                    asked[frame.get("id")] = line.at
                keys.add(key)
            elif not line.ours and frame["type"] == "ack" and frame["id"] in asked:
                until[connection.process] = max(until.get(connection.process, 0.0), asked[frame["id"]])
    return until
