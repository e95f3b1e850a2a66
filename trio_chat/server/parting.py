"""Connections between their end and their being over: they hear nothing more but the answers that they are owed."""

from __future__ import annotations

from collections.abc import Callable

from trio_chat.core.effects import ConnId, Disconnected
from trio_chat.server.peers import Peers


class Partings:
    """Who parts. `owed`: whether a connection is still to be answered. Nothing here blocks."""

    def __init__(self, peers: Peers, owed: Callable[[ConnId], bool]) -> None:
        self._peers, self._owed = peers, owed
        self._unsettled: dict[ConnId, None] = {}

    def __bool__(self) -> bool:
        """Whether somebody waits for answers."""
        return bool(self._unsettled)

    def begin(self, conn: ConnId) -> None:
        """Its end has begun."""
        self._unsettled[conn] = None
        self.settle(conn)

    def settle(self, conn: ConnId) -> None:
        """An end is settled when all that the connection asked for was answered: only then comes the close frame."""
        if conn in self._unsettled and not self._owed(conn):
            del self._unsettled[conn]
            peer = self._peers.get(conn)
            if peer is not None:
                peer.settle()

    def stop(self, conn: ConnId) -> Disconnected | None:
        """Let a connection that does not keep up write nothing more, ever. Returns its end, with what was unsent."""
        peer = self._peers.get(conn)
        if peer is None:
            return None
        peer.outbox.flush()  # what this turn brought it, a peer that keeps up takes at once; then it is told (4506)
        if not peer.outbox.unwritten:
            return None
        peer.drop()
        return Disconnected(conn, unsent=peer.outbox.unsent())

    def over(self, conn: ConnId) -> None:
        """It is over."""
        self._unsettled.pop(conn, None)
