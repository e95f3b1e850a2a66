"""The trace player: a run as one HTML file that needs nothing else, for lessons and for reports of bugs."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from trio_chat.sim.run import Outcome

SERVER = ("server", "listener", "broker", "log")


def page(outcome: Outcome) -> str:
    """The file. Lanes are users, the server and its tasks (where steps were noted), and faults."""
    trace = outcome.trace
    tasks = {lane for _, lane in trace.steps}
    users = sorted({one.lane for one in trace.happenings} - {"server", "faults"}, key=_natural)
    connections = sorted(tasks - set(SERVER), key=lambda lane: (int(lane.rpartition(" ")[2]), lane))
    lanes = ["faults", *users, "server", *(lane for lane in SERVER[1:] if lane in tasks), *connections]
    findings = [str(finding) for finding in outcome.report.findings]
    data = {
        "title": f"Seed {outcome.seed}, {outcome.virtual:.0f} s, trace {outcome.digest}",
        "seconds": max(outcome.virtual, 0.001),
        "start": next((one.at for one in trace.happenings if one.lane == "faults"), 0.0),
        "lanes": lanes,
        "findings": findings,
        "happenings": [(one.at, one.lane, one.kind, one.text) for one in trace.happenings],
        "flights": sorted((one.sent, one.arrived, trace.links[one.link], one.up) for one in trace.flights),
        "steps": trace.steps,
    }
    text = msgspec.json.encode(data).decode().replace("<", "\\u003c")  # nobody's words end the element
    template = files("trio_chat.sim").joinpath("player.html").read_text(encoding="utf-8")
    return template.replace("{{data}}", text)


def _natural(name: str) -> tuple[str, int]:
    head, _, number = name.rpartition("-")
    return (head, int(number)) if number.isdecimal() else (name, 0)
