"""Who reacted to what, in a log file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from trio_chat.core.effects import Append, Reaction
from trio_chat.core.errors import ErrorCode
from trio_chat.log import MAX_EMOJI
from trio_chat.log.database import Database
from trio_chat.log.marks import shown


def reacted(db: Database, request: Append, target: int) -> int | ErrorCode | None:
    """Whether a reaction may be committed: None; or the `seq` that it is a duplicate of, or what is wrong with it."""
    draft = request.draft
    found = db.row(
        "SELECT seq FROM reactions WHERE target = ? AND emoji = ? AND author = ?", (target, draft.emoji, draft.author)
    )
    if draft.remove:
        return None if found is not None else ErrorCode.NO_SUCH_ENTRY
    if found is not None:
        seq: int = found[0]
        return seq
    if _place(db, target, draft.emoji) is None:
        (different,) = db.row("SELECT count(DISTINCT place) FROM reactions WHERE target = ?", (target,))
        if different >= MAX_EMOJI:
            return ErrorCode.TOO_LARGE
    return None


def react(db: Database, request: Append, target: int, seq: int) -> None:
    """Put in a reaction that was committed as `seq`, or take one away."""
    draft = request.draft
    if draft.remove:
        db.execute(
            "DELETE FROM reactions WHERE target = ? AND emoji = ? AND author = ?", (target, draft.emoji, draft.author)
        )
        return
    place = _place(db, target, draft.emoji)
    db.execute(
        "INSERT INTO reactions VALUES (?, ?, ?, ?, ?, ?)",
        (target, seq if place is None else place, seq, draft.emoji, draft.author, draft.sender),
    )


def _place(db: Database, target: int, emoji: str) -> int | None:
    found = db.row("SELECT place FROM reactions WHERE target = ? AND emoji = ? LIMIT 1", (target, emoji))
    return None if found is None else found[0]


def reactions(db: Database, low: int, high: int) -> dict[int, tuple[Reaction, ...]]:
    """What is shown of the reactions to the entries with an id from `low` to `high`."""
    rows = db.rows(
        "SELECT target, emoji, sender FROM reactions WHERE target BETWEEN ? AND ? ORDER BY target, place, seq",
        (low, high),
    )
    return {
        target: shown(_counted(emoji, one) for emoji, one in groupby(of, key=lambda row: str(row[1])))
        for target, of in groupby(rows, key=lambda row: int(row[0]))
    }


def _counted(emoji: str, rows: Iterable[Any]) -> tuple[str, list[str], int]:
    names = [row[2] for row in rows]
    return emoji, names, len(names)
