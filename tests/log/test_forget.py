"""Forgetting a user, whatever keeps the log; and that a minute later no file has a word of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.log.kinds import NOW, FileKind, Kind, Make, append, draft, later, make, places, read, refer, search
from tests.log.test_erase import die, dies, marker, pass_a_minute, traces
from trio_chat.core.anonymous import FORGOTTEN
from trio_chat.core.effects import Append, Committed, Draft, Forget, Keep, Reaction
from trio_chat.core.records import ForgetRecord
from trio_chat.log.tool_check import check

__all__ = ["make"]

GUEST, USER = "guest:boot:3", "sub:zoe"
COUNT = 1500


def guest(content: str, *, name: str = "Zoe", author: str = GUEST, **fields: Any) -> Draft:
    return attrs.evolve(draft(content, **fields), author=author, sender=name)


def forget(log: Kind, key: str = "name:zoe", *, at: float = NOW.wall + 100, settled: bool = True) -> None:
    log.keep(Keep(ForgetRecord(key=key, name_key="zoe", at=at, settled=settled)))
    log.tidy(later(100))


def left(log: Kind, room: str = "lobby") -> list[tuple[str, str, str, bool]]:
    return [
        (one.draft.kind, one.draft.sender, one.draft.content, one.erased)
        for one in read(log, room=room, now=later(100)).entries
    ]


def test_what_a_guest_said_is_erased_wherever_and_under_whatever_id(make: Make) -> None:
    log = make()
    for author, room in ((GUEST, "lobby"), ("guest:boot:9", "lobby"), (GUEST, "den")):
        append(log, guest("mine", author=author), room=room, key="k")
    append(log, guest("another's", name="Zoey", author="guest:boot:4"))
    append(log, guest("a user's", author=USER))
    forget(log)
    assert left(log) == [
        ("message", FORGOTTEN, "", True),
        ("message", FORGOTTEN, "", True),
        ("message", "Zoey", "another's", False),
        ("message", "Zoe", "a user's", False),
    ]
    assert left(log, "den") == [("message", FORGOTTEN, "", True)]
    assert {one.draft.author for one in read(log, room="den").entries} == {FORGOTTEN}
    assert places(search(log, "mine")) == []
    assert places(search(log, "another's")) == [("lobby", 3)]
    assert isinstance(append(log, guest("new"), key="k", now=later(200)), Committed)


def test_of_a_proven_user_only_what_has_the_id(make: Make) -> None:
    log = make()
    append(log, guest("a guest's"))
    append(log, guest("mine", name="zoe", author=USER))
    append(log, guest("mine, under another name", name="Zed", author=USER))
    append(log, guest("another's", author="sub:zoe2"))
    forget(log, USER)
    assert [(sender, content) for _, sender, content, _ in left(log)] == [
        ("Zoe", "a guest's"), (FORGOTTEN, ""), (FORGOTTEN, ""), ("Zoe", "another's"),
    ]  # fmt: skip


def test_what_is_said_afterwards_stays(make: Make) -> None:
    log = make()
    append(log, guest("before"))
    append(log, guest("after", at=NOW.wall + 101), now=later(101))
    forget(log)
    assert [content for _, _, content, _ in left(log)] == ["", "after"]


def test_not_before_it_is_settled(make: Make) -> None:
    log = make()
    append(log, guest("mine"))
    forget(log, settled=False)
    assert [content for _, _, content, _ in left(log)] == ["mine"]
    forget(log)
    assert [content for _, _, content, _ in left(log)] == [""]


def test_edits_go_with_the_message_and_those_of_others_stay(make: Make) -> None:
    log = make()
    append(log, guest("mine"))
    append(log, "another's")
    append(log, guest("mine, edited", kind="edit", of=1))
    append(log, draft("mine, edited by a moderator", kind="edit", of=1), moderator=True)
    append(log, guest("another's, edited by me", kind="edit", of=2), moderator=True)
    forget(log)
    assert left(log) == [
        ("message", FORGOTTEN, "", True),
        ("message", "ann", "another's, edited by me", False),
        ("edit", FORGOTTEN, "", True),
        ("edit", "ann", "", True),
        ("edit", FORGOTTEN, "another's, edited by me", False),
    ]
    assert read(log).entries[0].edited is None
    assert places(search(log, "edited")) == [("lobby", 2)]


def test_an_edit_whose_message_is_trimmed_goes_too(make: Make) -> None:
    log = make(history_limit=2)
    append(log, guest("mine"))
    append(log, guest("edited", kind="edit", of=1))
    append(log, "b")
    forget(log)
    assert left(log) == [("edit", FORGOTTEN, "", True), ("message", "ann", "b", False)]


def test_reactions_are_taken_away(make: Make) -> None:
    log = make()
    append(log, "a")
    append(log, guest("mine"))
    append(log, guest("", kind="react", of=1, emoji="+"))
    refer(log, "react", 1, emoji="+")
    append(log, guest("", kind="react", of=1, emoji="-"))
    refer(log, "react", 2, emoji="+")
    append(log, guest("", kind="react", of=1, emoji="*"))
    append(log, guest("", kind="react", of=1, emoji="*", remove=True))
    forget(log)
    first, second, *others = read(log).entries
    assert (first.reactions, second.reactions) == ((Reaction("+", 1, ("ann",)),), ())
    assert [one.draft.emoji for one in others] == [FORGOTTEN, "+", FORGOTTEN, "+", FORGOTTEN, FORGOTTEN]
    assert [(one.draft.sender, one.draft.remove) for one in others] == [
        (FORGOTTEN, True), ("ann", False), (FORGOTTEN, True), ("ann", False), (FORGOTTEN, True), (FORGOTTEN, True),
    ]  # fmt: skip
    assert isinstance(
        append(log, guest("", kind="react", of=1, emoji="+", at=NOW.wall + 300), now=later(300)), Committed
    )


def test_verdicts_by_and_about_the_user_and_topics(make: Make) -> None:
    log = make()
    append(log, guest("my topic", kind="topic"))
    append(log, guest("my reason", kind="mute", to="bob"))
    append(log, draft("about zoe", kind="ban", to="ZOE"))
    append(log, draft("about bob", kind="ban", to="bob"))
    append(log, guest('{"slow_mode": 2}', kind="room"))
    append(log, draft("", kind="publish", to="zoe"))  # a room
    append(log, guest("mine"))
    append(log, guest("", kind="delete", of=7))
    forget(log)
    told = [(one.draft.sender, one.draft.to, one.draft.content) for one in read(log).entries]
    assert told == [
        (FORGOTTEN, "", ""),
        (FORGOTTEN, "bob", ""),
        ("ann", FORGOTTEN, ""),
        ("ann", "bob", "about bob"),
        (FORGOTTEN, "", '{"slow_mode": 2}'),
        ("ann", "zoe", ""),
        (FORGOTTEN, "", ""),
        (FORGOTTEN, "", ""),
    ]


def test_verdicts_about_a_user_who_had_other_names(make: Make) -> None:
    log = make()
    for name in ("zelda", "ZOË", "Zoe", "zed"):
        append(log, draft("why", kind="mute", to=name))
    log.keep(Keep(ForgetRecord(key=USER, name_key="zoe", at=NOW.wall + 100, settled=True, earlier=("zelda", "zoë"))))
    log.tidy(later(100))
    assert [one.draft.to for one in read(log).entries] == [FORGOTTEN, FORGOTTEN, FORGOTTEN, "zed"]


def test_again_it_changes_nothing(make: Make) -> None:
    log = make()
    append(log, guest("mine"))
    append(log, guest("", kind="react", of=1, emoji="+"))
    forget(log)
    before = read(log).entries
    forget(log)
    assert read(log).entries == before


# --- In a file --------------------------------------------------------------------------------------------------------


def fill(log: FileKind) -> list[str]:
    """Entries of zoe and others in some rooms; returns the words that must go."""
    doomed = []
    for number in range(COUNT):
        room, mine = f"room{number % 7 if number % 2 else 0}", number % 3 == 0
        content = f"{marker('said', number)} " + "long " * (number % 300)
        if mine:
            doomed.append(marker("said", number))
        made = guest(content) if mine else draft(content)
        log.store.perform([(Append(room, "e", made, 1, key=f"k{number}"), NOW)])
    while log.store.tidy(NOW):
        pass
    return doomed


def keep(log: FileKind, key: str = "name:zoe") -> None:
    log.store.perform([(Keep(ForgetRecord(key=key, name_key="zoe", at=NOW.wall, settled=True)), NOW)])


def sound(path: Path) -> None:
    assert check(path, lambda *_: None).findings == []


def test_a_minute_later_no_file_has_a_word_of_it(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    alive = [marker("said", number) for number in range(COUNT) if number % 3]
    assert len(traces(path, doomed)) > 400
    keep(log)
    pass_a_minute(log)
    assert traces(path, [*doomed, f"____{GUEST}", "____Zoe"]) == []
    assert len(traces(path, alive)) > len(alive) * 0.9
    sound(path)
    log.close()
    assert traces(path, doomed) == []
    sound(path)


@pytest.mark.parametrize("slices", [0, 1, 3, 8])
def test_a_death_in_between_only_puts_it_off(tmp_path: Path, slices: int) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    log.close()
    dies("tests.log.test_forget", path, slices)
    log = FileKind(path)
    assert log.restored.trusted
    assert any(isinstance(record, ForgetRecord) for record in log.restored.records) or slices
    pass_a_minute(log)
    assert traces(path, doomed) == []
    sound(path)
    log.close()


def test_one_after_the_other_and_one_that_is_renewed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    keep(log, USER)
    keep(log)
    assert log.store.tidy(NOW)
    log.store.perform([(Append("room0", "e", guest("____zigzag", at=NOW.wall + 1), 1), later(1))])
    log.store.perform([(Keep(ForgetRecord(key="name:zoe", name_key="zoe", at=NOW.wall + 1, settled=True)), later(1))])
    pass_a_minute(log, since=1)
    assert traces(path, [*doomed, "____zigzag"]) == []
    assert not any(log.store._db.rows("SELECT * FROM kept WHERE kind = 'forget'"))
    log.close()


def test_a_room_that_is_closed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    doomed = fill(log)
    keep(log)
    log.store.tidy(NOW)
    for room in ("room0", "room3", "room6"):
        log.forget(Forget(room, "e"))
    pass_a_minute(log)
    assert traces(path, doomed) == []
    sound(path)
    log.close()


def test_a_copy_from_before_an_upgrade_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "chat.db"
    log = FileKind(path)
    append(log, guest("mine"))
    shutil.copy(path, tmp_path / "chat.db.v1.bak")
    caplog.set_level("INFO")
    keep(log)
    pass_a_minute(log)
    assert "chat.db.v1.bak is a copy from before, in which the user is not forgotten: remove it" in caplog.text
    assert "a user is forgotten; entries changed: 1;" in caplog.text
    log.close()


if __name__ == "__main__":
    started = FileKind(Path(sys.argv[1]))
    keep(started)
    die(started, int(sys.argv[2]))
