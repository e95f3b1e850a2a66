"""docs/terminal.md says what is so: its transcript is run, and its table is that of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

from tests.e2e.process import ROOT, Server
from trio_chat.terminal.command import HELP
from trio_chat.terminal.orders import RULES, usage

from .conftest import ENVIRONMENT, SECONDS

PAGE = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")
(TRANSCRIPT,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
AS_TYPED = f'trio-chat() {{ "{sys.executable}" -m trio_chat "$@"; }}\n'


def shell(command: str) -> str:
    """What a person sees who types it."""
    done = subprocess.run(
        ["bash", "-c", AS_TYPED + command], cwd=ROOT, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.stdout


def test_the_transcript_is_what_happens(start: Callable[..., Server]) -> None:
    server = start()
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", TRANSCRIPT, re.MULTILINE)
    assert len(steps) == 6
    for command, shown in steps:
        assert shell(command.replace("ws://localhost:10000", server.url)) == shown, command


def test_every_order_is_on_the_page() -> None:
    rows = [f"| `{usage(rule)}` | {rule.help} |" for rule in RULES if rule.help]
    assert [row for row in rows if row not in PAGE] == []


def test_every_flag_is_on_the_page() -> None:
    flags = re.findall(r"--[a-z-]+", shell("trio-chat connect --help"))
    assert len(set(flags)) >= 10
    assert [flag for flag in flags if f"`{flag}" not in PAGE and flag != "--help"] == []
    assert "--plain" in HELP


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
