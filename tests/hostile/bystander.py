"""Somebody who just uses the chat, in its own process: `python -m tests.hostile.bystander ENTRANCE FIRST`, of JSON.

It pings at times fixed in advance, and a ping's latency counts from its time. Now and then it posts to a room of its
own and holds what comes back against what it sent. For each line on stdin it waits until all is answered, and prints
what it saw since the last one, as JSON.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from tests.benchmarks.framing import CLOSE, TEXT
from tests.benchmarks.pace import percentile

from .entrance import HOME, Entrance
from .wire import Broken, Frame, Raw, text

PINGS = 30  # a second
EVERY = 3  # pings, and then a message, too
PATIENCE = 10.0  # seconds for the answers that are still due
ROOM = "the quiet corner"


class Bystander:
    """One client, that notes what is not as it must be."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._fd = raw.sock.fileno()
        self._number = 0
        self._pinged: dict[int, float] = {}  # ping → the time that it was due
        self._posted: deque[str] = deque()  # contents that have not come back
        self._unacked: deque[int] = deque()
        self._seq = 0
        self._latencies: list[float] = []
        self._messages = 0
        self.faults: list[str] = []

    def act(self, due: float) -> None:
        """Send the next ping, and perhaps a message."""
        self._number += 1
        self._pinged[self._number] = due
        data = text(type="ping", id=self._number)
        if self._number % EVERY == 0:
            content = f"what the bystander said {self._number}"
            self._posted.append(content)
            self._unacked.append(-self._number)
            data += text(type="message", room=ROOM, content=content, id=f"m{self._number}")
        if not self._raw.push(data):
            raise Broken("nothing can be sent")

    def listen(self, until: float) -> None:
        """Take what comes, until then."""
        while (left := until - time.monotonic()) > 0:
            if self._raw.pending or select.select([self._fd], [], [], left)[0]:
                got = self._raw.next()
                if got is None:
                    raise Broken("the connection ended")
                self._take(*got)

    def settle(self) -> None:
        """Wait for what is due."""
        deadline = time.monotonic() + PATIENCE
        while (self._pinged or self._posted or self._unacked) and time.monotonic() < deadline:
            self.listen(min(deadline, time.monotonic() + 0.02))

    def report(self) -> dict[str, Any]:
        """What it saw since the last report."""
        if self._pinged:
            self.faults.append(f"{len(self._pinged)} pings were not answered within {PATIENCE:g} s")
        if self._posted or self._unacked:
            self.faults.append(f"{len(self._posted)} messages did not come back, {len(self._unacked)} were not acked")
        ordered = sorted(self._latencies)
        seen = {
            "pings": len(ordered),
            "p50": percentile(ordered, 0.5),
            "p99": percentile(ordered, 0.99),
            "slowest": percentile(ordered, 1.0),
            "messages": self._messages,
            "faults": self.faults,
        }
        self._latencies, self.faults, self._messages = [], [], 0
        self._pinged.clear()
        self._posted.clear()
        self._unacked.clear()
        return seen

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            raise Broken(f"closed with {int.from_bytes(payload[:2], 'big')}")
        if opcode != TEXT:
            return
        event = json.loads(payload)
        if event["type"] == "pong":
            due = self._pinged.pop(event["id"], None)
            if due is None:
                self.faults.append(f"a pong that nobody asked for: {event}")
            else:
                self._latencies.append(time.monotonic() - due)
        elif event["type"] == "ack":
            due_id = f"m{-self._unacked.popleft()}" if self._unacked else "none"
            if event["id"] != due_id:
                self.faults.append(f"an ack of {event['id']} instead of {due_id}")
        elif event["type"] == "message" and event["room"] == ROOM:
            self._message(event)
        elif event["type"] == "error":
            self.faults.append(f"an error: {event}")

    def _message(self, event: dict[str, Any]) -> None:
        self._messages += 1
        content = self._posted.popleft() if self._posted else "nothing"
        if event["content"] != content:
            self.faults.append(f"{event['content']!r} came back instead of {content!r}")
        if self._seq and event["seq"] != self._seq + 1:
            self.faults.append(f"seq {event['seq']} after {self._seq}")
        self._seq = event["seq"]


def main(entrance: Entrance, first: Frame) -> None:
    """Go on until stdin ends, or the connection does, which is the last fault to be told."""
    with suppress(PermissionError):
        os.nice(-10)  # the load beside it must not make it late
    raw = entrance.greet(first, source=HOME)
    raw.ask("join", id="join", room=ROOM)
    one = Bystander(raw)
    print(json.dumps({"ready": True}), flush=True)
    due = time.monotonic()
    ended = None
    while True:
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                break
            try:
                one.settle()
            except (Broken, TimeoutError) as error:
                ended = ended or f"the bystander was lost: {error}"
            if ended:
                one.faults.append(ended)
            print(json.dumps(one.report()), flush=True)
            due = time.monotonic()
        if ended:
            time.sleep(0.05)
            continue
        due += 1 / PINGS
        try:
            one.listen(due)
            one.act(due)
        except (Broken, TimeoutError) as error:
            ended = f"the bystander was lost: {error}"
    if not ended:
        raw.leave()


if __name__ == "__main__":
    main(Entrance(**json.loads(sys.argv[1])), json.loads(sys.argv[2]))
