"""The scanner against wsproto: any bytes, in any chunking, mean the same to both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import pytest
import trio
import wsproto.events as ws
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair
from wsproto.connection import Connection, ConnectionType

from trio_chat.config import Limits
from trio_chat.core.codec import frame as text_frame
from trio_chat.core.errors import Close
from trio_chat.server.frames import CLOSE_FRAME, NO_CODE, PING_FRAME, Control, FrameError, FrameScanner, close_frame
from trio_chat.server.odd import PeerLeft
from trio_chat.server.outbox import Buffered, Outbox
from trio_chat.server.transport import Transport
from trio_chat.server.wire import StreamWire

from .harness import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, chunks_of, close, frame, text

Seen: TypeAlias = list[tuple[str, object]]
LARGE = 1 << 40
LAST = frame(CONTINUATION, b"x")


class Reference:
    """wsproto's server side, with fragments put together; it listens no more after a close or an error."""

    def __init__(self) -> None:
        self._protocol = Connection(ConnectionType.SERVER)
        self._parts: list[str | bytes] = []
        self.seen: Seen = []
        self.over = False

    def feed(self, data: bytes) -> None:
        if self.over:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            self._take(event)

    def _take(self, event: ws.Event) -> None:
        if isinstance(event, ws.CloseConnection):
            self.seen.append(("close", int(event.code)))
            self.over = True
        elif isinstance(event, ws.Ping | ws.Pong):
            self.seen.append((type(event).__name__.lower(), bytes(event.payload)))
        elif isinstance(event, ws.Message):
            self._parts.append(event.data)
            if event.message_finished:
                whole: str | bytes
                if isinstance(event, ws.TextMessage):
                    whole = "".join(str(part) for part in self._parts)
                else:
                    whole = b"".join(bytes(part) for part in self._parts if not isinstance(part, str))
                self._parts = []
                self.seen.append(("message", whole))


def alone(data: bytes) -> Seen:
    """What wsproto alone makes of bytes."""
    reference = Reference()
    reference.feed(data)
    return reference.seen


def together(chunks: Iterable[bytes], max_bytes: int = LARGE, most: int = 32) -> tuple[Seen, FrameScanner]:
    """What the scanner, with wsproto behind it, makes of them; it is asked for `most` frames at once."""
    scanner, reference = FrameScanner(max_bytes), Reference()
    for chunk in chunks:
        scanner.feed(chunk)
        try:
            while not reference.over and scanner.plain and (found := scanner.take(most)):
                assert len(found) <= most
                for one in found:
                    assert not reference.over, "nothing is behind a close"
                    reference.seen.append(seen_of(one))
                    reference.over = reference.seen[-1][0] == "close"
            while not reference.over and not scanner.plain and (piece := scanner.piece()) is not None:
                reference.feed(piece)
        except FrameError as error:
            reference.seen.append(("close", int(error.code)))
            reference.over = True
    return reference.seen, scanner


def seen_of(one: str | Control) -> tuple[str, object]:
    if isinstance(one, str):
        return "message", one
    if one.opcode == CLOSE:
        return "close", int.from_bytes(one.payload[:2], "big") if one.payload else NO_CODE
    return {PING: "ping", PONG: "pong"}[one.opcode], one.payload


contents = st.one_of(st.binary(max_size=12), st.text(max_size=8).map(str.encode), st.just(b"\xf0\x9f\x98\x80"))
long_contents = st.sampled_from([125, 126, 127, 65_535, 65_536]).map(lambda size: b"x" * size)
plain = st.builds(frame, st.just(TEXT), contents | long_contents)
control = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))
closes = st.one_of(
    st.builds(close, st.none() | st.sampled_from([0, 999, 1000, 1001, 1004, 1005, 1006, 1015, 2999, 3000, 4999, 5000])),
    st.just(frame(0x8, b"\x03")),
    st.just(frame(0x8, b"\x03\xe8\xff")),
)
odd = st.builds(
    frame,
    st.integers(0, 15),
    contents | long_contents,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 1, 2, 4]),
    masked=st.sampled_from([True, True, True, False]),
    width=st.sampled_from([None, None, None, 8]),
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in fragments, with control frames between them."""
    parts = draw(st.lists(contents, min_size=1, max_size=4))
    made = b""
    for number, part in enumerate(parts):
        opcode = CONTINUATION if number else draw(st.sampled_from([TEXT, BINARY]))
        made += frame(opcode, part, fin=number == len(parts) - 1)
        made += draw(st.just(b"") | control)
    return made


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Valid frames, odd ones, closes and garbage; then perhaps a byte of it changed, or its end cut off."""
    pieces = st.one_of(plain, plain, plain, control, fragmented(), odd, closes, st.binary(max_size=8))
    data = bytearray(b"".join(draw(st.lists(pieces, max_size=8))))
    if data and draw(st.integers(0, 3)) == 0:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if data and draw(st.integers(0, 3)) == 0:
        del data[draw(st.integers(0, len(data) - 1)) :]
    return bytes(data)


