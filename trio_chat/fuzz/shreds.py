"""A text message as no server sends it and every client must take it: in fragments, and its bytes in any chunks."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import attrs
import trio

from trio_chat.fuzz.wire import CONTINUATION, PING, PONG, TEXT, encode

MOST = 64  # fragments of a message, and writes of its bytes
PAUSES = 4  # of one message, so that the client reads a part of it first
PAUSE = 0.01  # seconds


@attrs.define
class Shredder:
    """Fragments and chunks that `chance` draws. `pings`: what was in the pings so far, each of them another."""

    chance: Random
    pings: list[bytes] = attrs.field(factory=list)

    def frames(self, payload: bytes) -> list[bytes]:
        """At least two data frames (RFC 6455, 5.4), and control frames between them.

        Some of the fragments may be empty, or end within a character.
        """
        ends = self._ends(len(payload))
        frames = []
        for number, (start, end) in enumerate(zip([0, *ends], [*ends, len(payload)], strict=True)):
            if number == 1 or (number > 1 and self.chance.random() < 0.2):
                frames += self._control()
            opcode, fin = CONTINUATION if number else TEXT, number == len(ends)
            frames.append(encode(opcode, payload[start:end], fin=fin, mask=False))
        return frames

    def first(self, payload: bytes) -> bytes:
        """The first fragment of a message that is never ended."""
        return encode(TEXT, payload[: len(payload) // 2], fin=False, mask=False)

    def _ends(self, size: int) -> list[int]:
        """Where a fragment ends and another begins: now and then at every byte, as far as `MOST` goes."""
        match self.chance.randrange(4):
            case 0:
                ends = list(range(1, size))[: MOST - 2]
            case 1:
                ends = [0, self.chance.randint(0, size), size]  # the first and the last are empty
            case _:
                ends = [self.chance.randint(0, size) for _ in range(self.chance.randint(1, 6))]
        return sorted(ends) or [size]

    def _control(self) -> list[bytes]:
        """A ping, and perhaps a pong that nobody asked for (RFC 6455, 5.5.3)."""
        self.pings.append(b"between %d" % len(self.pings))
        pong = [encode(PONG, b"nobody asked", mask=False)] if self.chance.random() < 0.5 else []
        return [encode(PING, self.pings[-1], mask=False), *pong]

    def chunks(self, data: bytes) -> Iterator[bytes]:
        """All of `data`, in at most `MOST` chunks, none of them empty."""
        match self.chance.randrange(3):
            case 0:
                ends = [len(data)]
            case 1:
                ends = [*range(1, min(len(data), MOST)), len(data)]  # byte by byte
            case _:
                ends = [*(self.chance.randint(1, len(data)) for _ in range(self.chance.randint(1, 8))), len(data)]
        start = 0
        for end in sorted(set(ends)):
            yield data[start:end]
            start = end

    async def pause(self, number: int) -> None:
        """Let what was written arrive, behind the first chunks. Cancelled: nothing is lost."""
        if number < PAUSES:
            await trio.sleep(PAUSE)
