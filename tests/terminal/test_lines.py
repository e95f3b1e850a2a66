"""Lines of any bytes in any pieces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.terminal import lines
from trio_chat.terminal.lines import Line, LineError, read_lines


def source(*pieces: bytes) -> Callable[[], Awaitable[bytes]]:
    """Gives pieces, and then the end."""
    left = iter(pieces)

    async def read() -> bytes:
        return next(left, b"")

    return read


async def all_of(*pieces: bytes) -> list[Line]:
    return [line async for line in read_lines(source(*pieces))]


@given(st.lists(st.binary(min_size=1, max_size=5) | st.just(b"\n") | st.just(b"\r\n"), max_size=20))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    whole = b"".join(pieces).split(b"\n")
    expected = [*whole[:-1], *filter(None, whole[-1:])]

    async def run() -> list[Line]:
        return await all_of(*pieces)

    got = trio.run(run)
    assert [line.data for line in got] == [line.removesuffix(b"\r") for line in expected]
    assert [line.number for line in got] == list(range(1, len(expected) + 1))


async def test_a_line_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 10)
    assert len(await all_of(b"a\n12345", b"67890")) == 2
    with pytest.raises(LineError, match=r"^line 2 is longer than 10 bytes; it was not sent$"):
        await all_of(b"a\n12345", b"678901")


def test_what_is_not_utf8_is_named() -> None:
    assert Line(1, "grüße".encode()).text == "grüße"
    with pytest.raises(LineError, match=r"^line 7 is not UTF-8 \(byte 3\); it was not sent$"):
        _ = Line(7, b"ab\xff").text
