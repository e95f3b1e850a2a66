"""The bystander's process, seen from the suite; and whoever comes when an attack is over."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from typing import Any

import attrs

from tests.e2e.process import ROOT

from .entrance import HOME, Entrance
from .wire import Broken

PATIENCE = 30.0  # seconds for a report: those that it waits for answers itself, and some


@attrs.frozen
class Seen:
    """What a bystander saw: latencies in seconds."""

    pings: int
    p50: float
    p99: float
    slowest: float
    messages: int
    faults: list[str]


class Witness:
    """A bystander. Whoever makes one stops it.

    Raises:
        Broken: it was not let in.
    """

    def __init__(self, entrance: Entrance, name: str = "bystander") -> None:
        first = entrance.first(name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.bystander", *map(json.dumps, (attrs.asdict(entrance), first))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._line()
        except BaseException:
            self.stop()
            raise

    def report(self) -> Seen:
        """What it saw since the last report. Raises Broken where it says nothing."""
        assert self._process.stdin is not None
        try:
            print("report", file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise Broken("the bystander is gone") from None
        return Seen(**self._line())

    def stop(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise Broken(f"the bystander said nothing within {PATIENCE:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Broken("the bystander could not come in, or went away")
        found: dict[str, Any] = json.loads(line)
        return found


def newcomer(entrance: Entrance, name: str) -> list[str]:
    """Come in, ping, post and read it back: what of that does not work."""
    try:
        with entrance.enter(name, source=HOME) as raw:
            if (pong := raw.ask("ping", 1))["type"] != "pong":
                return [f"a newcomer's ping was answered {pong}"]
            ack = raw.ask("message", 2, content=f"{name} is here")
            if ack["type"] != "ack":
                return [f"a newcomer's message was answered {ack}"]
            page = raw.ask("history", 3, room="general", limit=10)
            said = [entry for entry in page["entries"] if entry["seq"] == ack["seq"]]
            if [entry.get("content") for entry in said] != [f"{name} is here"]:
                return [f"a newcomer's message is not in the history: {said}"]
            raw.leave()
    except (Broken, OSError, KeyError) as error:
        return [f"a newcomer was not served: {error!r}"]
    return []
