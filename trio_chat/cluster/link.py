"""The way to a Redis server: scripts, many in one round trip, and what may go wrong on it."""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio
from coredis.connection import TCPConnection, TCPLocation
from coredis.exceptions import ConnectionError as RedisConnectionError
from coredis.exceptions import NoScriptError, RedisError

from trio_chat.cluster import scripts
from trio_chat.cluster.pool import Pool
from trio_chat.redis_url import RedisUrl

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0  # for a whole round trip; then the connection is closed, and what was asked is unknown
FOR_EVER = 1e9  # seconds, of a single request: the round trip has its own
CONNECTIONS = 3  # the writer's, the searcher's, and one to spare

Call: TypeAlias = tuple[bytes, ...]  # a command and its arguments
Reply: TypeAlias = Any  # what the server said, or a RedisError

_SCRIPTS = [
    text.encode()
    for name, text in vars(scripts).items()
    if name.isupper() and name not in ("FENCE", "GUARD", "ROOM", "SWEEP")
]
_SHA = {text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode() for text in _SCRIPTS}


class UnreachableError(Exception):
    """No connection could be made: nothing was sent. `str()` is for people."""


class BrokenError(Exception):
    """The connection ended, or took too long: what was sent may be done, or not, or be done yet."""


def script(text: str, keys: Sequence[str], *arguments: str | bytes | float) -> Call:
    """The call of a script of `scripts`."""
    return (
        b"EVALSHA",
        _SHA[text.encode()],
        b"%d" % len(keys),
        *(key.encode() for key in keys),
        *(one if isinstance(one, bytes) else str(one).encode() for one in arguments),
    )


@attrs.define(eq=False)
class Link:
    """Connections to one server; each is made when it is needed."""

    _pool: Pool

    @property
    def made(self) -> int:
        """Connections so far. Where there is another, the server may be another by now."""
        return self._pool.made

    async def call(self, calls: Sequence[Call]) -> list[Reply]:
        """Send all at once, in order, and return the answers; an error of the server's stands in its place.

        Cancelled: what was sent may be done, or not.

        Raises:
            UnreachableError: there is no server.
            BrokenError: it does not answer any more.
        """
        replies = await self._call(calls)
        if any(isinstance(one, NoScriptError) for one in replies):  # the server was restarted
            try:
                await self._call([(b"SCRIPT LOAD", text) for text in _SCRIPTS])
                replies = await self._call(calls)
            except UnreachableError as error:  # some may have been there, and have been done
                raise BrokenError(str(error)) from None
        return replies

    async def _call(self, calls: Sequence[Call]) -> list[Reply]:
        try:
            connection = await self._pool.get_connection()
        except (RedisError, OSError, TimeoutError) as error:
            raise UnreachableError(why(error)) from None
        try:
            return await self._ask(connection, calls)
        except (RedisConnectionError, TimeoutError) as error:
            connection.invalidate()
            raise BrokenError(why(error)) from None
        except BaseException:
            connection.invalidate()
            raise
        finally:
            self._pool.release(connection)

    async def _ask(self, connection: TCPConnection, calls: Sequence[Call]) -> list[Reply]:
        requests = [
            connection.create_request(command, *arguments, decode=False, raise_exceptions=False, timeout=FOR_EVER)
            for command, *arguments in calls
        ]
        replies: list[Reply] = []
        with trio.move_on_after(ANSWER_SECONDS) as scope:
            for request in requests:
                reply = await request
                if isinstance(reply, RedisConnectionError | TimeoutError | OSError):
                    raise BrokenError(why(reply)) from None
                replies.append(reply)
        if scope.cancelled_caught:
            raise BrokenError(f"no answer within {ANSWER_SECONDS:g} s")
        return replies


def why(error: BaseException) -> str:
    """What went wrong, in one line, without what was sent."""
    cause: BaseException = error
    while isinstance(cause.__cause__ or cause.__context__, Exception):
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment] # it is one
    if isinstance(cause, ssl.SSLError):
        return cause.reason or "TLS failed"
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    return " ".join(str(cause).split()) or type(cause).__name__


@asynccontextmanager
async def open_link(url: RedisUrl) -> AsyncIterator[Link]:
    """A link for the time of the block; its connections are closed at the end."""
    logging.getLogger("coredis").setLevel(logging.CRITICAL)  # each failed attempt is a traceback there; we say it once
    options: dict[str, Any] = {}
    if url.secure:
        options["ssl_context"] = ssl.create_default_context()
    pool = Pool(
        connection_class=TCPConnection,
        location=TCPLocation(url.host, url.port),
        db=url.database,
        username=url.username,
        password=url.password,
        client_name="trio_chat",
        connect_timeout=CONNECT_SECONDS,
        stream_timeout=ANSWER_SECONDS,
        timeout=CONNECT_SECONDS + ANSWER_SECONDS,
        max_connections=CONNECTIONS,
        socket_keepalive=True,
        **options,
    )
    failure: Exception | None = None
    async with pool:
        try:
            yield Link(pool)
        except Exception as error:
            failure = error  # the pool's nursery would make a group of it
    if failure is not None:
        raise failure
