"""What trio-websocket leaves to us, guard by guard, as a peer sees it."""

from __future__ import annotations

import gc
import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_chat.server.odd import PeerLeft

from .harness import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Lost,
    chunks_of,
    close,
    command,
    frame,
    house,
    text,
    took,
    upgrade,
)

FIRST = frame(TEXT, b'{"type": "pi', fin=False)
LAST = frame(CONTINUATION, b'ng", "id": 1}')


async def test_a_pong_never_lands_inside_another_frame() -> None:
    """Half of a long message is on the wire when the ping is answered; what is read is whole frames all the same."""
    async with house(messages_burst=1000) as server:
        peer = await server.plug(8192)
        await peer.connect("alice")
        content = "x" * 100_000
        for number in range(20):
            await peer.say("message", content=content, id=number)
            await peer.send(frame(PING, b"ping %d" % number))
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes > 0, "a write is outstanding"
        await peer.send(FIRST, frame(PING, b"odd"), LAST, close(1000))
        seen = []
        opcode = 0
        while opcode != CLOSE:
            opcode, payload = await peer.frame()
            seen.append((opcode, payload))
        await peer.ended()
        contents = [json.loads(payload) for opcode, payload in seen if opcode == TEXT]
        assert [event["content"] for event in contents if event["type"] == "message"] == [content] * 20
        pings = [b"ping %d" % number for number in range(20)]
        assert [payload for opcode, payload in seen if opcode == PONG] == [*pings, b"odd"]
        await peer.drop()
        await server.empty()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (text(b"\xff"), 1007),
        (frame(TEXT, b"\xff", fin=False), 1007),
        (frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b""), 1007),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (text("x", rsv=4), 1002),
        (text("x", masked=False), 1002),
        (frame(PING, masked=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, fin=False), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + text("y"), 1002),
        (frame(3), 1002),
        (frame(11), 1002),
        (text("x", width=2), 1002),
        (text("x" * 126, width=8), 1002),
        (close(999), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (b"\x00\x00garbage", 1002),
        (frame(BINARY, b"x" * 9000), 1009),
        (text("x" * 9000), 1009),
        (text("é" * 4097), 1009),
        (FIRST + frame(CONTINUATION, b"x" * 8190), 1009),
    ],
)
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("behind", [b"", b"more"])
async def test_broken_framing_is_a_close_frame_that_can_be_read(
    data: bytes, code: int, live: bool, behind: bytes, autojump_clock: MockClock
) -> None:
    """And then the socket goes, though the peer neither answers nor leaves."""
    async with house(max_message_bytes=8192) as server:
        peer = await server.plug()
        await (peer.connect("alice") if live else peer.open())
        await peer.send(data + behind)
        elapsed, seen = await took(peer.closed)
        assert seen == code
        assert elapsed < 0.01, "the end is told at once; it does not wait for the peer's"
        await trio.sleep(1.001)
        await server.empty()
        await peer.drop()


@pytest.mark.parametrize(("odd", "code"), [(text(b"\xff"), 1007), (frame(3), 1002), (close(1005), 1002)])
async def test_what_came_before_a_broken_rule_is_done(odd: bytes, code: int, autojump_clock: MockClock) -> None:
    """Also in the same segment, and the end is told at once all the same."""
    async with house() as server:
        peer = await server.join("alice")
        await peer.send(command("ping", id=1) + odd)
        assert (await peer.event("pong"))["id"] == 1
        elapsed, seen = await took(peer.closed)
        assert (seen, elapsed < 0.01) == (code, True)


async def test_over_the_limit_says_so_in_an_error_first(autojump_clock: MockClock) -> None:
    async with house(max_message_bytes=8192) as server:
        peer = await server.join("alice")
        await peer.send(text("x" * 8193)[:100])
        assert (await peer.event("error"))["code"] == "too_large"
        assert await peer.closed() == 1009


async def test_up_to_the_limit_is_no_reason(autojump_clock: MockClock) -> None:
    async with house(max_message_bytes=8192) as server:
        peer = await server.join("alice")
        await peer.send(text("é" * 4096))
        assert (await peer.event("error"))["code"] == "bad_json"


