"""Two hundred at once: what joins cost, and that all see one order."""

from __future__ import annotations

import time
from collections.abc import Callable

from .crowd import Crowd
from .process import Server

MANY, TALKING, LINES = 200, 20, 10
INTERVAL = 0.5  # the default presence_interval


def test_storm_of_joins_is_told_in_a_few_frames(start: Callable[..., Server]) -> None:
    """At most one `joined` and one list each interval; the last list is everybody, once (promise 8)."""
    server = start(
        *("--trusted-addresses", "127.0.0.0/8", "--presence-limit", "300", "--presence-interval", str(INTERVAL)),
    )
    with Crowd(server) as crowd:
        began = time.monotonic()
        members = crowd.add(f"user{number}" for number in range(MANY))
        crowd.run(
            lambda: all(any(told["total"] == MANY for told in member.of("user_list")) for member in members),
            "everybody's list of everybody",
        )
        told_at_most = (time.monotonic() - began) // INTERVAL + 2

        for member in members:
            assert len(member.of("system", "joined")) <= told_at_most
            assert len(member.of("user_list")) <= told_at_most
            assert member.of("system", "left") == []
            last = member.of("user_list")[-1]
            assert sorted(last["users"]) == sorted(one.name for one in members)
            heard = [name for told in member.of("system", "joined") for name in told["users"]]
            assert len(heard) == len(set(heard)), "nobody joins twice"


def test_all_see_what_twenty_say_in_one_order(start: Callable[..., Server]) -> None:
    """Without gaps, the senders too; each ack before its sender's own copy (promises 1 and 5)."""
    server = start("--trusted-addresses", "127.0.0.0/8")
    with Crowd(server) as crowd:
        members = crowd.add(f"user{number}" for number in range(MANY))
        for line in range(LINES):
            for member in members[:TALKING]:
                member.send(type="message", id=line, content=f"line {line} of {member.name}")
        crowd.run(
            lambda: all(len(member.of("message")) >= TALKING * LINES for member in members), "all that twenty said"
        )

        orders = [[(said["seq"], said["sender"], said["content"]) for said in one.of("message")] for one in members]
        assert [seq for seq, _sender, _content in orders[0]] == list(range(1, TALKING * LINES + 1))
        assert all(order == orders[0] for order in orders)
        for member in members[:TALKING]:
            own = [content for _seq, sender, content in orders[0] if sender == member.name]
            assert own == [f"line {line} of {member.name}" for line in range(LINES)], "what one says stays in order"
            kinds = [
                (frame["type"], frame["seq"])
                for frame in member.frames
                if frame["type"] == "ack" or frame.get("sender") == member.name
            ]
            assert [kind for kind, _seq in kinds].count("ack") == LINES
            acked = [seq for kind, seq in kinds if kind == "ack"]
            assert all(kinds.index(("ack", seq)) < kinds.index(("message", seq)) for seq in acked)
