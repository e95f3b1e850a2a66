"""The table of what was done to a server, and what it did to others."""

from __future__ import annotations

import attrs

from .scene import Outcome
from .vitals import MIB, Vitals
from .witness import Seen

HEAD = (
    "| attack | server | attempts | s | bystander's pings: p99, max (ms) | MiB more: held, kept by malloc, at peak "
    "| descriptors | log lines | verdict |\n| --- | --- | --: | --: | --: | --: | --: | --: | --- |"
)


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
