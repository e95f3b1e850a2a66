"""What an entry looks like, live and in its present state."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from msgspec.structs import replace

from trio_chat.core.effects import Draft, Entry, Reaction
from trio_chat.core.entries import entry_event
from trio_chat.core.events import Deleted, Edited, Event, Posted, PrivatePosted, Reacted, System

AT, LATER = 1_767_225_600.0, 1_767_225_601.5
WHEN, THEN = "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.500Z"


def entry(kind: Any, content: str = "", **fields: Any) -> Entry:
    of_entry = {name: fields.pop(name) for name in ("edited", "erased", "reactions") if name in fields}
    draft = Draft(kind, "guest:1", "alice", content, AT, 100, **({"room": "Den"} | fields))
    return Entry(7, "boot-2", draft, **of_entry)


MESSAGE = Posted(content="hi", sender="alice", room="Den", timestamp=WHEN, seq=7)
PRIVATE = PrivatePosted(
    from_="alice", sender="alice", to="bob", content="hi", timestamp=WHEN, seq=7, epoch="boot-2", reply_to=3
)
SHOWN = (Reaction("+", 3, ("bob", "carol")), Reaction("!", 1, ("bob",)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (entry("message", "hi"), MESSAGE),
        (entry("message", "hi", reply_to=2), replace(MESSAGE, reply_to=2)),
        (entry("message", "hi", edited=LATER), replace(MESSAGE, edited=THEN)),
        (
            entry("message", "hi", reactions=SHOWN),
            replace(
                MESSAGE, reactions={"+": {"count": 3, "users": ["bob", "carol"]}, "!": {"count": 1, "users": ["bob"]}}
            ),
        ),
        (entry("message", erased=True), Deleted(room="Den", seq=7, of=7, sender="alice", timestamp=WHEN)),
        (
            entry("topic", "tea"),
            System(
                event="topic",
                content="alice set the topic: tea",
                timestamp=WHEN,
                room="Den",
                seq=7,
                by="alice",
                topic="tea",
            ),
        ),
        (
            entry("topic"),
            System(
                event="topic",
                content="alice took the topic away",
                timestamp=WHEN,
                room="Den",
                seq=7,
                by="alice",
                topic="",
            ),
        ),
        (entry("edit", "ho", of=3), Edited(room="Den", seq=7, of=3, content="ho", sender="alice", timestamp=WHEN)),
        (entry("edit", of=3, erased=True), Edited(room="Den", seq=7, of=3, sender="alice", timestamp=WHEN)),
        (entry("delete", of=3), Deleted(room="Den", seq=7, of=3, sender="alice", timestamp=WHEN)),
        (entry("react", of=3, emoji="+"), Reacted(room="Den", seq=7, of=3, emoji="+", sender="alice", timestamp=WHEN)),
        (
            entry("react", of=3, emoji="+", remove=True),
            Reacted(room="Den", seq=7, of=3, emoji="+", remove=True, sender="alice", timestamp=WHEN),
        ),
    ],
)
def test_in_a_room(given: Entry, expected: Event) -> None:
    assert entry_event(given, "Den") == expected


@pytest.mark.parametrize("called", ["@alice", "@bob"])
@pytest.mark.parametrize("kind", ["edit", "delete", "react"])
def test_what_refers_is_of_the_room_as_its_reader_calls_it(kind: str, called: str) -> None:
    shown = entry_event(entry(kind, "ho", room="", to="bob", of=3, emoji="+"), called)
    assert isinstance(shown, Edited | Deleted | Reacted)
    assert (shown.room, shown.of, shown.sender) == (called, 3, "alice")


def test_in_a_conversation() -> None:
    given = entry("private", "hi", room="", to="bob", reply_to=3)
    assert entry_event(given, "@bob") == entry_event(given, "@alice") == PRIVATE
    changed = attrs.evolve(given, edited=LATER, reactions=SHOWN[1:])
    assert entry_event(changed, "@bob") == replace(
        PRIVATE, edited=THEN, reactions={"!": {"count": 1, "users": ["bob"]}}
    )
    erased = entry("private", room="", to="bob", erased=True)
    assert entry_event(erased, "@bob") == Deleted(room="@bob", seq=7, of=7, sender="alice", timestamp=WHEN)
