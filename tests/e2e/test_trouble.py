"""A log that cannot be opened, or cannot commit: what users, operators and load balancers are told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .client import SECONDS, Client, contents, join
from .process import Server
from .web import page

Start = Callable[..., Server]
MiB = 1024 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk can only be mounted by root, with the right to mount")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte on it; returns the file that takes them."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


def refused(client: Client) -> None:
    """Post until the log can take no more: the answer says so, and when to try again."""
    answer = client.ask("message", content="there is room for this " * 100)
    for _ in range(1000):
        if answer["type"] == "error":
            break
        answer = client.ask("message", content="there is room for this " * 100)
    assert (answer["code"], answer["retry_after"]) == ("unavailable", 1)


def test_full_disk(small: Path, start: Start) -> None:
    """New entries are refused, reads go on, `/readyz` says why, and when there is room again it goes on by itself."""
    server = start("--log", f"sqlite:{small / 'chat.db'}", "--messages-burst", "10000")
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.ask("join", room="garden")
        alice.ask("message", room="garden", content="held")
        assert page(server, "/readyz") == 200
        ballast = fill(small)
        refused(alice)
        assert page(server, "/readyz") == 503
        assert page(server, "/healthz") == 200
        assert "full" in server.wait_for("log: nothing can be committed")
        assert contents(alice.ask("history", room="garden")["entries"]) == ["held"]
        assert alice.ask("ping")["type"] == "pong"
        assert bob.ask("join", room="garden")["last"] == 1
        assert bob.ask("message", room="garden", content="lost")["code"] == "unavailable"

        ballast.unlink()
        server.wait_for("log: the trouble is over")
        assert page(server, "/readyz") == 200
        assert alice.ask("message", room="garden", content="there is room again")["seq"] == 2
        assert contents(bob.so_far()) == ["there is room again"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (b"this is a letter, and no log; nobody must write into it", "is no log file, or its beginning is damaged"),
        (None, "is a directory, and must be a file"),
    ],
    ids=["another file", "a directory"],
)
def test_what_cannot_be_opened_is_one_line(tmp_path: Path, made: bytes | None, said: str) -> None:
    file = tmp_path / "chat.db"
    if made is None:
        file.mkdir()
    else:
        file.write_bytes(made)
    server = Server("--log", f"sqlite:{file}")
    try:
        assert server.wait(SECONDS) == 2
        assert server.log == f"--log: {file} {said}\n"
    finally:
        server.kill()
    assert made is None or file.read_bytes() == made


def test_one_file_is_for_one_server(tmp_path: Path, start: Start) -> None:
    log = f"sqlite:{tmp_path / 'chat.db'}"
    first = start("--log", log)
    with join(first, "alice") as alice:
        second = Server("--log", log)
        try:
            assert second.wait(SECONDS) == 2
            assert second.log == f"--log: {tmp_path / 'chat.db'} is open already in process {first.pid}\n"
        finally:
            second.kill()
        assert alice.ask("message", content="the first goes on")["seq"] == 1


def test_log_is_for_its_owner_only(tmp_path: Path, start: Start) -> None:
    """It holds what everybody said."""
    server = start("--log", f"sqlite:{tmp_path / 'chat.db'}")
    with join(server, "alice") as alice:
        alice.ask("message", content="for us")
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("chat.db*")}
    assert set(modes.values()) == {0o600}, modes
