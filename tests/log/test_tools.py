"""The operator's tools on log files that a `Store` wrote: copies that are the same, and damage that is found."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.log.kinds import DAY, NOW, draft, later
from trio_chat.config import Config
from trio_chat.core.effects import Append, Discard, Duplicate, Forget, Found, Keep, Now, Page, Read, Search
from trio_chat.core.records import MemberRecord, Record, RoomRecord, SessionRecord, UserRecord
from trio_chat.log import tool_lines, tools
from trio_chat.log.schema import KINDS
from trio_chat.log.store import Job, Store
from trio_chat.log.tool_backup import backup
from trio_chat.log.tool_check import check
from trio_chat.log.tool_export import export, export_file
from trio_chat.log.tool_import import import_file
from trio_chat.log.tool_stats import stats, table
from trio_chat.log.tools import ToolError

HISTORY = Config.of(history_limit=8, history_days=1, dedupe_window=600).history
ROOMS = ("lobby", "@ann\nbob")
WORDS = ("a", "b", "東")


def silent(_what: str, _done: int, _total: int) -> None:
    """No progress is shown."""


def opened(path: Path, now: Now = NOW) -> Store:
    return Store.open(path, history=HISTORY, sync="normal", boot="boot", wall=now.wall)


def exported(path: Path, *rooms: str) -> list[dict[str, Any]]:
    """The lines, without the time in the first."""
    file = io.BytesIO()
    export(path, file, rooms, silent)
    lines: list[dict[str, Any]] = [msgspec.json.decode(line) for line in file.getvalue().splitlines()]
    del lines[0]["exported_at"]
    return lines


def raw(path: Path) -> list[bytes]:
    file = io.BytesIO()
    export(path, file, (), silent)
    return file.getvalue().splitlines(keepends=True)


def write(path: Path, *jobs: Job, now: Now = NOW) -> None:
    """Do `jobs` with a store of their own, and index what they wrote."""
    with closing(opened(path, now)) as store:
        store.perform([(job, now) for job in jobs])
        while store.catch_up(now):
            pass


def posted(content: str = "a b", **fields: Any) -> Append:
    options = {name: fields.pop(name) for name in ("room", "key", "moderator") if name in fields}
    return Append(options.pop("room", "lobby"), "e", draft(content, **fields), 1, **options)


@cache
def made() -> dict[str, bytes]:
    """The files of a log with one of everything in it, but for the directory."""
    with tempfile.TemporaryDirectory() as directory:
        _make(Path(directory, "chat.db"))
        return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def example(path: Path) -> None:
    """A log with one of everything in it."""
    for name, data in made().items():
        path.with_name(name).write_bytes(data)


def _make(path: Path) -> None:
    write(
        path,
        Keep(RoomRecord(key="lobby", name="Lobby", number=1, epoch="e", topic="t")),
        Keep(UserRecord(key="ann", number=1, name="Ann")),
        Keep(UserRecord(key="bob", number=2, name="Bob")),
        Keep(MemberRecord(user="ann", room="lobby", number=1, read=2)),
        Keep(SessionRecord(key="f" * 64, number=1, user="ann", bucket_of="secret bucket")),
        posted("hello world", key="k"),
        posted("wrong", key="gone"),
        posted("", kind="delete", of=2),
        posted("hello", kind="edit", of=1),
        posted("", kind="react", of=1, emoji="+"),
        posted("a topic", kind="topic"),
        posted("psst", room=ROOMS[1], kind="private", to="bob"),
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "chat.db"
    example(path)
    return path


# --- Copies are the same ---------------------------------------------------------------------------------------------

records: st.SearchStrategy[Record] = st.one_of(
    st.builds(UserRecord, key=st.sampled_from(["ann", "bob"]), number=st.integers(0, 3), name=st.text(max_size=3)),
    st.builds(RoomRecord, key=st.sampled_from(ROOMS), name=st.just("x"), number=st.integers(0, 3), epoch=st.just("e")),
    st.builds(
        MemberRecord, user=st.just("ann"), room=st.sampled_from(ROOMS), number=st.just(1), read=st.integers(0, 9)
    ),
    st.builds(SessionRecord, key=st.just("hash"), number=st.just(1), user=st.just("ann"), bucket_of=st.just("x")),
)
rooms = st.sampled_from([ROOMS[0], ROOMS[0], ROOMS[1]])
steps = st.one_of(
    st.tuples(
        st.sampled_from(["message", "private", "topic"]),
        rooms,
        st.lists(st.sampled_from(["a", "B", "東京", "\0", "\n", '"']), max_size=3).map(" ".join),
        st.none() | st.sampled_from("kl"),
    ),
    st.tuples(st.sampled_from(["edit", "delete"]), rooms, st.integers(0, 6)),
    st.tuples(st.just("react"), rooms, st.integers(0, 6), st.sampled_from("+-"), st.booleans()),
    st.tuples(st.just("keep"), records),
    st.tuples(st.just("discard"), st.sampled_from(["ann", "bob"])),
    st.tuples(st.just("wait"), st.sampled_from([-60.0, 1.0, 700.0, DAY / 3])),
    st.tuples(st.sampled_from(["tidy", "index", "forget"]), rooms),
)


class Writer:
    """Does steps with a store; those that the log refuses are part of the game."""

    def __init__(self, path: Path) -> None:
        self.store = opened(path)
        self.now = NOW
        self.epochs = dict.fromkeys(ROOMS, "e")

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("wait", seconds):
                self.now = Now(self.now.mono + max(0, seconds), self.now.wall + seconds)
            case ("keep", record):
                self.perform(Keep(record))
            case ("discard", key):
                self.perform(Discard("user", key))
            case ("forget", room):
                self.perform(Forget(room, self.epochs[room]))
                self.epochs[room] += "e"
            case ("tidy" | "index" as what, _):
                while self.store.tidy(self.now) if what == "tidy" else self.store.catch_up(self.now):
                    pass
            case ("react", room, back, emoji, remove):
                made = draft("", at=self.now.wall, kind="react", of=self.last(room) - back, emoji=emoji, remove=remove)
                self.perform(Append(room, self.epochs[room], made, 1))
            case ("edit" | "delete" as kind, room, int(back)):
                content = f"a {back}" if kind == "edit" else ""
                made = draft(content, at=self.now.wall, kind=kind, of=self.last(room) - back)
                self.perform(Append(room, self.epochs[room], made, 1, key="k" if back == 5 else None))
            case (kind, room, content, key):
                made = draft(content, at=self.now.wall, kind=kind, author="bob" if key == "l" else "ann", to="bob")
                self.perform(Append(room, self.epochs[room], made, 1, key=key))

    def last(self, room: str) -> int:
        page = self.perform(Read(room, self.epochs[room], 1, 1, 10**6))
        return page.last if isinstance(page, Page) else 0

    def perform(self, job: Job) -> Any:
        return next(iter(self.store.perform([(job, self.now)])), None)


def seen(store: Store, now: Now) -> list[Any]:
    """All that a server would get to see of the log, without the epochs."""
    everything: list[Any] = []
    while store.catch_up(now):
        pass
    spans = store.restored.spans
    for room in sorted(spans):
        request = Read(room, spans[room].epoch, 1, 200, 10**6, after=0)
        (page,) = store.perform([(request, now)])
        assert isinstance(page, Page)
        everything.append((page.first, page.last, [attrs.evolve(entry, epoch="") for entry in page.entries]))
    where = tuple((ROOMS.index(room), room, span.epoch) for room, span in spans.items())
    for word in WORDS:
        found = store.search(Search(where, (word,), 100, 10**6, 1), now)
        assert isinstance(found, Found)
        everything.append([(key, attrs.evolve(entry, epoch="")) for key, entry in found.hits])
    return everything


def known(store: Store) -> list[Record]:
    return [record for record in store.restored.records if not isinstance(record, SessionRecord)]


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=5, max_size=60))
def test_copies_are_what_the_log_is(plan: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path, made, copy = (Path(directory, name) for name in ("chat.db", "made.db", "copy.db"))
        writer = Writer(path)
        try:
            for step in plan:
                writer.do(step)
        finally:
            writer.store.close()
        assert check(path, silent).findings == []
        lines = raw(path)
        import_file(made, io.BytesIO(b"".join(lines)), silent)
        backup(path, copy, silent)
        for other in (made, copy):
            assert raw(other)[1:] == lines[1:]
            assert check(other, silent).findings == []
        with closing(opened(path, writer.now)) as store:
            expected, records, secret = seen(store, writer.now), known(store), store.restored.secret
            epochs = {room: span.epoch for room, span in store.restored.spans.items()}
        for other in (made, copy):
            with closing(opened(other, writer.now)) as store:
                assert not store.restored.trusted
                assert all(span.epoch != epochs[room] for room, span in store.restored.spans.items())
                assert known(store) == records
                assert (store.restored.secret == secret) is (other == copy)
                assert seen(store, writer.now) == expected
            assert not list(Path(directory).glob("*.part*"))


def test_everything_is_exported_but_sessions_and_secrets(log: Path) -> None:
    (head, *lines) = exported(log)
    assert head == {"type": "log", "version": 2, "rooms": 2, "entries": 7}
    by_type: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_type.setdefault(line["type"], []).append(line)
    assert [(one["kind"], one["value"].get("key")) for one in by_type["record"]] == [
        ("room", "lobby"),
        ("user", "ann"),
        ("user", "bob"),
        ("member", None),
    ]
    assert [one["key"] for one in by_type["room"]] == sorted(ROOMS)
    told = [(one["seq"], one["kind"], one.get("content"), one.get("of"), one.get("erased")) for one in by_type["entry"]]
    assert told == [
        (1, "private", "psst", None, None),
        (1, "message", "hello", None, None),
        (2, "message", None, None, True),
        (3, "delete", None, 2, None),
        (4, "edit", "hello", 1, None),
        (5, "react", None, 1, None),
        (6, "topic", "a topic", None, None),
    ]
    assert [(one["seq"], one["key"], bool(one.get("digest"))) for one in by_type["key"]] == [
        (1, "k", True),
        (2, "gone", False),
    ]
    assert lines[-1] == {"type": "end", "lines": len(lines)}
    text = b"".join(raw(log))
    with closing(sqlite3.connect(log)) as db:
        (secret,) = db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
    for hidden in ("f" * 64, "secret bucket", "wrong", secret.hex(), "generation"):
        assert hidden.encode() not in text


def test_a_room_is_exported_with_its_members(log: Path) -> None:
    head, *lines = exported(log, "LOBBY")
    assert (head["rooms"], head["entries"]) == (1, 6)
    assert [(one["kind"], one["value"]["number"]) for one in lines if one["type"] == "record"] == [
        ("room", 1),
        ("user", 1),
        ("member", 1),
    ]
    assert [one["key"] for one in lines if one["type"] == "room"] == ["lobby"]
    assert exported(log, *ROOMS)[0]["entries"] == 7
    with pytest.raises(ToolError, match="--room: 'attic' is no room in ") as caught:
        exported(log, "attic")
    assert caught.value.usage


def test_keys_are_known_to_the_imported_log(log: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.db"
    import_file(made, io.BytesIO(b"".join(raw(log))), silent)
    with closing(opened(made)) as store:
        epoch = store.restored.spans["lobby"].epoch
        request = attrs.evolve(posted("hello world", key="k"), epoch=epoch)
        assert store.perform([(request, NOW)]) == [Duplicate(request, 1)]


def test_lines_know_every_kind_of_entry() -> None:
    assert get_args(get_type_hints(tool_lines.Entry)["kind"]) == KINDS


# --- Wrong lines -----------------------------------------------------------------------------------------------------

HEAD = b'{"type":"log","version":1,"exported_at":"","rooms":1,"entries":1}\n'
ROOM = b'{"type":"room","key":"r","epoch":"e","first":1,"last":2}\n'
SAID = b'{"type":"entry","seq":1,"kind":"message","author":"a","sender":"a","at":1.0,"size":1,"content":"x"}\n'
ERASED = SAID.replace(b'"content":"x"', b'"erased":true')


def entry(**fields: Any) -> bytes:
    made = {"type": "entry", "seq": 2, "kind": "message", "author": "a", "sender": "a", "at": 1, "size": 1, **fields}
    return msgspec.json.encode(made) + b"\n"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "line 1: there must be more: the `end` is missing"),
        ([b"{}\n"], "line 1: Object missing required field `type`"),
        ([b"\xff\n"], "line 1: JSON is malformed"),
        ([b"[" * 5000 + b"\n"], "line 1: "),
        ([ROOM], "line 1: the first line, and no other, must say"),
        ([HEAD, HEAD], "line 2: the first line, and no other, must say"),
        ([HEAD.replace(b":1,", b":3,", 1)], "line 1: the format has version 3; known is 2"),
        ([HEAD, SAID], "line 2: `seq` of an entry must be the next of its room"),
        ([HEAD, ROOM, entry()], "line 3: `seq` of an entry must be the next of its room"),
        ([HEAD, ROOM, SAID], "line 4: there must be more: the `end` is missing"),
        ([HEAD, ROOM, SAID, b'{"type":"end","lines":3}\n'], "line 4: the entries 2 to 2 of 'r' must come first"),
        ([HEAD, ROOM, SAID, entry(), entry(seq=3)], "line 5: `seq` of an entry must be the next of its room"),
        ([HEAD, ROOM, SAID, entry(), b'{"type":"end","lines":3}\n'], "line 5: there must be 3 lines before it"),
        ([HEAD, ROOM, SAID, entry(), b'{"type":"end","lines":4}\n'], "line 5: the first line says another number"),
        ([HEAD, ROOM, SAID, entry(), ROOM], "line 5: what it says was said before"),
        ([HEAD, ROOM.replace(b":1,", b":4,")], "line 2: `first` must be at most `last` + 1"),
        ([HEAD, ROOM.replace(b'"e"', b'""')], "line 2: Expected `str` of length >= 1"),
        ([HEAD, b'{"type":"record","kind":"session","value":{}}\n'], "line 2: `kind` of a record must be one of room,"),
        ([HEAD, b'{"type":"record","kind":"user","value":{"key":1}}\n'], "line 2: Expected `str`, got `int`"),
        ([HEAD, ROOM, b'{"type":"record","kind":"user","value":{}}\n'], "line 3: a record must come before the rooms"),
        ([HEAD, ROOM, SAID, entry(kind="edit", of=1, more=1)], "line 4: Object contains unknown field `more`"),
        ([HEAD, ROOM, SAID, entry(kind="edit")], "line 4: `of` must be there for an edit"),
        ([HEAD, ROOM, SAID, entry(of=1)], "line 4: `of` must be there for an edit"),
        ([HEAD, ROOM, SAID, entry(kind="edit", of=2)], "line 4: `of` must be an earlier entry's"),
        ([HEAD, ROOM, entry(seq=1, kind="topic"), entry(kind="edit", of=1)], "line 4: `of` must be a message's"),
        ([HEAD, ROOM, SAID, entry(kind="delete", of=1)], "line 4: `of` must be `erased`"),
        ([HEAD, ROOM, ERASED, entry(kind="edit", of=1)], "line 4: an edit must be `erased` where"),
        ([HEAD, ROOM, SAID, entry(kind="edit", of=1, erased=True)], "line 4: an edit must be `erased` where"),
        ([HEAD, ROOM, SAID, entry(kind="react", of=1)], "line 4: `emoji` must be there for a react"),
        ([HEAD, ROOM, SAID, entry(remove=True)], "line 4: `emoji` must be there for a react"),
        ([HEAD, ROOM, SAID, entry(kind="react", of=1, emoji="+", remove=True)], "line 4: there is no such reaction"),
        ([HEAD, ROOM, SAID, entry(kind="topic", edited=1)], "line 4: `edited` must be"),
        ([HEAD, ROOM, SAID, entry(kind="topic", erased=True)], "line 4: `erased` must be"),
        ([HEAD, ROOM, SAID, entry(erased=True, content="left")], "line 4: `content` must be empty"),
        ([HEAD, ROOM, SAID, entry(at=1e308, size=2**60)], "line 4: Expected `int` <= "),
        ([HEAD, ROOM, SAID, entry(author=b"\xff").replace(b"/w==", b"\\ud800")], "line 4: "),
        (
            [HEAD, ROOM, SAID, b'{"type":"key","seq":1,"author":"a","key":"k","until":1}\n'],
            "line 4: the entries 2",
        ),
        (
            [HEAD, ROOM, SAID, entry(), b'{"type":"key","seq":3,"author":"a","key":"k","until":1}\n'],
            "line 5: `seq` of a key must be an entry's",
        ),
        ([HEAD.replace(b'"entries":1', b'"entries":0'), b'{"type":"end","lines":1}\n'], "line 2: the first line says"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_left(lines: list[bytes], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        import_file(tmp_path / "made.db", io.BytesIO(b"".join(lines)), silent)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)
    assert not caught.value.usage
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_line_can_be_lost_or_doubled(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "chat.db")
        example(path)
        lines = raw(path)
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["lose", "double", "cut", "end"]))
        if how == "cut":
            lines[at:] = [lines[at][: data.draw(st.integers(0, len(lines[at]) - 2))]]
        else:
            lines[at : at + 1] = {"lose": [], "double": [lines[at]] * 2, "end": []}[how]
            del lines[at if how == "end" else len(lines) :]
        before = sorted(Path(directory).iterdir())
        with pytest.raises(ToolError, match=r"^line \d+: "):
            import_file(Path(directory, "made.db"), io.BytesIO(b"".join(lines)), silent)
        assert sorted(Path(directory).iterdir()) == before


def test_an_endless_line_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_chat.log.tool_import.MAX_LINE", 1000)
    source = io.BytesIO(HEAD + b" " * 10_000)
    with pytest.raises(ToolError, match="line 2: longer than 1000 bytes"):
        import_file(tmp_path / "made.db", source, silent)
    assert source.tell() == len(HEAD) + 1001


# --- Damage ----------------------------------------------------------------------------------------------------------


def lobby(seq: int) -> str:
    return f"((SELECT id FROM rooms WHERE key = 'lobby') << 36 | {seq})"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (f"DELETE FROM entries WHERE id = {lobby(6)}", "room 'lobby': entry 6 is missing"),
        (
            f"DELETE FROM entries WHERE id BETWEEN {lobby(4)} AND {lobby(5)}",
            "room 'lobby': entries 4 to 5 are missing",
        ),
        ("UPDATE rooms SET first = 9 WHERE key = 'lobby'", "room 'lobby': these do not fit together: first 9, last 6"),
        ("UPDATE rooms SET epoch = ''", "room 'lobby': it has no epoch"),
        ("UPDATE rooms SET latest = 1", "room 'lobby': an entry is later than the latest"),
        (f"UPDATE entries SET kind = 99 WHERE id = {lobby(6)}", "room 'lobby': entry 6: it is of the unknown kind 9"),
        (f"UPDATE entries SET content = x'00' WHERE id = {lobby(6)}", "entry 6: its content or time is none"),
        (f"UPDATE entries SET at = 9e999 WHERE id = {lobby(6)}", "entry 6: its content or time is none"),
        (f"UPDATE entries SET content = 'left' WHERE id = {lobby(2)}", "entry 2: it is deleted, and there is"),
        (f"UPDATE entries SET target = NULL WHERE id = {lobby(4)}", "entry 4: it refers to nothing"),
        (f"UPDATE entries SET target = 5 WHERE id = {lobby(4)}", "entry 4: it refers to none of the entries before"),
        (f"UPDATE entries SET target = {lobby(3)} WHERE id = {lobby(4)}", "entry 4: it refers to 3, which is no mes"),
        (f"UPDATE entries SET target = {lobby(2)} WHERE id = {lobby(4)}", "entry 4: it is an edit of 2, which is del"),
        (f"UPDATE entries SET erased = 0 WHERE id = {lobby(2)}", "entry 3: it deletes 2, which is not deleted"),
        (f"UPDATE entries SET content = 'other' WHERE id = {lobby(4)}", "entry 1 is not what its last edit made of it"),
        (
            "INSERT INTO entries SELECT 1 << 50 | 1, kind, author, sender, content, at, size, room, "
            f'"to", reply_to, target, emoji, remove, edited, erased, until, hidden FROM entries WHERE id = {lobby(1)}',
            "entries: 1 are of no room",
        ),
        ("UPDATE reactions SET emoji = '-'", "room 'lobby': entry 1 has a reaction that is not entry 5"),
        (f"UPDATE keys SET id = {lobby(99)} WHERE key = 'k'", "keys: one is of no entry that ever was"),
        ("INSERT INTO search(rowid, words) VALUES (1, 'extra')", "index: it has 3 words, and the entries have 2"),
        ("UPDATE kept SET value = '{}' WHERE kind = 'user'", "record user 'ann': Object missing required field `key`"),
        ("UPDATE kept SET key = 'x' WHERE kind = 'room'", "record room 'x': it has another key"),
        ("UPDATE kept SET kind = 'x' WHERE kind = 'room'", "record x 'lobby': its kind is unknown"),
        ("UPDATE kept SET value = 'x' WHERE kind = 'session'", "a record of a session: JSON is malformed"),
        ("UPDATE meta SET value = x'00' WHERE key = 'secret'", "meta: secret has not 32 bytes"),
        ("DELETE FROM meta WHERE key = 'generation'", "meta: generation is missing or no str"),
        ("DROP TABLE reactions", "reactions: cannot be read: no such table: reactions"),
        ("DELETE FROM search_data WHERE id > 10", "index: "),
    ],
)  # fmt: skip
def test_check_finds(change: str, finding: str, log: Path) -> None:
    with closing(sqlite3.connect(log)) as db:
        db.execute(change)
        db.commit()
    findings = check(log, silent).findings
    assert [line for line in findings if finding in line], findings
    assert not any("\n" in line for line in findings)


def test_check_finds_damaged_pages(log: Path) -> None:
    with closing(sqlite3.connect(log)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'edits'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with log.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    checked = check(log, silent)
    assert checked.findings
    assert all(line.startswith("pages: ") for line in checked.findings)
    with pytest.raises(ToolError, match=r"damaged|malformed"):
        backup(log, log.with_name("copy.db"), silent)
    assert [path.name for path in log.parent.iterdir() if path.name.startswith("copy")] == []


def test_check_ends_where_there_is_too_much(log: Path) -> None:
    write(log, *(posted(room=f"room {number}") for number in range(150)))
    with closing(sqlite3.connect(log)) as db:
        db.execute("UPDATE rooms SET epoch = ''")
        db.commit()
    checked = check(log, silent)
    assert (len(checked.findings), checked.more) == (100, True)


def test_check_says_what_it_looked_at(log: Path) -> None:
    checked = check(log, silent)
    assert checked.findings == []
    assert [line.split(":")[0] for line in checked.looked] == [
        "file", "pages", "meta", "rooms", "edits", "reactions", "keys", "index", "records",
    ]  # fmt: skip
    assert "rooms: 2, with 7 entries" in checked.looked
    assert (
        "records: 1 room, 2 user, 0 account, 1 member, 1 session, 0 right, 0 block, 0 server_ban, 0 forget"
        in checked.looked
    )


def broken(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "empty":
        data.clear()
    elif how == "text":
        data[:] = b"not a database\n" * 100
    elif how == "foreign":
        data[68:72] = b"\0\0\0\1"
    elif how == "newer":
        data[60:64] = (99).to_bytes(4, "big")
    elif how == "cut":
        del data[len(data) // 2 :]
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("empty", "is no log file, or its beginning is damaged"),
        ("text", "is no log file, or its beginning is damaged"),
        ("foreign", "is the SQLite file of another program"),
        ("newer", "has version 99; known is 2"),
        ("cut", "cannot be read: database disk image is malformed"),
    ],
)
def test_what_is_no_log_is_refused_by_all(how: str, reason: str, log: Path, tmp_path: Path) -> None:
    broken(log, how)
    before = sorted(tmp_path.iterdir())
    for tool in (
        lambda: check(log, silent),
        lambda: stats(log, 10, silent),
        lambda: exported(log),
        lambda: backup(log, tmp_path / "copy.db", silent),
    ):
        with pytest.raises(ToolError, match=reason) as caught:
            tool()
        assert not caught.value.usage
    assert sorted(tmp_path.iterdir()) == before


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
def test_any_damage_is_no_more_than_an_error(flips: list[tuple[float, int]]) -> None:
    """Whatever is wrong with a file or with lines, each tool does its work or says that it cannot."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "chat.db")
        example(path)
        lines = b"".join(raw(path))
        path.write_bytes(_flipped(path.read_bytes(), flips))
        for tool in (
            lambda: check(path, silent),
            lambda: table(stats(path, 10, silent)),
            lambda: raw(path),
            lambda: backup(path, Path(directory, "copy.db"), silent),
            lambda: import_file(Path(directory, "made.db"), io.BytesIO(_flipped(lines, flips)), silent),
        ):
            with suppress(ToolError):
                tool()
        for name in ("made.db", "copy.db"):
            if Path(directory, name).exists():
                with suppress(ToolError):
                    check(Path(directory, name), silent)
        assert {found.name for found in Path(directory).iterdir()} <= {"chat.db", "chat.db.lock", "copy.db", "made.db"}


