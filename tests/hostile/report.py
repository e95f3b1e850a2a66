"""The table of what was done to a server and what it did to others, and docs/hostile.md, which a run writes."""

from __future__ import annotations

import os
import platform
import ssl
from pathlib import Path

import attrs

from .scene import Outcome, all_attacks
from .vitals import MIB, Vitals
from .witness import Seen

HEAD = (
    "| attack | server | attempts | s | bystander's pings: p99, max (ms) | MiB more: held, kept by malloc, at peak "
    "| descriptors | log lines | verdict |\n| --- | --- | --: | --: | --: | --: | --: | --: | --- |"
)

PAGE = """# Under attack{short}

Written by `python -m tests.hostile.run --out {out}`; not typed by hand. [Security](security.md) says what bounds each.

A real server process, whose setting the table names (`tests/hostile/target.py` has them), is attacked in each of these
ways. A bystander is connected all the time: it pings thirty times a second, posts, and holds what comes back against
what it said; what it waited is the **worst effect on others**. When an attack is over, the server must be alive, answer
a newcomer, have its memory, its descriptors and its threads back within seconds, be at rest, and have logged neither a
traceback nor more or longer lines than the attack may cost. Memory is what it holds when the allocator gave back what
it does not use; the garbage collector is not helped. Faults that are planted into a server are found by the same judges
(`tests/hostile/test_hostile.py`).

{machine}

{table}

{summary}

## What each does

{purposes}
"""


@attrs.frozen
class Row:
    """One attack and what came of it; no faults: all held."""

    name: str
    setting: str
    outcome: Outcome
    seconds: float
    seen: Seen
    before: Vitals
    after: Vitals
    lines: int
    faults: list[str]
    remark: str = attrs.field()

    @remark.default
    def _remark(self) -> str:
        return self.outcome.remark

    @property
    def memory(self) -> float:
        """MiB more than before."""
        return (self.after.rss - self.before.rss) / MIB

    @property
    def verdict(self) -> str:
        """In a word, and the remark."""
        return " — ".join(filter(None, ("BROKEN" if self.faults else "held", self.remark)))

    def __str__(self) -> str:
        """A line for the progress, and one for each fault."""
        told = (
            f"{self.name}: {self.outcome.attempts} in {self.seconds:.1f} s, pings p99 {self.seen.p99 * 1000:.0f} ms, "
            f"max {self.seen.slowest * 1000:.0f} ms, {self.memory:+.1f} MiB, {self.lines} lines: {self.verdict}"
        )
        return "\n    ".join([told, *self.faults])


def table(rows: list[Row]) -> str:
    """Markdown."""
    return "\n".join([HEAD, *map(_line, rows)])


def _line(row: Row) -> str:
    before, after = row.before.descriptors.total(), row.after.descriptors.total()
    kept, peak = ((size - row.before.rss) / MIB for size in (row.after.kept or row.after.rss, row.after.peak))
    cells = (
        row.name,
        row.setting,
        f"{row.outcome.attempts:,}",
        f"{row.seconds:.1f}",
        f"{row.seen.p99 * 1000:.0f}, {row.seen.slowest * 1000:.0f}",
        f"{row.memory:+.1f}, {kept:+.1f}, {peak:+.1f}",
        f"{after - before:+d}" if after != before else "±0",
        f"{row.lines}",
        row.verdict.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"


def summary(rows: list[Row], seed: int, seconds: float, short: bool) -> str:
    """What it comes to, and every fault by itself."""
    broken = [row for row in rows if row.faults]
    attempts = sum(row.outcome.attempts for row in rows)
    mode = "short" if short else "long"
    told = (
        f"{len(rows)} attacks, {attempts:,} attempts, {seconds:.0f} s, {mode} mode, seed {seed}; broken: {len(broken)}"
    )
    return "\n".join([told, *(f"- {row.name}: {fault}" for row in broken for fault in row.faults)])


def page(rows: list[Row], told: str, out: Path, *, short: bool) -> str:
    """The page; `told` is the `summary`."""
    attacks = all_attacks()
    return PAGE.format(
        short=", in short" if short else "",
        out=out,
        machine=f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"{ssl.OPENSSL_VERSION}. Attackers and server share them.",
        table=table(rows),
        summary=told,
        purposes="\n".join(f"- **{row.name}**: {attacks[row.name].purpose}" for row in rows),
    )
