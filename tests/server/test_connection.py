"""The life of one connection, exact in virtual time; and that nothing of it is left, wherever it is cut off."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from trio_chat.core.effects import Admit, Effect, Input, Now, Received, Tick
from trio_chat.core.errors import Close
from trio_chat.core.messages import Ping
from trio_chat.server.address import LOCAL

from .harness import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    House,
    Lost,
    Peer,
    close,
    command,
    frame,
    house,
    socket_pair,
    stop_turns,
    text,
    took,
    upgrade,
)

SILENCE = {"ping_interval": 20, "ping_timeout": 10}


# --- Heartbeat -------------------------------------------------------------------------------------------------------


async def test_a_silent_peer_is_pinged_and_dropped_exactly_then(autojump_clock: MockClock) -> None:
    async with house(**SILENCE) as server:
        peer = await server.join("alice")
        await trio.sleep(7)
        await peer.say("ping")
        last_byte = trio.current_time()
        while (await peer.frame())[0] != PING:
            pass
        assert trio.current_time() - last_byte == pytest.approx(20)
        code = await peer.closed()
        assert code == 4004
        assert trio.current_time() - last_byte == pytest.approx(30)


@pytest.mark.parametrize(("interval", "timeout"), [(20, 10), (10, 20), (10, 10), (1, 60)])
async def test_who_answers_each_ping_stays(interval: float, timeout: float, autojump_clock: MockClock) -> None:
    """Also where the timeout is longer than the interval: each silence has a ping of its own."""
    async with house(ping_interval=interval, ping_timeout=timeout) as server:
        peer = await server.join("alice")
        for _ in range(20):
            started = trio.current_time()
            while (await peer.frame())[0] != PING:
                pass
            assert trio.current_time() - started == pytest.approx(interval)
            await peer.send(frame(PONG))
        code = await peer.closed()
        assert code == 4004
        assert trio.current_time() - started == pytest.approx(2 * interval + timeout)


async def test_after_a_pause_of_ours_peers_are_asked_before_they_are_judged(
    autojump_clock: MockClock,
) -> None:
    """A process that was stopped for a minute must not drop everybody at once: what they sent is not read yet."""
    async with house(**SILENCE) as server:
        alice, bob = await server.join("alice"), await server.join("bob")
        await trio.sleep(1)
        autojump_clock.jump(60)
        while (await alice.frame())[0] != PING:
            pass
        await alice.send(frame(PONG))
        elapsed, code = await took(bob.closed)
        assert code == 4004
        assert elapsed == pytest.approx(10)
        await alice.say("ping", id=1)
        assert (await alice.event("pong"))["id"] == 1


async def test_any_byte_counts_as_life(autojump_clock: MockClock) -> None:
    async with house(**SILENCE, message_timeout=1000) as server:
        peer = await server.join("alice")
        await peer.send(text("x" * 50)[:2])
        for _ in range(10):
            await trio.sleep(29.9)
            await peer.send(b"x")
        elapsed, code = await took(peer.closed)
        assert code == 4004
        assert elapsed == pytest.approx(30)


async def test_a_message_must_be_whole_in_time_whatever_else_comes(autojump_clock: MockClock) -> None:
    async with house(message_timeout=60) as server:
        peer = await server.join("alice")
        await trio.sleep(3)
        await peer.send(frame(TEXT, b"{", fin=False))
        started = trio.current_time()
        for _ in range(11):
            await trio.sleep(5)
            await peer.send(frame(PING), frame(CONTINUATION, fin=False))
        code = await peer.closed()
        assert code == 4004
        assert trio.current_time() - started == pytest.approx(60)


async def test_a_part_of_a_frame_is_a_message_begun(autojump_clock: MockClock) -> None:
    async with house(message_timeout=25, **SILENCE) as server:
        peer = await server.join("alice")
        await peer.send(b"\x81")
        elapsed, code = await took(peer.closed)
        assert code == 4004
        assert elapsed == pytest.approx(25)


async def test_a_line_that_is_always_busy_is_no_message_that_never_ends(autojump_clock: MockClock) -> None:
    """Each read ends within a message, but never within the same."""
    async with house(message_timeout=60) as server:
        peer = await server.join("alice")
        whole = command("ping")
        odd = frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b'"type": "ping"}')
        for one in (whole, odd):
            await peer.send(one[:9])
            for _ in range(20):
                await trio.sleep(10)
                await peer.send(one[9:], one[:9])
            await peer.send(one[9:])
        for _ in range(42):
            await peer.event("pong")


# --- Timeouts of the way in ------------------------------------------------------------------------------------------


async def test_connect_must_come_in_time(autojump_clock: MockClock) -> None:
    async with house(connect_timeout=15) as server:
        peer = server.knock()
        await trio.sleep(10)
        await peer.open()
        await trio.sleep(14)
        await peer.send(frame(PING))
        code = await peer.closed()
        assert code == 4500
        assert trio.current_time() == pytest.approx(25)


async def test_the_head_must_come_in_time(autojump_clock: MockClock) -> None:
    async with house(connect_timeout=15) as server:
        peer = server.knock()
        for byte in upgrade()[:14]:
            await peer.send(bytes([byte]))
            await trio.sleep(1)
        assert (await peer.response()).status == 408
        assert trio.current_time() == pytest.approx(15)
        await peer.ended()


# --- The end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plug", [True, False], ids=["socket", "memory"])
async def test_a_peer_that_does_not_take_the_close_is_dropped_a_second_later(
    plug: bool, autojump_clock: MockClock
) -> None:
    """trio-websocket's `aclose` would wait for it for ever."""
    async with house() as server:
        peer = await server.plug() if plug else server.knock()
        await peer.open()
        await peer.send(text("no json"))
        assert (await peer.event("error"))["code"] == "bad_json"
        elapsed, code = await took(peer.closed)
        assert (code, elapsed) == (4501, 0)
        await trio.sleep(0.999)
        assert len(server.connections.child_tasks) == 2
        await trio.sleep(0.002)
        await server.empty()
        await peer.drop()


