"""The connections as the broker knows them: who is there, what is queued for whom, and who lets too much wait.

Nothing here waits. An event is encoded and framed once, and each outbox that it is for gets a reference; at the end of
a turn each outbox that was touched is flushed, once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from trio_chat.core.codec import encode, frame
from trio_chat.core.effects import ConnId
from trio_chat.core.errors import Close
from trio_chat.core.events import Event
from trio_chat.server.outbox import Buffered, Frame, Outbox

log = logging.getLogger(__name__)
HEAVY_BYTES = 65_536  # of a frame that is not left to wait for the end of the turn


class Peer(Protocol):
    """What the broker needs of a connection."""

    id: ConnId
    outbox: Outbox

    @property
    def held(self) -> int:
        """Bytes that the server holds for it."""

    def cut(self, code: Close) -> None:
        """End the connection with `code`, very soon; never blocks."""

    def settle(self) -> None:
        """All that it is to get was delivered; never blocks."""

    def drop(self) -> None:
        """Write nothing more, ever; never blocks."""

    def probe(self, alive: Callable[[], None]) -> None:
        """Ping it, and call `alive` at its next byte."""


class Peers:
    """All admitted connections. `lost` is told of each that is cut for being slow, before it is."""

    def __init__(self, buffered: Buffered, lost: Callable[[Peer], None]) -> None:
        self._buffered, self._lost = buffered, lost
        self._peers: dict[ConnId, Peer] = {}
        self._touched: dict[Outbox, None] = {}
        self._slow: dict[ConnId, None] = {}
        self.heavy = False  # something large was queued since the last flush

    def __bool__(self) -> bool:
        """Whether anybody is there."""
        return bool(self._peers)

    def get(self, conn: ConnId) -> Peer | None:
        """The connection, if it is there."""
        return self._peers.get(conn)

    def add(self, peer: Peer) -> None:
        """It was admitted, or is about to be."""
        self._peers[peer.id] = peer

    def remove(self, conn: ConnId) -> None:
        """It is over."""
        peer = self._peers.pop(conn, None)
        if peer is not None:
            self._touched.pop(peer.outbox, None)

    def settle(self) -> None:
        """Nothing more will be delivered to anybody."""
        for peer in self._peers.values():
            peer.settle()

    def send(self, conns: Iterable[ConnId], event: Event, epoch: str = "", seq: int = 0) -> None:
        """Encode once, frame once; per member only a reference is queued."""
        made = Frame(frame(encode(event)), epoch, seq)
        peers, touched = self._peers, self._touched  # the loop runs once for each delivery
        for conn in conns:
            peer = peers.get(conn)
            if peer is not None:
                outbox = peer.outbox
                touched[outbox] = None
                if not outbox.put(made):
                    self._slow[conn] = None
        if len(made.data) >= HEAVY_BYTES:
            self.heavy = True

    def too_slow(self, conn: ConnId) -> None:
        """Its outbox is over its limit by what the connection itself put in."""
        self._slow[conn] = None

    def flush(self) -> None:
        """Write what was queued, and cut whoever lets too much wait. Once a turn, and after what is heavy."""
        self.heavy = False
        while self._slow:
            conn = next(iter(self._slow))
            del self._slow[conn]
            self._cut(conn)
        for outbox in self._touched:
            outbox.flush()
        self._touched.clear()
        if self._buffered.over:
            self._shed()

    def _cut(self, conn: ConnId) -> None:
        """Close who is over its limit, and only that one (promise 6)."""
        peer = self._peers.get(conn)
        if peer is not None and not peer.outbox.dropped:
            log.warning("connection %d is too slow: %d bytes are held for it; cut", conn, peer.held)
            self._lost(peer)
            peer.cut(Close.TOO_SLOW)

    def _shed(self) -> None:
        """All together hold too much: cut whoever holds most, until it is enough."""
        excess = self._buffered.bytes - self._buffered.limit
        there = [peer for peer in self._peers.values() if not peer.outbox.dropped]
        for peer in sorted(there, key=lambda peer: -peer.held):
            if excess <= 0 or not peer.held:
                break
            excess -= peer.held
            self._cut(peer.id)
