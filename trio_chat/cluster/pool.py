"""coredis' connection pool without its leaks.

A pool of coredis 6 has a slot for each connection that may be open, and loses one for good

1. when a connection that is given back has broken meanwhile: the server was restarted, or …
2. … what was asked on it was cancelled or took too long, for which the connection is closed;
3. when whoever waits for a new connection is cancelled, or its time is up;
4. when whoever waits for a slot is cancelled: the next slot that comes back is announced to nobody.

A pool of n connections is dead after n of these. `tests/cluster/test_pool.py` shows each of them in coredis as it is:
it fails when an update mends one, and when one breaks this.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from coredis.connection import TCPConnection
from coredis.exceptions import RedisError
from coredis.pool import ConnectionPool

BUFFERS = tuple(
    f"_{what}_buffer_{end}" for what in ("write", "push_message", "streamed_message") for end in ("in", "out")
)


class Pool(ConnectionPool[TCPConnection]):
    """At most `max_connections`; a connection that is given back is the next that is taken.

    Nothing of coredis' own slots is used: what counts is a semaphore, which is released wherever it was acquired.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._slots = trio.Semaphore(self.max_connections, max_value=self.max_connections)
        self._idle: list[TCPConnection] = []
        self.made = 0  # connections, so far

    @property
    def free(self) -> int:
        """How many more may be taken at once."""
        return self._slots.value

    async def get_connection(self, **_: Any) -> TCPConnection:
        """A connection that is nobody else's, until `release`. Cancelled, or where none can be made, no slot is taken.

        Raises:
            TimeoutError: there is none within `timeout` seconds, its making included.
            coredis.exceptions.RedisError: none can be made; `ConnectionError` where nobody listens.
        """
        with trio.move_on_after(math.inf if self.timeout is None else self.timeout):
            await self._slots.acquire()
            made: TCPConnection | None = None
            try:
                made = self._reused() or await self._made()
            finally:
                if made is None:
                    self._slots.release()
            return made
        raise TimeoutError(f"no connection within {self.timeout:g} s")

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[TCPConnection]:
        """A connection for the time of the block. Raises as `get_connection`."""
        connection = await self.get_connection()
        try:
            yield connection
        finally:
            self.release(connection)

    def release(self, connection: TCPConnection) -> None:
        """Give a connection back, whatever became of it."""
        if connection.usable:
            self._idle.append(connection)
        self._slots.release()

    def disconnect(self) -> None:
        """Close all connections; those that are taken fail."""
        self._idle.clear()
        super().disconnect()

    def _reused(self) -> TCPConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.invalidate()
        return None

    async def _made(self) -> TCPConnection:
        connection = await self._construct_connection()
        error = await self.task_group.start(self._keep, connection)
        if error is not None:
            await trio.lowlevel.checkpoint_if_cancelled()  # then that is why, but coredis calls it an error
            raise error
        self._online_connections.add(connection)
        self.made += 1
        return connection

    async def _keep(
        self, connection: TCPConnection, *, task_status: TaskStatus[RedisError | None] = TASK_STATUS_IGNORED
    ) -> None:
        """Run a connection until it ends."""
        try:
            await connection.run(task_status=task_status)
        except RedisError as error:
            task_status.started(error)
        finally:
            self._online_connections.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            for name in BUFFERS:  # coredis closes them only where there was a connection
                getattr(connection, name).close()
