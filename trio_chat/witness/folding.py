"""The log as it is read in the end, against its own entries: each message is what the edits, reactions … made of it."""

from __future__ import annotations

from collections.abc import Sequence

from trio_chat.witness.evidence import Evidence
from trio_chat.witness.places import kind_of
from trio_chat.witness.transcript import Frame, brief


def fold(room: str, entries: Sequence[Frame], evidence: Evidence) -> None:
    """Find what is not as its later entries say. What refers to an entry that is held is held, too: it came later."""
    later: dict[int, list[Frame]] = {}
    for entry in entries:
        if kind_of(entry) in ("edited", "deleted", "reacted"):
            later.setdefault(entry["of"], []).append(entry)
    for entry in entries:
        if kind_of(entry) in ("message", "private", "erased"):
            wrong = _wrong(entry, later.get(entry["seq"], []), evidence)
            if wrong is not None:
                excerpt = (brief(entry), *map(brief, later.get(entry["seq"], [])))
                evidence.find("changed", f"{room} {entry['seq']}, in the end: {wrong}", *excerpt)


def _wrong(entry: Frame, later: list[Frame], evidence: Evidence) -> str | None:
    deleted = any(kind_of(one) == "deleted" for one in later)
    edits = [one for one in later if kind_of(one) == "edited"]
    if deleted != (kind_of(entry) == "erased"):
        return "it is shown" if deleted else "nothing deleted it"
    if deleted:
        return "an edit of it still has a content" if any("content" in one for one in edits) else None
    expected = (edits[-1].get("content"), edits[-1]["timestamp"]) if edits else (entry["content"], None)
    if (entry["content"], entry.get("edited")) != expected:
        return f"the last edit of it is {expected}"
    reactions = _reactions(later, evidence)
    if isinstance(reactions, str):
        return reactions
    shown = {emoji: (one["count"], one["users"]) for emoji, one in entry.get("reactions", {}).items()}
    if list(shown.items()) != [(emoji, (len(users), users)) for emoji, users in reactions.items()]:
        return f"the reactions are {entry.get('reactions')}, and should be {reactions}"
    return None


def _reactions(later: list[Frame], evidence: Evidence) -> dict[str, list[str]] | str:
    """Who reacted, by emoji in the order of the first; or what is wrong."""
    found: dict[str, list[str]] = {}
    for one in later:
        if kind_of(one) != "reacted":
            continue
        users, sender = found.setdefault(one["emoji"], []), one["sender"]
        if one.get("remove"):
            if sender not in users:
                return f"{sender} took back what was not there, at {one['seq']}"
            users.remove(sender)
        elif sender in users and sender not in evidence.rejoined:
            return f"{sender} reacted twice, at {one['seq']}"
        else:
            users.append(sender)
        if not users:
            del found[one["emoji"]]
    return found
