"""`trio-chat fuzz --client`: our own client passes, and one that does everything wrong is told so."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest
import trio

from trio_chat.cli import main
from trio_chat.fuzz import client_tool
from trio_chat.fuzz.bait import LURES, STOP_CODES, puzzles, shreds


def started(module: str, *options: str) -> list[str]:
    return ["fuzz", "--client", "--run", f"{sys.executable} -m tests.fuzz.{' '.join([module, *options])}", "--json"]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "after messages in fragments (were they read?)"),
        (("--leave",), "it left when messages came in fragments"),
    ],
    ids=["leaves them out", "leaves"],
)
def test_a_client_that_knows_whole_messages_only_is_at_fault(
    options: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is our own but for that, and that is what it is told."""
    monkeypatch.setattr(client_tool, "STOP_CODES", (4505,))
    monkeypatch.setattr(client_tool, "LURES", (puzzles, shreds))
    assert main([*started("whole_bot", *options), "--seed", "7"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["seed"] == 7
    assert complaint in told["wrong"][0]
    for line in told["wrong"][1:]:  # what it missed stays missed
        assert "in fragments" in line or line.startswith("its position in general should be"), told


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ws://127.0.0.1:9/ws"], "--client: 'ws://127.0.0.1:9/ws' is left out, for a client comes here\n"),
        (["--port", "70000"], "--port: 70000 must be an integer from 0 to 65535\n"),
        (["--run", "/no/such/program"], "--run: there is no program '/no/such/program'\n"),
        (["--run", __file__], f"--run: {__file__!r} cannot be started (Permission denied)\n"),
        (["--run", "  "], "--run: '  ' is no command\n"),
        (["--run", "a 'b"], '--run: "a \'b" is no command (No closing quotation)\n'),
        (["--run", f"{sys.executable} -c pass"], f"--run: {sys.executable!r} ended with 0 before it had connected\n"),
        (["--seconds", "5"], "--seconds: it is not for --client\n"),
        (["--junit", "x.xml"], "--junit: it is not for --client\n"),
    ],
)
def test_a_wrong_question_is_one_line(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", *words, "--client"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(complaint)


def test_what_is_for_a_client_needs_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "ws://127.0.0.1:9/ws", "--run", "node bot.js"]) == 2
    assert capsys.readouterr().err == "--run: it is only for --client\n"


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["fuzz", "--client", "--port", str(port)]) == 2
    assert capsys.readouterr().err == f"--port: {port} cannot be listened on (Address already in use)\n"


async def test_a_client_that_was_started_goes_with_the_server(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text(
        f"import os, pathlib, time\npathlib.Path({str(tmp_path / 'new')!r}).write_text(str(os.getpid()))\n"
        f"os.rename({str(tmp_path / 'new')!r}, {str(note)!r})\ntime.sleep(600)\n"
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client_tool.fuzz_client, 0, f"{sys.executable} {sleeper}", 1)
        with trio.fail_after(60):
            while not note.exists():  # noqa: ASYNC110 (another process makes it)
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
