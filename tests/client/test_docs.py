"""The programs of docs/client.md do what they say, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.auth.keyring import key_file, token
from tests.e2e.process import ROOT, Server
from trio_chat import client
from trio_chat.client import ChatClient, Message, open_chat_client

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
ECHO, BRIDGE, ASKING, TOKEN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SECONDS = 15.0


@contextmanager
def running(program: str, server: Server, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A program of the page; it is ended, if it does not end itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"URL = {server.url!r}\n{program}"],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def hear(one: ChatClient, content: str) -> Message:
    """The message with this content."""
    async for event in one:
        if isinstance(event, Message) and event.content == content:
            return event
    raise AssertionError("the iteration ended")


async def present(one: ChatClient, room: str, user: str) -> None:
    """Wait until `user` is in `room`."""
    while user not in (await one.users(room)).users:
        await anext(one)


async def test_the_echo_bot_echoes(server: Server) -> None:
    with trio.fail_after(SECONDS), running(ECHO, server):
        async with open_chat_client(server.url, "doc ann") as ann:
            await ann.join("den")
            await present(ann, "den", "echo")
            posted = await ann.send_message("hi", "den")
            assert (await hear(ann, "doc ann said hi")).reply_to == posted.seq


async def test_the_bridge_carries_both_ways(server: Server) -> None:
    with trio.fail_after(SECONDS), running(BRIDGE, server):
        async with (
            open_chat_client(server.url, "doc tom") as tom,
            open_chat_client(server.url, "doc eve") as eve,
        ):
            for one, room, bridge in ((tom, "tea", "bridge1"), (eve, "coffee", "bridge2")):
                await one.join(room)
                await present(one, room, bridge)
            await tom.send_message("milk?", "tea")
            assert (await hear(eve, "<doc tom> milk?")).room == "coffee"
            await eve.send_message("black", "coffee")
            assert (await hear(tom, "<doc eve> black")).room == "tea"


def test_asking_prints_what_it_was_told(server: Server) -> None:
    with running(ASKING, server) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert re.fullmatch(r"\d+ entries up to \d+\nno_such_room None\n", out)


async def test_who_comes_with_a_token(tmp_path: Path) -> None:
    server = Server("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256"))).ready()
    try:
        (tmp_path / "token.txt").write_text(f"{token(sub='bea')}\n")
        with trio.fail_after(SECONDS):
            async with open_chat_client(server.url, token=token()) as ann:
                with running(TOKEN, server, tmp_path):
                    await hear(ann, "I am Bea")
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("program", [ECHO, BRIDGE], ids=["echo", "bridge"])
def test_a_bot_is_ten_lines(program: str) -> None:
    assert len([line for line in program.splitlines() if line and not line.startswith(("import", "from"))]) <= 10


@pytest.mark.parametrize("name", client.__all__)
def test_the_page_speaks_of_what_there_is(name: str) -> None:
    assert getattr(client, name) is not None


def test_every_command_is_on_the_page() -> None:
    commands = [name for name in vars(ChatClient) if not name.startswith("_") and name != "user"]
    assert [name for name in commands if f"`{name}`" not in PAGE] == []


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
