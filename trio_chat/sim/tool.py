"""What the command `trio-chat simulate` does and prints. Progress is shown on stderr, if it is a terminal."""

from __future__ import annotations

import secrets
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from trio_chat.config import Config, ConfigError
from trio_chat.sim.chart import svg
from trio_chat.sim.player import page
from trio_chat.sim.run import Outcome, simulate
from trio_chat.sim.scenario import ScenarioError, invent, load
from trio_chat.sim.shrink import shrink
from trio_chat.sim.storm import Aftermath, Storm, blow, table

SHRINKING = 30.0  # seconds of this machine's time, for one failure
TALKS = ("talks", "parted", "ended", "unplaced")  # figures of a report that are of conversations
ERASE = "\r\x1b[K"  # a terminal's line


@attrs.frozen(kw_only=True)
class Wanted:
    """What was asked for; see `trio_chat.cli_simulate`."""

    scenario: Path | None
    seed: int | None
    runs: int
    minutes: float
    length: float
    trace: Path | None
    keep: Path
    json: bool


def play(wanted: Wanted) -> int:
    """Play one seed after the other; returns the exit code.

    Raises:
        ScenarioError: there is no such scenario.
    """
    given = None if wanted.scenario is None else load(wanted.scenario)
    first = secrets.randbelow(2**31) if wanted.seed is None else wanted.seed
    until, failed, number = time.monotonic() + 60 * wanted.minutes, 0, 0
    figures = Counter[str]()
    while number < wanted.runs or time.monotonic() < until:
        seed = first + number
        number += 1
        outcome = simulate(given or invent(seed, seconds=wanted.length), seed)
        print(msgspec.json.encode(_summary(outcome)).decode() if wanted.json else line(outcome), flush=True)
        figures.update({name: getattr(outcome.report, name) for name in TALKS})
        if outcome.failed:
            failed += 1
            outcome = _shrunk(outcome, wanted.keep, quiet=wanted.json)
        if wanted.trace is not None:
            wanted.trace.write_text(page(simulate(outcome.scenario, seed, steps=True)), encoding="utf-8")
    if number > 1 and not wanted.json:
        print(f"{number:,} runs, {judged(figures)}, {failed:,} failed")
    return 1 if failed else 0


def line(outcome: Outcome) -> str:
    """A run in a line."""
    report = outcome.report
    verdict = f"{len(report.findings)} FINDINGS" if outcome.failed else "ok"
    told = [
        f"seed {outcome.seed}: {outcome.virtual:.0f} s in {outcome.real:.2f} s",
        f"trace {outcome.digest}",
        judged({name: getattr(report, name) for name in TALKS}),
        f"acked {report.acked:,}",
        f"lost {report.lost:,}: {verdict}",
    ]
    return ", ".join(told)


def judged(figures: Mapping[str, int]) -> str:
    """How many conversations were judged, and what of them could not be."""
    told = [
        f"{figures['parted']:,} in parts" if figures["parted"] else "",
        f"{figures['ended']:,} entries gone with a guest" if figures["ended"] else "",
        f"{figures['unplaced']:,} entries left out" if figures["unplaced"] else "",
    ]
    more = ", ".join(filter(None, told))
    plural = "" if figures["talks"] == 1 else "s"
    return f"{figures['talks']:,} conversation{plural}" + (f" ({more})" if more else "")


def _summary(outcome: Outcome) -> dict[str, Any]:
    report = outcome.report
    return {
        "seed": outcome.seed,
        "trace": outcome.digest,
        "virtual": round(outcome.virtual, 3),
        "real": round(outcome.real, 3),
        "acked": report.acked,
        "lost": report.lost,
        "duplicated": report.duplicated,
        **{name: getattr(report, name) for name in TALKS},
        "findings": [str(finding) for finding in report.findings],
    }


def _shrunk(outcome: Outcome, keep: Path, *, quiet: bool) -> Outcome:
    tried = 0

    def count(_: Outcome) -> None:
        nonlocal tried
        tried += 1
        if sys.stderr is not None and sys.stderr.isatty():
            sys.stderr.write(f"{ERASE}making it smaller: {tried} tried")
            sys.stderr.flush()

    smaller = shrink(outcome, SHRINKING, count)
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(ERASE)
    path = keep / f"simulate-{outcome.seed}.toml"
    path.write_text(smaller.scenario.text, encoding="utf-8")
    if not quiet:
        print(smaller.report)
        print(f"made smaller ({tried} tried): trio-chat simulate {path} --seed {outcome.seed}")
    return smaller


def server_of(path: Path | None) -> Config:
    """The server's options in its own file, but for what a simulation has not: files, TLS, other machines.

    Raises:
        ScenarioError: the file cannot be read, or one of them is wrong.
    """
    if path is None:
        return Config.of(log="memory")
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"--config: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"--config: {path}: it is no TOML: not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"--config: {path}: it is no TOML: {error}") from None
    for name in ("tls_cert", "tls_key", "admin_port", "admin_token_file", "auth", "auth_key", "auth_jwks"):
        options.pop(name, None)
    try:
        return Config.of(**{**options, "log": "memory"})
    except ConfigError as error:
        raise ScenarioError(f"--config: {path}: {error}") from None


def storms(
    file: Path | None, seed: int | None, clients: int, addresses: int, away: float, chart: Path | None, *, as_json: bool
) -> int:
    """Deploys and a dead proxy, for clients that know the protocol and for those that do not; returns the exit code.

    Raises:
        ScenarioError: see `server_of`.
    """
    config = server_of(file)
    found: list[Aftermath] = []
    kinds = [
        Storm(clients=clients, addresses=addresses, away=away, blow=kind, simple=simple)
        for simple in (False, True)
        for kind in ("deploy", "proxy")
    ]
    for storm in kinds:
        if sys.stderr is not None and sys.stderr.isatty():
            sys.stderr.write(f"{ERASE}{storm.blow}, {'simple' if storm.simple else 'trio_chat'} clients…")
            sys.stderr.flush()
        found.append(blow(config, storm, 1 if seed is None else seed))
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(ERASE)
    rows = table(found)
    if as_json:
        print(msgspec.json.encode([dict(zip(rows[0], row, strict=True)) for row in rows[1:]]).decode())
    else:
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        for row in rows:
            print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        print(
            "simple: clients that back off, but know neither tickets nor sessions (`retry_after` and `jitter` neither)"
        )
    if chart is not None:
        chart.write_text(svg(found), encoding="utf-8")
    return 0
