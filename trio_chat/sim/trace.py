"""All that happened in a simulation, in order, and one number that stands for it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import msgspec
import trio

from trio_chat.witness.transcript import Connection, brief


@attrs.frozen
class Happening:
    """At `at` (seconds) something happened in a lane: a user's, the server's, the disk's, or that of faults."""

    at: float
    lane: str
    kind: str
    text: str


@attrs.frozen
class Flight:
    """Bytes that went from one lane to another: `size` of them on link `link`."""

    sent: float
    arrived: float
    link: int
    up: bool
    size: int


@attrs.define
class Trace:
    """What happened, as it happened; see `digest`."""

    happenings: list[Happening] = attrs.field(factory=list)
    flights: list[Flight] = attrs.field(factory=list)
    links: dict[int, str] = attrs.field(factory=dict)  # number → whose
    steps: list[tuple[float, str]] = attrs.field(factory=list)  # when which task of the server ran, if that is noted
    warnings: list[str] = attrs.field(factory=list)  # what the server logged as an error

    def note(self, lane: str, kind: str, text: str) -> None:
        """Something happens now."""
        self.happenings.append(Happening(trio.current_time(), lane, kind, text))

    def talk(self, connections: Iterable[Connection]) -> None:
        """Put in all that users said and heard."""
        for connection in connections:
            for line in connection.lines:
                kind = "says" if line.ours else "hears"
                self.happenings.append(Happening(line.at, connection.name, kind, brief(line.frame)))
        self.happenings.sort(key=lambda one: one.at)  # stable: at one moment, in the order in which they were noted

    @property
    def digest(self) -> str:
        """The same for the same run, on any machine and at any `PYTHONHASHSEED`."""
        made = msgspec.json.encode([[attrs.astuple(one) for one in many] for many in (self.happenings, self.flights)])
        return hashlib.sha256(made).hexdigest()[:16]


class _Lines(logging.Handler):
    """What the server logs is a part of the trace."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.DEBUG)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._trace.note("server", record.levelname.lower(), text)
        if record.levelno >= logging.ERROR or record.exc_info:
            raised = "" if record.exc_info is None else f": {record.exc_info[1]!r}"
            self._trace.warnings.append(f"{text}{raised}")


@contextmanager
def logged(trace: Trace) -> Iterator[None]:
    """Let the server's log lines go into the trace, and nowhere else."""
    logger = logging.getLogger("trio_chat")
    handler = _Lines(trace)
    before: dict[str, Any] = {"level": logger.level, "propagate": logger.propagate}
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before["level"])
        logger.propagate = before["propagate"]
