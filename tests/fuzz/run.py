"""Fuzz our own server, which must pass, and broken ones, which must not: `nox -s fuzz`, shorter with `-- --short`.

The whole writes its table into docs/fuzz.md.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from trio_chat.client.connection import Target
from trio_chat.fuzz.campaign import Campaign, fuzz
from trio_chat.fuzz.report import everything, figures
from trio_chat.fuzz.target import Server

from .mutants.faults import FAULTS
from .server import FuzzedServer, mutant, ours

PAGE = Path(__file__).parents[2] / "docs" / "fuzz.md"
BEGIN, END = "<!-- mutants: written by `nox -s fuzz` -->\n", "<!-- end of mutants -->\n"
SHORT = ("reorders two", "answers an id twice", "shows typing to everybody", "resumes one too far", "forgets a ban")
SECONDS = 60.0  # for a mutant: to find its fault, confirm it, and cut it down
STEPS = 8  # to which it must be cut down
PATIENCE = 0.6  # seconds: on loopback everything comes at once


@attrs.frozen
class Row:
    """What came of one mutant."""

    name: str
    campaign: Campaign

    @property
    def good(self) -> bool:
        """Whether it was caught well enough."""
        finding = self.campaign.finding
        return finding is not None and self.steps <= STEPS and finding.seconds <= SECONDS

    @property
    def steps(self) -> int:
        """Of the shortest plan."""
        finding = self.campaign.told
        return 0 if finding is None else len(finding.outcome.plan)

    @property
    def cells(self) -> tuple[str, ...]:
        """For the table."""
        finding = self.campaign.told
        broken = None if finding is None else finding.outcome.broken
        if finding is None or broken is None:
            return self.name, "no", "", str(self.campaign.examples), "", f"{self.campaign.seconds:.1f}"
        caught = "flaky" if finding.flaky else "yes"
        return (
            self.name,
            caught,
            broken.promise.name,
            str(finding.example),
            str(self.steps),
            f"{finding.seconds:.1f}",
        )


HEAD = ("mutant", "caught", "promise", "examples", "steps", "seconds")


def hunt(server: FuzzedServer, seed: int, *, seconds: float = SECONDS) -> Campaign:
    """Fuzz a server that is on this machine, until something is found."""
    return fuzz(Server(Target.of(server.url), patience=PATIENCE), seed=seed, seconds=seconds / 2, looking=seconds / 2)


def caught(name: str, seed: int = 1) -> Row:
    """Fuzz one mutant."""
    server = mutant(name)
    try:
        return Row(name, hunt(server, seed))
    finally:
        server.kill()


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    cells = [HEAD, tuple("---" for _ in HEAD), *(row.cells for row in rows)]
    return "".join(f"| {' | '.join(one)} |\n" for one in cells)


def write(rows: Sequence[Row]) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")


def long_run(seconds: float, seed: int) -> bool:
    """Fuzz our own server in all profiles; whether nothing was found."""
    sound = True
    for profile in ("normal", "deep", "hostile"):
        server = ours()
        try:
            campaign = fuzz(Server(Target.of(server.url)), seed=seed, seconds=seconds / 3, profile=profile)
        finally:
            server.kill()
        print(f"our server: {figures(campaign)}", flush=True)
        if campaign.told is not None:
            print("\n".join(everything(campaign)))
        clean = "Traceback" not in server.log
        if not clean:
            print(server.log[-4000:])
        sound = sound and clean and campaign.told is None
    return sound


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 where our server passed and every mutant was caught."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.run")
    parser.add_argument("--short", action="store_true", help="a part, in a minute and a half")
    parser.add_argument("--seconds", type=float, help="for our own server")
    parser.add_argument("--seed", type=int, default=None, help="of our own server's run; 1 with --short")
    parser.add_argument("--only", action="append", default=[], help="this mutant, and our server not at all")
    options = parser.parse_args(argv)
    seed = options.seed if options.seed is not None else 1 if options.short else secrets.randbelow(2**32)
    seconds = options.seconds or (45.0 if options.short else 600.0)
    sound = True if options.only else long_run(seconds, seed)
    rows = []
    for name in options.only or (SHORT if options.short else FAULTS):
        rows.append(caught(name))
        print(" | ".join(rows[-1].cells), flush=True)
    if not options.short and not options.only:
        write(rows)
    return 0 if sound and all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