def _flipped(data: bytes, flips: list[tuple[float, int]]) -> bytes:
    flipped = bytearray(data)
    for where, bits in flips:
        flipped[int(where * len(flipped))] ^= bits
    return bytes(flipped)


COLUMNS = {
    "rooms": ["key", "epoch", "first", "last", "swept", "indexed", "latest", "disorder"],
    "entries": ["kind", "author", "sender", "content", "at", "size", "room", "target", "reply_to", "emoji", "remove"],
    "reactions": ["place", "seq", "emoji"],
    "keys": ["room", "key", "digest", "until"],
    "kept": ["kind", "key", "value"],
    "meta": ["value"],
}
STRANGE = ["'text'", "x'ff'", "CAST(x'ff' AS TEXT)", "-1", "1 << 60", "9e999", "''"]


@pytest.mark.parametrize("table_name", COLUMNS)
def test_a_value_that_no_log_writes_is_no_more_than_an_error(table_name: str, log: Path) -> None:
    for column in COLUMNS[table_name]:
        for value in STRANGE:
            example(log)
            with closing(sqlite3.connect(log)) as db:
                db.execute("PRAGMA synchronous = OFF")
                db.execute(f"UPDATE OR IGNORE {table_name} SET {column} = {value}")
                db.commit()
            check(log, silent)
            for tool in (lambda: table(stats(log, 10, silent)), lambda: raw(log)):
                with suppress(ToolError):
                    tool()


