"""The driver in virtual time: connecting, silence, coming back, catching up, leaving, and what is raised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.client.fake import FakeServer, Frame, Peer
from tests.client.test_session import DEN, message, said
from trio_chat.client import (
    ChatClient,
    ConnectionEnded,
    Disconnected,
    Message,
    Position,
    Posted,
    Unknown,
    Welcomed,
    open_chat_client,
)
from trio_chat.client.connection import Target, Wire

WELCOMED = Welcomed(user="ann", resumed=False, rooms={})
Part = Callable[[Peer], Awaitable[None]]
STEPS = 60  # of the scheduler, enough to connect
VIRTUAL_SECONDS = 1000.0  # when nothing happens any more, a test fails


@asynccontextmanager
async def playing(*parts: Part | Exception, **options: Any) -> AsyncIterator[tuple[ChatClient, FakeServer]]:
    """A client of a server that plays `parts`."""
    with trio.fail_after(VIRTUAL_SECONDS):
        async with trio.open_nursery() as nursery:
            server = FakeServer(nursery, *parts)
            async with open_chat_client(
                "ws://host/ws", "ann", connect=server.dial, jitter=lambda: 0.5, **options
            ) as client:
                yield client, server
            nursery.cancel_scope.cancel()


async def stay(peer: Peer) -> None:
    """Let the client in, and answer `ping`."""
    await peer.let_in()
    await answer(peer)


async def answer(peer: Peer) -> None:
    """Answer what comes until the client closes."""
    while peer.ws.closed is None:
        frame = await peer.read()
        if frame["type"] == "ping":
            await peer.write({"type": "pong", "id": frame["id"]})
        else:
            await peer.write({"type": "ack", "id": frame["id"], "room": "den", "epoch": "e", "seq": 6})


# --- The first connection --------------------------------------------------------------------------------------------


async def test_the_first_connection(autojump_clock: MockClock) -> None:
    connects: list[object] = []

    async def part(peer: Peer) -> None:
        connects.extend([await peer.let_in(), peer.path, peer.subprotocols])
        await answer(peer)

    async with playing(part) as (client, _):
        assert client.user == "ann"
        assert await anext(client) == WELCOMED
        assert await client.ping() == 0.0
    assert connects == [{"type": "connect", "id": 0, "username": "ann"}, "/ws", ("chat",)]


async def test_a_server_that_cannot_be_reached_is_an_oserror_at_once(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRefusedError, match="nobody")):
        async with playing(ConnectionRefusedError("nobody")):
            raise AssertionError("never reached")


async def test_whoever_waits_comes_in_later(autojump_clock: MockClock) -> None:
    async with playing(OSError("away"), OSError(), stay, wait=True) as (client, server):
        assert server.dialled == [0.0, 1.5, 4.0]
        assert [await anext(client) for _ in range(3)] == [
            Disconnected(code=None, reason="away", delay=1.5),
            Disconnected(code=None, reason="OSError", delay=2.5),
            WELCOMED,
        ]


async def test_waiting_can_be_cancelled(autojump_clock: MockClock) -> None:
    with trio.move_on_after(2.0) as scope:
        async with playing(OSError(), OSError(), wait=True):
            raise AssertionError("never reached")
    assert scope.cancelled_caught
    assert trio.current_time() == 2.0


async def refuse(peer: Peer, code: int = 4502) -> None:
    await peer.read()
    await peer.write({"type": "error", "code": "username_taken", "content": "Username is already taken"})
    await peer.ws.aclose(code)


@pytest.mark.parametrize("wait", [True, False])
async def test_a_server_that_does_not_let_us_in_is_not_waited_for(wait: bool, autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ConnectionEnded, match="4502: Username is already taken")):
        async with playing(refuse, wait=wait):
            raise AssertionError("never reached")


async def test_one_that_drains_is_waited_for_only_on_request(autojump_clock: MockClock) -> None:
    drain = partial(refuse, code=4001)
    with pytest.RaisesGroup(pytest.RaisesExc(ConnectionEnded, match="4001: draining")):
        async with playing(drain):
            raise AssertionError("never reached")
    async with playing(drain, stay, wait=True) as (client, _):
        assert (await client.ping()) == 0.0


async def silent(_: Peer) -> None:
    await trio.sleep_forever()


async def test_each_step_of_connecting_is_bounded(autojump_clock: MockClock) -> None:
    async def no_stream() -> NoReturn:
        await trio.sleep_forever()

    async def no_upgrade() -> trio.abc.Stream:
        streams.append(memory_stream_pair())
        return streams[-1][0]

    streams: list[tuple[trio.abc.Stream, trio.abc.Stream]] = []
    for connect, reason in ((no_stream, "not reached within 3 s"), (no_upgrade, "no answer within 3 s")):
        started = trio.current_time()
        with pytest.raises(TimeoutError, match=reason):
            async with open_chat_client("ws://host", "ann", connect=connect, timeout=3.0):
                raise AssertionError("never reached")
        assert trio.current_time() - started == 3.0
    with pytest.RaisesGroup(pytest.RaisesExc(TimeoutError, match="no answer within 3 s")):
        async with playing(silent, timeout=3.0):
            raise AssertionError("never reached")


async def test_a_server_that_goes_away_within_the_handshake_is_noticed_at_once(autojump_clock: MockClock) -> None:
    async def connect() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await ours.aclose()
        return theirs

    with pytest.raises(ConnectionEnded, match="1006: lost"):
        async with open_chat_client("ws://host", "ann", connect=connect):
            raise AssertionError("never reached")
    assert trio.current_time() == 0.0


async def reply(answer: bytes) -> trio.abc.Stream:
    """A server that says this, whatever is asked."""
    ours, theirs = memory_stream_pair()
    await ours.send_all(answer)
    return theirs


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nNothing\n", "404: Nothing"),
        (b"HTTP/1.1 503 Full\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "503: refused"),
        (b"HTTP/1.1 429 Slowly\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n", "429"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "1006: lost"),
    ],
)
async def test_what_is_no_upgrade_is_raised_at_once(answer: bytes, words: str, autojump_clock: MockClock) -> None:
    with pytest.raises(ConnectionEnded, match=words):
        async with open_chat_client("ws://host", "ann", connect=partial(reply, answer)):
            raise AssertionError("never reached")


async def test_retry_after_is_kept(autojump_clock: MockClock) -> None:
    full = b"HTTP/1.1 503 Full\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    async with trio.open_nursery() as nursery:
        server = FakeServer(nursery, stay)
        streams: list[Callable[[], Awaitable[trio.abc.Stream]]] = [partial(reply, full), server.dial]

        async def connect() -> trio.abc.Stream:
            return await streams.pop(0)()

        async with open_chat_client("ws://host", "ann", connect=connect, wait=True, jitter=lambda: 0.5) as client:
            assert await anext(client) == Disconnected(code=503, reason="refused", delay=7.5)
        assert server.dialled == [7.5]
        nursery.cancel_scope.cancel()


NO_URLS = ["http://host/ws", "ws:///ws", "host", "", "ws://host:0", "ws://host:99999", "ws://[::1/ws", "ws://a..b/ws"]


@pytest.mark.parametrize("url", [*NO_URLS, f"ws://{'a' * 64}/ws", "ws://host/é", "ws://host/a b", "ws://host/\n"])
async def test_what_is_no_url(url: str, autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="no WebSocket URL"):
        async with open_chat_client(url, "ann"):
            raise AssertionError("never reached")


async def test_an_inbox_holds_something(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="inbox"):
        async with open_chat_client("ws://host", "ann", inbox=0):
            raise AssertionError("never reached")


def test_targets() -> None:
    assert Target.of("ws://host") == Target("host", 80, "/ws", tls=False)
    assert Target.of("wss://host/chat?a=b") == Target("host", 443, "/chat?a=b", tls=True)
    assert Target.of("wss://host").header == "host"
    assert Target.of("ws://[::1]:8080").header == "[::1]:8080"
    assert Target.of("ws://host").with_ticket("a/b+c=") == "/ws?ticket=a%2Fb%2Bc%3D"
    assert Target.of("ws://host/ws?a=b").with_ticket("t") == "/ws?a=b&ticket=t"
    assert Target.of("ws://host").with_ticket(None) == "/ws"


# --- Coming back -----------------------------------------------------------------------------------------------------


async def vanish(peer: Peer) -> None:
    """Let the client in, and cut the connection at its first command."""
    await peer.let_in(DEN)
    await peer.read()


async def test_a_command_waits_for_its_answer_over_a_lost_connection(autojump_clock: MockClock) -> None:
    seen: list[Frame] = []

    async def later(peer: Peer) -> None:
        seen.append(await peer.let_in(DEN))
        seen.append({"path": peer.path})
        seen.append(await peer.read())
        await peer.write({"type": "ack", "id": seen[-1]["id"], "room": "den", "epoch": "e", "seq": 6})
        await answer(peer)

    async with playing(vanish, later, new_key=lambda: "key") as (client, server):
        assert await client.send_message("hi", "den") == Posted(seq=6, room="den", epoch="e")
        assert server.dialled == [0.0, 1.5]
        assert (await anext(client), await anext(client)) == (
            Welcomed(user="ann", resumed=False, rooms=seen_places(5)),
            Disconnected(code=1006, reason="lost", delay=1.5),
        )
    assert seen == [
        {"type": "connect", "id": 0, "username": "ann",
         "resume": {"session": "s", "rooms": {"den": {"epoch": "e", "seq": 5}}}},
        {"path": "/ws?ticket=t"},
        {"type": "message", "id": 1, "content": "hi", "room": "den", "key": "key"},
    ]  # fmt: skip


def seen_places(seq: int) -> Any:
    return {"den": Position(epoch="e", seq=seq)}


async def test_a_command_that_is_cancelled_before_it_was_sent_never_is(autojump_clock: MockClock) -> None:
    seen: list[str] = []

    async def later(peer: Peer) -> None:
        await peer.let_in()
        seen.append((await peer.read())["type"])
        await peer.write({"type": "pong", "id": 2})
        await peer.closed()

    async def cut(peer: Peer) -> None:
        await peer.let_in()

    async with playing(cut, later) as (client, _):
        await anext(client)
        await anext(client)  # disconnected
        with trio.move_on_after(0.5):
            await client.typing("den")
        await client.ping()
    assert seen == ["ping"]


async def test_a_server_that_says_stop_ends_it_all(autojump_clock: MockClock) -> None:
    async def kick(peer: Peer) -> None:
        await peer.let_in(DEN)
        await peer.write(message(6))
        await peer.read()
        await peer.ws.aclose(4504, "kicked")

    async with playing(kick) as (client, _):
        with pytest.raises(ConnectionEnded, match="4504: kicked"):
            await client.ping()
        with pytest.raises(ConnectionEnded, match="4504"):
            await client.ping()
        assert [type(await anext(client)) for _ in range(2)] == [Welcomed, Message]
        with pytest.raises(ConnectionEnded, match="4504: kicked"):
            await anext(client)


async def test_a_silent_server_is_pinged_and_given_up(autojump_clock: MockClock) -> None:
    async def freeze(peer: Peer) -> None:
        await peer.let_in()  # its heartbeat: 5 s, and 2 s more
        await trio.sleep(13)
        peer.stream.receive_stream.receive_some_hook = trio.sleep_forever  # type: ignore[attr-defined]
        peer.stream.send_stream.send_all_hook = trio.sleep_forever  # type: ignore[attr-defined]
        await trio.sleep_forever()

    async with playing(freeze, stay) as (client, server):
        assert await anext(client) == WELCOMED
        # It answers the pings at 5 and 10; what was on its way at 13 is still read, so 15 may be answered, too.
        assert await anext(client) == Disconnected(code=1006, reason="lost", delay=1.5)
        assert trio.current_time() in (17.0, 22.0)
        await client.ping()
        assert len(server.dialled) == 2


async def test_any_byte_counts_as_life(autojump_clock: MockClock) -> None:
    async def chatter(peer: Peer) -> None:
        await peer.let_in(DEN)
        for seq in range(6, 12):
            await trio.sleep(4.9)
            await peer.write(message(seq))
        await answer(peer)

    async with playing(chatter) as (client, server):
        await trio.sleep(30)
        await client.ping()
        assert len(server.dialled) == 1


async def test_a_write_that_was_given_up_midway_is_the_last(autojump_clock: MockClock) -> None:
    ours, _ = memory_stream_pair()
    wire = Wire(ours)
    ours.send_stream.send_all_hook = trio.sleep_forever

    with trio.move_on_after(1.0):
        await wire.send_all(b"half")
    with pytest.raises(trio.BrokenResourceError):
        await wire.send_all(b"more")


async def test_binary_messages_are_ignored_and_text_without_sense_too(autojump_clock: MockClock) -> None:
    async def odd(peer: Peer) -> None:
        await peer.let_in(DEN)
        await peer.ws.send_message(b"\x00")
        await peer.ws.send_message("[]")
        await peer.write({"type": "party"})
        await answer(peer)

    async with playing(odd) as (client, _):
        assert [await anext(client) for _ in range(2)][1] == Unknown(frame={"type": "party"})


async def test_a_message_that_is_too_large_ends_it_all(autojump_clock: MockClock) -> None:
    async def shout(peer: Peer) -> None:
        await peer.let_in(DEN)
        await peer.write(message(6, content="x" * 2000))
        await answer(peer)

    async with playing(shout, max_message=1500) as (client, _):
        await anext(client)
        with pytest.raises(ConnectionEnded, match="1009"):
            await anext(client)


async def test_a_token_is_asked_for_before_each_connection(autojump_clock: MockClock) -> None:
    tokens: list[str] = []
    answers: list[str | Exception] = ["one", OSError("no token today"), "two"]

    async def token() -> str:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def part(peer: Peer) -> None:
        tokens.append((await peer.let_in())["token"])
        await peer.read()

    async def last(peer: Peer) -> None:
        tokens.append((await peer.let_in())["token"])
        await answer(peer)

    async with playing(part, last, token=token) as (client, _):
        await client.ping()
        assert trio.current_time() == 1.5 + 2.5
    assert tokens == ["one", "two"]


# --- A slow consumer -------------------------------------------------------------------------------------------------


async def test_a_slow_consumer_stalls_no_answer_and_gets_everything_later(autojump_clock: MockClock) -> None:
    async def flood(peer: Peer) -> None:
        await peer.let_in(DEN)
        await peer.write(*(message(seq) for seq in range(6, 26)))
        await answer(peer)

    async def replay(peer: Peer) -> None:
        connect = await peer.let_in(DEN | {"last": 25})
        after = connect["resume"]["rooms"]["den"]["seq"]
        await peer.write(*(message(seq) for seq in range(after + 1, 26)))
        await answer(peer)

    async with playing(flood, *[replay] * 20, inbox=4) as (client, server):
        assert (await client.send_message("hi", "den")).seq == 6
        await trio.sleep(60)
        assert await client.ping() == 0.0
        assert len(server.dialled) == 1  # it waits for room
        seen: list[int] = []
        while not seen or seen[-1] != 25:
            event = await anext(client)
            seen += [event.seq] if isinstance(event, Message) else []
        assert seen == list(range(6, 26))
        assert trio.current_time() == 60.0  # and comes back at once


async def test_before_it_catches_up_it_waits_a_little_for_answers_on_their_way(
    autojump_clock: MockClock,
) -> None:
    async def gap(peer: Peer) -> None:
        await peer.let_in(DEN)
        await peer.read()
        await peer.write(message(7))
        await peer.closed()

    async def rest(peer: Peer) -> None:
        await peer.let_in(DEN)
        await peer.write(message(6), message(7))
        await answer(peer)

    async with playing(gap, rest) as (client, server):
        await client.ping()
        assert server.dialled == [0.0, 1.0]
        assert [await anext(client) for _ in range(4)][2:] == [said(6), said(7)]


# --- Leaving ---------------------------------------------------------------------------------------------------------


async def test_leaving_closes_with_1000_and_ends_the_iteration(autojump_clock: MockClock) -> None:
    closed: list[tuple[int, str | None]] = []

    async def part(peer: Peer) -> None:
        await peer.let_in()
        closed.append(await peer.closed())

    async with playing(part) as (client, _):
        pass
    assert closed == [(1000, None)]
    assert [event async for event in client] == [WELCOMED]
    with pytest.raises(ConnectionEnded, match="1000: done"):
        await client.ping()


async def test_who_waits_when_the_client_leaves_hears_of_it(autojump_clock: MockClock) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.let_in()
        await peer.closed()

    async def ask(client: ChatClient) -> None:
        with pytest.raises(ConnectionEnded, match="1000"):
            await client.ping()

    async with trio.open_nursery() as outer, playing(deaf) as (client, _):
        outer.start_soon(ask, client)
        await wait_all_tasks_blocked()


async def test_a_server_that_does_not_answer_the_close_is_left_in_time(autojump_clock: MockClock) -> None:
    async def freeze(peer: Peer) -> None:
        await peer.let_in()
        peer.stream.receive_stream.receive_some_hook = trio.sleep_forever  # type: ignore[attr-defined]
        await trio.sleep_forever()

    async with playing(freeze):
        await wait_all_tasks_blocked()
        left = trio.current_time()
    assert trio.current_time() - left <= 4.0


async def test_leaving_between_two_connections_takes_no_time(autojump_clock: MockClock) -> None:
    async def cut(peer: Peer) -> None:
        await peer.let_in()

    async with playing(cut) as (client, _):
        await anext(client)
        await anext(client)
    assert trio.current_time() == 0.0


async def test_a_cancelled_block_still_says_goodbye(autojump_clock: MockClock) -> None:
    closed: list[tuple[int, str | None]] = []

    async def part(peer: Peer) -> None:
        await peer.let_in()
        closed.append(await peer.closed())

    async with trio.open_nursery() as nursery:
        server = FakeServer(nursery, part)
        with trio.move_on_after(1.0) as scope:
            async with open_chat_client("ws://host", "ann", connect=server.dial):
                await trio.sleep_forever()
        assert scope.cancelled_caught
    assert closed == [(1000, None)]


async def test_whoever_is_cancelled_while_connecting_leaves_at_once(autojump_clock: MockClock) -> None:
    """At whatever step, also beside `welcome`: of tasks that are ready together any may be first, hence ten runs."""
    for steps in [*range(STEPS)] * 10:
        entered = False
        async with trio.open_nursery() as nursery:
            server = FakeServer(nursery, stay)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_after, steps, scope)
                async with open_chat_client("ws://host", "ann", connect=server.dial):
                    entered = True
                    await trio.sleep_forever()
            assert scope.cancelled_caught
            nursery.cancel_scope.cancel()
    assert entered  # the last ones were in
    assert trio.current_time() == 0.0


async def cancel_after(steps: int, scope: trio.CancelScope) -> None:
    for _ in range(steps):
        await trio.lowlevel.cancel_shielded_checkpoint()
    scope.cancel()


async def test_what_the_block_raises_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = FakeServer(nursery, stay, stay)
        cause = KeyError("why")
        with pytest.raises(ValueError, match="mine") as caught:
            async with open_chat_client("ws://host", "ann", connect=server.dial):
                raise ValueError("mine") from cause
        assert caught.value.__cause__ is cause
        with pytest.RaisesGroup(ValueError, KeyError):
            async with open_chat_client("ws://host", "ann", connect=server.dial):
                raise ExceptionGroup("both", [ValueError(), KeyError()])
        nursery.cancel_scope.cancel()


async def test_a_bug_in_a_token_function_is_raised_in_the_block(autojump_clock: MockClock) -> None:
    tokens = ["good"]

    async def token() -> str:
        return tokens.pop()

    async with trio.open_nursery() as nursery:
        server = FakeServer(nursery, vanish)
        with pytest.raises(IndexError):
            async with open_chat_client("ws://host", "ann", connect=server.dial, token=token) as client:
                await client.ping()
        nursery.cancel_scope.cancel()


# --- Commands on the wire --------------------------------------------------------------------------------------------

COMMANDS: list[tuple[Callable[[ChatClient], Awaitable[Any]], Frame, Frame]] = [
    (lambda c: c.send_private("bob", "hi", reply_to=2), {"type": "private", "to": "bob", "content": "hi",
     "reply_to": 2, "key": "key"}, {"type": "ack", "room": "@bob", "epoch": "e", "seq": 1}),
    (lambda c: c.send_message("hi", key="mine"), {"type": "message", "room": "general", "content": "hi",
     "key": "mine"}, {"type": "ack", "room": "general", "epoch": "e", "seq": 1}),
    (lambda c: c.join("den"), {"type": "join", "room": "den"}, {"type": "ack", "room": "den", "epoch": "e", "last": 0}),
    (lambda c: c.leave("den"), {"type": "leave", "room": "den"}, {"type": "ack", "room": "den"}),
    (lambda c: c.history("den", after=3, limit=9), {"type": "history", "room": "den", "after": 3, "limit": 9},
     {"type": "history", "room": "den", "epoch": "e", "entries": [], "first": 1, "last": 3, "more": False}),
    (lambda c: c.search("tea", "den"), {"type": "search", "query": "tea", "room": "den"},
     {"type": "search_result", "hits": []}),
    (lambda c: c.rooms(cursor="c"), {"type": "rooms", "mine": False, "cursor": "c"},
     {"type": "room_list", "rooms": []}),
    (lambda c: c.users("den"), {"type": "users", "room": "den"}, {"type": "user_list", "users": [], "room": "den"}),
    (lambda c: c.edit("den", 3, "ho"), {"type": "edit", "room": "den", "seq": 3, "content": "ho"}, {"type": "ack"}),
    (lambda c: c.delete("den", 3), {"type": "delete", "room": "den", "seq": 3}, {"type": "ack"}),
    (lambda c: c.react("den", 3, "👍"), {"type": "react", "room": "den", "seq": 3, "emoji": "👍"}, {"type": "ack"}),
    (lambda c: c.react("den", 3, "👍", remove=True),
     {"type": "react", "room": "den", "seq": 3, "emoji": "👍", "remove": True}, {"type": "ack"}),
    (lambda c: c.mark_read("den", 3), {"type": "read", "room": "den", "seq": 3}, {"type": "ack"}),
    (lambda c: c.set_topic("den", "tea"), {"type": "topic", "room": "den", "topic": "tea"}, {"type": "ack"}),
    (lambda c: c.moderate("ban", "den", "bob", reason="spam", duration=60),
     {"type": "ban", "room": "den", "user": "bob", "reason": "spam", "duration": 60}, {"type": "ack", "seq": 3}),
    (lambda c: c.set_room("den", kind="private", slow_mode=5, receipts=True),
     {"type": "room", "room": "den", "kind": "private", "slow_mode": 5, "receipts": True}, {"type": "ack", "seq": 3}),
    (lambda c: c.invite("den", "bob"), {"type": "invite", "room": "den", "user": "bob"}, {"type": "ack"}),
    (lambda c: c.block("bob"), {"type": "block", "user": "bob"}, {"type": "ack"}),
    (lambda c: c.unblock("bob"), {"type": "unblock", "user": "bob"}, {"type": "ack"}),
    (lambda c: c.typing("@bob"), {"type": "typing", "to": "bob", "isTyping": True}, {"type": "ack"}),
    (lambda c: c.typing(typing=False), {"type": "typing", "room": "general", "isTyping": False}, {"type": "ack"}),
]  # fmt: skip


async def test_no_such_action(autojump_clock: MockClock) -> None:
    async def part(peer: Peer) -> None:
        await peer.let_in()
        await peer.closed()

    async with playing(part) as (client, _):
        with pytest.raises(ValueError, match="action must be one of kick, mute"):
            await client.moderate("explode", "den", "bob")


@pytest.mark.parametrize(("call", "command", "made"), COMMANDS)
async def test_commands(
    call: Callable[[ChatClient], Awaitable[Any]], command: Frame, made: Frame, autojump_clock: MockClock
) -> None:
    seen: list[Frame] = []

    async def part(peer: Peer) -> None:
        await peer.let_in()
        seen.append(await peer.read())
        await peer.write(made | {"id": seen[0]["id"]})
        await peer.closed()

    async with playing(part, new_key=lambda: "key") as (client, _):
        await call(client)
    assert seen == [{"id": 1} | command]
