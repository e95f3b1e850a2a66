"""Damage within a log file: refused untouched where a start needs it, read around where a reader meets it."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.log.kinds import NOW, FileKind, append, draft, later, places, read, refer, search, seqs
from trio_chat.core.effects import Append, Committed, Failed, Keep, Page, Read, Search
from trio_chat.core.records import UserRecord
from trio_chat.log import LogError

BAD = "CAST(x'ff' || 'hushed word' AS TEXT)"


def change(path: Path, sql: str) -> None:
    """As a damaged disk would, but where the page is whole."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


def fill(path: Path, count: int = 5) -> None:
    with closing(FileKind(path)) as log:
        for number in range(count):
            append(log, f"{number} word")
            log.keep(Keep(UserRecord(key=f"u{number}", number=number, name="x" * 50)))
        log.tidy(NOW)


def digests(path: Path) -> dict[str, str]:
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in path.parent.iterdir()}


# --- What a start needs ----------------------------------------------------------------------------------------------


def refused(path: Path, match: str, caplog: pytest.LogCaptureFixture) -> None:
    before = digests(path)
    lock = path.with_name("chat.db.lock")
    with pytest.raises(LogError, match=match) as caught:
        FileKind(path)
    said = str(caught.value)
    assert said.startswith(f"{path} is damaged: ")
    assert said.endswith("; restore a backup, or move it away to begin anew")
    assert "\n" not in said
    assert "hushed" not in said
    after = digests(path)
    assert {**after, lock.name: ""} == {**before, lock.name: ""}
    assert lock.read_text().split("\n")[1:] == [*tokens(path), ""]
    assert caplog.messages == []


