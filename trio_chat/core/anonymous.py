"""What is left of an entry when its author, or the one whom it is about, is forgotten."""

from __future__ import annotations

import attrs

from trio_chat.core.effects import Draft
from trio_chat.core.names import parse_name
from trio_chat.core.records import ForgetRecord, author_subject

FORGOTTEN = "#forgotten"  # nobody's name or id: none can begin so
TEXTS = frozenset(("message", "private", "edit"))  # are erased as whoever deletes them does
ABOUT = frozenset(("kick", "mute", "unmute", "ban", "unban", "promote", "demote"))  # the user `to`, and why
_WORDS = ABOUT | {"topic"}


def is_by(draft: Draft, record: ForgetRecord) -> bool:
    """Whether it was written by whoever is forgotten, before that."""
    return draft.at <= record.at and author_subject(draft.author, draft.sender) == record.key


def is_called(text: str, record: ForgetRecord) -> bool:
    """Whether `text`, a name or a user id, is that of whoever is forgotten, or was before."""
    try:
        return text == record.key or parse_name(text).key in (record.name_key, *record.earlier)
    except ValueError:
        return False


def anonymous(draft: Draft, record: ForgetRecord) -> Draft:
    """The draft without whoever is forgotten; as it was if it has nothing to do with that.

    Of `TEXTS` the content stays: it goes when they are erased. A reaction looks as if it had been taken away.
    """
    if is_by(draft, record):
        content = "" if draft.kind in _WORDS else draft.content
        draft = attrs.evolve(draft, author=FORGOTTEN, sender=FORGOTTEN, content=content)
        if draft.kind == "react":  # an emoji may be words, too
            draft = attrs.evolve(draft, emoji=FORGOTTEN, remove=True)
    if draft.kind in ABOUT and draft.at <= record.at and is_called(draft.to, record):
        draft = attrs.evolve(draft, to=FORGOTTEN, content="")
    return draft
