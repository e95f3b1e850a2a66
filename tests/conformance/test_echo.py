"""The echo server echoes, over a real socket: else the suite would judge something else than the transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.server.harness import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    close,
    frame,
    request,
    text,
)

from .echo import LARGEST, serve

BOUND = 10.0  # seconds for a test: what takes longer never comes


@asynccontextmanager
async def knocking() -> AsyncIterator[Peer]:
    """A client that has said nothing yet; the server is cancelled at the end."""
    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve)
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                yield Peer(stream)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1 << 20])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_comes_back_as_it_was(opcode: int, size: int) -> None:
    """Of either kind, at each width of the length; and a binary one is odd, so text behind it goes the odd way."""
    async with knocking() as peer:
        await peer.open(subprotocol=None)
        message = (opcode, b"\x7f" * size)
        await peer.send(frame(*message), frame(*message))
        assert [await peer.frame(), await peer.frame()] == [message, message]
        await peer.send(text("Grüße"))
        assert await peer.frame() == (TEXT, "Grüße".encode())


async def test_what_comes_with_the_request_is_echoed_too() -> None:
    async with knocking() as peer:
        await peer.open(text("first"), frame(BINARY, b"\xff"), subprotocol=None)
        assert [await peer.frame(), await peer.frame()] == [(TEXT, b"first"), (BINARY, b"\xff")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_come_back_whole_and_a_ping_between_them_is_answered_first(opcode: int) -> None:
    async with knocking() as peer:
        await peer.open(subprotocol=None)
        await peer.send(frame(opcode, b"on", fin=False), frame(PING, b"?"), frame(CONTINUATION, b"ce"))
        assert [await peer.frame(), await peer.frame()] == [(PONG, b"?"), (opcode, b"once")]


async def test_a_ping_is_answered() -> None:
    async with knocking() as peer:
        await peer.open(subprotocol=None)
        await peer.send(frame(PING, b"are you there?"))
        assert await peer.frame() == (PONG, b"are you there?")


@pytest.mark.parametrize("code", [None, 1000, 4999])
async def test_a_close_is_echoed_behind_what_was_said(code: int | None) -> None:
    async with knocking() as peer:
        await peer.open(subprotocol=None)
        await peer.send(text("last"), close(code))
        assert await peer.frame() == (TEXT, b"last")
        assert await peer.frame() == (CLOSE, b"" if code is None else code.to_bytes(2, "big"))
        await peer.ended()


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (text(b"\xff"), 1007),
        (frame(3), 1002),
        (frame(TEXT, width=8), 1002),
        (close(1005), 1002),
        (b"\x81\xff" + (LARGEST + 1).to_bytes(8, "big"), 1009),
    ],
)
async def test_whoever_breaks_a_rule_is_told_which_behind_the_last_echo(odd: bytes, code: int) -> None:
    async with knocking() as peer:
        await peer.open(subprotocol=None)
        await peer.send(text("last"), odd)
        assert await peer.frame() == (TEXT, b"last")
        assert await peer.closed() == code


async def test_what_is_no_upgrade_is_answered_over_http() -> None:
    async with knocking() as peer:
        await peer.send(request("GET", "/"))
        assert (await peer.response()).status == 426
        await peer.ended()