def test_no_error_tells_what_was_said(log: Path) -> None:
    """Python quotes a text that is not UTF-8."""
    with closing(sqlite3.connect(log)) as db:
        db.execute("UPDATE entries SET content = CAST(x'ff' || 'hushed' AS TEXT)")
        db.execute("UPDATE kept SET key = CAST(x'ff' || 'hushed' AS TEXT) WHERE kind = 'room'")
        db.commit()
    findings = check(log, silent).findings
    assert "rooms: cannot be read: a text in it is not UTF-8" in findings
    assert "hushed" not in "".join(findings)
    with pytest.raises(ToolError, match="cannot be read: a text in it is not UTF-8") as caught:
        raw(log)
    assert "hushed" not in str(caught.value)


def test_a_wal_of_another_file_is_not_mixed_in(log: Path, tmp_path: Path) -> None:
    """Somebody put a backup where a log was that had not been closed."""
    backup(log, tmp_path / "copy.db", silent)
    with closing(sqlite3.connect(log)) as db:
        db.execute("UPDATE meta SET value = 'x' WHERE key = 'sync'")
        db.commit()
        wal = log.with_name("chat.db-wal").read_bytes()
    (tmp_path / "copy.db").replace(log)
    log.with_name("chat.db-wal").write_bytes(wal)
    with pytest.raises(ToolError, match=r"chat\.db-wal is not of this chat\.db; SQLite would mix them up"):
        check(log, silent)
    log.with_name("chat.db-wal").unlink()
    assert check(log, silent).findings == []


