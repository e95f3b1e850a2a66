"""`trio-chat fuzz` on servers that run: what it prints and writes, and how a wrong question is answered."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Server
from trio_chat.cli import main
from trio_chat.fuzz.promises import PROMISES

from .server import FuzzedServer, mutant, ours


@pytest.fixture(scope="module")
def server() -> Iterator[FuzzedServer]:
    one = ours()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def broken() -> Iterator[FuzzedServer]:
    one = mutant("answers an id twice")
    yield one
    one.kill()


def test_nothing_found_is_exit_code_0(server: FuzzedServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", server.url, "--examples", "5", "--seed", "3", "--profile", "quick"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("5 examples, ")
    assert out.endswith("seed 3, profile quick: nothing found\n")
    assert err == ""


def test_what_is_found_is_told_saved_and_done_again(
    broken: FuzzedServer, server: FuzzedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, junit = tmp_path / "found.json", tmp_path / "junit.xml"
    words = ["fuzz", broken.url, "--seconds", "30", "--seed", "1", "--save", str(saved), "--junit", str(junit)]
    assert main([*words, "--patience", "0.6"]) == 1
    out, _ = capsys.readouterr()
    assert "promise 5 of docs/protocol.md is broken:\n  Exactly one answer per `id`" in out
    assert "was answered again" in out

    kept = json.loads(saved.read_text())
    assert (kept["promise"], kept["text"]) == ("5", PROMISES["5"].text)
    assert kept["transcript"]
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == (str(len(PROMISES)), "1")
    (failed,) = [case for case in suite if len(case)]
    assert failed.get("name") == "5"

    assert main(["fuzz", broken.url, "--replay", str(saved), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["found"]["promise"] == "5"
    assert main(["fuzz", server.url, "--replay", str(saved)]) == 0, "a sound server passes the same"


def test_a_terminal_gets_a_line_of_progress(
    server: FuzzedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["fuzz", server.url, "--examples", "2"]) == 0
    err = capsys.readouterr().err
    assert "fuzz: 1 examples" in err
    assert err.endswith("\r\x1b[K")
    assert "\n" not in err


def test_limits_of_a_server_are_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything at its default but the attempts, which it is told to wait for: and it waits."""
    strict = Server("--log", "memory", "--max-attempts", "3", "--attempt-window", "1", "--ban-seconds", "1").ready()
    try:
        assert main(["fuzz", strict.url, "--examples", "3", "--seed", "2", "--profile", "quick"]) == 0
    finally:
        strict.kill()
    assert "nothing found" in capsys.readouterr().out


def test_a_server_that_lets_us_do_too_little_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    strict = Server("--log", "memory", "--rooms-created-per-hour", "1", "--trusted-proxies", "10.0.0.0/8").ready()
    try:
        assert main(["fuzz", strict.url, "--examples", "50", "--seed", "2", "--profile", "polite"]) == 2
    finally:
        strict.kill()
    err = capsys.readouterr().err
    assert "--rooms-created-per-hour 1000000" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "fuzz needs the URL of a server"),
        (["http://127.0.0.1/"], "is no WebSocket URL"),
        (["ws://example.org/ws"], "example.org is not this machine: --yes fuzzes it"),
        (["ws://127.0.0.1:9/ws", "--profile", "rude"], "--profile: 'rude' must be one of quick, normal"),
        (["ws://127.0.0.1:9/ws", "--seconds", "0"], "--seconds: 0 must be from 0.01 to 86,400"),
        (["ws://127.0.0.1:9/ws", "--examples", "0"], "--examples: 0 must be from 1"),
        (["ws://127.0.0.1:9/ws", "--patience", "0"], "--patience: 0 must be from 0.05"),
        (["ws://127.0.0.1:9/ws"], "127.0.0.1:9 cannot be reached"),
        (["ws://127.0.0.1:9/ws", "--replay", "/nowhere"], "'/nowhere' cannot be read: No such file"),
        (["ws://127.0.0.1:9/ws", "--replay", __file__], "is no file of `trio-chat fuzz`"),
    ],
)
def test_a_wrong_question_is_one_line(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


def test_without_hypothesis_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert main(["fuzz", "ws://127.0.0.1:9/ws"]) == 2
    assert capsys.readouterr().err == "fuzz needs Hypothesis: pip install 'trio-chat[fuzz]'\n"


def test_help_tells_what_makes_a_server_fast(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["fuzz", "--help"]) == 0
    assert "--trusted-addresses 127.0.0.0/8" in " ".join(capsys.readouterr().out.split())
