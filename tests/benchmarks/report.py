"""The page that a run writes, docs/benchmarks.md, and its plots; all of it from the record of the run."""

from __future__ import annotations

import math
import os
import platform
import re
from pathlib import Path
from statistics import median
from typing import Any

from .plots import bars, lines
from .scenarios import GROWTH, SCENARIOS, Column, Scenario
from .servers import OURS, PEER, SERVERS

BUSY = 0.8  # a load that needs more of its core is no measurement of the server

INTRO = """# Benchmarks{short}

{written}

Our server and its peers under the same load, in the same run. The peers speak the same part of the protocol, written
as a competent user of each library would, with one serialisation for each message. Server and load have a core each;
every round is a fresh process, and rounds are interleaved: all servers once, then all again. {figure}
**The figure to trust is the ratio** to `websockets` of the same round, as both had the same mood of the machine. The
load checks what it gets: `seq` without gaps, one `ack` for each message, before the sender's own copy, and nothing lost
or doubled.

CPU is that of one core: the server's, the load's while it measures, and `others`: what else ran on the machine, whose
figures are the less worth the more that is. A load that is no bottleneck stays under 80 %.

Our server runs with its limits on, but high; all its other duties (validation, presence, history) are done as ever.
`trio_chat` keeps its log in memory, `trio_chat, sqlite` in a file, which is the default.
"""

SHORT = ", short: a smoke test, not comparable with anything"
WRITTEN = "Written by `python -m tests.benchmarks.run --out {out}`; not typed by hand."
SHOWN = "Shown by `python -m tests.benchmarks.run`; nothing was written: `--out` names a file for this page."
MEDIAN = "A figure is the median\nof its rounds, with the lowest and highest in brackets."
SINGLE = "A figure is that of\nits only round."
RATIOS = """More is better in each column: of the open loop, whose figure is milliseconds, it is the peer's divided by
the server's. A dash: with one of the two the load needed {busy:.0%} of its core or more, which is no
measurement of a server; a scenario where that is so with all is left out.
"""
GROWING = """Microseconds of the server's CPU for one delivery; ours alone.

- **members** of one room, of whom one sends and keeps 10 messages under way: what a message costs by itself is shared
  by more deliveries, and from some hundred members on a delivery costs nearly the same.
- **rooms** of 10, one sender in each: 1,000 messages are under way in all, so it is 100, 10 and 2 in each room. The
  fewer they are, the fewer share one write, and it is the write that costs: this rises because of the load.
- **connections**, of which 1,000 are in 100 rooms with a sender each, and the rest say nothing: flat is right.
"""

Results = dict[str, list[dict[str, float]]]


def write(record: dict[str, Any], out: Path | None) -> str:
    """The page of a record, `attrs.asdict` of it. With `out` it is written there, and its plots beside it."""
    results: dict[str, Results] = record["results"]
    done = [one for one in SCENARIOS.values() if any(results.get(one.name, {}).values())]
    parts = [intro(record, out), machine(record), "## Ratios to `websockets`\n"]
    parts += [RATIOS.format(busy=BUSY), ratio_table(done, results)]
    parts += ["The same for each second of the server's CPU, which others on the machine disturb less:\n"]
    parts += [ratio_table(done, results, per_cpu=True)]
    plots = _plots(done, results)
    if "ratios" in plots and out is not None:
        parts.append(f"![Ratios]({out.stem}-ratios.svg)\n")
    for one in done:
        changed = record.get("options", {}).get(one.name, {})
        parts.append(section(one, results[one.name], record["errors"].get(one.name, {}), changed))
    if "growth" in plots and out is not None:
        parts += ["## Growth\n", GROWING, f"![Growth]({out.stem}-growth.svg)\n"]
    if record["missing"]:
        parts.append("## Not measured\n")
        parts += [f"- {name}: {reason}" for name, reason in record["missing"].items()]
    text = "\n".join(parts).rstrip() + "\n"
    if out is not None:
        out.write_text(text, encoding="utf-8")
        for name, svg in plots.items():
            out.with_name(f"{out.stem}-{name}.svg").write_text(svg, encoding="utf-8")
    return text


def intro(record: dict[str, Any], out: Path | None) -> str:
    """What all this is, and what was written."""
    return INTRO.format(
        short=SHORT if record.get("short") else "",
        written=SHOWN if out is None else WRITTEN.format(out=out),
        figure=SINGLE if record["rounds"] == 1 else MEDIAN,
    )


