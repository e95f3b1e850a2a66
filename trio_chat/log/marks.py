"""What every kind of log has of a message: its edits, who reacted to it, its size, and what its key stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from itertools import islice

import attrs

from trio_chat.core.effects import Draft, Entry, Reaction
from trio_chat.core.errors import ErrorCode
from trio_chat.log import MAX_EMOJI, REACTIONS_BYTES, SHOWN_USERS

FIELD_BYTES = len('"reactions":{},')
EMOJI_BYTES = len('"":{"count":1234567890,"users":[]},')  # beside the emoji, which needs no escapes
NAME_BYTES = len('"",')


@attrs.define(eq=False)
class Marks:
    """Of one message. Nothing in here is counted as memory: each mark is an entry behind it, and that is counted."""

    edits: list[int] = attrs.field(factory=list)  # their seq
    reactions: dict[str, dict[str, tuple[int, str]]] = attrs.field(factory=dict)  # emoji → author → seq and name

    def reacted(self, draft: Draft) -> int | ErrorCode | None:
        """What speaks against a reaction: the `seq` that it is a duplicate of, or what is wrong with it."""
        users = self.reactions.get(draft.emoji, {})
        known = users.get(draft.author)
        if draft.remove:
            return None if known else ErrorCode.NO_SUCH_ENTRY
        if known:
            return known[0]
        return ErrorCode.TOO_LARGE if not users and len(self.reactions) >= MAX_EMOJI else None

    def react(self, draft: Draft, seq: int) -> None:
        """Put in a reaction that was committed as `seq`, or take one away."""
        users = self.reactions.setdefault(draft.emoji, {})
        if draft.remove:
            del users[draft.author]
            if not users:
                del self.reactions[draft.emoji]
        else:
            users[draft.author] = seq, draft.sender

    def forget(self, draft: Draft) -> None:
        """Take a reaction away, if it is still there."""
        users = self.reactions.get(draft.emoji, {})
        users.pop(draft.author, None)
        if not users:
            self.reactions.pop(draft.emoji, None)

    def shown(self) -> tuple[Reaction, ...]:
        """What reading shows of the reactions."""
        return shown(
            (emoji, [name for _, name in islice(users.values(), SHOWN_USERS)], len(users))
            for emoji, users in self.reactions.items()
        )


def shown(reactions: Iterable[tuple[str, Collection[str], int]]) -> tuple[Reaction, ...]:
    """Of each emoji its count and its first names, as long as all of it takes no more than `REACTIONS_BYTES`."""
    each = list(reactions)
    left = REACTIONS_BYTES - FIELD_BYTES - sum(EMOJI_BYTES + len(emoji.encode()) for emoji, _, _ in each)
    made = []
    for emoji, names, count in each:
        users = []
        for name in islice(names, SHOWN_USERS):
            left -= NAME_BYTES + len(name.encode())
            if left < 0:  # and so it stays: nobody is shown who reacted after somebody who is not
                break
            users.append(name)
        made.append(Reaction(emoji, count, tuple(users)))
    return tuple(made)


def shown_size(entry: Entry) -> int:
    """Bytes that the entry takes of a page, at most."""
    return entry.draft.size + (REACTIONS_BYTES if entry.reactions else 0)


def digest(draft: Draft) -> bytes:
    """What must be the same for a key to be the same message."""
    same = f"{draft.kind}\n{draft.reply_to}\n{draft.of}\n{draft.emoji}\n{draft.remove}\n{draft.content}"
    return hashlib.blake2b(same.encode(), digest_size=16).digest()
