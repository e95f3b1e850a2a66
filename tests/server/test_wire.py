"""Sockets and other streams under one contract; and never a byte to a descriptor that was closed."""

from __future__ import annotations

import os
import socket

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from trio_chat.server.wire import SocketWire, StreamWire, Wire, wire_of

from .harness import socket_pair


async def pair(kind: str) -> tuple[Wire, trio.abc.Stream, trio.abc.Stream]:
    """A wire, its stream, and the other end."""
    ours: trio.abc.Stream
    theirs: trio.abc.Stream
    ours, theirs = await socket_pair() if kind == "socket" else memory_stream_pair()
    return wire_of(ours), ours, theirs


both = pytest.mark.parametrize("kind", ["socket", "memory"])


@both
async def test_bytes_go_both_ways_and_an_end_is_empty(kind: str) -> None:
    wire, ours, theirs = await pair(kind)
    async with ours, theirs:
        assert await wire.send(b"hello") == 5
        assert await theirs.receive_some(10) == b"hello"
        await theirs.send_all(b"hi")
        assert await wire.receive() == b"hi"
        await wire.send_eof()
        assert await theirs.receive_some(10) == b""
        await theirs.send_all(b"still")
        assert await wire.receive(3) == b"sti"
        assert await wire.receive() == b"ll"
        await theirs.aclose()
        assert await wire.receive() == b""
        wire.close()


@both
async def test_a_peer_that_is_gone_is_a_broken_resource(kind: str) -> None:
    wire, ours, theirs = await pair(kind)
    await theirs.aclose()
    with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
        for _ in range(3):  # the first write to a reset socket may still be taken
            await wire.send(b"x")
            await wait_all_tasks_blocked()
    wire.close()
    await trio.aclose_forcefully(ours)


@both
async def test_after_close_nothing_works(kind: str) -> None:
    wire, ours, theirs = await pair(kind)
    wire.close()
    await trio.aclose_forcefully(ours)
    assert wire.try_send(b"x") == 0
    gone = (trio.ClosedResourceError, trio.BrokenResourceError)
    with pytest.raises(gone):
        await wire.send(b"x")
    with pytest.raises(gone):
        await wire.receive()
    if kind == "socket":
        with pytest.raises(gone):
            await wire.send_eof()
    assert await theirs.receive_some(1) == b""
    await theirs.aclose()


async def test_a_socket_takes_what_fits_and_no_more() -> None:
    ours, theirs = await socket_pair(4096)
    wire = SocketWire(ours)
    async with ours, theirs:
        taken = wire.try_send(b"x" * 4_000_000)
        assert 0 < taken < 4_000_000
        rest = taken + 1
        while rest:
            rest = wire.try_send(b"x" * 100_000)
            taken += rest
        with trio.move_on_after(0.01) as scope:
            await wire.send(b"y")
        assert scope.cancelled_caught, "it waits for room"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.send, b"z")
            got = bytearray()
            while b"z" not in got:
                got += await theirs.receive_some(1_000_000)
        assert got == b"x" * taken + b"z", "a cancelled send wrote nothing"
        wire.close()


async def test_a_closed_wire_does_not_write_to_who_has_its_descriptor_now() -> None:
    """The number of a closed socket is the next one's: a raw write would send one user's data to another."""
    ours, theirs = await socket_pair()
    wire, number = SocketWire(ours), ours.socket.fileno()
    reader, writer = os.pipe()
    wire.close()
    try:
        os.dup2(writer, number)
        os.set_blocking(reader, False)
        assert wire.try_send(b"secret") == 0
        with pytest.raises(trio.ClosedResourceError):
            await wire.send(b"secret")
        with pytest.raises(BlockingIOError):
            os.read(reader, 10)
    finally:
        for descriptor in (reader, writer, number):
            os.close(descriptor)
        await theirs.aclose()


async def test_closing_wakes_who_waits() -> None:
    ours, theirs = await socket_pair(4096)
    wire = SocketWire(ours)
    while wire.try_send(b"x" * 100_000):
        pass

    async def fails(waits: str) -> None:
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await (wire.send(b"x") if waits == "send" else wire.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, "send")
        nursery.start_soon(fails, "receive")
        await wait_all_tasks_blocked()
        wire.close()
    await theirs.aclose()


async def test_a_reset_is_a_broken_resource() -> None:
    ours, theirs = await socket_pair()
    wire = SocketWire(ours)
    theirs.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    theirs.socket.close()
    with pytest.raises(trio.BrokenResourceError):
        await wire.receive()
    with pytest.raises(trio.BrokenResourceError):
        wire.try_send(b"x")
    wire.close()


async def test_a_stream_whose_send_was_cancelled_is_broken(autojump_clock: MockClock) -> None:
    """Nobody knows how much of it went out: half a frame, and the next would be written inside it."""
    ours, theirs = lockstep_stream_pair()
    wire = StreamWire(ours)
    with trio.move_on_after(1) as scope:
        await wire.send(b"x" * 100)
    assert scope.cancelled_caught
    with pytest.raises(trio.BrokenResourceError):
        await wire.send(b"y")
    await theirs.aclose()
    await ours.aclose()


async def test_a_stream_without_half_close_is_left_open() -> None:
    """TLS has none."""
    one, other = memory_stream_pair()
    assert one.send_stream is not None
    assert one.receive_stream is not None
    wire = StreamWire(Whole(one))
    await wire.send_eof()
    await wire.send(b"x")
    assert await other.receive_some(1) == b"x"
    assert wire.try_send(b"x") == 0, "never at once"


class Whole(trio.abc.Stream):
    """A stream that can only be closed as a whole."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()
