"""What a message costs, in what does not depend on the machine: system calls, and calls of Python functions.

The bounds are what it costs now, and a little more. Whoever makes it dearer has to say so here.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_chat.config import Config
from trio_chat.core.codec import Decoder
from trio_chat.core.effects import Received
from trio_chat.core.messages import Message, Private
from trio_chat.server import wire
from trio_chat.server.frames import FrameScanner

from .harness import command, house
from .test_broker import Desk, make_desk

MEMBERS, MESSAGES = 100, 10
BOUND_CROWD, BOUND_PRIVATE, BOUND_DECODE = 2.1, 60, 8  # calls of Python functions


class CountingOs:
    """`os`, as the wires use it."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(os, name)


def calls_of(work: Callable[[], object]) -> int:
    """How many functions of Python `work` calls; those in C are not counted."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def crowd(monkeypatch: pytest.MonkeyPatch, members: int) -> Desk:
    desk = make_desk(monkeypatch, messages_burst=1_000_000, presence_limit=0, max_attempts=1_000_000)
    for number in range(1, members + 1):
        desk.peer(number, f"user {number}")
    return desk


async def test_a_segment_is_one_read_and_a_member_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten messages that come together, to twenty members: 0.1 writes a delivery, and with the acks not one more."""
    async with house(messages_burst=1000) as server:
        peers = [await server.plug() for _ in range(20)]
        for number, peer in enumerate(peers):
            await peer.connect(f"user {number}")
        await trio.sleep(1)  # presence is told
        await wait_all_tasks_blocked()
        counting = CountingOs()
        monkeypatch.setattr(wire, "os", counting)
        await peers[0].send(*[command("message", content=f"{number}", id=number) for number in range(MESSAGES)])
        for peer in peers:
            contents = [(await peer.event("message"))["content"] for _ in range(MESSAGES)]
            assert contents == [f"{number}" for number in range(MESSAGES)]
        assert counting.calls["write"] <= len(peers)
        assert counting.calls["read"] == 1
        for peer in peers:
            await peer.drop()


def test_a_delivery_in_a_crowd_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Outbox.put` for each; all else is for the message (28 calls) and for the member (5), and they are shared."""
    desk = crowd(monkeypatch, MEMBERS)
    desk.broker.commands.send_nowait([Received(1, Message(content="x", id=n)) for n in range(MESSAGES)])

    calls = calls_of(desk.turn)

    deliveries = MEMBERS * MESSAGES
    assert calls / deliveries < BOUND_CROWD, calls


def test_a_private_message_takes_so_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Command, log, answer, ack, and two deliveries."""
    desk = crowd(monkeypatch, 2)
    desk.broker.commands.send_nowait([Received(1, Private(to="user 2", content="x", id=n)) for n in range(MESSAGES)])

    calls = calls_of(desk.turn)

    assert calls / MESSAGES < BOUND_PRIVATE, calls


def test_bytes_to_command_take_so_many_calls() -> None:
    limits = Config.of().limits
    decode = Decoder(content_chars=limits.content_chars, message_bytes=limits.max_message_bytes).decode
    scanner = FrameScanner(limits.max_message_bytes)
    data = b"".join(command("message", content="x" * 100, id=number) for number in range(MESSAGES))

    def work() -> None:
        scanner.feed(data)
        for text in scanner.take(MESSAGES):
            assert isinstance(decode(str(text)), Message)

    calls = calls_of(work)

    assert calls / MESSAGES < BOUND_DECODE, calls