@pytest.mark.parametrize("binary", [frame(BINARY, b"{}"), frame(BINARY, b"{", fin=False) + frame(CONTINUATION, b"}")])
async def test_a_binary_frame_is_1003(binary: bytes, autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = await server.join("alice")
        await peer.send(binary)
        assert (await peer.event("error"))["code"] == "unsupported_data"
        assert await peer.closed() == 1003


@pytest.mark.parametrize("plug", [True, False], ids=["socket", "memory"])
@pytest.mark.parametrize(("sent", "answered"), [(1000, 1000), (None, 1005), (4999, 4999), (1001, 1001)])
async def test_a_close_is_answered_by_the_same(
    sent: int | None, answered: int, plug: bool, autojump_clock: MockClock
) -> None:
    async with house() as server:
        peer = await server.plug() if plug else server.knock()
        await peer.connect("alice")
        await peer.send(close(sent), b"\x81")
        assert await peer.closed() == answered
        await peer.drop()
        await server.empty()


@pytest.mark.parametrize(("code", "resumed"), [(1000, False), (1001, True), (None, True), ("gone", True)])
async def test_only_1000_ends_the_session(code: int | str | None, resumed: bool, autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        welcome = await peer.connect("alice")
        if not isinstance(code, str):
            await peer.send(close(code))
            await peer.closed()
        await peer.drop()
        again = await server.knock().connect("alice", resume={"session": welcome["session"]})
        assert again["resumed"] is resumed


async def test_the_end_of_a_connection_keeps_nothing_of_its_messages(autojump_clock: MockClock) -> None:
    """What ended it is no exception with a traceback: its frames, with all they hold, would stay for the collector."""
    gc.collect()
    gc.disable()
    try:
        async with house() as server:
            peer = await server.join("alice")
            await peer.say("message", content="x" * 100_000)
            await peer.send(close(1000))
            while (await peer.frame())[0] != CLOSE:
                pass
            await peer.ended()
            await peer.drop()
            await server.empty()
            kept = [one for one in gc.get_objects() if isinstance(one, PeerLeft)]
            assert [one for one in kept if one.__traceback__ is not None] == []
    finally:
        gc.enable()


async def test_messages_pings_and_the_close_are_seen_behind_each_other(autojump_clock: MockClock) -> None:
    """A full message queue of trio-websocket's would stop its pongs and closes; ours is drained."""
    async with house(messages_burst=1000, frames_per_second=1000) as server:
        peer = await server.join("alice")
        odd = [FIRST + LAST for _ in range(50)]
        await peer.send(*odd, frame(PING, b"p"), *odd, close(1000))
        seen = []
        opcode = 0
        while opcode != CLOSE:
            opcode, _ = await peer.frame()
            seen.append(opcode)
        assert seen.count(PONG) == 1
        assert opcode == CLOSE


async def test_plain_and_odd_messages_keep_their_order(autojump_clock: MockClock) -> None:
    async with house(messages_burst=1000) as server:
        peer = await server.join("alice")
        messages = b"".join(command("ping", id=number) for number in range(1, 6))
        odd = frame(TEXT, b'{"type": "ping",', fin=False) + frame(PING) + frame(CONTINUATION, b'"id": 6}')
        data = messages + frame(PING) + odd + command("ping", id=7)
        for chunk in chunks_of(data, [3]):
            await peer.send(chunk)
        assert [(await peer.event("pong"))["id"] for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]


async def test_the_first_odd_frame_keeps_its_place_when_it_waits_for_the_budget(autojump_clock: MockClock) -> None:
    """The reader holds it, and trio-websocket's task, awake for a ping, must not read on behind its back."""
    async with house(frames_per_second=1) as server:
        peer = await server.join("alice")
        await peer.send(frame(PING), frame(PING), FIRST, LAST)
        assert (await peer.event("pong"))["id"] == 1


async def test_frames_behind_the_head_in_its_segment_are_handled_at_once(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        elapsed, _ = await took(
            lambda: peer.open(command("connect", username="alice"), frame(PING, b"p"), FIRST + LAST)
        )
        assert (await peer.event("system"))["event"] == "welcome"
        assert (await peer.event("pong"))["id"] == 1
        assert (elapsed, trio.current_time()) == (0, 0)


@pytest.mark.parametrize(
    "flood", [frame(PING), frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 1000, FIRST + LAST]
)
async def test_a_flood_of_raw_frames_is_paused_and_then_cut(flood: bytes, autojump_clock: MockClock) -> None:
    """Pings and empty fragments are frames like others: over budget for 5 s is 4005."""
    async with house(frames_per_second=10, messages_burst=1000) as server:
        peer = await server.join("alice")
        await peer.send(flood * 1000)
        elapsed, code = await took(peer.closed)
        assert code == 4005
        assert 5 <= elapsed < 5.2


async def test_a_burst_over_the_budget_only_waits(autojump_clock: MockClock) -> None:
    async with house(frames_per_second=10) as server:
        peer = await server.join("alice")
        for _ in range(5):
            await trio.sleep(1)
            before = trio.current_time()
            for number in range(30):
                await peer.send(frame(PING, b"%d" % number))
            pongs = 0
            while pongs < 30:
                opcode, payload = await peer.frame()
                pongs += opcode == PONG
            assert payload == b"29"
            assert 1.9 < trio.current_time() - before < 2.2
        await trio.sleep(10)
        await peer.say("ping")
        await peer.event("pong")


async def test_a_frame_is_paid_for_once_in_however_many_pieces_it_comes(autojump_clock: MockClock) -> None:
    """A long message over a slow line is no flood."""
    async with house(frames_per_second=2) as server:
        peer = await server.join("alice")
        content = json.dumps({"type": "message", "content": "x" * 200_000}).encode()
        for chunk in chunks_of(frame(TEXT, content[:-1], fin=False) + frame(CONTINUATION, content[-1:]), [1000]):
            await peer.send(chunk)
            await trio.sleep(0.05)
        assert len((await peer.event("message"))["content"]) == 200_000


async def test_what_was_whole_is_held_no_longer(autojump_clock: MockClock) -> None:
    """The account of all unfinished messages goes down when they end, and not only when more comes."""
    async with house() as server:
        peer = await server.join("alice")
        frames = command("message", content="x" * 300_000)
        await peer.send(frames[:200_000])
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes == 200_000
        await peer.send(frames[200_000:])
        await peer.event("message")
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes == 0
        await peer.send(FIRST)
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes == len(FIRST)
        await peer.send(LAST)
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes == 0
        await peer.send(FIRST)
        await peer.drop()
        await server.empty()


async def test_pongs_that_are_not_read_are_no_way_to_fill_the_memory(autojump_clock: MockClock) -> None:
    """They count against the outbox like all else (promise 6)."""
    async with house(outbox_bytes=32_768, max_message_bytes=8192, frames_per_second=1000) as server:
        peer = await server.plug(4096)
        await peer.connect("alice")
        with trio.move_on_after(60) as scope, pytest.raises((Lost, trio.BrokenResourceError)):  # noqa: PT012
            while True:
                for _ in range(100):
                    await peer.send(frame(PING, b"x" * 125))
                await trio.sleep(1)
                assert server.broker.buffered.bytes < 40_000
        assert not scope.cancelled_caught
        await trio.sleep(1.001)
        await server.empty()
        await peer.drop()


@pytest.mark.parametrize("data", [b"", upgrade()[:50], b"\x00garbage\r\n\r\n", upgrade().replace(b"13", b"")])
async def test_what_never_becomes_a_websocket_returns(data: bytes, autojump_clock: MockClock) -> None:
    """trio-websocket would wait for ever, for a plain GET, for garbage, and for silence."""
    async with house() as server:
        peer = server.knock()
        if data:
            await peer.send(data)
        assert (await peer.response()).status in (400, 408, 426)
        await peer.ended()
        await trio.sleep(1.001)
        await server.empty()


async def test_end_of_stream_in_any_place_is_a_peer_that_left(autojump_clock: MockClock) -> None:
    async with house() as server:
        for data in (b"", text("x")[:3], FIRST, FIRST + LAST[:3], FIRST + LAST, frame(PING)[:1]):
            peer = server.knock()
            await peer.connect("alice")
            await peer.send(data)
            await peer.drop()
            await server.empty()


async def test_a_close_without_a_code_is_answered_behind_all_that_waits() -> None:
    """A browser's plain `close()` is no loss: its peer is there, and reads."""
    async with house(messages_burst=1000) as server:
        peer = await server.plug(4096)
        await peer.connect("alice")
        for _ in range(30):
            await peer.say("message", content="x" * 100_000)
        await wait_all_tasks_blocked()
        assert server.broker.buffered.bytes > 1_000_000
        await peer.send(close())
        assert await peer.closed() == 1005
        await peer.drop()
        await server.empty()
