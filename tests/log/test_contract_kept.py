"""What a log guarantees of records, and of what survives the process, for the kinds that promise it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.log.kinds import (
    DAY,
    NOW,
    Kind,
    Make,
    MemoryKind,
    append,
    draft,
    filled,
    lasting,
    later,
    make,
    places,
    read,
    refer,
    search,
)
from trio_chat.core.effects import (
    Append,
    Change,
    Changed,
    Committed,
    Discard,
    Duplicate,
    Forget,
    Keep,
    KeyReused,
    Rejected,
)
from trio_chat.core.records import MemberRecord, Record, Restored, RoomRecord, SessionRecord, Span, UserRecord

__all__ = ["lasting", "make"]

ROOM = RoomRecord(key="lobby", name="lobby", number=1, epoch="e", between=("ann", "bob"), deserted_at=1.5)
USER = UserRecord(key="ann", number=1, name="Ann")
MEMBER = MemberRecord(user="ann", room="lobby", number=2, read=3)
SESSION = SessionRecord(key="ff", number=1, user="ann", bucket_of="ann", detached_at=2.0, positions={"lobby": 4}, cut=1)


def kept(log: Kind) -> set[str]:
    """Records have dicts in them, and no hash."""
    return {repr(record) for record in log.restored.records}


def keeping(record: Record, *, epoch: str = "e", **fields: Any) -> Append:
    return Append("lobby", epoch, draft("a", **fields), 1, keep=(Keep(record),))


def test_a_new_log_knows_nothing(make: Make) -> None:
    restored = make().restored
    assert (restored.records, restored.spans, restored.trusted) == ((), {}, True)


def test_keeping_changes_no_answer(make: Make) -> None:
    log = make()
    log.keep(Keep(ROOM))
    log.keep(Discard("user", "nobody"))
    assert isinstance(log.submit(keeping(ROOM), NOW), Committed)
    assert read(log).last == 1


def test_memory_restores_nothing() -> None:
    log = MemoryKind()
    log.keep(Keep(ROOM))
    assert log.restored == Restored()


def test_records_of_every_kind_survive(lasting: Make) -> None:
    log = lasting()
    for record in (ROOM, USER, MEMBER, SESSION):
        log.keep(Keep(record))
    log.reopen(NOW)
    assert kept(log) == {repr(record) for record in (ROOM, USER, MEMBER, SESSION)}
    assert log.restored.trusted


def test_the_last_record_counts(lasting: Make) -> None:
    log = lasting()
    newer = UserRecord(key="ann", number=1, name="Anna")
    namesake = RoomRecord(key="ann", name="ann", number=2, epoch="e")
    for change in (Keep(USER), Keep(namesake), Keep(newer), Keep(MEMBER), Discard("member", MEMBER.key)):
        log.keep(change)
    log.reopen(NOW)
    assert kept(log) == {repr(newer), repr(namesake)}
    log.keep(Discard("user", "ann"))
    log.keep(Keep(MEMBER))
    log.reopen(NOW)
    assert kept(log) == {repr(namesake), repr(MEMBER)}


def test_a_record_is_kept_with_its_entry_or_not_at_all(lasting: Make) -> None:
    log = lasting()
    assert isinstance(log.submit(keeping(USER), NOW), Committed)
    refused = log.submit(keeping(MEMBER, kind="edit", of=9), NOW)
    assert isinstance(refused, Rejected)
    log.submit(keeping(ROOM, epoch="f"), NOW)
    log.reopen(NOW)
    assert kept(log) == {repr(USER)}


def test_a_change_is_answered_when_it_is_kept(make: Make) -> None:
    log = make()
    log.keep(Keep(SESSION))
    change = Change((Keep(USER), Keep(ROOM), Discard("session", SESSION.key)), 1, "c1")
    assert log.submit(change, NOW) == Changed(change)


def test_what_was_answered_as_changed_survives(lasting: Make) -> None:
    log = lasting()
    log.keep(Keep(SESSION))
    log.submit(Change((Keep(USER), Keep(ROOM), Discard("session", SESSION.key)), 1), NOW)
    log.keep(Discard("user", USER.key))
    log.reopen(NOW)
    assert kept(log) == {repr(ROOM)}


def test_spans_and_the_secret_survive(lasting: Make) -> None:
    log = filled(lasting, 5, history_limit=3, history_days=1)
    append(log, room="other", epoch="f")
    append(log, room="closed")
    log.forget(Forget("closed", "e"))
    secret = log.restored.secret
    log.reopen(NOW)
    expected = {"lobby": Span(epoch="e", first=3, last=5), "other": Span(epoch="f", first=1, last=1)}
    assert log.restored.spans == expected
    assert log.restored.secret == secret
    assert len(secret) == 32
    log.reopen(later(DAY + 1))
    assert log.restored.spans["lobby"] == Span(epoch="e", first=6, last=5)


def test_entries_marks_keys_and_words_survive(lasting: Make) -> None:
    log = lasting()
    append(log, "one", key="k")
    refer(log, "edit", 1, "two", now=later(1))
    refer(log, "react", 1, author="bob", emoji="+")
    append(log, "gone", key="l")
    refer(log, "delete", 4)
    before = read(log).entries
    log.reopen(NOW)
    assert read(log).entries == before
    assert before[0].reactions
    assert places(search(log, "two")) == [("lobby", 1)]
    assert places(search(log, "gone")) == []
    assert isinstance(append(log, "one", key="k"), Duplicate)
    assert isinstance(append(log, "two", key="k"), KeyReused)
    assert isinstance(append(log, "whatever", key="l"), Duplicate)
    assert isinstance(refer(log, "react", 1, author="bob", emoji="+"), Duplicate)
    answer = append(log)
    assert isinstance(answer, Committed)
    assert answer.entry.seq == 6


@pytest.mark.parametrize("reopen", [False, True])
def test_upkeep_changes_nothing_that_is_seen(lasting: Make, reopen: bool) -> None:
    log = filled(lasting, 9, history_limit=6)
    refer(log, "delete", 9)
    before = read(log)
    log.tidy(later(120))
    if reopen:
        log.reopen(NOW)
    assert read(log) == before
    assert places(search(log, "8")) == [("lobby", 8)]
    assert places(search(log, "3")) == []