chunkings = st.lists(st.one_of(st.integers(1, 9), st.integers(1, 200_000)), min_size=1, max_size=6)


def same(ours: Seen, theirs: Seen, scanner: FrameScanner) -> bool:
    """Equal, or what wsproto says early of a frame that is not whole yet, the scanner will say when it is."""
    early = len(ours) == len(theirs) - 1 and theirs[-1] in [("close", 1002), ("close", 1007)]
    huge = ours[-1:] == [("close", 1009)] and ours[:-1] == theirs[: len(ours) - 1]
    return ours == theirs or huge or (early and scanner.unfinished and ours == theirs[:-1])


@given(streams(), chunkings, st.sampled_from([1, 2, 32]))
@settings(max_examples=600, deadline=None)
@example(text("a") + frame(PING, b"p") + text("b") + frame(TEXT, b"c", fin=False) + frame(CONTINUATION, b"d"), [1], 2)
@example(text("a") + text(b"\xff") + text("b"), [3], 32)
@example(text("x", width=2), [200], 32)
@example(frame(TEXT, b"x" * 125, width=8), [200], 32)
@example(text("a") + close(1000, "bye") + text("b"), [200], 32)
def test_any_bytes_in_any_chunking_mean_what_they_mean_to_wsproto(data: bytes, sizes: list[int], most: int) -> None:
    ours, scanner = together(chunks_of(data, sizes), most=most)
    assert same(ours, alone(data), scanner)


@given(st.lists(plain | control | fragmented(), max_size=8), chunkings)
@settings(max_examples=150, deadline=None)
def test_valid_frames_are_all_understood(frames: list[bytes], sizes: list[int]) -> None:
    """No stream is taken for unfinished or huge that is neither: the exceptions of `same` are none here."""
    data = b"".join(frames)
    expected = alone(data)
    ours, scanner = together(chunks_of(data, sizes))
    assert ours == expected
    if not ours or ours[-1][0] != "close":
        assert (scanner.held, scanner.unfinished, scanner.between) == (0, False, True)


async def transported(data: bytes, sizes: list[int], rate: float) -> Seen:
    """What comes out of a `Transport`: messages, then how it ended."""
    ours, theirs = memory_stream_pair()
    send, chunks = trio.open_memory_channel[memoryview](1)
    buffered, wire, client = Buffered(LARGE), StreamWire(theirs), Peer(ours)
    outbox = Outbox(wire, send, max_frames=1 << 20, max_bytes=LARGE, buffered=buffered)
    limits = Limits(frames_per_second=rate, max_message_bytes=1 << 20)
    transport = Transport(wire, outbox, limits, buffered)
    seen: Seen = []

    async def client_sends() -> None:
        for chunk in chunks_of(data, sizes):
            await client.send(chunk)
            await trio.lowlevel.checkpoint()
        await trio.sleep(1000)
        await client.drop()

    async def writes() -> None:
        async for left in chunks:
            while left:
                left = outbox.wrote(await wire.send(left))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client_sends)
        nursery.start_soon(writes)
        transport.open(b"")
        try:
            while True:
                messages = await transport.receive()
                if not messages:
                    await transport.hand_over(nursery)
                seen += [("message", message) for message in messages]
        except PeerLeft as left:
            if left.code is not None:
                seen.append(("close", left.code))
        except FrameError as error:
            seen.append(("close", int(error.code)))
        nursery.cancel_scope.cancel()
    transport.close()
    outbox.close()
    assert buffered.bytes == 0
    return seen