def test_ctrl_c_ends_a_statement_that_takes_long(log: Path) -> None:
    def endless() -> None:
        with tools.reading(log) as db:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            db.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
            ).fetchone()

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            endless()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_log_behind_a_link_is_the_log(log: Path, tmp_path: Path) -> None:
    """Its -wal is beside it, not beside the link."""
    link = tmp_path / "links" / "chat.db"
    link.parent.mkdir()
    link.symlink_to(log)
    assert tools.log_path(f"sqlite:{link}") == log
    with closing(sqlite3.connect(log)) as db:
        db.execute("UPDATE meta SET value = 'elsewhere' WHERE key = 'sync'")
        db.commit()
        with tools.reading(link) as same:
            assert same.execute("SELECT value FROM meta WHERE key = 'sync'").fetchone() == ("elsewhere",)
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(ToolError, match="must be the path of a file"):
        tools.log_path(str(circle))


@pytest.mark.parametrize("where", ["nowhere.db", "nowhere/chat.db", "."])
def test_what_is_not_there_is_wrong_usage(where: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be read: ") as caught:
        check(tmp_path / where, silent)
    assert caught.value.usage


# --- Nothing is touched, and nothing is overwritten ------------------------------------------------------------------


def state(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def test_looking_leaves_no_trace(log: Path) -> None:
    before = state(log.parent)
    check(log, silent)
    stats(log, 10, silent)
    exported(log)
    assert state(log.parent) == before


def test_a_file_that_changes_while_it_is_read_as_it_lies_is_not_trusted(log: Path) -> None:
    def read() -> None:
        with tools.reading(log) as db:
            db.execute("SELECT count(*) FROM entries").fetchone()
            write(log, posted(), now=later(1))

    with pytest.raises(ToolError, match="was opened by a server while it was read: try again"):
        read()


@pytest.mark.parametrize("tool", ["backup", "export", "import"])
def test_a_new_file_is_its_owners_and_replaces_none(tool: str, log: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    lines = b"".join(raw(log))

    def make() -> None:
        if tool == "backup":
            backup(log, new, silent)
        elif tool == "export":
            export_file(log, new, (), silent)
        else:
            import_file(new, io.BytesIO(lines), silent)

    old = os.umask(0)
    try:
        make()
    finally:
        os.umask(old)
    assert new.stat().st_mode & 0o777 == 0o600
    before = state(tmp_path)
    with pytest.raises(ToolError, match="new is there already"):
        make()
    new.unlink()
    new.with_name("new.part").touch()
    with pytest.raises(ToolError, match=r"new\.part is there already: remove it, unless"):
        make()
    new.with_name("new.part").unlink()
    assert state(tmp_path) == {name: found for name, found in before.items() if name != "new"}


@pytest.mark.parametrize("links", [True, False])
def test_what_came_there_meanwhile_is_not_replaced(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a file system that knows no links."""

    def unable(*_paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", unable)
    new = tmp_path / "new"

    def make() -> None:
        with tools.drafting(new) as made:
            made.write_text("ours")
            new.write_text("theirs")

    with pytest.raises(ToolError, match="new is there already"):
        make()
    assert new.read_text() == "theirs"
    new.unlink()
    with tools.drafting(new) as made:
        made.write_text("ours")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("new", "ours")]


def test_force_overwrites_an_export_when_the_new_one_is_whole(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    with pytest.raises(ToolError, match="no room"):
        export_file(log, out, ["attic"], silent, force=True)
    assert out.read_text() == "old"
    export_file(log, out, (), silent, force=True)
    assert out.read_bytes().splitlines()[1:] == [line.rstrip() for line in raw(log)[1:]]
    with pytest.raises(ToolError, match="is the log itself"):
        export_file(log, log, (), silent, force=True)


def test_the_wal_of_a_file_that_is_gone_is_in_the_way(log: Path, tmp_path: Path) -> None:
    (tmp_path / "made.db-wal").write_bytes(b"x")
    with pytest.raises(ToolError, match=r"made\.db-wal is left of a file that is gone"):
        import_file(tmp_path / "made.db", io.BytesIO(b"".join(raw(log))), silent)


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE entries SET content = CAST(x'ff' || 'hushed' AS TEXT) WHERE id = {lobby(6)}",
        f"UPDATE entries SET sender = CAST(x'ff' || 'hushed' AS TEXT) WHERE id = {lobby(6)}",
        "UPDATE reactions SET sender = CAST(x'ff' || 'hushed' AS TEXT)",
        "UPDATE kept SET value = CAST(x'7bff' AS BLOB) WHERE kind = 'user'",
        f"DELETE FROM entries WHERE id = {lobby(6)}",
    ],
)
def test_a_damaged_log_is_not_copied(change: str, log: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(log)) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(ToolError, match=r"chat\.db is damaged, and not copied: ") as caught:
        backup(log, tmp_path / "copy.db", silent)
    assert "\n" not in str(caught.value)
    assert "hushed" not in str(caught.value)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")]
    assert check(log, silent).findings


def test_a_copy_is_told_in_numbers(log: Path, tmp_path: Path) -> None:
    copied = backup(log, tmp_path / "copy.db", silent)
    assert (copied.rooms, copied.entries) == (2, 7)
    assert copied.bytes == (tmp_path / "copy.db").stat().st_size


@pytest.mark.parametrize("left", ["-shm", "-wal"])
def test_looking_leaves_nothing_that_others_can_read(left: str, log: Path) -> None:
    """A file that was restored with `cp` may be readable by all, and SQLite makes what is beside it as it is."""
    log.chmod(0o644)
    if left == "-wal":
        with closing(sqlite3.connect(log)) as db:
            db.execute("UPDATE meta SET value = 'full' WHERE key = 'sync'")
            db.commit()
            data = log.with_name("chat.db-wal").read_bytes()
        log.with_name("chat.db-wal").write_bytes(data)
        log.with_name("chat.db-wal").chmod(0o600)
    else:
        log.with_name("chat.db-shm").touch(0o600)
    assert check(log, silent).findings == []
    modes = {path.name: path.stat().st_mode & 0o777 for path in log.parent.glob("chat.db-*")}
    assert set(modes.values()) == {0o600}, modes
    assert log.with_name("chat.db-wal").exists() is (left == "-wal")


@pytest.mark.parametrize("text", ["", "sqlite:", "a\0b"])
def test_no_path(text: str) -> None:
    with pytest.raises(ToolError, match="must be the path of a file"):
        tools.log_path(text)


def test_a_path_may_be_written_as_the_option_has_it(tmp_path: Path) -> None:
    assert tools.log_path(f"sqlite:{tmp_path}/a.db") == tools.log_path(f"{tmp_path}/a.db") == tmp_path / "a.db"


# --- Statistics ------------------------------------------------------------------------------------------------------


def test_stats_count_and_do_not_quote(log: Path) -> None:
    write(log, *(posted("x" * number, room="big") for number in range(1, 12)), now=later(60))
    found = stats(log, 2, silent)
    assert (found.rooms, found.entries, found.epochs, found.keys, found.reactions) == (3, 15, 1, 2, 1)
    assert found.kept == {"member": 1, "room": 1, "session": 1, "user": 2}
    assert (found.unswept, found.unindexed, found.open_in, found.trusted, found.closed_well) == (3, 0, None, True, True)
    assert [(one.room, one.entries, one.first, one.last) for one in found.biggest] == [
        ("big", 8, 4, 11),
        ("Lobby", 6, 1, 6),
    ]
    assert found.biggest[0].bytes == sum(range(104, 112))
    assert (found.oldest, found.newest) == ("2001-09-09T01:46:40.000Z", "2001-09-09T01:46:40.000Z")
    assert found.pages * found.page_bytes == found.file_bytes == log.stat().st_size
    shown = table(found)
    assert "psst" not in shown + repr(found)
    assert "hello" not in shown + repr(found)
    assert [line.split()[0] for line in shown.splitlines()[-2:]] == ["big", "Lobby"]


def test_stats_know_a_copy(log: Path, tmp_path: Path) -> None:
    backup(log, tmp_path / "copy.db", silent)
    found = stats(tmp_path / "copy.db", 0, silent)
    assert (found.trusted, found.closed_well, found.biggest) == (False, False, [])
    assert "the next start gives new epochs" in table(found)


def test_stats_of_an_empty_log(tmp_path: Path) -> None:
    write(tmp_path / "chat.db")
    found = stats(tmp_path / "chat.db", 10, silent)
    assert (found.rooms, found.entries, found.oldest) == (0, 0, None)
    assert "from      - to -" in table(found)
    assert check(tmp_path / "chat.db", silent).findings == []
    assert len(exported(tmp_path / "chat.db")) == 2


def test_progress_is_told(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("check", "export", "import"):
        monkeypatch.setattr(f"trio_chat.log.tool_{module}.EVERY", 2)
    told: list[tuple[str, int, int]] = []

    def report(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    def heard() -> Iterator[tuple[str, int, int]]:
        yield from told
        told.clear()

    check(log, report)
    assert [one for one in heard() if one[0] == "entries"][:2] == [("entries", 2, 7), ("entries", 4, 7)]
    export(log, io.BytesIO(), (), report)
    assert list(heard()) == [("entries", 2, 7), ("entries", 4, 7), ("entries", 6, 7), ("entries", 7, 7)]
    import_file(tmp_path / "made.db", io.BytesIO(b"".join(raw(log))), report)
    assert [one for one in heard() if one[0] == "entries" and one[2] == 7]
    backup(log, tmp_path / "copy.db", report)
    names = list(dict.fromkeys(name for name, _, _ in heard()))
    assert names == ["pages", "check of pages", "check of entries", "check of index"]
    stats(log, 1, report)
    assert list(heard())[-1] == ("entries", 7, 7)
