"""What a user comes back to: the session, its rooms and its read markers (promise 3, and what is kept beside the log).

The log promises that what was to be kept is not lost once an entry is committed that was posted after it; what a crash
comes before is therefore not held against the server, and only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from trio_chat.witness.evidence import Evidence
from trio_chat.witness.talks import is_part
from trio_chat.witness.transcript import Connection, End, Frame, brief, room_key

EDGE = 1.0  # seconds around the end of the resume window in which either is right


@attrs.define
class Fact:
    """Something that `process` said at `at`, and that was kept: `sure` if it was seen to outlive a process."""

    value: Any
    at: float
    process: int
    sure: bool = False

    def holds(self, evidence: Evidence, process: int) -> bool:
        """Whether it must be known to `process`."""
        return self.sure or self.process == process or evidence.kept_since(self.at, self.process)


class Sessions:
    """Follows all connections of one user in order. `unsure`: sessions that were not resumed, and need not be."""

    def __init__(self, evidence: Evidence, resume_window: float) -> None:
        self._evidence, self._window = evidence, resume_window
        self._session: Fact | None = None
        self._ended = False  # by a 1000
        self._seen: list[Fact] = []  # of each connection: when it was surely up last, as of its welcome
        self._rooms: dict[str, Fact] = {}  # room → whether we are in
        self._read: dict[str, Fact] = {}
        self.unsure = 0

    def follow(self, connections: Sequence[Connection]) -> None:
        """Go through them."""
        for connection in connections:
            welcome = connection.welcome
            if welcome is not None:
                self._welcomed(connection, welcome)
                self._during(connection)
            self._ended = self._ended or connection.end is End.LEFT or connection.goodbye
            answered = _answered(connection)
            if welcome is not None and answered:
                self._seen.append(Fact(max(answered), connection.lines[1].at, connection.process))

    def _welcomed(self, connection: Connection, welcome: Frame) -> None:
        evidence, session = self._evidence, self._session
        asked = connection.lines[0].frame.get("resume", {}).get("session")
        if session is not None and asked == session.value and not welcome["resumed"] and not self._ended:
            kept = [seen.value for seen in self._seen if seen.holds(evidence, connection.process)]
            away = connection.opened_at - max(kept, default=0.0)
            if away < self._window - EDGE and session.holds(evidence, connection.process):
                text = f"{connection.name}, process {connection.process}: not resumed, after {away:.1f} s"
                evidence.find("session", text, brief(connection.lines[0].frame), brief(welcome))
            else:
                self.unsure += 1
        if not welcome["resumed"]:
            self._session = Fact(welcome["session"], connection.lines[1].at, connection.process)
            self._ended, self._rooms, self._read = False, {}, {}
        else:
            if session is None or welcome["session"] != session.value:
                text = f"{connection.name}, process {connection.process}: resumed as another session"
                evidence.find("session", text, brief(welcome))
                self._session = session = Fact(welcome["session"], connection.lines[1].at, connection.process)
            session.sure = session.sure or session.process != connection.process
            if not welcome.get("more"):
                self._compare(connection, welcome)

    def _compare(self, connection: Connection, welcome: Frame) -> None:
        """Rooms and markers are as they were left."""
        evidence, process = self._evidence, connection.process
        told = {room_key(here["room"], connection.name): here for here in welcome["rooms"]}
        who = f"{connection.name}, process {process}"
        for room, fact in self._rooms.items():
            if is_part(room) or (room.startswith("@") and not fact.value):
                continue  # it ends with its guest; and who is in none may be written to at any time
            if fact.value is not None and fact.value != (room in told) and fact.holds(evidence, process):
                text = f"{who}: {room} was {'joined' if fact.value else 'left'}, and that is gone"
                evidence.find("session", text, f"welcome {sorted(told)}")
        for room, fact in self._read.items():
            if room in told and told[room].get("read", 0) < fact.value and fact.holds(evidence, process):
                evidence.find("session", f"{who}: {room} was read up to {fact.value}", f"welcome {told[room]}")
        welcomed_at = connection.lines[1].at
        for room in {*told, *self._rooms}:
            before = self._rooms.get(room)
            if before is None or before.value != (room in told):  # it may have come about a moment before
                self._rooms[room] = Fact(room in told, welcomed_at, process)
            else:
                before.sure = before.sure or before.process != process

    def _during(self, connection: Connection) -> None:
        asked: dict[Any, tuple[int, Frame]] = {}
        left: dict[str, int] = {}  # room → number of the last line that leaves it, and …
        joined: dict[str, int] = {}  # … that joins it
        for number, line in enumerate(connection.lines):
            frame = line.frame
            if line.ours:
                if "id" in frame:
                    asked[frame["id"]] = number, frame
                room = room_key(frame.get("room", "general"), connection.name)
                if frame["type"] == "leave":
                    left[room] = number
                    self._read.pop(room, None)
                if frame["type"] in ("join", "message"):
                    joined[room] = number
                known = self._rooms.get(room)
                if frame["type"] in ("join", "leave") or (
                    frame["type"] == "message" and (known is None or known.value is not True)
                ):
                    self._rooms[room] = Fact(None, line.at, connection.process)
            elif frame["type"] == "ack" and frame["id"] in asked:
                sent, command = asked[frame["id"]]
                room = room_key(command.get("room", "general"), connection.name)
                overtaken = command["type"] == "leave" and sent < joined.get(room, -1)  # it brings us in again
                if sent >= left.get(room, -1) and not overtaken:
                    self._acked(command, room, Fact(True, line.at, connection.process))

    def _acked(self, command: Frame, room: str, fact: Fact) -> None:
        match command["type"]:
            case "join":
                known = self._rooms.get(room)
                if known is None or known.value is not True:
                    self._rooms[room] = fact
            case "leave":
                self._rooms[room] = attrs.evolve(fact, value=False)
            case "message":
                self._rooms[room] = attrs.evolve(fact, sure=True)
            case "read":
                known = self._read.get(room)
                if known is None or known.value < command["seq"]:
                    self._read[room] = attrs.evolve(fact, value=command["seq"])


def _answered(connection: Connection) -> list[float]:
    """When commands were sent that were answered: the connection was up then. What is heard may be of a dead one."""
    asked = {line.frame["id"]: line.at for line in connection.lines if line.ours and "id" in line.frame}
    answers = [line.frame.get("id") for line in connection.lines if not line.ours]
    return [asked[number] for number in answers if number in asked]
