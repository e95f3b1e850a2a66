"""The listener: accept, count, and start a task per connection; it survives running out of descriptors."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from trio_chat.config import Config
from trio_chat.server.address import Address, peer_of
from trio_chat.server.entry import Lists, sockets
from trio_chat.server.http import refusal
from trio_chat.server.wire import wire_of

log = logging.getLogger(__name__)
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
QUIET = 10.0  # seconds between two log lines about running out of descriptors
PAUSE = 0.1  # seconds, when accepting fails and there is no reserve to answer from
FULL = refusal(503, "The server is full", ("Retry-After", "5"))
BARRED = refusal(403, "This address is not served")


class Listener:
    """Accepts on one or more listeners, under one count of open sockets, upgraded or not.

    Connections proper are the broker's to count, and sockets of one address the doors', who know whose they are.
    """

    def __init__(self, config: Config, serve: Callable[[trio.abc.Stream, Address], Awaitable[None]]) -> None:
        self._serve, self._lists = serve, Lists(config)
        self._encrypted = bool(config.listen.tls_cert)
        self._open, self._most = 0, sockets(config)
        self._refused, self._quiet_until = 0, -math.inf

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
        peer = peer_of(stream)
        if self._lists.bar(peer):
            await self._refuse(stream, BARRED)
            return
        self._open += 1
        try:
            if self._open > self._most:
                await self._refuse(stream, FULL)
            else:
                await self._serve(stream, peer)
        finally:
            self._open -= 1

    async def _refuse(self, stream: trio.abc.Stream, response: bytes) -> None:
        """Answer without reading, and close; under TLS just close. Cancelled: closed without an answer."""
        with suppress(trio.BrokenResourceError):  # it left already
            if not self._encrypted:
                wire_of(stream).try_send(response)
        await trio.aclose_forcefully(stream)

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
                await self._refuse(await listener.accept(), FULL)
        except (OSError, trio.ClosedResourceError):  # taken by another, or closed, which the next accept tells
            await trio.sleep(PAUSE)
        return _open_reserve()


def _open_reserve() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
