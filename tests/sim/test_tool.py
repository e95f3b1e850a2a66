"""`trio-chat simulate` as it is typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import ROOT
from trio_chat.sim import tool
from trio_chat.sim.run import Outcome, simulate
from trio_chat.sim.scenario import invent, load
from trio_chat.sim.tool import Wanted, judged, line, play
from trio_chat.witness.evidence import Finding

KEPT = ROOT / "tests" / "sim" / "kept" / "simulate-30078.toml"
SHORT = ROOT / "docs" / "scenarios" / "crash.toml"


def run(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    command = [sys.executable, "-m", "trio_chat", "simulate", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_scenario_and_a_page_to_be_played(tmp_path: Path) -> None:
    code, out, err = run(SHORT, "--seed", "4", "--runs", "2", "--trace", tmp_path / "run.html")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith("seed 4: ")
    assert lines[0].endswith("lost 0: ok")
    assert re.search(r", [1-9]\d* conversations, acked ", lines[0])
    assert re.fullmatch(r"2 runs, [1-9]\d* conversations, 0 failed", lines[-1])
    assert "Seed 5, " in (tmp_path / "run.html").read_text()


def test_what_is_made_up_is_as_long_as_asked_for() -> None:
    code, out, _ = run("--seed", "4", "--length", "10", "--json")
    assert code == 0
    assert 10 < json.loads(out)["virtual"] == pytest.approx(simulate(invent(4, seconds=10.0), 4).virtual, abs=0.001)


def test_for_programs() -> None:
    code, out, _ = run(SHORT, "--seed", "4", "--json")
    shown = json.loads(out)
    assert shown["talks"] > 0
    assert (shown["parted"], shown["ended"], shown["unplaced"]) == (0, 0, 0)
    assert (code, shown["seed"], shown["lost"], shown["findings"]) == (0, 4, 0, [])


def test_it_is_said_what_of_conversations_cannot_be_judged() -> None:
    """Who churns is several guests, one after the other."""
    outcome = simulate(load(KEPT), 30078)
    report = outcome.report
    assert (report.talks > report.parted > 0, report.ended > 0, report.unplaced) == (True, True, 0)
    told = f"{report.talks} conversations ({report.parted} in parts, {report.ended} entries gone with a guest), acked"
    assert told in line(outcome)
    assert judged({"talks": 1, "parted": 0, "ended": 0, "unplaced": 2}) == "1 conversation (2 entries left out)"


def test_a_storm_by_the_servers_own_file(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text('max_attempts = 500\ntls_cert = "none.pem"\ntls_key = "none.key"\n')
    code, out, _ = run(
        "--storm", "--clients", "30", "--config", tmp_path / "server.toml", "--chart", tmp_path / "storm.svg"
    )
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert [row[:3] for row in rows[1:5]] == [
        ["deploy", "30", "trio_chat"], ["proxy", "30", "trio_chat"],
        ["deploy", "30", "simple"], ["proxy", "30", "simple"],
    ]  # fmt: skip
    assert (tmp_path / "storm.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("none.toml",), "none.toml: No such file or directory\n"),
        (("--runs", "0"), "--runs: 0 must be from 1 to 1,000,000\n"),
        (("--length", "9", str(SHORT)), f"--length: 9, and {SHORT} says for itself how long it is\n"),
        (("--storm", "--clients", "5", "--addresses", "6"), "--addresses: 6 must be from 1 to 5\n"),
        (("--storm", "--config", "none.toml"), "--config: none.toml: No such file or directory\n"),
        (("--seed", "4", "--trace", "/nowhere/run.html", str(SHORT)), "--trace: /nowhere: No such file or directory\n"),
        (("--trace", "docs", str(SHORT)), "--trace: docs: Is a directory\n"),
        (("--keep", "README.md", str(SHORT)), "--keep: README.md: Not a directory\n"),
        (("--storm", "--chart", "/nowhere/storm.svg"), "--chart: /nowhere: No such file or directory\n"),
        (("--storm", "--config", str(SHORT)), f"--config: {SHORT}: seconds: 30 must be an option that exists\n"),
        (("--storm", str(SHORT)), "SCENARIO: it is not for --storm\n"),
        (("--storm", "--runs", "4"), "--runs: it is not for --storm\n"),
        (("--clients", "5"), "--clients: it is only for --storm\n"),
        (("--storm", "--clients", "0"), "--clients: 0 must be from 1 to 10,000\n"),
        (("--storm", "--away", "nan"), "--away: nan must be from 0 to 3,600\n"),
        (("--minutes", "inf"), "--minutes: inf must be from 0 to 1,440\n"),
    ],
)
def test_what_is_wrong_is_one_line(words: tuple[str, ...], told: str) -> None:
    """And it is said before anything is done that would be lost with it."""
    code, out, err = run(*words)
    assert (code, out, err) == (2, "", told)


def test_what_cannot_be_printed_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "trio_chat", "simulate", "--seed", "4", "--length", "5"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (2, "stdout: No space left on device\n")


def test_what_failed_is_made_smaller_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **options: bool) -> Outcome:
        outcome = simulate(*args, **options)  # type: ignore[arg-type]
        outcome.report.findings.append(Finding("lost", "planted"))
        return outcome

    monkeypatch.setattr(tool, "simulate", broken)
    monkeypatch.setattr(tool, "SHRINKING", 0.0)
    wanted = Wanted(scenario=SHORT, seed=4, runs=1, minutes=0, length=0, trace=None, keep=tmp_path, json=False)
    assert play(wanted) == 1
    kept = tmp_path / "simulate-4.toml"
    assert load(kept) == load(SHORT)
    told = capsys.readouterr().out
    assert "[2, an acked entry survives] planted" in told
    assert f"trio-chat simulate {kept} --seed 4" in told
