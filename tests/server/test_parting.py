"""What a connection had not written when its session went on elsewhere is sent again there, and nothing else is."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from .harness import CLOSE, House, Lost, Peer, house, stop_turns

SIZE = 2_000  # bytes of a message, about
OPTIONS: dict[str, Any] = {"messages_burst": 1000, "outbox_frames": 64, "rooms_per_user": 16}


class Slow:
    """Alice, over a socket with small buffers, and bob, whom she hears."""

    def __init__(self, server: House, peer: Peer, bob: Peer, session: str) -> None:
        self.server, self.peer, self.bob, self.session = server, peer, bob, session
        self.said = 0

    @classmethod
    async def come(cls, server: House) -> Slow:
        """Both come."""
        peer = await server.plug(4096)
        session = (await peer.connect("alice"))["session"]
        return cls(server, peer, await server.join("bob"), session)

    async def hears(self, count: int) -> None:
        """Bob says something."""
        for _ in range(count):
            self.said += 1
            await self.bob.say("message", content="x" * SIZE, id=self.said)
            await self.bob.event("ack")
        await wait_all_tasks_blocked()

    async def half_written(self) -> None:
        """Her writer has begun a chunk of many messages, and the socket takes no more of it."""
        await self.hears(30)
        while (await self.peer.event("message"))["seq"] < 8:
            pass
        await wait_all_tasks_blocked()

    async def cut(self) -> None:
        """She is too slow."""
        await self.half_written()
        while not self.server.session(self.session).cut:
            await self.hears(1)

    async def read_on(self) -> int:
        """All that is still to be read: the last seq of it."""
        seq = 0
        with suppress(Lost):
            while True:
                opcode, payload = await self.peer.frame()
                if opcode == CLOSE:
                    break
                if b'"message"' in payload:
                    seq = int(payload.partition(b'"seq":')[2].partition(b",")[0].rstrip(b"}"))
        return seq

    async def back(self) -> Peer:
        """She comes back by her session alone."""
        again = self.server.knock()
        assert (await again.connect("", resume={"session": self.session}))["resumed"]
        return again

    async def check(self, again: Peer, got: int) -> None:
        """Each message that she has not got comes once."""
        assert 8 < got < self.said
        for seq in range(got + 1, self.said + 1):
            assert (await again.event("message"))["seq"] == seq
        await self.peer.drop()
        await again.drop()
        await self.bob.drop()
        await self.server.empty()


async def test_what_is_written_after_the_cut_is_not_sent_again(autojump_clock: MockClock) -> None:
    """What was begun when she was cut may still get out, and does if she reads on (promise 3)."""
    async with house(**OPTIONS) as server:
        alice = await Slow.come(server)
        await alice.cut()
        got = await alice.read_on()
        await alice.check(await alice.back(), got)


async def test_who_is_back_before_the_last_is_written_ends_that(autojump_clock: MockClock) -> None:
    """Else it would be sent twice, over each connection once."""
    async with house(**OPTIONS) as server:
        alice = await Slow.come(server)
        await alice.cut()
        again = await alice.back()
        await alice.check(again, await alice.read_on())


async def test_what_waited_for_a_connection_that_is_replaced_is_sent_again(autojump_clock: MockClock) -> None:
    """It was cut by nobody: perhaps its network is gone, and nobody was told."""
    async with house(**OPTIONS) as server:
        alice = await Slow.come(server)
        await alice.half_written()
        await alice.hears(5)
        again = await alice.back()
        await trio.sleep(2)
        await alice.check(again, await alice.read_on())


async def test_a_replaced_one_that_keeps_up_is_told(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a tab that somebody looks at: 4506 says that it is not to come back."""
    async with house(**OPTIONS) as server:
        alice, bob, again = await server.plug(), await server.join("bob"), server.knock()
        session = (await alice.connect("alice"))["session"]
        await again.open()
        stop_turns(monkeypatch, server)
        await bob.say("message", content="Hello!")
        await wait_all_tasks_blocked()
        await again.say("connect", resume={"session": session})
        await wait_all_tasks_blocked()
        monkeypatch.undo()
        server.broker.ring()  # both are of one turn
        assert (await alice.event("message"))["content"] == "Hello!"
        assert await alice.closed() == 4506
        for peer in (alice, bob, again):
            await peer.drop()
        await server.empty()


async def test_a_resume_that_is_refused_ends_nothing(autojump_clock: MockClock) -> None:
    """Whoever knows a session's token, and may not carry it on, takes nothing from who has it."""
    async with house(**OPTIONS) as server:
        alice = await Slow.come(server)
        await alice.half_written()
        server.session(alice.session).expires = 0.0  # long ago
        stranger = server.knock()
        await stranger.open()
        await stranger.say("connect", resume={"session": alice.session})
        assert (await stranger.event("error"))["code"] == "bad_token"
        while (await alice.peer.event("message"))["seq"] < alice.said:
            pass
        for peer in (stranger, alice.peer, alice.bob):
            await peer.drop()
        await server.empty()
