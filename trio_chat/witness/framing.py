"""Frames of RFC 6455, from a client's side: made, and cut out of what a server sends."""

from __future__ import annotations

import os
from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10  # opcodes


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One client's frame (RFC 6455 §5.2)."""
    key = os.urandom(4)
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        size = b"\xfe" + len(payload).to_bytes(2, "big")
    else:
        size = b"\xff" + len(payload).to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + key + body


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
