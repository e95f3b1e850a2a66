"""Autobahn's test suite, as `kosoku` runs it, against our transport: `python -m tests.conformance.run`.

Not asked are its cases 12.* and 13.*, which are about compression: the server offers none. All the others take seconds,
and half an hour at most, whatever the server does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import IO

import attrs
import kosoku

from tests.benchmarks.servers import ROOT, BenchmarkError, port_of, stop

GROUPS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "large messages, and many",
    "10": "automatic fragmentation",
}
LARGE = "9"
SECONDS = 120.0  # for what is asked at once, a group for example: the suite itself waits for a handshake for ever
LARGE_SECONDS = 600.0
OK, NON_STRICT, INFORMATIONAL = "OK", "NON-STRICT", "INFORMATIONAL"
ROW = "{:<30}{:>7}{:>8}{:>12}{:>15}{:>8}{:>9}"


class NoSuchCase(Exception):
    """The suite has no case of this name, and none that begins with it; `str()` says so."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no case {name}")


@attrs.frozen
class Verdict:
    """What the suite says of one case; a `label` other than `OK` may be a pass, too. `why` is for those that failed."""

    case: str
    label: str
    passed: bool
    why: str = ""

    @property
    def group(self) -> str:
        """A key of `GROUPS`."""
        return group_of(self.case)


@attrs.define
class Outcome:
    """All verdicts, the seconds that each group took, and what the server said of bugs of its own."""

    verdicts: list[Verdict] = attrs.Factory(list)
    seconds: dict[str, float] = attrs.Factory(dict)
    complaints: str = ""

    @property
    def passed(self) -> bool:
        """Whether there is nothing to complain of."""
        return all(verdict.passed for verdict in self.verdicts) and not self.complaints


def group_of(case: str) -> str:
    """`9.1.2` → `9`."""
    return case.partition(".")[0]


@contextmanager
def echoing() -> Iterator[tuple[str, IO[bytes]]]:
    """The echo server in a process of its own: its address, and its output; it is stopped in the end.

    Raises:
        BenchmarkError: it ended, or printed no address within seconds.
    """
    # A file takes the output, as a pipe that nobody reads would stop the server.
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "tests.conformance.echo"]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield f"ws://127.0.0.1:{port_of('the echo server', process, output)}", output
        finally:
            stop(process)


async def ask(url: str, name: str) -> list[Verdict]:
    """Run one case, or all whose ids begin with `name` and a dot, one after the other.

    Cancelled: the case that is under way is dropped, and all verdicts are lost.

    Raises:
        NoSuchCase: there is none.
    """
    for pattern in (name, f"{name}.*"):
        try:
            results = await kosoku.run_fuzzingclient(url, [pattern])
        except kosoku.FailureError as failure:
            results = failure.results  # of all cases, not only of those that failed
        except ValueError:  # no case matches
            continue
        return [
            Verdict(
                one.case_id,
                label_of(one.behavior.value, one.behavior_close.value),
                one.passed,
                "" if one.passed else f"{one.result} {one.result_close} (close code {one.remote_close_code})",
            )
            for one in results
        ]
    raise NoSuchCase(name)


def label_of(behavior: str, behavior_close: str) -> str:
    """One word for the two verdicts, on the messages and on the close: what is wrong with either."""
    return behavior if behavior != OK else behavior_close


async def run(names: list[str]) -> Outcome:
    """Run what `names` say, against a server that is started for it; tell the progress on stderr.

    Raises:
        NoSuchCase: a name is none.
        BenchmarkError: the server did not start.
    """
    outcome = Outcome()
    with echoing() as (url, output):
        greeting = len(os.pread(output.fileno(), 65_536, 0))
        for name in names:
            began = time.monotonic()
            limit = LARGE_SECONDS if group_of(name) == LARGE else SECONDS
            try:
                verdicts = await asyncio.wait_for(ask(url, name), limit)
            except TimeoutError:
                verdicts = [Verdict(name, "TIMEOUT", False, f"no end within {limit:g} s")]
            seconds = time.monotonic() - began
            outcome.verdicts += verdicts
            outcome.seconds[group_of(name)] = outcome.seconds.get(group_of(name), 0.0) + seconds
            failed = sum(not verdict.passed for verdict in verdicts)
            print(f"{name}: {len(verdicts)} cases, {failed} failed, {seconds:.1f} s", file=sys.stderr, flush=True)
        outcome.complaints = os.pread(output.fileno(), 65_536, greeting).decode(errors="replace").strip()
    return outcome


def table(outcome: Outcome) -> str:
    """By group, what passed and how; then by name, what is not simply right."""
    lines = [ROW.format("", "cases", "passed", NON_STRICT, INFORMATIONAL, "failed", "seconds")]
    for group, seconds in outcome.seconds.items():
        verdicts = [verdict for verdict in outcome.verdicts if verdict.group == group]
        lines.append(row(f"{group}.* {GROUPS[group]}", verdicts, seconds))
    lines.append(row("all", outcome.verdicts, sum(outcome.seconds.values())))
    notable = [verdict for verdict in outcome.verdicts if verdict.label != OK]
    lines += [f"{verdict.case}: {verdict.label} {verdict.why}".rstrip() for verdict in notable]
    if outcome.complaints:
        lines += ["The server said:", outcome.complaints]
    return "\n".join(lines)


def row(title: str, verdicts: list[Verdict], seconds: float) -> str:
    """A line of the table."""
    passed = [verdict.label for verdict in verdicts if verdict.passed]
    failed = len(verdicts) - len(passed)
    counts = (len(verdicts), len(passed), passed.count(NON_STRICT), passed.count(INFORMATIONAL), failed)
    return ROW.format(title, *counts, f"{seconds:.1f}")


def case_name(text: str) -> str:
    """An `argparse` type: a case, or the beginning of some."""
    if group_of(text) not in GROUPS:
        raise argparse.ArgumentTypeError(f"{text} must begin with one of {', '.join(GROUPS)}")
    return text


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("cases", nargs="*", type=case_name, metavar="CASE", help="only these: 1.1.2, or all of 6.4")
    parser.add_argument("--short", action="store_true", help=f"where no CASE is named: all but {LARGE}.*, for CI")
    return parser.parse_args()


def main() -> None:
    """Run, print the table; exit 1 where a case failed, a name is none, or the server had a bug."""
    options = arguments()
    names = options.cases or [group for group in GROUPS if not (options.short and group == LARGE)]
    try:
        outcome = asyncio.run(run(names))
    except (NoSuchCase, BenchmarkError) as error:
        sys.exit(str(error))
    print(f"kosoku {version('kosoku')}")
    print(table(outcome))
    if not outcome.passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
