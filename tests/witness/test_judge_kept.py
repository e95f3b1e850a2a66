"""The checker again: what is edited, deleted and reacted to, and what a user comes back to."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trio_chat.witness.judge import Log, check
from trio_chat.witness.transcript import End, Frame

from .test_judge import STAMP, Talk, World, exchange, message

LATER = "2026-01-31T12:00:01.000Z"


def entry(type: str, seq: int, of: int, sender: str = "ann", **fields: Any) -> Frame:
    """The frame of an entry that refers to another."""
    return {"type": type, "room": "general", "seq": seq, "of": of, "sender": sender, "timestamp": LATER, **fields}


def back(world: World, last: int, name: str = "ben", seq: int = 0, process: int = 3, **welcome: Any) -> Talk:
    """`name` resumes from `seq` on."""
    return world.comes(name, process, resume={"general": {"epoch": "e", "seq": seq}}, last=last, **welcome)


def edited() -> World:
    """Ann posts, edits, and is reacted to; ben sees it all, live."""
    world = World()
    ann, ben = world.comes("ann"), world.comes("ben")
    ann.posts(1, "ann-1", acked=1)
    ann.says("edit", id=2, room="general", seq=1, content="ann-new").hears("ack", id=2, room="general", seq=2)
    ben.gets((1, "ann-1")).hears(**entry("edited", 2, 1, content="ann-new"))
    ben.says("react", id=1, room="general", seq=1, emoji="👍").hears("ack", id=1, room="general", seq=3)
    ben.hears(**entry("reacted", 3, 1, "ben", emoji="👍"))
    reactions = {"👍": {"count": 1, "users": ["ben"]}}
    world.logs["general"] = Log(
        "e",
        1,
        3,
        (
            message(1, "ann-new", edited=LATER, reactions=reactions),
            entry("edited", 2, 1, content="ann-new"),
            entry("reacted", 3, 1, "ben", emoji="👍"),
        ),
    )
    return world


def held(world: World, at: int, **fields: Any) -> World:
    """The same, but with other fields in an entry of the log in the end."""
    log = world.logs["general"]
    changed = tuple({**one, **fields} if one["seq"] == at else one for one in log.entries)
    world.logs["general"] = attrs.evolve(log, entries=changed)
    return world


def deleted() -> World:
    """Then ann deletes it, and everything of it is gone."""
    world = edited()
    back(world, 3, "ann", 3).says("delete", id=1, room="general", seq=1).hears(
        "ack", id=1, room="general", seq=4
    ).ends()
    gone = entry("edited", 2, 1)
    reacted = entry("reacted", 3, 1, "ben", emoji="👍")
    world.logs["general"] = Log("e", 1, 4, (entry("deleted", 1, 1), gone, reacted, entry("deleted", 4, 1)))
    return world


def test_edits_reactions_and_deletions_that_are_right() -> None:
    """Also replayed: the message in its present state, then what came of it."""
    world = edited()
    back(world, 3).hears(**message(1, "ann-new", edited=LATER)).hears(**entry("edited", 2, 1, content="ann-new")).ends()
    assert world.report().findings == []

    world = deleted()
    back(world, 4).hears(**entry("deleted", 1, 1)).hears(**entry("edited", 2, 1)).ends()
    assert world.report().findings == []


def test_an_edit_that_is_forgotten() -> None:
    """Whoever comes after it was acked is shown the new content."""
    world = edited()
    back(world, 3).gets((1, "ann-1")).ends()

    assert world.wrong() == {"changed"}


def test_a_deletion_that_is_forgotten() -> None:
    """Whoever comes after it was acked is shown no content; neither is whoever heard of it on this connection."""
    world = deleted()
    back(world, 4).hears(**message(1, "ann-new", edited=LATER)).ends()
    assert world.wrong() == {"deleted"}

    world = deleted()
    back(world, 4).hears(**entry("deleted", 1, 1)).hears(**entry("edited", 2, 1, content="ann-new")).ends()
    assert world.wrong() == {"deleted"}


def test_a_deleted_content_in_a_history() -> None:
    """Pages count, and so do hits of a search."""
    world = deleted()
    shown = message(1, "ann-new", edited=LATER)
    page = {"room": "general", "epoch": "e", "entries": [shown], "first": 1, "last": 4}
    back(world, 4, seq=4).says("history", id=1, room="general").hears("history", id=1, **page).ends()
    hits = [{"room": "general", "epoch": "e", "entry": shown}]
    back(world, 4, seq=4).says("search", id=1, query="new").hears("search_result", id=1, hits=hits).ends()

    assert [finding.kind for finding in world.report().findings] == ["deleted", "deleted"]


@pytest.mark.parametrize(
    "fields",
    [{"content": "ann-1", "edited": None}, {"edited": STAMP}, {"reactions": {}}, {"sender": "eve"}],
    ids=["an edit is gone", "another edit", "a reaction is gone", "another author"],
)
def test_a_log_that_is_not_what_its_entries_made_of_it(fields: Frame) -> None:
    """Read in the end."""
    assert held(edited(), 1, **fields).wrong() & {"changed", "lost"}


def test_a_log_that_holds_deleted_content() -> None:
    """In the message, or in an edit of it."""
    assert "deleted" in held(deleted(), 2, content="ann-new").wrong()
    assert "deleted" in held(deleted(), 1, **message(1, "ann-new", edited=LATER)).wrong()


def test_a_log_with_a_hole() -> None:
    """What is held has no gaps."""
    world = exchange()
    log = world.logs["general"]
    world.logs["general"] = attrs.evolve(log, entries=log.entries[:1] + log.entries[2:])

    assert "gap" in world.wrong()


def test_a_trimmed_log_loses_nothing() -> None:
    """What is before its first was there."""
    world = exchange()
    log = world.logs["general"]
    world.logs["general"] = attrs.evolve(log, first=3, entries=log.entries[2:])

    assert world.report().findings == []


def test_a_reaction_that_was_counted_twice() -> None:
    """The same reaction of the same author is one."""
    world = edited()
    log = world.logs["general"]
    twice = entry("reacted", 4, 1, "ben", emoji="👍")
    world.logs["general"] = attrs.evolve(log, last=4, entries=(*log.entries, twice))

    assert world.wrong() == {"changed"}


# --- Sessions --------------------------------------------------------------------------------------------------------


def test_a_session_that_was_kept_is_resumed() -> None:
    """It was kept if an entry is committed that was sent after it."""
    world = exchange()
    world.comes("ben", 3, resume={}, last=3, resumed=False).ends()

    assert world.wrong() == {"session"}


def test_a_session_that_nothing_was_committed_after_may_be_gone() -> None:
    """It is counted."""
    world = World()
    world.comes("ann").ends()
    world.comes("ann", 2, resume={}, resumed=False).ends()
    report = world.ends().report()

    assert (report.findings, report.unsure) == ([], 1)


@pytest.mark.parametrize(("answered", "found"), [(False, set[str]()), (True, {"session"})])
def test_a_session_ends_a_window_after_the_last_answer(answered: bool, found: set[str]) -> None:
    """What was heard may be of a connection that was over long before, where its user did not read or the net stood."""
    world = World()
    ann = world.comes("ann").posts(1, "ann-1", acked=1)
    for _ in range(30):
        ann.hears("user_list", room="general", users=[])
    if answered:
        ann.says("ping", id=2).hears("pong", id=2)
    ann.ends()
    world.comes("ann", resume={}, last=1, resumed=False).ends()
    world.ends("ann-1")
    report = check([talk.connection for talk in world.talks], world.logs, resume_window=20)

    assert {finding.kind for finding in report.findings} == found


@pytest.mark.parametrize(("kept", "found"), [(False, set[str]()), (True, {"session"})])
def test_a_resume_that_was_not_kept_lengthens_no_window(kept: bool, found: set[str]) -> None:
    """Nothing could be committed when the session was resumed, and then came a crash."""
    world = World()
    ann = world.comes("ann").posts(1, "ann-1", acked=1)
    for _ in range(10):
        ann.hears("user_list", room="general", users=[])
    ann.ends()
    again = world.comes("ann", resume={}, last=1).says("ping", id=1).hears("pong", id=1)
    if kept:
        again.posts(2, "ann-2", acked=2)
    for _ in range(10):
        again.hears("user_list", room="general", users=[])
    again.ends()
    world.comes("ann", 2, resume={}, last=1 + kept, resumed=False).ends()
    world.ends("ann-1", *(["ann-2"] if kept else []))
    report = check([talk.connection for talk in world.talks], world.logs, resume_window=20)

    assert {finding.kind for finding in report.findings} == found


def test_a_conversation_with_somebody_who_never_heard_the_welcome_may_be_gone() -> None:
    """Who comes next under that name is another, as far as anybody can tell."""
    world = World()
    unheard = world.comes("ben")
    del unheard.connection.lines[1:]
    ann = world.comes("ann")
    ann.says("private", id=1, to="ben", content="ann-1")
    ann.hears("ack", id=1, room="@ben", epoch="p", seq=1).ends()
    world.comes("ben").ends()

    assert world.ends().wrong() == set()
    unheard.connection.lines.clear()
    assert world.wrong() == {"lost"}


def test_a_session_that_its_client_ended_is_not_resumed() -> None:
    """1000 ends it."""
    world = exchange()
    back(world, 3, seq=3).ends(End.LEFT)
    world.comes("ben", 3, resume={}, last=3, resumed=False).ends()

    assert world.wrong() == set()


def kept(command: str, **fields: Any) -> World:
    """Ben does something, and then an entry is committed."""
    world = exchange()
    ben = back(world, 3, seq=3)
    ben.says("join", id=1, room="red").hears("ack", id=1, room="red", epoch="e", last=0)
    ben.says(command, id=2, **fields).hears("ack", id=2)
    ben.posts(3, "ben-4", acked=4).ends()
    return world.ends("ann-1", "ben-1", "ann-2", "ben-4")


def test_rooms_come_back() -> None:
    """Those joined, and none that was left."""
    world = kept("ping")
    world.talks[-1].connection.lines[-4].frame["type"] = "pong"  # the answer of a ping
    back(world, 4, seq=4, process=4, rooms={"red": 0}).ends()
    assert world.wrong() == set()

    back(world, 4, seq=4, process=4).ends()
    assert world.wrong() == {"session"}

    world = kept("leave", room="red")
    back(world, 4, seq=4, process=4).ends()
    assert world.wrong() == set()

    back(world, 4, seq=4, process=4, rooms={"red": 0}).ends()
    assert world.wrong() == {"session"}


def test_a_message_behind_a_leave_may_have_joined_again() -> None:
    """Also where its own ack was lost."""
    world = exchange()
    ben = back(world, 3, seq=3)
    ben.says("join", id=1, room="red").hears("ack", id=1, room="red", epoch="e", last=0)
    ben.says("leave", id=2, room="red").says("message", id=3, room="red", content="ben-9")
    ben.hears("ack", id=2, room="red")
    ben.posts(4, "ben-4", acked=4).ends()
    world = world.ends("ann-1", "ben-1", "ann-2", "ben-4", "ben-5")
    back(world, 4, seq=4, process=4, rooms={"red": 0}).posts(1, "ben-5", acked=5).ends()
    assert world.wrong() == set()

    back(world, 5, seq=5, process=5).ends()
    assert [finding.text for finding in world.report().findings] == ["ben, process 5: red was joined, and that is gone"]


def left_behind() -> tuple[World, Talk]:
    """Ben says something in `red` and leaves it; when that is committed, he has left."""
    world = exchange()
    ben = back(world, 3, seq=3)
    ben.says("join", id=1, room="red").hears("ack", id=1, room="red", epoch="e", last=0)
    ben.says("message", id=2, room="red", content="ben-4").says("leave", id=3, room="red").hears("ack", id=3)
    ben.hears("ack", id=2, room="red", epoch="e", seq=1)
    world.ends(*(f"ben-{n}" for n in (4, 5, 6)), room="red")
    world.logs["red"] = attrs.evolve(
        world.logs["red"], entries=tuple({**one, "room": "red"} for one in world.logs["red"].entries)
    )
    back(world, 3, "ann").says("message", id=1, room="red", content="ben-5").ends()
    return world, ben


def test_what_was_said_before_a_leave_and_is_committed_behind_it_brings_nobody_in() -> None:
    """So nothing that comes between it and the next join is missing."""
    world, ben = left_behind()
    ben.says("message", id=4, room="red", content="ben-6").hears("ack", id=4, room="red", epoch="e", seq=3)
    ben.hears(**message(3, "ben-6", room="red")).ends()
    assert world.wrong() == set()

    world, ben = left_behind()
    ben.hears(**message(2, "ben-5", room="red")).ends()
    assert "outside" in world.wrong()


def test_what_was_said_before_a_leave_is_acked_all_the_same() -> None:
    """It is in the log then."""
    world, ben = left_behind()
    ben.ends()
    world.ends("ben-7", "ben-5", "ben-6", room="red")

    assert "lost" in world.wrong()


def test_a_conversation_that_was_not_kept_may_begin_again() -> None:
    """Nobody left it: who wrote the first message of the one that was lost writes another."""
    world = exchange()
    back(world, 3, seq=3, process=4, rooms={"@ann": 0}).ends()
    back(world, 3, seq=3, process=5).posts(1, "ben-4", acked=4).ends()
    back(world, 4, seq=4, process=5, rooms={"@ann": 0}).ends()
    world.ends("ann-1", "ben-1", "ann-2", "ben-4")

    assert world.wrong() == set()


@pytest.mark.parametrize(("copy", "found"), [(False, set[str]()), (True, {"double"})])
def test_an_ack_does_not_say_since_when_one_is_in(copy: bool, found: set[str]) -> None:
    """What joined a room may be committed behind what others said there, and a goodbye come in between: no copies."""
    world = exchange()
    ben = back(world, 3, seq=3)
    ben.says("message", id=1, room="red", content="ben-4").hears("ack", id=1, room="red", epoch="e", seq=2)
    if copy:
        ben.hears(**message(2, "ben-4", room="red"))
    ben.ends(End.AWAY)
    entries = [message(1, "ann-3", room="red"), message(2, "ben-4", room="red")]
    world.comes("ann", 3, last=3).says("message", room="red", content="ann-3").ends()
    world.logs["red"] = Log("e", 1, 2, tuple(entries))
    again = back(world, 3, seq=3, rooms={"red": 2})
    for entry in entries[copy:]:
        again.hears(**entry)
    again.ends()

    assert world.wrong() == found


def test_a_room_that_was_only_just_there_need_not_be_kept() -> None:
    """A conversation that somebody begins is in a welcome before it is committed."""
    world = exchange()
    back(world, 3, seq=3, process=4, rooms={"@ann": 1}).ends()
    back(world, 3, seq=3, process=5).posts(1, "ben-4", acked=4).ends()
    world.ends("ann-1", "ben-1", "ann-2", "ben-4")
    assert world.wrong() == set()


def test_a_room_that_was_gone_does_not_come_back() -> None:
    """Unless somebody joins it."""
    world = exchange()
    back(world, 3, seq=3, process=4, rooms={"red": 1}).ends()
    back(world, 3, seq=3, process=5).posts(1, "ben-4", acked=4).ends()
    world.ends("ann-1", "ben-1", "ann-2", "ben-4")
    assert world.wrong() == set()

    back(world, 4, seq=4, process=5, rooms={"red": 1}).ends()
    assert world.wrong() == {"session"}


def test_read_markers_come_back() -> None:
    """They only move forward."""
    world = kept("read", room="general", seq=2)
    back(world, 4, seq=4, process=4, read=3, rooms={"red": 0}).ends()
    assert world.wrong() == set()

    back(world, 4, seq=4, process=4, read=1, rooms={"red": 0}).ends()
    assert world.wrong() == {"session"}