async def test_the_end_waits_a_second_for_a_blocked_writer_too(autojump_clock: MockClock) -> None:
    async with house(messages_burst=100, **SILENCE) as server:
        peer = await server.plug(4096)
        await peer.connect("alice")
        for _ in range(30):
            await peer.say("message", content="x" * 100_000)
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes > 1_000_000
        await trio.sleep(30)
        await wait_all_tasks_blocked()
        assert len(server.connections.child_tasks) == 2, "it has its second"
        await trio.sleep(1.001)
        await server.empty()
        await peer.drop()


async def test_a_slow_consumer_is_cut_within_a_second_and_told_on_resume(autojump_clock: MockClock) -> None:
    async with house(messages_burst=1000, outbox_bytes=400_000, max_message_bytes=100_000) as server:
        slow, busy = await server.plug(4096), await server.join("bob")
        session = (await slow.connect("alice"))["session"]
        sent = 0
        while not server.session(session).cut:
            await busy.say("message", content="x" * 50_000, id=sent)
            await busy.event("ack")
            sent += 1
        assert 8 <= sent < 30
        assert server.session(session).cut is Close.TOO_SLOW
        assert server.broker.buffered.bytes == 0, "it counts no longer"
        await trio.sleep(1.001)
        assert len(server.connections.child_tasks) == 2, "bob's, and the listener"
        got = 0
        with pytest.raises(Lost):  # noqa: PT012
            while True:
                got = (await slow.event("message"))["seq"]
        await slow.drop()
        again = server.knock()
        assert (await again.connect("", resume={"session": session}))["resumed"]
        assert (await again.event("system"))["event"] == "closed_before"
        first = (await again.event("message"))["seq"]
        assert first <= got + 1
        for seq in range(first + 1, sent + 1):
            assert (await again.event("message"))["seq"] == seq


