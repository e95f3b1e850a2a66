"""Frames of RFC 6455 as cheap as the load needs them: made in advance, cut on receipt, or merely counted."""

from __future__ import annotations

from trio_chat.witness.framing import CLOSE, TEXT, Frames, masked

__all__ = ["CLOSE", "MARK", "TEXT", "Frames", "MarkCounter", "masked"]
# Two bytes, as any single one may turn up in a frame's length. It is no part of names, rooms, timestamps or headers
# (but for one of a frame of 24,158 bytes).
MARK = b"^^"
MARK_BYTE = MARK[0]


class MarkCounter:
    """Count `MARK` in a stream that comes in pieces."""

    def __init__(self) -> None:
        self._half = False

    def count(self, buffer: bytearray, size: int) -> int:
        """Count it in the first `size` bytes, at least 1, of `buffer`: the next piece."""
        split = self._half and buffer[0] == MARK_BYTE
        self._half = buffer[size - 1] == MARK_BYTE
        return buffer.count(MARK, 0, size) + split
