"""`trio-chat admin` against a real server, as an operator types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .client import join
from .process import ROOT, Server
from .test_admin import ADMIN, TOKEN, Api


def admin(*words: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRIO_CHAT_")}
    done = subprocess.run(
        [sys.executable, "-m", "trio_chat", "admin", *words],
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def at(start: Callable[..., Server]) -> tuple[Server, dict[str, str]]:
    server = start(*ADMIN)
    url = f"http://127.0.0.1:{Api(server).port}"
    return server, {"TRIO_CHAT_ADMIN_URL": url, "TRIO_CHAT_ADMIN_TOKEN": TOKEN}


def test_an_operators_day(at: tuple[Server, dict[str, str]]) -> None:
    server, where = at
    server.said += ["tea is ready", "the door closes"]
    with join(server, "alice") as alice, join(server, "Bob B") as bob:
        assert "alice" in admin("users", **where)[1]
        assert "rooms: general" in admin("user", "bob b", **where)[1]
        assert admin("announce", "tea is ready", **where)[0] == 0
        assert alice.until("system", event="announcement")["content"] == "tea is ready"
        assert admin("publish", "general", "the door closes", **where)[0] == 0
        assert alice.until("message")["content"] == "the door closes"
        assert admin("kick", "Bob B", "--reason", "calm down", **where)[0] == 0
        assert bob.closed() == 4504
        code, out, _ = admin("ban", "alice", "--duration", "60", "--json", **where)
        assert (code, json.loads(out)["subject"]) == (0, "name:alice")
        assert alice.closed() == 4505
    assert admin("ban", "192.0.2.0/24", "--net", **where)[0] == 0
    assert "net:192.0.2.0/24" in admin("bans", **where)[1]
    assert admin("unban", "net:192.0.2.0/24", **where)[0] == 0
    for command in ("info", "rooms", "connections"):
        assert admin(command, **where)[0] == 0
    assert "members: " not in admin("room", "general", **where)[1]
    actions = [one["action"] for one in json.loads(admin("audit", "--json", **where)[1])["entries"]]
    assert actions == ["unban", "ban", "ban", "kick", "publish", "announce"]
    assert admin("drain", **where)[0] == 0
    assert server.wait() == 0


def test_what_goes_wrong_is_one_line(at: tuple[Server, dict[str, str]], tmp_path: Path) -> None:
    _, where = at
    no_token = {name: value for name, value in where.items() if name != "TRIO_CHAT_ADMIN_TOKEN"}
    file = tmp_path / "token"
    file.write_text(TOKEN)
    assert admin("info", "--token-file", str(file), **no_token)[0] == 0
    for words, variables, code, told in (
        (("info",), {}, 2, "--url: the URL"),
        (("info", "--url", "ftp://x"), where, 2, "--url: 'ftp://x'"),
        (("info",), no_token, 2, "--token-file: a token must be given"),
        (("info", "--token", "a b"), where, 2, "--token: it must be"),
        (("info", "--token-file", str(tmp_path / "none")), no_token, 2, "cannot be read"),
        (("info", "--token", "wrong-wrong-wrong"), where, 1, "The token is wrong"),
        (("info", "--url", "http://127.0.0.1:1"), where, 1, "http://127.0.0.1:1: no server answers there"),
        (("user", "nobody"), where, 1, "There is no such user"),
        (("room", "a/b"), where, 1, "There is no such room"),
        (("ban", "nowhere", "--net"), where, 2, "net must be an address"),
        (("users", "--limit", "0"), where, 2, "limit: Expected int >= 1"),
    ):
        found, out, err = admin(*words, **variables)
        assert (found, out) == (code, ""), (words, err)
        assert told in err
        assert err.count("\n") == 1
