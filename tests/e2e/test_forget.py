"""A user is forgotten by one command: a minute later no file of a real server has a word of it, whatever happens."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .client import Client, join
from .process import Server
from .test_accounts import come
from .test_admin import ADMIN, Api
from .test_admin_cli import admin

MINUTE = 60.0  # seconds, which the promise allows
WORDS = ("zebracorn", "zigguratty", "zoological", "zestfully")


def traces(path: Path, *words: str) -> list[str]:
    """Which words are in a file beside the log, in whatever case."""
    data = b"".join(file.read_bytes() for file in path.parent.iterdir()).lower()
    return [word for word in words if word.lower().encode() in data]


def await_forgotten(path: Path, *words: str) -> None:
    until = time.monotonic() + MINUTE
    while traces(path, *words) and time.monotonic() < until:
        time.sleep(0.2)  # for real: another process does it, and tells nobody when
    assert traces(path, *words) == []


def leave_traces(server: Server, zoe: Client, bob: Client) -> None:
    server.said += WORDS
    zoe.ask("join", room="den")
    bob.ask("join", room="den")
    said = zoe.ask("message", room="den", content=WORDS[0])
    zoe.ask("message", room="den", content="apple", key="k1")
    zoe.ask("edit", room="den", seq=said["seq"], content=f"{WORDS[0]} {WORDS[1]}")
    zoe.ask("topic", room="den", topic=WORDS[2])
    zoe.ask("private", to=bob.name, content=WORDS[3])
    mine = bob.ask("message", room="den", content="a banana")
    zoe.ask("react", room="den", seq=mine["seq"], emoji="+")
    zoe.ask("mute", room="den", user=bob.name, reason="")
    bob.ask("block", user=zoe.name)


def page(client: Client) -> list[dict[str, Any]]:
    client.send("history", room="den", id="h")
    entries: list[dict[str, Any]] = client.until("history", id="h")["entries"]
    return entries


@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed"])
def test_a_guest(start: Callable[..., Server], tmp_path: Path, killed: bool) -> None:
    path = tmp_path / "log" / "chat.db"
    path.parent.mkdir()
    flags = (*ADMIN, "--log", f"sqlite:{path}")
    server = start(*flags) if not killed else Server(*flags, "--drain-seconds", "0").ready()
    with join(server, "Zoezoe") as zoe, join(server, "bob") as bob:
        leave_traces(server, zoe, bob)
        assert set(traces(path, *WORDS, "zoezoe")) >= {WORDS[0], WORDS[2], WORDS[3], "zoezoe"}
        done = Api(server).done("POST", "/v1/forget", {"user": "zoezoe"})
        assert done["connections"] == 1
        assert zoe.closed() == 4504
        if killed:
            server.process.send_signal(signal.SIGKILL)
            server.kill()
            server = start(*flags)
    if killed:
        with join(server, "bob2") as bob:
            bob.ask("join", room="den")
            await_forgotten(path, *WORDS, "zoezoe")
    else:
        with join(server, "eve") as eve:
            eve.ask("join", room="den")
            await_forgotten(path, *WORDS, "zoezoe")
            shown = page(eve)
            assert [frame["type"] for frame in shown][:3] == ["deleted", "deleted", "edited"]
            assert {frame.get("sender") or frame.get("by") for frame in shown} == {"#forgotten", "bob"}
            assert [frame["content"] for frame in shown if frame["type"] == "message"] == ["a banana"]
    entries = Api(server).done("GET", "/v1/audit")["entries"]
    assert [(entry["action"], entry["target"]) for entry in entries] == [("forget", "#forgotten")]


def test_an_account_by_the_command(start: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "log" / "chat.db"
    path.parent.mkdir()
    server = start(*ADMIN, "--auth", "accounts", "--log", f"sqlite:{path}")
    where = {"TRIO_CHAT_ADMIN_URL": f"http://127.0.0.1:{Api(server).port}", "TRIO_CHAT_ADMIN_TOKEN": ADMIN[-1]}
    with come(server, "register", "bob") as bob, come(server, "register", "Zoezoe") as zoe:
        leave_traces(server, zoe, bob)
        code, _, err = admin("forget", "zoezoe", **where)
        assert (code, err) == (2, "forgetting 'zoezoe' cannot be undone: say so with --yes\n")
        assert zoe.ask("ping")["type"] == "pong"
        assert admin("forget", "zoezoe", "--yes", "--reason", "letter 12", **where)[0] == 0
        assert zoe.closed() == 4504
        code, _, err = admin("forget", "zoezoe", "--yes", **where)
        assert (code, err) == (1, "There is no such user\n")
        await_forgotten(path, *WORDS, "zoezoe")
    with come(server, "register", "Zoezoe") as again:
        assert [room["room"] for room in again.welcome["rooms"]] == ["general"]
        assert admin("forget", "account:zoezoe", "--id", "--yes", **where)[0] == 0
        assert again.closed() == 4504
