"""Lines of bytes as texts to be sent: bounded, and each mistake named with its line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

import attrs

MAX_BYTES = 2**24  # of a line; what the server takes is far less, and it says so itself


class LineError(Exception):
    """A line cannot be sent, or one cannot know; its text is the line to show."""


@attrs.frozen
class Line:
    """One line of the input, without its end; `number` counts from 1."""

    number: int
    data: bytes

    @property
    def text(self) -> str:
        """What it says.

        Raises:
            LineError: it is not UTF-8.
        """
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise LineError(f"line {self.number} is not UTF-8 (byte {error.start + 1}); it was not sent") from None


async def read_lines(read: Callable[[], Awaitable[bytes]]) -> AsyncGenerator[Line, None]:
    """The lines that `read` gives, piece by piece, up to the empty piece. A last line needs no end.

    Cancelled: what was read and not yet given is lost.

    Raises:
        LineError: a line is longer than `MAX_BYTES`.
    """
    pieces: list[bytes] = []
    number, size = 0, 0
    while data := await read():
        *whole, rest = data.split(b"\n")
        for part in whole:
            number += 1
            yield Line(number, b"".join([*pieces, part]).removesuffix(b"\r"))
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > MAX_BYTES:
            raise LineError(f"line {number + 1} is longer than {MAX_BYTES} bytes; it was not sent")
    if last := b"".join(pieces):
        yield Line(number + 1, last.removesuffix(b"\r"))