@given(streams(), chunkings, st.sampled_from([1, 7, 1_000_000]))
@settings(max_examples=150, deadline=None)
@example(frame(PING) + frame(PING) + frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b"), [1000], 1)
@example(text("a") + text(b"\xff"), [1000], 1_000_000)
def test_a_transport_hands_on_what_wsproto_would(data: bytes, sizes: list[int], rate: float) -> None:
    """Also where each frame has to wait for the budget, and two tasks take turns at the wire."""
    seen = trio.run(transported, data, sizes, rate, clock=MockClock(autojump_threshold=0))
    expected = [(kind, what) for kind, what in alone(data) if kind in ("message", "close")]
    cut = seen[-1:] in ([("close", Close.FLOODING)], [("close", Close.TOO_LARGE)])
    if cut:
        assert seen[:-1] == expected[: len(seen) - 1]
    else:
        _, scanner = together([data])
        assert seen == expected or (scanner.unfinished and seen == expected[:-1] and expected[-1][0] == "close")


@pytest.mark.parametrize(
    "frames",
    [
        [text("x" * 101)],
        [frame(BINARY, b"x" * 101)],
        [frame(TEXT, b"x" * 60, fin=False), frame(CONTINUATION, b"x" * 41)],
        [frame(TEXT, b"x" * 50, fin=False), frame(PING), frame(CONTINUATION, b"x" * 50, fin=False), LAST],
    ],
)
@pytest.mark.parametrize("sizes", [[1], [7], [1000]])
def test_over_the_limit_is_1009_at_the_head_that_says_so(frames: list[bytes], sizes: list[int]) -> None:
    """The limit is on payload bytes, of all fragments; what was announced is not waited for."""
    body_less = b"".join(frames[:-1]) + frames[-1][:4]
    ours, _ = together(chunks_of(body_less, sizes), max_bytes=100)
    assert ours[-1] == ("close", 1009)


def test_the_limit_counts_bytes_not_characters() -> None:
    ours, _ = together([text("é" * 50), text("é" * 51)], max_bytes=100)
    assert ours == [("message", "é" * 50), ("close", 1009)]


def test_up_to_the_limit_is_fine_and_control_frames_do_not_count() -> None:
    parts = [frame(TEXT, b"x" * 50, fin=False), frame(PING, b"y" * 125), frame(CONTINUATION, b"x" * 50)]
    ours, scanner = together([b"".join(parts * 2)], max_bytes=100)
    assert ours == [("ping", b"y" * 125), ("message", "x" * 100)] * 2
    assert scanner.held == 0


def test_what_is_begun_is_held_until_it_is_whole() -> None:
    scanner = FrameScanner(1000)
    whole = text("hello")
    scanner.feed(whole[:-1])
    assert scanner.take(9) == []
    assert (scanner.held, scanner.unfinished, scanner.between) == (len(whole) - 1, True, True)
    scanner.feed(whole[-1:])
    assert scanner.take(9) == ["hello"]
    assert (scanner.held, scanner.unfinished) == (0, False)


def test_what_is_wrong_is_told_in_its_turn() -> None:
    """What came before it was said, and is taken first."""
    scanner = FrameScanner(1000)
    scanner.feed(text("a") + text("b") + text(b"\xff"))
    assert scanner.take(9) == ["a", "b"]
    assert scanner.waiting, "though all bytes are taken"
    for _ in range(2):
        with pytest.raises(FrameError) as raised:
            scanner.take(9)
        assert raised.value.code == Close.BAD_UTF8


def test_fragments_are_held_though_wsproto_has_them() -> None:
    scanner = FrameScanner(1000)
    first = frame(TEXT, b"hello", fin=False)
    scanner.feed(text("plain") + first)
    assert scanner.take(9) == ["plain"]
    assert not scanner.plain
    assert scanner.piece() == first
    assert (scanner.held, scanner.unfinished, scanner.between, scanner.in_frame) == (len(first), True, False, False)
    ping = frame(PING)
    scanner.feed(ping)
    assert scanner.piece() == ping
    assert (scanner.held, scanner.between) == (len(first), False)
    last = frame(CONTINUATION, b"!")
    scanner.feed(last[:3])
    assert scanner.piece() == last[:3]
    assert scanner.in_frame
    assert scanner.piece() is None
    scanner.feed(last[3:])
    assert scanner.piece() == last[3:]
    assert (scanner.held, scanner.unfinished, scanner.between) == (0, False, True)


def test_what_was_handed_out_is_not_kept() -> None:
    """An idle peer's last message of a megabyte is no megabyte of memory."""
    scanner = FrameScanner(1 << 20)
    scanner.feed(text("x" * 1_000_000) + b"\x81")
    assert scanner.take(9) == ["x" * 1_000_000]
    assert scanner.take(9) == []
    scanner.compact()
    assert scanner._buffer == b"\x81"


@pytest.mark.parametrize("code", list(Close))
def test_close_frames_fit_and_say_code_and_reason(code: Close) -> None:
    made = close_frame(code, code.reason)
    assert (made[0], made[1]) == (CLOSE_FRAME, len(made) - 2)
    assert len(made) <= 127
    assert made[2:] == int(code).to_bytes(2, "big") + code.reason.encode()


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_what_we_frame_a_client_reads(size: int) -> None:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(text_frame(b"x" * size) + PING_FRAME)
    assert list(client.events()) == [ws.TextMessage(data="x" * size), ws.Ping(payload=b"")]
