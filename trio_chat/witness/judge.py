"""One checker of what clients saw of a server that was killed, cut off or moved: every promise of PROTOCOL.md.

It knows transcripts only, so that it judges any server of the protocol, of one process or of many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from trio_chat.witness.evidence import Claim, Evidence, Finding, Shown, committed_until, names_of_several
from trio_chat.witness.folding import fold
from trio_chat.witness.following import Follower, Memory
from trio_chat.witness.places import Places
from trio_chat.witness.sessions import Sessions
from trio_chat.witness.talks import Talks, is_part, whole
from trio_chat.witness.transcript import Connection, Frame, brief

PRINTED = 10  # findings of a report
Logs: TypeAlias = Mapping[str, "Log"]


@attrs.frozen
class Log:
    """What a room's log holds in the end: `first` … `last`, read when nobody wrote any more."""

    epoch: str
    first: int
    last: int
    entries: tuple[Frame, ...]


@attrs.define
class Report:
    """What came out. `acked`: places; `lost` of them; `duplicated`: posts that are in the log twice."""

    acked: int = 0
    lost: int = 0
    duplicated: int = 0
    unanswered: int = 0  # posts that a crash left without an answer …
    committed: int = 0  # … and that are in the log all the same
    shown: int = 0
    resumed: int = 0
    lagged: int = 0
    unsure: int = 0  # sessions that were too young to survive a crash
    talks: int = 0  # conversations of two …
    parted: int = 0  # … of which so many had a guest who was several users, and are judged one by one
    ended: int = 0  # entries of those that are gone: perhaps rightly, with their guest
    unplaced: int = 0  # entries of those of which nothing said where they are, and that are left out
    findings: list[Finding] = attrs.field(factory=list)

    def __str__(self) -> str:
        """The figures in a line, and the first findings below."""
        figures = ", ".join(f"{name} {getattr(self, name)}" for name in FIGURES)
        more = len(self.findings) - PRINTED
        lines = [figures, *map(str, self.findings[:PRINTED])]
        return "\n".join([*lines, f"… and {more} more"] if more > 0 else lines)


FIGURES = [field.name for field in attrs.fields(Report) if field.name != "findings"]


def check(connections: Iterable[Connection], logs: Logs, *, resume_window: float = 600) -> Report:
    """Judge all connections of all users; `logs` by room as `room_key` names it, of all rooms that there are."""
    everything = sorted(connections, key=lambda one: one.opened_at)
    several = names_of_several(everything)
    talks = Talks(everything, several)
    ordered = [talks.apart(one) for one in everything]
    evidence = Evidence(committed_until(ordered), several)
    report = Report()
    users: dict[str, list[Connection]] = {}
    for connection in ordered:
        users.setdefault(connection.name, []).append(connection)
    for own in users.values():
        memory = Memory()
        for connection in own:
            Follower(connection, memory, evidence).follow()
        sessions = Sessions(evidence, resume_window)
        sessions.follow(own)
        report.unsure += sessions.unsure
    logs = {talks.part(room, log.epoch): log for room, log in logs.items()}
    for room, log in logs.items():
        _final(room, log, evidence)
    places = Places(evidence)
    places.check()
    _claims(evidence)
    _epochs(evidence, logs)
    report.lost, report.ended = _survivors(places, logs, evidence, talks)
    _count(report, ordered, places, evidence)
    spoken = {place.room for place in places.first_shown if place.room.startswith("@")}
    report.talks, report.unplaced = len({*map(whole, spoken)}), talks.unplaced
    report.parted = len({whole(room) for room in spoken if is_part(room)})
    report.findings = evidence.findings
    return report


def _final(room: str, log: Log, evidence: Evidence) -> None:
    """What is held in the end counts as shown to somebody who came after everything."""
    seqs = [entry["seq"] for entry in log.entries]
    if seqs != list(range(log.first, log.last + 1)):
        evidence.find("gap", f"{room}: the log of {log.first} to {log.last} holds {seqs[:3]} … {seqs[-3:]}")
    end = float("inf")
    for entry in log.entries:
        evidence.shown.append(Shown(Places.place(room, log.epoch, entry), entry, "the log", end, end))
    fold(room, log.entries, evidence)


def _claims(evidence: Evidence) -> None:
    """Whoever comes later is never told a shorter log."""
    seen: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for shown in sorted(evidence.shown, key=lambda one: one.at):
        highest = seen.setdefault((shown.place.room, shown.place.epoch), [])
        if not highest or shown.place.seq > highest[-1][1]:
            highest.append((shown.at, shown.place.seq))
    told: set[tuple[str, str, int]] = set()
    for claim in evidence.claims:
        known = _known_before(claim, seen.get((claim.room, claim.epoch), ()))
        if claim.last < known and (claim.room, claim.epoch, claim.last) not in told:
            told.add((claim.room, claim.epoch, claim.last))
            text = f"{claim.room} {claim.epoch}: {claim.by} is told last {claim.last}, and {known} was there before"
            evidence.find("tail", text)


def _known_before(claim: Claim, highest: Sequence[tuple[float, int]]) -> int:
    low, high = 0, len(highest)
    while low < high:
        middle = (low + high) // 2
        if highest[middle][0] < claim.since:
            low = middle + 1
        else:
            high = middle
    return highest[low - 1][1] if low else 0


def _epochs(evidence: Evidence, logs: Logs) -> None:
    """A room has one epoch; but a conversation ends with its guests, and a room that never held anything is closed."""
    epochs: dict[str, dict[str, None]] = {room: {log.epoch: None} for room, log in logs.items() if log.last}
    for claim in evidence.claims:
        if claim.last:
            epochs.setdefault(claim.room, {})[claim.epoch] = None
    for shown in evidence.shown:
        epochs.setdefault(shown.place.room, {})[shown.place.epoch] = None
    for room, found in epochs.items():
        if len(found) > 1:
            evidence.find("epoch", f"{room} had the epochs {', '.join(found)}")


def _survivors(places: Places, logs: Logs, evidence: Evidence, talks: Talks) -> tuple[int, int]:
    """What was ever shown or acked is in the log, or before its beginning.

    Returns how many that were acked are not, and how many are in no log because their conversation may have ended.
    """
    lost = ended = 0
    for place, shown in places.first_shown.items():
        log = logs.get(place.room)
        gone = log is None or log.epoch != place.epoch or place.seq > log.last
        if log is None and is_part(place.room) and not talks.lasts(place.room):
            ended += 1
        elif gone:
            acked = place in places.acked
            lost += acked
            holds = "nothing" if log is None else f"{log.epoch}:{log.first} to {log.last}"
            text = f"{place} was {'acked' if acked else 'shown'} to {shown.by}, and the log holds {holds}"
            evidence.find("lost" if acked else "tail", text, brief(shown.frame))
    return lost + sum(place in places.acked for place in places.contradicted), ended


def _count(report: Report, connections: Sequence[Connection], places: Places, evidence: Evidence) -> None:
    report.acked = len(places.acked)
    report.duplicated = sum(finding.kind == "twice" for finding in evidence.findings)
    report.shown = len(evidence.shown)
    for content in evidence.sent:
        if content not in places.acked_contents:
            report.unanswered += 1
            report.committed += content in places.posts
    for connection in connections:
        welcome = connection.welcome
        report.resumed += welcome is not None and welcome["resumed"]
        report.lagged += sum(line.frame.get("event") == "lagged" for line in connection.lines)
