"""`trio-chat log …` as processes of their own: beside whoever has the log open, cut short, and without room."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from trio_chat.config import Config
from trio_chat.core.records import SessionRecord
from trio_chat.log.store import Store

from .client import join
from .process import ROOT, Server, unmeasured

PATIENCE = 60.0  # seconds until a process that hangs fails its test
HISTORY = Config.of(history_limit=1_000_000).history
WRITER = """
import sys, threading, time
from pathlib import Path
from trio_chat.config import Config
from trio_chat.core.effects import Append, Draft, Keep, Now
from trio_chat.core.records import RoomRecord
from trio_chat.log.store import Store

history = Config.of(history_limit=1_000_000).history
store = Store.open(Path(sys.argv[1]), history=history, sync="normal", boot="one", wall=time.time())
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
written, slowest = 0, 0.0
store.perform([(Keep(RoomRecord(key="lobby", name="Lobby", number=1, epoch="e")), Now(0.0, time.time()))])
while not stop.wait(0.002):  # some thousand entries a second
    now = Now(time.monotonic(), time.time())
    drafts = [Draft("message", "ann", "ann", f"said {written + n + 1} " + "x" * 500, now.wall, 600) for n in range(20)]
    store.perform([(Append("lobby", "e", draft, 1), now) for draft in drafts])
    store.catch_up(now)
    store.tidy(now)
    written += len(drafts)
    slowest = max(slowest, time.monotonic() - now.mono)
    print(written, flush=True)
