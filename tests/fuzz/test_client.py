"""`trio-chat fuzz --client`: our own client passes, and one that does everything wrong is told so."""

from __future__ import annotations

import json
import sys

import pytest

from trio_chat.cli import main
from trio_chat.fuzz import client_tool
from trio_chat.fuzz.bait import LURES, STOP_CODES


def started(module: str) -> list[str]:
    return ["fuzz", "--client", "--run", f"{sys.executable} -m tests.fuzz.{module}", "--json"]


@pytest.mark.slow
def test_our_own_client_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Another client of this project is tried in the same way: its command is what `--run` is given."""
    code = main(started("bot"))
    told = json.loads(capsys.readouterr().out)
    assert told["wrong"] == []
    assert code == 0
    assert told["untried"] == []
    assert len(told["tried"]) == len(LURES) + len(STOP_CODES)


@pytest.mark.slow
def test_a_bad_client_is_told_what_it_did(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_tool, "STOP_CODES", (4505,))
    assert main(started("bad_bot")) == 1
    wrong = json.loads(capsys.readouterr().out)["wrong"]
    for words in (
        "it came back without `resume` of its session",
        "it sent a message twice, and not with its key",
        "it was told to come back after 1.5 s, and came after 0",
        "a 503 said `Retry-After: 2`, and it came after 0",
        "it does not back off",
        "it was closed with 4505, which is final, and came back",
    ):
        assert [line for line in wrong if words in line], (words, wrong)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ws://127.0.0.1:9/ws"], "--client: 'ws://127.0.0.1:9/ws' is left out, for a client comes here\n"),
        (["--port", "70000"], "--port: 70000 must be an integer from 0 to 65535\n"),
        (["--run", "/no/such/program"], "--run: there is no program '/no/such/program'\n"),
    ],
)
def test_a_wrong_question_is_one_line(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", *words, "--client"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(complaint)
