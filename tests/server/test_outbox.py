"""What waits for one peer: in order, bounded, and accounted for to the byte."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_chat.server.outbox import Buffered, Frame, Outbox

from .harness import OneWay


@attrs.define
class Wire(OneWay):
    """Takes as many bytes a call as it is told to; at the end of that, none."""

    takes: Iterator[int] = attrs.field(factory=lambda: iter(()))
    written: bytes = b""
    calls: int = 0
    broken: bool = False

    def try_send(self, data: bytes | memoryview) -> int:
        self.calls += 1
        if self.broken:
            raise trio.BrokenResourceError
        count = min(next(self.takes, 0), len(data))
        self.written += bytes(data[:count])
        return count


@attrs.define
class Box:
    """An outbox with what is around it."""

    wire: Wire
    outbox: Outbox
    chunks: trio.MemoryReceiveChannel[memoryview]
    buffered: Buffered

    def writes(self, *counts: int) -> None:
        """Be the writer task, whose sends take `counts` bytes."""
        left = self.chunks.receive_nowait()
        for count in counts:
            assert left, "the writer has nothing to write"
            self.wire.written += bytes(left[:count])
            left = self.outbox.wrote(min(count, len(left)))


def box(*takes: int, max_frames: int = 10, max_bytes: int = 100, limit: int = 1000) -> Box:
    send, chunks = trio.open_memory_channel[memoryview](1)
    wire, buffered = Wire(iter(takes)), Buffered(limit)
    return Box(
        wire, Outbox(wire, send, max_frames=max_frames, max_bytes=max_bytes, buffered=buffered), chunks, buffered
    )


def entry(data: bytes, seq: int, room: str = "general") -> Frame:
    return Frame(data, room, seq)


def test_a_flush_is_one_write_of_all_that_waits() -> None:
    made = box(100)
    for data in (b"one", b"two", b"three"):
        assert made.outbox.put(Frame(data))
    assert (made.wire.calls, made.buffered.bytes, made.outbox.waiting) == (0, 0, 11)
    made.outbox.flush()
    assert (made.wire.written, made.wire.calls) == (b"onetwothree", 1)
    assert (made.buffered.bytes, made.outbox.waiting) == (0, 0)
    made.outbox.flush()
    assert made.wire.calls == 1, "there is nothing to write"


def test_while_the_writer_writes_nobody_else_does() -> None:
    made = box(2, 100)
    made.outbox.put(Frame(b"first"))
    made.outbox.flush()
    assert (made.wire.written, made.buffered.bytes) == (b"fi", 3)
    made.outbox.put(Frame(b"second"))
    made.outbox.flush()
    assert (made.wire.written, made.wire.calls, made.buffered.bytes) == (b"fi", 1, 9)
    made.writes(1, 2, 6)
    assert (made.wire.written, made.wire.calls, made.buffered.bytes) == (b"firstsecond", 1, 0)
    made.outbox.put(Frame(b"third"))
    made.outbox.flush()
    assert made.wire.written == b"firstsecondthird"


def test_a_frame_too_many_or_a_byte_too_many_is_too_slow() -> None:
    made = box(1, max_frames=3, max_bytes=100)
    for _ in range(3):
        assert made.outbox.put(Frame(b"xx"))
    made.outbox.flush()
    assert not made.outbox.put(Frame(b"xx"))

    made = box(0, max_frames=10, max_bytes=10)
    assert made.outbox.put(Frame(b"x" * 10))
    assert not made.outbox.put(Frame(b"x"))


def test_the_limit_is_on_what_the_socket_does_not_take() -> None:
    """A busy turn for a peer that reads is no reason to cut it."""
    made = box(*[1000] * 100, max_frames=3, max_bytes=10)
    for number in range(50):
        assert made.outbox.put(Frame(b"%05d" % number))
    made.outbox.flush()
    assert made.wire.written == b"".join(b"%05d" % number for number in range(50))
    assert made.buffered.bytes == 0


def test_room_is_told_once_when_less_than_half_waits() -> None:
    made, told = box(0, max_bytes=100), []
    made.outbox.put(Frame(b"x" * 60))
    made.outbox.flush()
    assert made.outbox.half_full
    made.outbox.on_room = lambda: told.append(made.outbox.waiting)
    left = made.chunks.receive_nowait()
    made.outbox.wrote(10)
    assert (told, made.outbox.half_full) == ([], True)
    made.outbox.wrote(1)
    made.outbox.wrote(1)
    assert told == [49]
    assert len(left) == 60


def test_half_of_the_frames_is_half_full_too() -> None:
    made = box(max_frames=4)
    made.outbox.put(Frame(b"x"))
    assert not made.outbox.half_full
    made.outbox.put(Frame(b"x"))
    assert made.outbox.half_full


def test_a_broken_wire_is_the_writers_to_find_out() -> None:
    made = box()
    made.wire.broken = True
    made.outbox.put(Frame(b"x"))
    made.outbox.flush()
    assert bytes(made.chunks.receive_nowait()) == b"x"


def test_the_farewell_comes_behind_all_that_waits_and_is_the_last() -> None:
    made = box(2)
    made.outbox.put(Frame(b"first"))
    made.outbox.flush()
    made.outbox.put(Frame(b"second"))
    left = made.outbox.farewell(b"bye")
    assert bytes(left) == b"rst"
    assert made.outbox.put(Frame(b"later")), "nobody is slow any longer"
    made.outbox.flush()
    assert bytes(made.outbox.wrote(3)) == b"secondbye"
    assert bytes(made.outbox.wrote(9)) == b""
    assert made.buffered.bytes == 0


def test_the_farewell_may_be_all_there_is() -> None:
    made = box()
    made.outbox.put(Frame(b"never"))
    assert bytes(made.outbox.farewell(b"bye", drop=True)) == b"bye"
    assert bytes(box().outbox.farewell(b"")) == b""


def test_a_farewell_that_drops_ends_the_frame_that_was_begun() -> None:
    made = box(2)
    made.outbox.put(Frame(b"first"))
    made.outbox.flush()
    made.outbox.put(Frame(b"second"))
    assert bytes(made.outbox.farewell(b"bye", drop=True)) == b"rst"
    assert bytes(made.outbox.wrote(3)) == b"bye"


def test_nothing_comes_behind_a_close_frame_and_all_before_it_does() -> None:
    """RFC 6455 section 5.5.1."""
    made = box(2)
    made.outbox.put(Frame(b"first"))
    made.outbox.flush()
    made.outbox.put(Frame(b"last"))
    assert bytes(made.outbox.farewell(b"close")) == b"rst"
    assert made.outbox.put(Frame(b"late"))
    made.outbox.flush()
    assert bytes(made.outbox.wrote(3)) == b"lastclose"
    assert bytes(made.outbox.wrote(9)) == b""


def test_what_is_dropped_counts_no_longer_though_it_is_still_being_written() -> None:
    """Else its connection would have others cut for the room it takes."""
    made = box(2)
    made.outbox.put(Frame(b"first"))
    made.outbox.flush()
    made.outbox.put(Frame(b"second"))
    made.outbox.flush()
    assert made.buffered.bytes == 9
    made.outbox.drop()
    assert made.buffered.bytes == 0
    assert made.outbox.put(Frame(b"third"))
    assert bytes(made.outbox.farewell(b"bye", drop=True)) == b"rst"
    assert bytes(made.outbox.wrote(3)) == b"bye"
    made.outbox.wrote(3)
    made.outbox.close()
    assert made.buffered.bytes == 0


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (0, (("general", 1), ("other", 1))),
        (2, (("general", 1), ("other", 1))),
        (3, (("general", 2), ("other", 1))),
        (5, (("general", 2), ("other", 1))),
        (6, (("general", 3), ("other", 1))),
        (9, (("general", 3), ("other", 2))),
    ],
)
def test_unsent_is_the_first_of_each_room_that_is_not_wholly_out(
    taken: int, expected: tuple[tuple[str, int], ...]
) -> None:
    made = box(taken)
    made.outbox.put(entry(b"aaa", 1))
    made.outbox.put(entry(b"bbb", 2))
    made.outbox.put(entry(b"ccc", 1, "other"))
    made.outbox.put(Frame(b"ddd"))
    made.outbox.flush()
    made.outbox.put(entry(b"eee", 3))
    made.outbox.put(entry(b"fff", 2, "other"))
    made.outbox.put(entry(b"ggg", 4))
    assert tuple(sorted(made.outbox.unsent())) == expected


def test_nothing_is_unsent_that_went_out() -> None:
    made = box(100)
    made.outbox.put(entry(b"aaa", 1))
    made.outbox.flush()
    assert made.outbox.unsent() == ()


def test_a_closed_outbox_holds_nothing_and_takes_nothing() -> None:
    made = box(1)
    made.outbox.put(Frame(b"xyz"))
    made.outbox.flush()
    made.outbox.close()
    assert (made.buffered.bytes, made.outbox.waiting, made.outbox.unsent()) == (0, 0, ())
    assert made.outbox.put(Frame(b"x"))
    made.outbox.flush()
    assert made.outbox.waiting == 0


def test_over_is_above_the_limit() -> None:
    buffered = Buffered(10)
    buffered.bytes = 10
    assert not buffered.over
    buffered.bytes = 11
    assert buffered.over


steps = st.one_of(st.binary(min_size=1, max_size=20), st.just("flush"), st.integers(1, 30))


@given(st.lists(steps, max_size=40), st.lists(st.integers(0, 40), max_size=20), st.booleans())
@settings(deadline=None)
def test_whatever_the_wire_takes_the_bytes_are_the_frames_in_order(
    does: list[bytes | str | int], takes: list[int], drop: bool
) -> None:
    made = box(*takes, max_frames=1000, max_bytes=100_000)
    outbox, put, left = made.outbox, bytearray(), memoryview(b"")

    def write(count: int) -> None:
        nonlocal left
        if not left:
            try:
                left = made.chunks.receive_nowait()
            except trio.WouldBlock:
                return
        made.wire.written += bytes(left[:count])
        left = outbox.wrote(min(count, len(left)))

    for step in does:
        if isinstance(step, bytes):
            put += step
            assert outbox.put(Frame(step))
        elif isinstance(step, str):
            outbox.flush()
        else:
            write(step)
        assert outbox.waiting == len(put) - len(made.wire.written)
        if step == "flush" or isinstance(step, int):
            assert made.buffered.bytes in (0, outbox.waiting), "it counts once the socket did not take it"
    begun = outbox.waiting - sum(len(waits.data) for waits in outbox._queue)
    left = outbox.farewell(b"bye", drop=drop)
    expected = (put[: len(made.wire.written) + begun] if drop else put) + b"bye"
    while left:
        made.wire.written += bytes(left[:7])
        left = outbox.wrote(min(7, len(left)))
    assert made.wire.written == expected
    assert (made.buffered.bytes, outbox.waiting) == (0, 0)
