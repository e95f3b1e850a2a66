"""Accounts with passwords, over sockets and over restarts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .client import Client, Frame, dial
from .process import Server

Start = Callable[..., Server]
PASSWORD = "correct horse battery"
FLAGS = ("--auth", "accounts", "--trusted-addresses", "127.0.0.0/8")


@pytest.fixture
def server(start: Start) -> Server:
    return start(*FLAGS)


def come(server: Server, kind: str, username: str = "Ann", password: str = PASSWORD, **fields: Any) -> Client:
    """A client with its welcome."""
    client = Client(server, dial(server))
    client.send(kind, username=username, password=password, **fields)
    client.welcome = client.receive()
    assert client.welcome.get("event") == "welcome", client.welcome
    return client


def refused(server: Server, kind: str, **fields: Any) -> tuple[Frame, int]:
    """The error that answers a first frame, and the close code."""
    with Client(server, dial(server)) as client:
        client.send(kind, id=1, **fields)
        return client.receive(), client.closed()


def wrong(server: Server, username: str, password: str = "wrong horse") -> tuple[Frame, int]:
    return refused(server, "login", username=username, password=password)


def test_register_log_in_and_change_the_password(server: Server) -> None:
    with come(server, "register") as ann:
        assert ann.name == "Ann"
        with come(server, "login", "ANN") as other:
            assert other.name == "Ann"
            changed = {"password": PASSWORD, "new_password": "another horse"}
            assert ann.ask("password", **changed | {"password": "wrong"})["code"] == "bad_credentials"
            assert ann.ask("password", **changed)["type"] == "ack"
            assert other.closed() == 4503
        assert wrong(server, "Ann", PASSWORD)[1] == 4501
        with come(server, "login", password="another horse"):
            assert ann.ask("message", content="still here")["type"] == "ack"
    for secret in (PASSWORD, "another horse", "argon2"):
        assert secret not in server.log


def test_a_resumed_session_can_change_the_password(server: Server) -> None:
    with come(server, "register") as ann:
        ann.vanish()
        with Client(server, dial(server)) as again:
            again.send("connect", resume={"session": ann.welcome["session"]})
            assert again.receive()["resumed"]
            assert again.ask("password", password=PASSWORD, new_password="another horse")["type"] == "ack"


def test_unknown_and_wrong_are_the_same(server: Server) -> None:
    with come(server, "register"):
        assert wrong(server, "Ann") == wrong(server, "Nobody") == wrong(server, "@") == (
            {"type": "error", "id": 1, "code": "bad_credentials", "content": "The name or the password is wrong"},
            4501,
        )  # fmt: skip


def test_a_name_is_registered_once(server: Server) -> None:
    with come(server, "register"):
        for username, code, closed in (("ann", "username_taken", 4502), ("Аnn", "username_taken", 4502),
                                       ("admin", "bad_username", 4501), ("@", "bad_username", 4501)):  # fmt: skip
            error, close = refused(server, "register", username=username, password=PASSWORD)
            assert (error["code"], close) == (code, closed)
            assert error["content"].startswith("Username") is (code == "username_taken")


def test_guests_are_not_admitted(server: Server) -> None:
    error, close = refused(server, "connect", username="ann")
    assert (error["code"], close) == ("bad_credentials", 4501)
    assert error["content"] == "Guests are not admitted; send login or register"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"password": "short"}, "password must be a string of 8-1024 characters"),
        ({"password": "x" * 1025}, "password must be a string of 8-1024 characters"),
        ({"password": 5}, "password must be a string"),
        ({}, "password must be given"),
    ],
)
def test_what_is_no_password(server: Server, fields: Frame, told: str) -> None:
    error, close = refused(server, "register", username="Ann", **fields)
    assert (error["code"], error["content"], close) == ("bad_message", told, 4501)


def test_attempts_are_limited_the_same_for_all(server: Server) -> None:
    """By name, whether there is such an account or not; and a session that is there goes on."""
    with come(server, "register") as ann:
        for username in ("Ann", "Nobody"):
            for _ in range(10):
                assert wrong(server, username)[0]["code"] == "bad_credentials"
            error, close = wrong(server, username, PASSWORD)
            assert (error["code"], error["content"], close) == (
                "rate_limited",
                "Too many attempts; wait a little",
                4501,
            )
            assert 200 < error["retry_after"] <= 300
        assert ann.ask("ping")["type"] == "pong"


def test_accounts_are_for_a_first_frame(server: Server) -> None:
    """Nobody who is in keeps the server hashing."""
    with come(server, "register") as ann:
        for kind in ("login", "register"):
            assert ann.ask(kind, username="Bob", password=PASSWORD)["code"] == "already_connected"


def test_who_leaves_while_a_password_is_hashed(server: Server) -> None:
    """It leaks nothing: the server goes on, and the account is there or not."""
    for number in range(8):
        client = Client(server, dial(server))
        client.send("register", username=f"user {number}", password=PASSWORD)
        client.vanish()
    with come(server, "register") as ann:
        assert ann.ask("ping")["type"] == "pong"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def life(file: Path) -> Iterator[Callable[[], Server]]:
    """Start a server on the file; what was there before is killed."""
    servers: list[Server] = []

    def begin() -> Server:
        for server in servers:
            server.signal(signal.SIGKILL)
            server.wait()
        servers.append(Server(*FLAGS, "--log", f"sqlite:{file}").ready())
        return servers[-1]

    yield begin
    try:
        assert servers[-1].stop() == 0
        for server in servers:
            server.check_log()
    finally:
        for server in servers:
            server.kill()


def test_accounts_outlive_a_kill(life: Callable[[], Server], file: Path) -> None:
    with come(life(), "register") as ann:
        ann.ask("join", room="den")
        ann.ask("password", password=PASSWORD, new_password="another horse")
    server = life()
    assert wrong(server, "Ann", PASSWORD)[1] == 4501
    assert refused(server, "register", username="ann", password=PASSWORD)[1] == 4502
    with come(server, "login", password="another horse") as again:
        assert [room["room"] for room in again.welcome["rooms"]] == ["general", "den"]
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in file.parent.glob("chat.db*"))


def test_an_export_has_no_passwords(life: Callable[[], Server], file: Path) -> None:
    import subprocess
    import sys

    from .process import ROOT

    with come(life(), "register") as ann:
        ann.ask("message", content="hello")
        command = [sys.executable, "-m", "trio_chat", "log", "export", str(file)]
        lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "account:ann" in lines, "the user is there"
    assert "argon2" not in lines
