"""What the owner of a room sets."""

from __future__ import annotations

import json
from typing import Any

import attrs

from trio_chat.core.effects import Draft
from trio_chat.core.records import Access, author_subject


@attrs.frozen
class Settings:
    """What a room's owner sets. `access`: who comes in and speaks; `slow_mode`: seconds between two messages of one.

    `topic_by`: whose words the topic is, see `author_subject`.
    """

    topic: str = ""
    access: Access = "public"
    slow_mode: float = 0.0
    receipts: bool = False  # reading is told to the room
    topic_by: str = ""

    def changed(self, draft: Draft) -> Settings:
        """As they are after an entry of the kind `topic` or `room`."""
        if draft.kind == "topic":
            by = author_subject(draft.author, draft.sender) if draft.content else ""
            return attrs.evolve(self, topic=draft.content, topic_by=by)
        changes = settings_of(draft)
        if "kind" in changes:
            changes["access"] = changes.pop("kind")
        return attrs.evolve(self, **changes)


def settings_of(draft: Draft) -> dict[str, Any]:
    """What an entry of the kind `room` changes, by the names of the wire."""
    changes: dict[str, Any] = json.loads(draft.content)
    return changes
