"""Clients of the seed system work unchanged, though they know nothing of what is new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from .client import SECONDS
from .process import Server
from .seed_client import SeedClient


def arrived(client: SeedClient) -> bool:
    """Whether it knows where it stands."""
    return client.connected or client.rejected


@asynccontextmanager
async def browsers(server: Server, *names: str) -> AsyncIterator[list[SeedClient]]:
    """Clients that came one after the other, and see each other."""

    async def dial() -> trio.abc.Stream:
        return await trio.open_tcp_stream(server.host, server.port)

    clients = [SeedClient(name, dial, first_delay=0.1) for name in names]
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
                await client.until(partial(arrived, client))
            yield clients
            nursery.cancel_scope.cancel()


async def test_two_meet_and_talk(server: Server) -> None:
    async with browsers(server, "alice", "bob") as (alice, bob):
        assert alice.got("system")[0]["content"] == "Welcome alice!"
        for client in (alice, bob):
            await client.until(partial(client.got, "user_list", users=["alice", "bob"]))
        assert any("bob" in told["users"] for told in alice.got("system", event="joined"))

        await alice.say("message", content="hello everybody")
        for client in (alice, bob):
            await client.until(partial(client.got, "message"))
            (said,) = client.got("message")
            assert (said["sender"], said["content"]) == ("alice", "hello everybody")

        await bob.say("private", to="alice", content="hello alice")
        for client in (alice, bob):
            await client.until(partial(client.got, "private"))
            (said,) = client.got("private")
            assert (said["from"], said["sender"], said["to"], said["content"]) == ("bob", "bob", "alice", "hello alice")

        await bob.say("typing", to="alice")
        await bob.say("typing", room="general", isTyping=True)
        await alice.until(lambda: len(alice.got("typing", **{"from": "bob", "isTyping": True})) == 2)
        await alice.say("ping")
        await alice.until(lambda: alice.got("pong"))
        assert bob.got("typing") == bob.got("pong") == []
        assert all("id" not in line.frame for client in (alice, bob) for line in client.lines)
        assert not any(client.got("error") or client.got("ack") for client in (alice, bob))

        await bob.hang_up(1000)
        await alice.until(lambda: alice.got("system", event="left"))
        assert alice.got("system", event="left")[0]["content"] == "bob left"
        await alice.until(lambda: alice.users == ["alice"])


async def test_taken_name_is_final(server: Server) -> None:
    """The one error that holds the word that seed clients look for; they do not come back."""
    async with browsers(server, "alice", "alice") as (alice, late):
        assert late.rejected
        await late.until(lambda: late.closes)
        assert late.closes == [4502]
        assert not alice.closes


async def test_other_errors_are_not_final(server: Server) -> None:
    async with browsers(server, "alice") as (alice,):
        await alice.say("private", to="nobody", content="is nobody there")
        await alice.say("nonsense")
        await alice.until(lambda: len(alice.got("error")) == 2)
        assert not alice.rejected
        await alice.say("ping")
        await alice.until(lambda: alice.got("pong"))


async def test_comes_back_by_name_after_any_close(server: Server) -> None:
    async with browsers(server, "alice", "bob") as (alice, bob):
        for code in (1005, 1001, 3000):
            await bob.hang_up(code)
            await bob.until(lambda: not bob.connected)
            await bob.until(lambda: bob.connected)
        assert bob.closes == [1005, 1001, 3000]
        await alice.say("message", content="there you are again")
        await bob.until(lambda: bob.got("message"))
        assert len(bob.got("message")) == 1
        assert len(bob.got("system", event="welcome", resumed=False)) == 4