async def test_who_is_cut_with_much_half_written_gives_its_memory_back_at_once(autojump_clock: MockClock) -> None:
    """It would not have read it in a second, and others would have to go for the room that it takes."""
    async with house(messages_burst=1000, outbox_bytes=4_194_304) as server:
        slow, busy = await server.plug(4096), await server.join("bob")
        session = (await slow.connect("alice"))["session"]
        conn = server.broker._peers._peers[server.session(session).conn or 0]
        while not server.session(session).cut:
            await busy.say("message", content="x" * 1_000_000, id=1)
            await busy.event("ack")
        assert conn.outbox.abandoned
        assert conn.outbox.waiting == 0
        await wait_all_tasks_blocked()
        assert len(server.connections.child_tasks) == 2, "bob's, and the listener: no second is waited for"
        with pytest.raises(Lost):
            await slow.closed()
        await slow.drop()
        await busy.drop()
        await server.empty()


async def test_a_slow_consumer_that_reads_within_its_second_reads_why(autojump_clock: MockClock) -> None:
    async with house(messages_burst=1000, outbox_bytes=400_000, max_message_bytes=100_000) as server:
        slow, busy = await server.plug(4096), await server.join("bob")
        session = (await slow.connect("alice"))["session"]
        while not server.session(session).cut:
            await busy.say("message", content="x" * 50_000, id=1)
            await busy.event("ack")
        assert await slow.closed() == 4003
        await slow.drop()
        await busy.drop()
        await server.empty()


async def test_a_drain_tells_all_and_closes_them_in_batches(autojump_clock: MockClock) -> None:
    async with house() as server:
        peers = [await server.join(f"user {number}") for number in range(40)]
        stranger = server.knock()
        await stranger.open()
        server.broker.drain(5)
        ended: list[float] = []

        async def hears(peer: Peer, *, told: bool) -> None:
            if told:
                assert (await peer.event("system", event="draining"))["retry_after"] == 1
            assert await peer.closed() == 4001
            ended.append(trio.current_time())
            await peer.drop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(hears, stranger, told=False))
            for peer in peers:
                nursery.start_soon(partial(hears, peer, told=True))
        assert 10 <= len(set(ended)) <= 21, "not all come back in one moment"
        assert max(ended) <= 5
        await server.broker.empty()
        await server.empty()


async def stream_pair(buffers: int | None = None, *, plug: bool) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    return await socket_pair(buffers) if plug else memory_stream_pair()


# --- Cancelled in every state ----------------------------------------------------------------------------------------


async def silent(server: House, peer: Peer) -> None:
    """Nothing came."""


async def mid_head(server: House, peer: Peer) -> None:
    await peer.send(upgrade()[:40])


async def mid_page(server: House, peer: Peer) -> None:
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12")


async def lingering(server: House, peer: Peer) -> None:
    await peer.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    await peer.response()


async def upgraded(server: House, peer: Peer) -> None:
    await peer.open()


async def probing(server: House, peer: Peer) -> None:
    await server.join("alice")
    await peer.open()
    await peer.say("connect", username="alice")


async def mid_message(server: House, peer: Peer) -> None:
    await peer.connect("alice")
    await peer.send(text("x" * 10_000)[:5000])


async def mid_fragments(server: House, peer: Peer) -> None:
    await peer.connect("alice")
    await peer.send(frame(TEXT, b"x" * 100, fin=False), frame(CONTINUATION, b"x" * 100)[:50])


async def over_budget(server: House, peer: Peer) -> None:
    await peer.connect("alice")
    await peer.send(frame(PING) * 1000)


async def outstanding(server: House, peer: Peer) -> None:
    await peer.connect("alice")
    for _ in range(30):
        await peer.say("message", content="x" * 100_000)


async def in_farewell(server: House, peer: Peer) -> None:
    await peer.open()
    await peer.send(text("no json"))


async def blocked_in_farewell(server: House, peer: Peer) -> None:
    await outstanding(server, peer)
    await peer.send(text("x", masked=False))


