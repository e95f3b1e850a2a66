"""The listener: accept, count, and start a task per connection; it survives running out of descriptors."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from trio_chat.config import Config
from trio_chat.server.address import counted_as, peer_of, within
from trio_chat.server.wire import wire_of

log = logging.getLogger(__name__)
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SPARE_SOCKETS = 1024  # above `max_connections`: for pages, health checks, refusals and heads on their way
QUIET = 10.0  # seconds between two log lines about running out of descriptors
PAUSE = 0.1  # seconds, when accepting fails and there is no reserve to answer from
CROWDED = (
    b"HTTP/1.1 %d %s\r\nRetry-After: 5\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class Listener:
    """Accepts on one or more listeners, under one count of open sockets.

    The counts here are of sockets, upgraded or not, so that nobody takes all descriptors by never finishing a head;
    connections proper are the broker's to count.
    """

    def __init__(self, config: Config, serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> None:
        self._admission, self._serve = config.admission, serve
        self._uncounted = config.admission.trusted_addresses + config.listen.trusted_proxies  # all come through them
        self._open = 0
        self._refused, self._quiet_until = 0, -math.inf
        self._per_address: Counter[str] = Counter()

    async def accept(self, listener: trio.abc.Listener[trio.abc.Stream], connections: trio.Nursery) -> None:
        """Accept until cancelled, or until the listener is closed. Cancelled: nobody accepts a peer that waits."""
        reserve = _open_reserve()
        try:
            while True:
                try:
                    stream = await listener.accept()
                except trio.ClosedResourceError:
                    return
                except OSError as error:
                    if error.errno in EXHAUSTED:
                        reserve = await self._refuse_one(listener, reserve)
                    else:
                        log.debug("accept: %s", error)  # it left before it was accepted
                else:
                    connections.start_soon(self._one, stream)
        finally:
            if reserve is not None:
                os.close(reserve)

    async def _one(self, stream: trio.abc.Stream) -> None:
        """Count a peer in, serve it, count it out. Cancelled: as `serve` is."""
        address = peer_of(stream)
        key = counted_as(address)
        trusted = within(address, self._uncounted)
        self._open += 1
        self._per_address[key] += 1
        try:
            if self._open > self._admission.max_connections + SPARE_SOCKETS:
                await _refuse(stream, 503, b"Service Unavailable")
            elif not trusted and self._per_address[key] > self._admission.max_connections_per_address + SPARE_SOCKETS:
                await _refuse(stream, 429, b"Too Many Requests")
            else:
                await self._serve(stream)
        finally:
            self._open -= 1
            self._per_address[key] -= 1
            if not self._per_address[key]:
                del self._per_address[key]

    def _exhausted(self) -> None:
        """Say so, but not at the rate that peers choose."""
        self._refused += 1
        now = trio.current_time()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            log.error("out of file descriptors; connections refused since the last such line: %d", self._refused)
            self._refused = 0

    async def _refuse_one(self, listener: trio.abc.Listener[trio.abc.Stream], reserve: int | None) -> int | None:
        """Out of descriptors: give up the reserve for as long as it takes to answer one peer with 503."""
        self._exhausted()
        if reserve is None:
            await trio.sleep(PAUSE)
            return _open_reserve()
        os.close(reserve)
        try:
            with trio.move_on_after(PAUSE):
                await _refuse(await listener.accept(), 503, b"Service Unavailable")
        except (OSError, trio.ClosedResourceError):  # taken by another, or closed, which the next accept tells
            await trio.sleep(PAUSE)
        return _open_reserve()


def _open_reserve() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


async def _refuse(stream: trio.abc.Stream, status: int, phrase: bytes) -> None:
    """Answer without reading, and close. Cancelled: closed without an answer."""
    wire_of(stream).try_send(CROWDED % (status, phrase))
    await trio.aclose_forcefully(stream)
