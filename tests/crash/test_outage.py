"""The conversation through an outage, in seconds instead of a minute; and its verdict finds what is wrong."""

from __future__ import annotations

from pathlib import Path

import trio

from .harness import QUICK
from .outage import Person, converse, verdict
from .process import start


async def test_nothing_is_lost_through_an_outage(tmp_path: Path) -> None:
    """Both sides give the connection up; then it is resumed, and what was said meanwhile comes, in order and once."""
    flags = [word for pair in QUICK.items() for word in pair]
    flags += ["--log", f"sqlite:{tmp_path / 'log.db'}", "--ping-interval", "0.3", "--ping-timeout", "0.2"]
    lines: list[str] = []
    async with trio.open_nursery() as nursery:
        server = await start(nursery, 1, flags=flags, mark=tmp_path / "mark")
        assert await server.ready()
        url = f"ws://127.0.0.1:{server.port}/ws"
        wrong = await converse(url, before=0.5, outage=2.0, after=0.5, write=lines.append)
        await server.stop()

    assert wrong == [], "\n".join(lines)
    assert any("lost the connection" in line for line in lines), "\n".join(lines)
    assert any("resumed" in line for line in lines), "\n".join(lines)


def test_the_verdict_finds_what_is_wrong() -> None:
    """A loss, a double, another order, an ack that was not true."""
    ann = Person("ann", ["a1"], {"a1": 1}, [(1, "a1"), (2, "b1"), (3, "b2")])
    ben = Person("ben", ["b1", "b2"], {"b1": 2, "b2": 3}, [(1, "a1"), (2, "b1"), (3, "b2")])
    assert verdict(ann, ben) == []

    ben.heard = [(1, "a1"), (3, "b2"), (2, "b1"), (2, "b1")]
    ann.posted["a1"] = 7
    assert verdict(ann, ben) == [
        "ben heard 'b1' twice",
        "ben heard the entries [1, 3, 2, 2]",
        "what ben said is in another order: ['b2', 'b1', 'b1']",
        "'a1' was acked as 7, and came as 1",
        "they did not hear the same",
    ]
    ben.heard, ben.posted = [(1, "a1")], {}
    assert {"ben never heard 'b1'", "'b1' of ben was never acked"} <= set(verdict(ann, ben))
