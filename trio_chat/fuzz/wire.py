"""As much of RFC 6455 as is needed to say anything at all to a server, well-formed or not, and to judge its framing."""

from __future__ import annotations

import os

import attrs

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NO_STATUS, ABNORMAL = 1005, 1006  # RFC 6455, 7.4.1: a close frame without a code; no close frame at all


class FramingError(Exception):
    """The peer's bytes are no frames; `str()` says what is wrong with them."""


@attrs.frozen
class Frame:
    """One frame, as it came."""

    opcode: int
    payload: bytes
    fin: bool


def encode(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, size: int | None = None
) -> bytes:
    """A frame (RFC 6455, 5.2), a client's where it is masked. It may claim another `size` than its payload has."""
    size = len(payload) if size is None else size
    bit = 0x80 if mask else 0
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + masked(payload, key)


def masked(payload: bytes, key: bytes) -> bytes:
    """The payload under a key of four bytes; twice, it is as before."""
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def closing(code: int | None) -> bytes:
    """The payload of a close frame."""
    return b"" if code is None else code.to_bytes(2, "big")


class Parser:
    """Cut a stream of bytes into frames.

    Args:
        masks: whether the peer masks, as clients must and servers must not.
    """

    def __init__(self, *, masks: bool = False) -> None:
        self._masks = masks
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole by now.

        Raises:
            FramingError: these are none.
        """
        self._rest += data
        frames = []
        while (cut := self._next()) is not None:
            frames.append(cut)
        return frames

    def _next(self) -> Frame | None:
        rest = self._rest
        if len(rest) < 2:
            return None
        size, body = rest[1] & 0x7F, 2
        if rest[0] & 0x70:
            raise FramingError("reserved bits are set, and no extension was agreed on")
        if bool(rest[1] & 0x80) is not self._masks:
            raise FramingError("a frame is not masked" if self._masks else "a frame is masked")
        if size >= 126:
            body += 2 if size == 126 else 8
            if len(rest) < body:
                return None
            size = int.from_bytes(rest[2:body], "big")
        key = rest[body : body + 4] if self._masks else b""
        body += 4 if self._masks else 0
        if len(rest) < body + size:
            return None
        payload = rest[body : body + size]
        self._rest = rest[body + size :]
        return Frame(rest[0] & 0x0F, masked(payload, key) if key else payload, bool(rest[0] & 0x80))
