"""The pool loses no slot, whatever becomes of a connection; coredis' own does: if that changes, ours can go."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest
import trio
import trio.testing
from coredis.connection import TCPConnection, TCPLocation
from coredis.pool import ConnectionPool

from tests.cluster.valkey import Valkey
from trio_chat.cluster.pool import Pool

SLOTS = 2
AnyPool = ConnectionPool[TCPConnection]
Mishap = Callable[[AnyPool, Valkey], Awaitable[None]]


def made(kind: type[ConnectionPool[Any]], server: Valkey, **options: Any) -> AnyPool:
    location = TCPLocation("127.0.0.1", server.port)
    return kind(location=location, connection_class=TCPConnection, max_connections=SLOTS, timeout=1.0, **options)


async def ping(pool: AnyPool) -> None:
    async with pool.acquire() as connection:
        assert await connection.create_request(b"PING") == b"PONG"


async def broken(connection: TCPConnection) -> None:
    """Wait until it is seen that it is."""
    with trio.fail_after(5):
        while connection.usable:  # noqa: ASYNC110 - coredis has no event for it
            await trio.sleep(0.01)


async def cancelled_command(pool: AnyPool, server: Valkey) -> None:
    with trio.move_on_after(0.05):
        async with pool.acquire() as connection:
            await connection.create_request(b"BLPOP", b"nothing", 30, disconnect_on_cancellation=True)


async def restarted_server(pool: AnyPool, server: Valkey) -> None:
    async with pool.acquire() as connection:
        server.kill()
        await broken(connection)
    server.start()


async def cancelled_handshake(pool: AnyPool, server: Valkey) -> None:
    """The server takes the connection, and says nothing."""
    server.pause()
    with trio.move_on_after(0.05) as scope:
        await ping(pool)
    assert scope.cancelled_caught
    server.resume()


async def cancelled_connecting(pool: AnyPool, server: Valkey) -> None:
    """Nobody takes the connection: somebody listens, and has more to accept than may wait."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(3):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        real, pool.location = pool.location, TCPLocation(*full.getsockname())
        with trio.move_on_after(0.1) as scope:
            await ping(pool)
        assert scope.cancelled_caught
        pool.location = real


async def cancelled_waiting(pool: AnyPool, server: Valkey) -> None:
    """Somebody who waits goes away; the slot that comes back then is the next one's."""
    taken = [await pool.get_connection() for _ in range(SLOTS)]
    with trio.move_on_after(0.05):
        await pool.get_connection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ping, pool)
        await trio.testing.wait_all_tasks_blocked(0.05)
        pool.release(taken.pop())
    for connection in taken:
        pool.release(connection)


MISHAPS: list[Mishap] = [cancelled_command, restarted_server, cancelled_connecting]
BENIGN: list[Mishap] = [cancelled_handshake]


@pytest.fixture(autouse=True)
def quiet() -> None:
    """What coredis says of a connection that fails, with its traceback, is no failure here."""
    logging.getLogger("coredis").setLevel(logging.CRITICAL)


async def sound(pool: AnyPool, server: Valkey, mishap: Mishap) -> bool:
    """Whether all slots are there after as many mishaps."""
    async with pool:
        for _ in range(SLOTS):
            await mishap(pool, server)
        try:
            taken = [await pool.get_connection() for _ in range(SLOTS)]
        except TimeoutError:
            return False
        for connection in taken:
            pool.release(connection)
        return True


@pytest.mark.parametrize("mishap", [*MISHAPS, *BENIGN], ids=lambda mishap: mishap.__name__)
async def test_no_slot_is_lost(server: Valkey, mishap: Mishap) -> None:
    assert await sound(made(Pool, server), server, mishap)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.__name__)
async def test_coredis_loses_one(server: Valkey, mishap: Mishap) -> None:
    """If this fails, coredis has mended it: see whether `Pool` is still needed."""
    assert not await sound(made(ConnectionPool, server), server, mishap)
    gc.collect()  # it leaves buffers open, too, and that is said where they are collected


async def test_a_waiter_that_goes_away_takes_no_turn(server: Valkey) -> None:
    async with made(Pool, server) as pool:
        await cancelled_waiting(pool, server)


async def test_in_coredis_it_does(server: Valkey) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with made(ConnectionPool, server) as pool:
            await cancelled_waiting(pool, server)
    assert caught.group_contains(TimeoutError)


async def test_a_connection_is_used_again(server: Valkey) -> None:
    async with made(Pool, server) as pool:
        first = await pool.get_connection()
        pool.release(first)
        assert await pool.get_connection() is first
        pool.release(first)
        assert isinstance(pool, Pool)
        assert pool.free == SLOTS


async def test_a_connection_that_broke_while_nobody_had_it_is_not(server: Valkey) -> None:
    async with made(Pool, server) as pool:
        first = await pool.get_connection()
        pool.release(first)
        server.kill()
        server.start()
        await broken(first)
        await ping(pool)


async def test_nobody_listens(server: Valkey) -> None:
    server.kill()
    async with made(Pool, server) as pool:
        for _ in range(2 * SLOTS):
            with pytest.raises(Exception, match="Unable to establish a connection"):
                await ping(pool)
        server.start()
        await ping(pool)
