"""Fragments and chunks: whatever is drawn, a peer that knows RFC 6455 reads the message, and all kinds do come."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from trio_chat.fuzz.shreds import MOST, Shredder
from trio_chat.fuzz.wire import CONTINUATION, PING, PONG, TEXT, Frame, Parser

SEEDS = st.integers(0, 2**32)


def cut(payload: bytes, seed: int) -> tuple[list[Frame], Shredder]:
    shredder = Shredder(Random(seed))
    return Parser().feed(b"".join(shredder.frames(payload))), shredder


@given(payload=st.binary(max_size=300), seed=SEEDS)
def test_fragments_are_a_message_with_control_frames_in_it(payload: bytes, seed: int) -> None:
    frames, shredder = cut(payload, seed)
    data = [frame for frame in frames if frame.opcode in (TEXT, CONTINUATION)]
    assert b"".join(frame.payload for frame in data) == payload
    assert [frame.opcode for frame in data] == [TEXT] + [CONTINUATION] * (len(data) - 1)
    assert [frame.fin for frame in data] == [False] * (len(data) - 1) + [True]
    assert 2 <= len(data) <= MOST
    assert {frame.opcode for frame in frames} <= {TEXT, CONTINUATION, PING, PONG}
    assert [frame.payload for frame in frames if frame.opcode == PING] == shredder.pings
    assert len(set(shredder.pings)) == len(shredder.pings) > 0
    assert frames[0] is data[0]
    assert frames[-1] is data[-1]


@given(data=st.binary(min_size=1, max_size=300), seed=SEEDS)
def test_chunks_are_all_of_the_bytes(data: bytes, seed: int) -> None:
    chunks = list(Shredder(Random(seed)).chunks(data))
    assert b"".join(chunks) == data
    assert all(chunks)
    assert len(chunks) <= MOST


def test_all_kinds_come() -> None:
    text = "日本語 " * 40
    lengths = {tuple(len(frame.payload) for frame in cut(text.encode(), seed)[0]) for seed in range(40)}
    assert any(0 in sizes for sizes in lengths), "an empty fragment"
    assert any(sizes.count(1) > MOST / 2 for sizes in lengths), "byte by byte"
    assert any(size % 10 in (1, 2, 4, 5, 7, 8) for sizes in lengths for size in sizes), "within a character"
    chunks = {len(list(Shredder(Random(seed)).chunks(text.encode()))) for seed in range(40)}
    assert {1, MOST} <= chunks
    assert len(chunks) > 2
