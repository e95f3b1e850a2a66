"""A WebSocket client's connection under Trio, as small as a test needs it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from trio_chat.witness.framing import CLOSE, PING, PONG, TEXT, Frames, masked
from trio_chat.witness.transcript import Frame

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


Dial: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]  # raises OSError where the server cannot be reached


class Lost(Exception):
    """The connection is gone, or was never made."""


class Wire:
    """An upgraded connection. One task receives; any may send."""

    def __init__(self, stream: trio.abc.Stream, patience: float) -> None:
        self._stream, self._patience = stream, patience
        self._parser = Frames()
        self._frames: list[tuple[int, bytes]] = []
        self._sending = trio.Lock()
        self.code: int | None = None  # of the server's close frame

    @classmethod
    async def open(cls, dial: Dial, path: str = "/ws", *, patience: float = math.inf) -> Wire:
        """Connect, and upgrade; after `patience` seconds without a byte, it is lost.

        Raises Lost. Cancelled: nothing is left open.
        """
        try:
            stream = await dial()
        except OSError as error:
            raise Lost(str(error)) from None
        wire = cls(stream, patience)
        try:
            await wire._upgrade(path)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return wire

    async def _upgrade(self, path: str) -> None:
        await self._send(UPGRADE % path.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self._read()
        head, _, rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Lost(head.decode(errors="replace"))
        self._frames += self._parser.feed(rest)

    async def send(self, frame: Frame) -> None:
        """Send a command. Raises Lost. Cancelled: half a frame may be out, so the connection must go."""
        await self._send(masked(json.dumps(frame).encode()))

    async def receive(self) -> Frame:
        """The next event. Raises Lost at the end; `code` says how it ended. Cancelling loses nothing."""
        while True:
            while self._frames:
                opcode, payload = self._frames.pop(0)
                if opcode == TEXT:
                    frame: Frame = json.loads(payload)
                    return frame
                if opcode == CLOSE:
                    self.code = int.from_bytes(payload[:2], "big")
                    raise Lost(f"closed with {self.code}")
                if opcode == PING:
                    await self._send(masked(payload, PONG))
            self._frames += self._parser.feed(await self._read())

    async def say_close(self, code: int) -> None:
        """Send a close frame; the server's comes as the end of `receive`. Raises Lost."""
        await self._send(masked(code.to_bytes(2, "big"), CLOSE))

    async def drop(self) -> None:
        """Close the socket, whatever is on its way."""
        await trio.aclose_forcefully(self._stream)

    async def _read(self) -> bytes:
        try:
            with trio.fail_after(self._patience):
                data = await self._stream.receive_some()
        except trio.TooSlowError:
            raise Lost(f"silent for {self._patience:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Lost(str(error)) from None
        if not data:
            raise Lost("the connection ended without a close frame")
        return bytes(data)

    async def _send(self, data: bytes) -> None:
        try:
            async with self._sending:
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Lost(str(error)) from None
