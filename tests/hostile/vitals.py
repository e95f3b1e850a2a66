"""What the system says of a server process, and whether an attack left a trace in it."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path

import attrs

MIB = 1 << 20
WRONG = ("Traceback", "bug;", "bug in", "internal error", "Exception ignored")  # what a server must never log
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u0085\u2028\u2029]")  # one of these in a line is an attacker's


@attrs.frozen
class Vitals:
    """A process at a moment: CPU in seconds, memory in bytes, descriptors by what they are.

    `kept`: what `rss` was before the allocator gave back what it did not use.
    """

    at: float
    cpu: float
    rss: int
    peak: int
    threads: int
    descriptors: Counter[str]
    kept: int = 0


@attrs.frozen(kw_only=True)
class Bounds:
    """What an attack may leave behind, and cost the operator."""

    memory: float = 16.0  # MiB that RSS may have grown by; see `tests.hostile.run` on how it is judged
    peak: float = 256.0  # MiB more than before, at the worst moment
    lines: float = 0.1  # log lines per attempt
    more_lines: int = 12  # and in all, beside those
    line_chars: int = 300
    rest: float = 0.15  # of a core, more than before: what it may still do when it is over
    threads: int = 4  # more than before: Trio keeps idle ones for ten seconds
    settle: float = 20.0  # seconds after which all of it must hold
    ping: float = 2.0  # seconds that an answer to the bystander may take


def vitals(pid: int) -> Vitals:
    """Look at a process (proc(5)).

    Raises:
        OSError: there is none.
    """
    place = Path(f"/proc/{pid}")
    words = dict(re.findall(r"^(\w+):\s+(\d+)", (place / "status").read_text(), re.MULTILINE))
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    return Vitals(
        at=time.monotonic(),
        cpu=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        rss=int(words.get("VmRSS", 0)) * 1024,
        peak=int(words.get("VmHWM", 0)) * 1024,
        threads=int(words["Threads"]),
        descriptors=Counter(_kinds(place / "fd")),
    )


def _kinds(place: Path) -> list[str]:
    kinds = []
    for one in place.iterdir():
        try:
            kinds.append(re.sub(r":\[\d+\]$", "", str(one.readlink())))
        except OSError:  # it was closed meanwhile
            continue
    return kinds


def forget_peak(pid: int) -> None:
    """From now on `peak` is counted anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def traces(before: Vitals, now: Vitals, share: float, bounds: Bounds) -> list[str]:
    """What is not as it was before an attack; `share` of a core was in use just now, beyond what it was before."""
    found = []
    grown = (now.rss - before.rss) / MIB
    if grown > bounds.memory:
        found.append(f"memory: {grown:.1f} MiB more than before, of at most {bounds.memory:g}")
    if now.descriptors != before.descriptors:
        more = ", ".join(f"{count} more {kind}" for kind, count in (now.descriptors - before.descriptors).items())
        less = ", ".join(f"{count} less {kind}" for kind, count in (before.descriptors - now.descriptors).items())
        found.append(f"descriptors: {', '.join(filter(None, (more, less)))}")
    if now.threads > before.threads + bounds.threads:
        found.append(f"threads: {now.threads}, and {before.threads} before")
    if share > bounds.rest:
        found.append(f"CPU: {share:.2f} of a core more than before, though all is over")
    return found


def excess(before: Vitals, after: Vitals, bounds: Bounds) -> list[str]:
    """What was too much while it lasted."""
    peak = (after.peak - before.rss) / MIB
    return [f"memory: {peak:.0f} MiB more at its peak, of at most {bounds.peak:g}"] if peak > bounds.peak else []


def complaints(log: str, attempts: int | None, bounds: Bounds) -> list[str]:
    """What is wrong with what was logged during an attack; without `attempts`, nobody knows how many lines are due."""
    lines = log.splitlines()
    wrong = [f"logged: {log[max(0, log.find(words) - 200) :][:2000]}" for words in WRONG if words in log][:1]
    found = list(wrong)
    most = int(bounds.lines * (attempts or 0)) + bounds.more_lines
    if attempts is not None and len(lines) > most:
        found.append(f"log: {len(lines)} lines for {attempts} attempts, of at most {most}; the last: {lines[-1]}")
    longest = max(lines, key=len, default="")
    if len(longest) > bounds.line_chars and not wrong:
        found.append(f"log: a line of {len(longest)} characters: {longest[:200]}…")
    if CONTROL.search(log):
        found.append("log: a control character that a client sent")
    return found
