"""Frames of RFC 6455 as cheap as the load needs them: made in advance, cut on receipt, or merely counted."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Two bytes, as any single one may turn up in a frame's length. It is no part of names, rooms, timestamps or headers
# (but for one of a frame of 24,158 bytes).
MARK = b"^^"
MARK_BYTE = MARK[0]
CLOSE, TEXT = 8, 1  # opcodes


def masked(payload: bytes) -> bytes:
    """One client's text frame (RFC 6455 §5.2)."""
    key = os.urandom(4)
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        size = b"\xfe" + len(payload).to_bytes(2, "big")
    else:
        size = b"\xff" + len(payload).to_bytes(8, "big")
    return b"\x81" + size + key + body


class Frames:
    """Cut a server's byte stream into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (opcode, payload) of each frame that is whole by now."""
        data, start = self._rest + data, 0
        try:
            while len(data) - start >= 2:
                size, body = data[start + 1], start + 2
                if size >= 126:
                    body += 2 if size == 126 else 8
                    size = int.from_bytes(data[start + 2 : body], "big")
                if len(data) < body or len(data) < body + size:
                    break
                opcode, start = data[start] & 0x0F, body + size
                yield opcode, data[body:start]
        finally:
            self._rest = data[start:]


class MarkCounter:
    """Count `MARK` in a stream that comes in pieces."""

    def __init__(self) -> None:
        self._half = False

    def count(self, buffer: bytearray, size: int) -> int:
        """Count it in the first `size` bytes, at least 1, of `buffer`: the next piece."""
        split = self._half and buffer[0] == MARK_BYTE
        self._half = buffer[size - 1] == MARK_BYTE
        return buffer.count(MARK, 0, size) + split