def machine(record: dict[str, Any]) -> str:
    """Where, and with what."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    lines = [
        "## Machine\n",
        f"- {model[1] if model else platform.machine()}, {os.cpu_count()} cores; Linux {platform.release()}",
        f"- Python {platform.python_version()}",
        *(f"- {name}: {version}" for name, version in record["versions"].items() if version),
    ]
    return "\n".join(lines) + "\n"


def busy(rounds: list[dict[str, float]]) -> bool:
    """Whether it was the load that was measured."""
    return bool(rounds) and median(one["load_cpu"] for one in rounds) >= BUSY


def ratios(scenario: Scenario, results: Results, server: str, *, per_cpu: bool = False) -> list[float]:
    """Of each round that both have: how many times better than the peer by the first column, or by it `per_cpu`.

    None where the load was busy with one of the two: then it was the load that was measured.
    """
    column = scenario.columns[0]
    if busy(results.get(server, [])) or busy(results.get(PEER, [])):
        return []

    def figure(one: dict[str, float]) -> float:
        return one[column.key] / (one["server_cpu"] or math.inf) if per_cpu else one[column.key]

    pairs = zip(results.get(server, []), results.get(PEER, []), strict=False)
    both = [(figure(ours), figure(theirs)) for ours, theirs in pairs]
    return [ours / theirs if column.more_is_better else theirs / ours for ours, theirs in both if ours and theirs]


def ratio_table(done: list[Scenario], results: dict[str, Results], *, per_cpu: bool = False) -> str:
    """A row for each server; more is better in each cell."""
    shown = [
        one
        for one in done
        if one.columns[0].more_is_better or not per_cpu
        if any(ratios(one, results[one.name], server, per_cpu=per_cpu) for server in SERVERS)
    ]
    rows = [["server", *(f"{one.name} ({one.columns[0].title})" for one in shown)]]
    for server in SERVERS:
        cells = [spread(ratios(one, results[one.name], server, per_cpu=per_cpu), ".2f") or "–" for one in shown]
        if any(results[one.name].get(server) for one in shown):
            rows.append([server, *cells])
    return markdown(rows)


def section(scenario: Scenario, results: Results, errors: dict[str, str], changed: dict[str, Any]) -> str:
    """One scenario's medians; `changed` are the options of this run that are not the scenario's own."""
    merged = {**scenario.options, **changed}
    told = [name for name in merged if name in changed or (isinstance(merged[name], int) and merged[name])]
    options = ", ".join(f"{name} {merged[name]:,}" for name in told)
    shown = [*scenario.columns]
    if all(column.key != "server_cpu" for column in shown):
        shown.append(Column("server_cpu", "server CPU", ".0%"))
    shown += [Column("load_cpu", "load CPU", ".0%"), Column("others", "others", ".0%")]
    rows = [["server", *(column.title for column in shown), "rounds"]]
    for server, rounds in results.items():
        if rounds:
            cells = [spread([one.get(column.key, 0) for one in rounds], column.form) for column in shown]
            rows.append([server, *cells, str(len(rounds))])
    notes = [f"- {server}: {reason.splitlines()[-1]}" for server, reason in errors.items()]
    notes += [
        f"- {server}: the load needed {BUSY:.0%} of its core or more: no measurement of the server."
        for server, rounds in results.items()
        if busy(rounds)
    ]
    return "\n".join([f"## {scenario.name}\n", f"{options}.\n" if options else "", markdown(rows), *notes, ""])


def spread(values: list[float], form: str) -> str:
    """The median, and the extremes where there are several; empty for none."""
    if not values:
        return ""
    middle = format(median(values), form)
    return middle if len(values) == 1 else f"{middle} ({format(min(values), form)} – {format(max(values), form)})"


def markdown(rows: list[list[str]]) -> str:
    """A table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- " + "| ---: " * (len(rows[0]) - 1) + "|")
    return "\n".join(lines) + "\n"


def growth(results: dict[str, Results]) -> dict[str, list[tuple[float, float]]]:
    """What grows → (how many of it, microseconds of CPU for one delivery)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for name in GROWTH:
        rounds = [one for one in results.get(name, {}).get(OURS, []) if one["deliveries_per_second"]]
        costs = [
            1e6 * one["server_cpu"] / one["deliveries_per_second"] for one in rounds if one["deliveries_per_second"]
        ]
        if costs:
            what, count = name.split()
            found.setdefault(what, []).append((float(count), median(costs)))
    return found


def _plots(done: list[Scenario], results: dict[str, Results]) -> dict[str, str]:
    plots = {}
    groups = {
        one.name: {server: median(found) for server in SERVERS if (found := ratios(one, results[one.name], server))}
        for one in done
        if one.columns[0].more_is_better
    }
    if groups := {name: group for name, group in groups.items() if group}:
        plots["ratios"] = bars(groups, f"Times {PEER}, logarithmic; more is better", OURS)
    if series := growth(results):
        plots["growth"] = lines(series, "µs of the server's CPU for one delivery")
    return plots