@pytest.mark.parametrize("plug", [True, False], ids=["socket", "memory"])
@pytest.mark.parametrize(
    "state",
    [
        silent,
        mid_head,
        mid_page,
        lingering,
        upgraded,
        probing,
        mid_message,
        mid_fragments,
        over_budget,
        outstanding,
        in_farewell,
        blocked_in_farewell,
    ],
)
@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "lost"])
async def test_nothing_is_left_of_a_connection_that_ends(
    state: Callable[[House, Peer], Awaitable[None]], plug: bool, cancelled: bool, autojump_clock: MockClock
) -> None:
    """Neither where it is cancelled from outside, nor where the peer vanishes."""
    async with house(messages_burst=100) as server:
        theirs, ours = await stream_pair(4096, plug=plug)
        peer, scope, done = Peer(ours), trio.CancelScope(), trio.Event()

        async def served() -> None:
            with scope:
                await server.doors.serve(theirs, LOCAL)
            done.set()

        server.clients.start_soon(served)
        await state(server, peer)
        await wait_all_tasks_blocked()
        if cancelled:
            scope.cancel()
        else:
            await peer.drop()
        with trio.fail_after(2.001):
            await done.wait()
        await peer.drop()
        if state is not probing:
            await server.empty()
        assert len(server.state.chat.conns) == (state is probing)
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes == 0


@pytest.mark.parametrize("plug", [True, False], ids=["socket", "memory"])
async def test_nothing_is_left_at_whichever_step_it_is_cancelled(plug: bool, autojump_clock: MockClock) -> None:
    async with house(messages_burst=100) as server:
        for steps in range(80):
            theirs, ours = await stream_pair(plug=plug)
            peer, scope, done = Peer(ours), trio.CancelScope(), trio.Event()

            async def served(theirs: trio.abc.Stream, scope: trio.CancelScope, done: trio.Event) -> None:
                with scope:
                    await server.doors.serve(theirs, LOCAL)
                done.set()

            odd = frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b"}")
            await peer.send(upgrade(), command("connect", username="alice"), frame(PING), odd, close(1000))
            server.clients.start_soon(served, theirs, scope, done)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            scope.cancel()
            with pytest.raises(Lost):
                await peer.take(1 << 30)
            answer = bytes(peer.buffer)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
            await peer.drop()
            await done.wait()
            await server.empty()
        assert b"welcome" in answer, "the last were well under way"


async def test_nothing_is_left_of_a_knock_that_was_cancelled_before_its_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end may be applied before its admission: that would be a ghost, and a count for ever."""
    async with house() as server:
        stop_turns(monkeypatch, server)
        peers = [server.knock() for _ in range(100)]
        for peer in peers:
            await peer.send(upgrade())
        await wait_all_tasks_blocked()
        await server.clients.start(cancelled_knock, server)
        monkeypatch.undo()
        server.broker.ring()
        for peer in peers:
            assert (await peer.response()).status == 101
            await peer.drop()
        await server.empty()


async def cancelled_knock(server: House, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """One more knock, behind all others."""
    ours, theirs = memory_stream_pair()
    await Peer(ours).send(upgrade())
    with trio.move_on_after(1):
        await server.doors.serve(theirs, LOCAL)
    task_status.started()


async def test_who_is_cut_before_the_upgrade_gets_no_frame(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close frame is no answer to an HTTP request."""
    async with house() as server:
        apply = server.state.apply

        def cut_at_once(given: Input, now: Now) -> list[Effect]:
            effects = apply(given, now)
            if isinstance(given, Admit):
                server.broker._peers._peers[given.conn].cut(Close.DRAINING)
            return effects

        monkeypatch.setattr(server.state, "apply", cut_at_once)
        peer = server.knock()
        await peer.send(upgrade())
        await peer.ended()
        await server.empty()


# --- Bugs ------------------------------------------------------------------------------------------------------------


