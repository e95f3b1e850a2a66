"""Our client on a stream that takes whole messages only: what comes in fragments is left out. `… [--leave] URL`.

With `--leave` it closes with 1002 then, as one does who takes a fragment for an error.
"""

from __future__ import annotations

import sys

import attrs
import trio

from tests.fuzz.bot import main
from trio_chat.client import ConnectionEnded
from trio_chat.client.connection import Target, dial
from trio_chat.fuzz.wire import CLOSE, CONTINUATION, Frame, Parser, closing, encode


@attrs.define
class WholeOnly(trio.abc.Stream):
    """Behind the head of the answer, frames are read one by one, and fragments are none that it knows."""

    stream: trio.abc.Stream
    leaves: bool
    _head: bytes = b""
    _begun: bool = False
    _parser: Parser = attrs.field(factory=Parser)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As the stream, without the fragments."""
        while data := bytes(await self.stream.receive_some(max_bytes)):
            if not self._begun:
                self._head += data
                head, found, data = self._head.partition(b"\r\n\r\n")
                if not found:
                    continue
                self._begun = True
                return head + found + await self._whole(data)
            if kept := await self._whole(data):
                return kept
        return b""

    async def _whole(self, data: bytes) -> bytes:
        frames = self._parser.feed(data)
        kept = [frame for frame in frames if frame.fin and frame.opcode != CONTINUATION]
        if self.leaves and len(kept) < len(frames):
            await self.stream.send_all(encode(CLOSE, closing(1002)))
            raise trio.BrokenResourceError("a fragment")
        return b"".join(_again(frame) for frame in kept)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream."""
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream."""
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """As the stream."""
        await self.stream.aclose()


def _again(frame: Frame) -> bytes:
    return encode(frame.opcode, frame.payload, mask=False)


if __name__ == "__main__":
    url, leaves = sys.argv[-1], "--leave" in sys.argv

    async def connect() -> trio.abc.Stream:
        return WholeOnly(await dial(Target.of(url), None), leaves)

    try:
        trio.run(main, url, connect)
    except* ConnectionEnded:
        pass
