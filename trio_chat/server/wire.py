"""The bytes of one peer, under everything else: a socket where it can be one, any Trio stream where it cannot.

A socket is written to without waiting, at the end of a broker's turn: one call, one system call, no task switch. And a
cancelled `send` loses nothing: what is still to be written is known to the byte. Other streams (TLS, memory) can only
`send_all`; cancelled, they are broken.
"""

from __future__ import annotations

import os
import socket
from typing import Protocol, runtime_checkable

import trio

RECEIVE_BYTES = 65_536


@runtime_checkable
class Wire(Protocol):
    """What the rest of the server needs of a stream. All raise `trio.BrokenResourceError` when the peer is gone."""

    def try_send(self, data: bytes | memoryview) -> int:
        """Write what fits, at once. Returns how many bytes that was: 0 too when this wire has to wait."""

    async def send(self, data: bytes | memoryview) -> int:
        """Write some, waiting for room. Cancelled: see the class."""

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes; empty at the end. Cancelled: nothing is lost."""

    async def send_eof(self) -> None:
        """Say that no more will be written, where the stream can."""

    def close(self) -> None:
        """Drop the stream, at once. After it nothing is written, ever."""


class SocketWire:
    """A TCP connection. `fd` is used directly: 6.7 µs a write, against 18 µs through `SocketStream.send_all`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream, self._socket = stream, stream.socket
        self._fd = self._socket.fileno()
        self._more = False  # the last read took all that it could: there may be more

    def try_send(self, data: bytes | memoryview) -> int:
        """Write what the socket takes."""
        if self._fd < 0:  # closed: the number may be another user's connection by now
            return 0
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def send(self, data: bytes | memoryview) -> int:
        """Write some. Cancelled: nothing of `data` was written."""
        while True:
            if self._fd < 0:
                raise trio.ClosedResourceError
            written = self.try_send(data)
            if written:
                return written
            await trio.lowlevel.wait_writable(self._fd)

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes; always a checkpoint. Cancelled: nothing is lost."""
        if self._fd < 0:
            raise trio.ClosedResourceError
        # `SocketType.recv` tries before it waits: a system call that says EAGAIN, 1.5 µs of the 20 of a short message.
        if self._more:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_readable(self._fd)
        while self._fd >= 0:
            try:
                data = os.read(self._fd, max_bytes)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._fd)
            except OSError as error:
                raise trio.BrokenResourceError from error
            else:
                self._more = len(data) == max_bytes
                return data
        raise trio.ClosedResourceError

    async def send_eof(self) -> None:
        """Half-close. Cancelled: nothing is lost."""
        await trio.lowlevel.checkpoint()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise trio.BrokenResourceError from error

    def close(self) -> None:
        """Close the descriptor; whoever waits on it gets `ClosedResourceError`."""
        self._fd = -1
        self._socket.close()


class StreamWire:
    """Any other Trio stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._broken = False

    def try_send(self, data: bytes | memoryview) -> int:
        """Never at once."""
        return 0

    async def send(self, data: bytes | memoryview) -> int:
        """Write all. Cancelled: nobody knows how much of it went out, and the stream is broken."""
        await trio.lowlevel.checkpoint_if_cancelled()  # here it would still be whole
        if self._broken:
            raise trio.BrokenResourceError
        self._broken = True
        await self._stream.send_all(data)
        self._broken = False
        return len(data)

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes. Cancelled: nothing is lost."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """Half-close where the stream has that. Cancelled: nothing is lost.

        TLS has not, but TCP under it has: without, a peer that waits for us to close would wait for all our grace. What
        was said is complete without TLS's own end: a response has its length, a WebSocket its close frame.
        """
        stream = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()

    def close(self) -> None:
        """Close without waiting: `aclose` in a scope that is cancelled already is Trio's forceful close."""
        self._broken = True


def wire_of(stream: trio.abc.Stream) -> Wire:
    """The best wire over `stream`. One in memory may be one itself: then it is written to at once, as a socket is."""
    if isinstance(stream, trio.SocketStream):
        return SocketWire(stream)
    return stream if isinstance(stream, Wire) else StreamWire(stream)