async def test_a_bug_in_the_core_ends_one_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as server:
        alice, bob = await server.join("alice"), await server.join("bob")
        apply = server.state.apply

        def buggy(given: Input, now: Now) -> list[Effect]:
            if isinstance(given, Received) and isinstance(given.command, Ping):
                raise RuntimeError("bug")
            return apply(given, now)

        monkeypatch.setattr(server.state, "apply", buggy)
        await bob.say("ping")
        assert await bob.closed() == 1011
        await alice.say("message", content="still here", id=1)
        assert (await alice.event("ack"))["seq"] == 1
        assert "bug: Received was not applied" in caplog.text
        await alice.drop()
        await bob.drop()
        await server.empty()


async def test_a_bug_in_admission_refuses_and_leaves_no_ghost(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as server:
        monkeypatch.setattr(server.state.chat.gate, "admit", None)
        peer = server.knock()
        await peer.send(upgrade())
        response = await peer.response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        await peer.drop()
        await server.empty()


async def test_a_bug_in_what_time_does_is_tried_once_a_second(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays due, and would be applied for ever, at full speed."""
    async with house(connect_timeout=5) as server:
        peer = server.knock()
        await peer.open()
        apply, ticks = server.state.apply, []

        def buggy(given: Input, now: Now) -> list[Effect]:
            if isinstance(given, Tick):
                ticks.append(now.mono)
                if len(ticks) < 4:
                    raise RuntimeError("bug")
            return apply(given, now)

        monkeypatch.setattr(server.state, "apply", buggy)
        assert await peer.closed() == 4500
        assert ticks == [5, 6, 7, 8]


async def test_a_bug_in_what_is_sent_is_contained(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as server:
        alice, bob = await server.join("alice"), await server.join("bob")
        monkeypatch.setattr("trio_chat.core.posting.Pong", lambda **fields: object())
        await bob.say("ping")
        assert await bob.closed() == 1011
        await alice.say("message", content="still here", id=1)
        assert (await alice.event("ack"))["seq"] == 1


async def test_a_bug_in_a_connection_ends_it_with_1011(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as server:
        alice, bob = await server.join("alice"), await server.join("bob")
        monkeypatch.setattr("trio_chat.server.connection.Received", None)
        await bob.say("ping")
        assert await bob.closed() == 1011
        monkeypatch.undo()
        await alice.say("ping")
        await alice.event("pong")
        assert [record.levelno for record in caplog.records if "bug" in record.message] == [logging.ERROR]


async def test_a_bug_at_the_door_ends_one_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as server:
        monkeypatch.setattr("trio_chat.server.pages.page", None)
        peer = server.knock()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.ended()
        await (await server.join("alice")).event()
        assert "only this connection ends" in caplog.text


# --- The end, and what is on its way ---------------------------------------------------------------------------------


async def test_a_close_is_answered_behind_all_answers(autojump_clock: MockClock) -> None:
    """Also behind pages of the log, of which a connection has one at a time."""
    async with house() as server:
        peer = await server.join("alice")
        asked = [command("message", content="x", id=0), *[command("history", room="general", id=n) for n in (1, 2, 3)]]
        await peer.send(*asked, close(1000))
        seen = []
        while (found := await peer.frame())[0] != CLOSE:
            seen.append(json.loads(found[1]).get("id"))
        assert [number for number in seen if number is not None] == [0, 1, 2, 3]
        assert int.from_bytes(found[1], "big") == 1000
        await peer.drop()
        await server.empty()


async def test_what_comes_for_who_is_just_gone_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It left without a close frame, and the broker delivers once more before it hears of that."""
    async with house() as server:
        alice, bob = await server.plug(), await server.plug()
        await alice.connect("alice")
        session = (await bob.connect("bob"))["session"]
        await trio.sleep(0.6)  # presence is told
        stop_turns(monkeypatch, server)
        await alice.say("message", content="meanwhile")
        await wait_all_tasks_blocked()
        await bob.drop()
        await wait_all_tasks_blocked()
        monkeypatch.undo()
        server.broker.ring()
        back = await server.plug()
        assert (await back.connect("", resume={"session": session}))["resumed"]
        assert (await back.event("message"))["content"] == "meanwhile"
        for peer in (alice, back):
            await peer.drop()
