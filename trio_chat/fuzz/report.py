"""What a campaign found, in words, as JSON, as JUnit, and as a file that `--replay` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import msgspec

from trio_chat.fuzz.campaign import Campaign, Finding
from trio_chat.fuzz.machine import Outcome
from trio_chat.fuzz.steps import Plan

VERSION = 1
MAX_FILE = 16 << 20  # bytes
SHOWN_FLAKY = 3  # transcripts of what did not come again


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A file that `--replay` runs: a plan, and what it broke when it was written."""

    trio_chat_fuzz: int
    plan: Plan
    promise: str = ""
    text: str = ""
    what: str = ""
    transcript: list[str] = []


def number(count: int, what: str) -> str:
    """`1 step`, `2,000 steps`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def saved(outcome: Outcome) -> bytes:
    """An outcome as such a file."""
    broken = outcome.broken
    made = Saved(
        trio_chat_fuzz=VERSION,
        plan=outcome.plan,
        promise="" if broken is None else broken.promise.name,
        text="" if broken is None else broken.promise.text,
        what="" if broken is None else broken.what,
        transcript=outcome.transcript.shown(),
    )
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def load(path: Path) -> Saved:
    """Read such a file.

    Raises:
        ValueError: it is none; `str()` is one line that says why.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE)
        found = msgspec.json.decode(data, type=Saved)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no file of `trio-chat fuzz`: {error}") from None
    if found.trio_chat_fuzz != VERSION:
        raise ValueError(f"{str(path)!r} is of version {found.trio_chat_fuzz}, and this is {VERSION}")
    return found


def lines(finding: Finding) -> list[str]:
    """A finding for people: the shortest transcript, and the promise that it breaks."""
    outcome = finding.outcome
    broken = outcome.broken
    assert broken is not None
    how = " (flaky: it did not come again when the same was done)" if finding.flaky else ""
    return [
        f"{number(len(outcome.plan), 'step')}, found in example {finding.example}{how}:",
        *(f"  {line}" for line in outcome.transcript.shown()),
        f"{broken.promise} of docs/protocol.md is broken:",
        f"  {broken.promise.text}",
        broken.what,
    ]


def everything(campaign: Campaign) -> list[str]:
    """All that was found: what came again last, as that is what there is to do something about."""
    told = [line for finding in campaign.flaky[:SHOWN_FLAKY] for line in (*lines(finding), "")]
    more = campaign.flakes - SHOWN_FLAKY
    told += [f"{number(more, 'more failure')} did not come again", ""] if more > 0 else []
    return told[:-1] if campaign.finding is None else [*told, *lines(campaign.finding)]


def figures(campaign: Campaign) -> str:
    """A campaign in a line."""
    done = f"{number(campaign.examples, 'example')}, {number(campaign.steps, 'step')}, {campaign.seconds:.1f} s"
    found = ["1 promise broken"] if campaign.finding is not None else []
    found += [f"{number(campaign.flakes, 'failure')} that did not come again"] if campaign.flakes else []
    what = ", ".join(found) or "nothing found"
    return f"{done}, seed {campaign.seed}, profile {campaign.profile}: {what}"


def as_json(campaign: Campaign) -> dict[str, Any]:
    """A campaign for programs."""
    told: dict[str, Any] = {
        "seed": campaign.seed,
        "profile": campaign.profile,
        "examples": campaign.examples,
        "steps": campaign.steps,
        "seconds": round(campaign.seconds, 3),
        "found": None if campaign.told is None else _finding(campaign.told),
        "flaky": [_finding(finding) for finding in campaign.flaky],
        "flakes": campaign.flakes,
    }
    return told


def _finding(finding: Finding) -> dict[str, Any]:
    broken = finding.outcome.broken
    assert broken is not None
    return {
        "promise": broken.promise.name,
        "text": broken.promise.text,
        "what": broken.what,
        "flaky": finding.flaky,
        "example": finding.example,
        "plan": msgspec.to_builtins(finding.outcome.plan),
        "transcript": finding.outcome.transcript.shown(),
    }


def as_junit(campaign: Campaign, names: list[str]) -> str:
    """A campaign as JUnit's XML: one case a promise, each that was broken failed."""
    found: dict[str, Finding] = {}
    for finding in (*([] if campaign.finding is None else [campaign.finding]), *campaign.flaky):
        if finding.outcome.broken is not None:
            found.setdefault(finding.outcome.broken.promise.name, finding)
    cases = []
    for name in names:
        case = f'  <testcase classname="trio_chat.fuzz" name={quoteattr(name)}'
        broken = found[name].outcome.broken if name in found else None
        if broken is None:
            cases.append(f"{case}/>")
        else:
            told = quoteattr(_clean(broken.what))
            body = quoteattr(_clean("\n".join(lines(found[name]))))[1:-1]
            cases.append(f"{case}>\n    <failure message={told}>{body}</failure>\n  </testcase>")
    head = f'<testsuite name="trio-chat fuzz" tests="{len(names)}" failures="{len(found)}"'
    head += f' time="{campaign.seconds:.3f}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>", ""])


def _clean(text: str) -> str:
    """XML has no control characters."""
    return "".join(one if one == "\n" or one.isprintable() else "�" for one in text)