store.close()
print(f"slowest {slowest}", flush=True)
"""


class Writer:
    """A process that has a log open and writes all the time."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the writer ended with {self.process.wait(PATIENCE)}"
        return line

    def writes_up_to(self, number: int) -> int:
        """Wait until so many entries are committed; returns how many are."""
        while (written := int(self.line())) < number:
            pass
        return written

    def stop(self) -> tuple[int, float]:
        """Let it close the log; returns how many entries it wrote, and the seconds that its slowest turn took."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        written = 0
        while not (line := self.line()).startswith("slowest"):
            written = int(line)
        assert self.process.wait(PATIENCE) == 0
        return written, float(line.split()[1])

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """Writes into `chat.db`."""
    writer = Writer(tmp_path / "chat.db")
    try:
        yield writer
    finally:
        writer.end()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "trio_chat", "log", *map(str, arguments)]


def tool(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return run(command(*arguments), **options)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    options = {"stdin": subprocess.DEVNULL, **options}
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False, **options)


def does(*arguments: object) -> bytes:
    """Run a tool that must have nothing to say against it; returns its output."""
    done = tool(*arguments)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout


def seqs(lines: bytes) -> list[int]:
    return [line["seq"] for line in map(json.loads, lines.splitlines()) if line["type"] == "entry"]


def opened(path: Path) -> Store:
    return Store.open(path, history=HISTORY, sync="normal", boot="two", wall=0.0)


@pytest.fixture(scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "chat.db"
    writer = Writer(path)
    try:
        writer.writes_up_to(2000)
        writer.stop()
    finally:
        writer.end()
    return path


@pytest.fixture
def log(_written: Path, tmp_path: Path) -> Path:
    """A log of 2,000 entries or a few more, some MiB, that was closed well."""
    for name in ("chat.db", "chat.db.lock"):
        shutil.copy(_written.with_name(name), tmp_path / name)
    return tmp_path / "chat.db"


# --- Beside a writer -------------------------------------------------------------------------------------------------


def test_a_log_that_is_being_written_is_copied_and_its_writer_never_waits(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    writer.writes_up_to(3000)
    for number in range(2):
        before = writer.writes_up_to(0)
        out, copy = tmp_path / f"out{number}", tmp_path / f"copy{number}.db"
        does("export", path, "--output", out)
        does("backup", path, copy)
        checked = does("check", path).decode()
        assert checked.endswith("\nsound\n")
        assert f", open in process {writer.process.pid}\n" in checked
        found = json.loads(does("stats", path, "--json"))
        assert found["open_in"] == str(writer.process.pid)
        assert found["biggest"][0]["room"] == "Lobby"
        assert found["entries"] >= before

        held = seqs(out.read_bytes())
        assert held == list(range(1, len(held) + 1))
        assert before <= len(held) <= found["entries"]
        assert not copy.with_name(f"{copy.name}-wal").exists()
        with closing(opened(copy)) as store:
            assert not store.restored.trusted
            span = store.restored.spans["lobby"]
            assert len(held) <= span.last <= found["entries"]
            assert span.epoch != "e"
    written, slowest = writer.stop()
    assert slowest < 2.0
    assert seqs(does("export", path)) == list(range(1, written + 1))
    with closing(opened(path)) as store:
        assert store.restored.trusted
        assert store.restored.spans["lobby"].last == written


def test_what_a_killed_writer_left_is_seen_and_not_touched(writer: Writer, tmp_path: Path) -> None:
    path, wal = tmp_path / "chat.db", tmp_path / "chat.db-wal"
    written = writer.writes_up_to(2000)
    writer.process.kill()
    writer.process.wait(PATIENCE)
    before = path.read_bytes(), wal.read_bytes()
    assert before[1]
    assert does("check", path).endswith(b"\nsound\n")
    assert json.loads(does("stats", path, "--json"))["open_in"] is None
    assert len(seqs(does("export", path))) >= written
    does("backup", path, tmp_path / "copy.db")
    assert (path.read_bytes(), wal.read_bytes()) == before
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "chat.db", "chat.db-shm", "chat.db-wal", "chat.db.lock", "copy.db",
    ]  # fmt: skip
    with closing(opened(tmp_path / "copy.db")) as store:
        assert store.restored.spans["lobby"].last >= written


def test_the_way_back(log: Path, tmp_path: Path) -> None:
    lines = does("export", f"sqlite:{log}")
    done = subprocess.run(
        command("import", tmp_path / "made.db"),
        cwd=ROOT,
        input=lines,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    size = (tmp_path / "made.db").stat().st_size
    entries = len(seqs(lines))
    told = f"{tmp_path / 'made.db'}: {size:,} bytes, 1 rooms, {entries:,} entries\n".encode()
    assert (done.returncode, done.stdout, done.stderr) == (0, told, b"")
    assert does("export", tmp_path / "made.db").splitlines()[1:] == lines.splitlines()[1:]
    (tmp_path / "out").write_bytes(lines)
    does("import", tmp_path / "again.db", "--input", tmp_path / "out")
    assert does("check", tmp_path / "again.db").endswith(b"\nsound\n")
    with closing(opened(tmp_path / "made.db")) as store:
        assert not any(isinstance(record, SessionRecord) for record in store.restored.records)


def test_a_server_is_copied_while_it_serves_and_its_copies_serve_what_was_said(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    path, copy, made = (tmp_path / name for name in ("chat.db", "copy.db", "made.db"))
    server = start("--log", f"sqlite:{path}")
    with join(server, "alice") as alice, join(server, "bob") as bob:
        epoch = alice.position()["epoch"]
        said = alice.ask("message", content="said before the flood", key="k")
        alice.ask("message", content="taken back at once")
        alice.ask("edit", room="general", seq=said["seq"], content="said before the copy")
        alice.ask("delete", room="general", seq=said["seq"] + 1)
        bob.ask("react", room="general", seq=said["seq"], emoji="+")
        bob.ask("private", to="alice", content="between us two")
        entries = alice.ask("history", room="general")["entries"]

        does("backup", path, copy)
        lines = does("export", path)
        assert does("check", path).endswith(b"\nsound\n")
        assert json.loads(does("stats", path, "--json"))["open_in"] == str(server.pid)
        assert alice.ask("message", content="said after the copy")["seq"] == 6
    does("import", made, "--input", _file(tmp_path / "lines", lines))
    assert b"taken back at once" not in lines + made.read_bytes()
    for other in (copy, made):
        served = start("--log", f"sqlite:{other}")
        with join(served, "carol") as carol:
            page = carol.ask("history", room="general")
            assert page["entries"] == entries
            assert page["epoch"] != epoch
            assert [hit["entry"]["seq"] for hit in carol.ask("search", query="before copy")["hits"]] == [said["seq"]]
            assert carol.ask("search", query="taken")["hits"] == []
            assert carol.ask("message", content="goes on")["seq"] == 6


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- Cut short, and without room -------------------------------------------------------------------------------------


CTRL_C_HEEDED = "import signal; signal.signal(2, signal.SIG_DFL); signal.pthread_sigmask(signal.SIG_UNBLOCK, [2])"
NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"


def prepared(preparation: str, *arguments: object) -> list[str]:
    """`command(…)` in a process that ran `preparation` first: after a fork it could meet a lock of another thread."""
    code = f"import os, sys; {preparation}; os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, *command(*arguments)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_stopped_leaves_nothing(number: signal.Signals, log: Path, tmp_path: Path) -> None:
    lines = does("export", log)
    assert len(lines) > 1_000_000  # far more than the pipe and its reader's buffer take: it is in the middle
    place = tmp_path / "place"
    place.mkdir()
    process = subprocess.Popen(
        prepared(CTRL_C_HEEDED, "import", place / "made.db"),  # what a shell starts in the background ignores it
        cwd=ROOT,
        env=unmeasured(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with ExitStack() as ends:
        ends.enter_context(process)
        ends.callback(process.kill)  # `with process` alone would wait for ever for one that does not end
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(lines[:1_000_000])
        process.stdin.flush()
        assert (place / "made.db.part").exists()
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == b""
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("what", ["backup", "export", "import"])
def test_what_finds_no_room_leaves_nothing(what: str, log: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "lines").write_bytes(does("export", log))
    arguments: dict[str, tuple[object, ...]] = {
        "backup": (log, place / "new"),
        "export": (log, "--output", place / "new"),
        "import": (place / "new", "--input", tmp_path / "lines"),
    }
    done = run(prepared(NO_ROOM, what, *arguments[what]), env=unmeasured())  # whose data would find no room
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"{place / 'new'} cannot be written: ".encode())
    assert done.stderr.count(b"\n") == 1
    assert list(place.iterdir()) == []


def test_an_export_into_a_closed_pipe_complains_of_nothing(log: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command("export", log), cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_export_onto_a_full_disk_is_one_line(log: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("export", log), cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"stdout: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["check", "nowhere.db"], 2, "nowhere.db cannot be read: No such file or directory"),
        (["check", __file__], 1, "is no log file, or its beginning is damaged"),
        (["check", "sqlite:"], 2, "'sqlite:' must be the path of a file"),
        (
            ["import", "made.db", "--input", "nowhere"],
            2,
            "--input: 'nowhere' cannot be read: No such file or directory",
        ),
        (["import", "nowhere/made.db"], 1, "made.db.part cannot be made: No such file or directory"),
        (["import", "made.db"], 1, "line 1: there must be more: the `end` is missing"),
        (["stats", "x.db", "--rooms", "-1"], 2, "--rooms: -1 must be 0 or more"),
        (["stats", "a\nb"], 2, "a\\nb cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], code: int, line: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(*arguments), cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=PATIENCE, check=False, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.endswith(f"{line}\n")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_log_alone_is_no_command() -> None:
    done = tool()
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Usage: trio-chat log COMMAND\n")
    for name in (b"backup", b"check", b"export", b"import", b"stats"):
        assert name in done.stderr


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "chat.db").touch()
    done = tool("check", tmp_path / "chat.db")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == f"{tmp_path / 'chat.db'} is empty: a server would make a new log of it\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["chat.db"]


@pytest.mark.parametrize("what", ["backup", "import"])
def test_a_log_that_is_there_is_never_in_the_way_by_its_wal(what: str, log: Path, tmp_path: Path) -> None:
    """Whoever was told to move the -wal away would lose what is in it."""
    place = tmp_path / "place"
    place.mkdir()
    live = Writer(place / "live.db")
    try:
        live.writes_up_to(500)
        arguments: tuple[object, ...] = (log, place / "live.db") if what == "backup" else (place / "live.db",)
        done = tool(what, *arguments)
        said = f"{place / 'live.db'} is there already, and open in process {live.process.pid}\n"
        assert (done.returncode, done.stderr.decode()) == (1, said)
    finally:
        live.end()
    assert (place / "live.db-wal").stat().st_size
    done = tool(what, *arguments)
    assert (done.returncode, done.stderr.decode()) == (1, f"{place / 'live.db'} is there already\n")
    (place / "live.db").unlink()
    done = tool(what, *arguments)
    assert done.returncode == 1
    assert done.stderr.decode().endswith("live.db-wal is left of a file that is gone; move it away\n")


def test_a_finding_is_one_line_and_exit_code_1(log: Path) -> None:
    with log.open("r+b") as file:
        file.seek(4096 * 30)
        file.write(b"\xff" * 4096)
    done = tool("check", log)
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (1, b"", "damaged")
    assert [line for line in lines if line.startswith("DAMAGED pages: ")]


# --- Progress --------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """A terminal to write to, and what was written, once it is closed there."""
    ours, theirs = pty.openpty()
    closed = False

    def read() -> bytes:
        nonlocal closed
        os.close(theirs)
        closed = True
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # Linux: nobody has it open any more
            pass
        return shown

    yield theirs, read
    os.close(ours)
    if not closed:
        os.close(theirs)


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_shown_on_a_terminal_only(
    quiet: bool, log: Path, terminal: tuple[int, Callable[[], bytes]]
) -> None:
    stderr, shown = terminal
    export = [*command("export", log), *(["--quiet"] if quiet else [])]
    environ = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        export, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=stderr, timeout=PATIENCE, check=True
    )
    assert (b"entries" in shown()) == (not quiet)
    assert done.stdout.splitlines()[1:] == does("export", log).splitlines()[1:]