def tokens(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        return [row[0] for row in db.execute("SELECT value FROM meta WHERE key = 'generation'")]


@pytest.mark.parametrize("table", ["kept", "entries"])
def test_zeroed_pages_of_a_file_that_was_closed_well(table: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A start reads all records, and the times of the oldest entries."""
    fill(path, 500)
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    refused(path, "malformed", caplog)


@pytest.mark.parametrize(
    ("sql", "match"),
    [
        ("UPDATE kept SET value = '{' WHERE key = 'u3'", "truncated"),
        ("UPDATE rooms SET epoch = CAST(x'ff' || 'hushed' AS TEXT)", "a text in it is not UTF-8"),
        ("UPDATE rooms SET first = 9", "the numbers of room 'lobby' do not fit together"),
        ("UPDATE rooms SET last = 'hushed'", "room 1 has a value that no log writes"),
        ("UPDATE rooms SET epoch = x'00'", "room 1 has a value that no log writes"),
        ("UPDATE rooms SET last = 99", "damaged"),
        ("DELETE FROM meta WHERE key = 'secret'", "secret is missing or no bytes"),
        ("UPDATE meta SET value = x'00' WHERE key = 'sync'", "sync is missing or no str"),
        ("UPDATE entries SET at = 'hushed'", "it has a value that no log writes"),
    ],
)
def test_what_no_log_writes_is_refused_untouched(
    sql: str, match: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(path)
    change(path, sql)
    if "last = 99" in sql:
        change(path, "DELETE FROM entries")
    refused(path, match, caplog)


def test_a_copy_that_is_damaged_is_not_said_to_get_new_epochs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(path)
    path.with_name("chat.db.lock").write_text("1\nother\n")
    change(path, "UPDATE kept SET value = '{'")
    with pytest.raises(LogError, match="is damaged"):
        FileKind(path)
    assert caplog.messages == []


# --- What readers meet -----------------------------------------------------------------------------------------------


def spoiled(path: Path, column: str = "content") -> FileKind:
    """A log of five entries, of which the third cannot be decoded."""
    fill(path)
    change(path, f"UPDATE entries SET {column} = {BAD} WHERE id & 0xFFFF = 3")
    return FileKind(path)


@pytest.mark.parametrize("column", ["content", "sender", "author"])
def test_history_goes_on_around_a_text_that_is_not_utf_8(
    column: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(spoiled(path, column)) as log:
        for _ in range(2):
            page = read(log)
            assert seqs(page) == [1, 2, 3, 4, 5]
            assert getattr(page.entries[2].draft, column) == "\ufffdhushed word"
            assert page.entries[3].draft.content == "3 word"
        assert seqs(read(log, after=3)) == [4, 5]
        warned = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warned) == 1
        assert warned[0].getMessage().startswith("log: room 'lobby' has a text that is not UTF-8, among the entries 1")
        assert log.store.trouble is None
    assert "hushed" not in caplog.text


def test_a_batch_with_such_a_page_is_committed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(spoiled(path)) as log:
        jobs = (
            Append("lobby", "e", draft("a"), 1),
            Read("lobby", "e", 1, 9, 9999),
            Append("lobby", "e", draft("b"), 1),
        )
        first, page, second = log.store.perform([(job, NOW) for job in jobs])
        assert isinstance(first, Committed)
        assert isinstance(second, Committed)
        assert isinstance(page, Page)
        assert seqs(page) == [1, 2, 3, 4, 5, 6]
        assert log.store.trouble is None
    assert "hushed" not in caplog.text


@pytest.mark.parametrize("kind", ["edit", "delete", "react"])
def test_what_cannot_be_read_can_be_mended(kind: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(spoiled(path)) as log:
        content, emoji = ("mended" if kind == "edit" else ""), ("+" if kind == "react" else "")
        assert isinstance(refer(log, kind, 3, content, emoji=emoji), Committed)
        assert log.store.trouble is None
        shown = read(log).entries[2].draft.content
        assert shown == ("\ufffdhushed word" if kind == "react" else content)
    assert "hushed" not in caplog.text


def test_searches_go_on_around_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(spoiled(path)) as log:
        for _ in range(2):
            assert places(search(log, "word")) == [("lobby", seq) for seq in (5, 4, 3, 2, 1)]
        assert caplog.text.count("log: room 'lobby' has a text that is not UTF-8, among the entries 1 to 5") == 1
    assert "hushed" not in caplog.text


def test_upkeep_goes_on_around_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(FileKind(path, history_limit=4)) as log:
        for number in range(4):
            append(log, f"{number} word")
    change(path, f"UPDATE entries SET content = {BAD} WHERE id & 0xFFFF = 3")
    with closing(FileKind(path, history_limit=4)) as log:
        refer(log, "delete", 2)  # so that there is something to erase, too
        assert [seq for _, seq in places(search(log, "word"))] == [4, 3]
        for number in range(5):
            append(log, f"{number} new")
        log.tidy(later(60))
        assert log.store._db.row("SELECT count(*) FROM entries") == (4,)
        assert log.store._db.row("SELECT value FROM meta WHERE key = 'erase'") == (0,)
    assert "failed" not in caplog.text
    assert "hushed" not in caplog.text


def test_a_search_that_fails_says_why_in_words(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, 300)
    request = Search(((1, "lobby", "e"),), ("word",), 9, 9999, 1)
    with closing(FileKind(path)) as log:
        with monkeypatch.context() as patched:
            patched.setattr("trio_chat.log.search.SEARCH_SECONDS", -1.0)
            patched.setattr("trio_chat.log.search._LOOK_EVERY", 10)
            assert log.submit(request, NOW) == Failed(request)
        change(path, "UPDATE entries SET kind = 99")
        assert log.submit(request, NOW) == Failed(request)
        change(path, "DROP TABLE reactions")
        assert log.submit(request, NOW) == Failed(request)
    assert [(one.levelname, one.getMessage()) for one in caplog.records if "search" in one.getMessage()] == [
        ("WARNING", "log: a search failed: it took more than -1 s"),
        ("WARNING", "log: a search failed: there is a value that no log writes (IndexError)"),
        ("WARNING", "log: a search failed: no such table: reactions"),
    ]


# --- Whose it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashed", [False, True])
def test_a_file_that_others_can_read_becomes_its_owners(
    crashed: bool, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fill(path)
    path.chmod(0o644)
    if crashed:  # what is beside it was made with it
        path.with_name("chat.db-wal").touch(0o644)
        path.with_name("chat.db-wal").chmod(0o644)
    with closing(FileKind(path)) as log:
        append(log)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        assert len(modes) == 4
        assert set(modes.values()) == {0o600}, modes
    assert f"log: {path} had the mode 644; now only its owner can read it" in caplog.text


def test_another_users_file_is_warned_of(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its owner, or root, can change a mode."""

    def refusing(_file: int, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    fill(path)
    path.chmod(0o664)
    monkeypatch.setattr("os.fchmod", refusing)
    FileKind(path).close()
    assert f"others can read {path}, and it is another user's: its mode 664 cannot be changed" in caplog.text


def test_what_is_no_log_keeps_its_mode(path: Path) -> None:
    path.write_bytes(b"a letter " * 50)
    path.chmod(0o644)
    with pytest.raises(LogError, match="is no log file"):
        FileKind(path)
    assert path.stat().st_mode & 0o777 == 0o644
