"""More than is good of what is allowed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tests.benchmarks.framing import CLOSE

from ..scene import Scene, attack
from ..swarm import OPEN, Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, Frame, Raw, frame, text, upgrade
from .frames import LOGGED
from .noise import expect

AWAY = frame(CLOSE, (1001).to_bytes(2, "big"))
EACH = 2000  # commands of a client
DONE = frame(CLOSE, (1000).to_bytes(2, "big"))


@attack("command flood", bounds=Bounds(lines=LOGGED))
def command_flood(scene: Scene) -> int:
    """Clients that send 2,000 commands at once: each is answered once until 4005, and most are `rate_limited`."""
    kinds: Iterator[dict[str, Any]] = itertools.cycle(
        [
            {"type": "ping"},
            {"type": "message", "room": "flooded", "content": "x" * 300},
            {"type": "history", "room": "general", "limit": 200},
            {"type": "search", "query": "bystander"},
            {"type": "users", "room": "general"},
            {"type": "rooms", "limit": 200},
        ]
    )
    flood = b"".join(text(**next(kinds), id=number) for number in range(1, EACH + 1))
    raws = [Raw(scene.port, f"flooder {n}") for n in range(scene.count(40, 10))]
    try:
        with ThreadPoolExecutor(len(raws)) as pool:  # each reads while it sends: who did not would be too slow
            ends = list(pool.map(partial(_flood, flood), raws))
        for events, code in ends:
            answers = Counter(event["id"] for event in events if "id" in event)
            refused = sum(event.get("code") == "rate_limited" for event in events)
            if code != 4005 or refused < 100:
                raise Broken(f"a flood was closed with {code}, after {refused} refusals")
            if set(answers.values()) != {1}:
                raise Broken(f"some of a flood was answered more than once: {answers.most_common(3)}")
    finally:
        for raw in raws:
            raw.sock.close()
    return EACH * len(raws)


def _flood(data: bytes, raw: Raw) -> tuple[list[Frame], int]:
    raw.push(data)
    return raw.to_the_end()


@attack("joins and leaves", bounds=Bounds(lines=2, memory=32))
def joins_and_leaves(scene: Scene) -> int:
    """Clients that join and leave rooms of their own, and one that all share: told to others in few frames."""
    count, rounds = scene.count(100, 30), scene.count(20, 5)
    raws = [Raw(scene.port, f"stormer {n}") for n in range(count)]
    heard = 0
    try:
        for turn in range(rounds):
            for n, raw in enumerate(raws):
                room = f"own {n} {turn % 20}" if turn % 2 else "the square"
                raw.push(text(type="join", room=room, id=2 * turn + 1) + text(type="leave", room=room, id=2 * turn + 2))
        for raw in raws:
            while (event := raw.receive()).get("id") != 2 * rounds:
                if event["type"] == "error" and event["code"] not in ("rate_limited", "too_many_rooms", "not_in_room"):
                    raise Broken(f"a join or leave was answered {event}")
                heard += event.get("event") in ("joined", "left")
            raw.push(DONE)
        for raw in raws:
            raw.to_the_end()
    finally:
        for raw in raws:
            raw.sock.close()
    if heard > count * rounds:
        raise Broken(f"{heard} frames told of {count * rounds} joins and leaves")
    return 2 * count * rounds


@attack("connect churn", bounds=Bounds(lines=LOGGED, memory=48))
def connect_churn(scene: Scene) -> int:
    """20,000 who come and go at once, two of three after a `connect`, in every way of going."""

    def dials() -> Iterator[Dial]:
        for n in range(scene.count(20_000, 1000)):
            who = text(type="connect", username=f"churner {n}")
            ways = ((b"", "fin"), (b"", "rst"), (who + DONE, ""), (who + AWAY, ""), (who, "fin"), (who, "rst"))
            data, leave = ways[n % len(ways)]
            yield Dial(upgrade() + data, leave=leave)

    done = Swarm(scene.port, at_once=100).run(dials())
    expect(done, 101)
    return len(done)


@attack("one name, again and again", bounds=Bounds(lines=LOGGED))
def one_name(scene: Scene) -> int:
    """1,000 who take one name from each other, as each is lost: one session at a time, and it ends with the last."""
    count = scene.count(1000, 200)
    for _ in range(count):
        with Raw(scene.port, "everybody") as raw:
            if raw.welcome["user"] != "everybody":
                raise Broken(f"who took a name was welcomed as {raw.welcome['user']}")
            raw.push(AWAY)
            raw.to_the_end()
    return count


@attack("attempts of one address", setting="guarded", bounds=Bounds(lines=0.01, more_lines=40))
def attempts(scene: Scene) -> int:
    """5,000 upgrades from one address: some are let in, then 429 and 403, and nobody else is kept out."""
    done = Swarm(scene.port).run(Dial(upgrade(), "127.0.0.5", "") for _ in range(scene.count(5000, 1000)))
    statuses = Counter(one.status for one in done)
    if set(statuses) - {101, 403, 429} or statuses[101] > 20 * 2 or any(one.end == OPEN for one in done):
        raise Broken(f"they were answered {dict(statuses)}")
    return len(done)
