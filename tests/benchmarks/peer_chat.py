"""What all peers written in Python have in common: the part of the protocol that the load needs, without any I/O.

A message is serialised once; who gets it is the peer's own business. `json` is the standard library's, for all.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

HEARTBEAT = 20  # seconds, as our server's
MAX_BYTES = 1 << 20  # of one message, as our server's

Connection = TypeVar("Connection")


class Out(NamedTuple, Generic[Connection]):
    """A text for some connections; `place` is the room or the pair whose order it must keep, "" for none."""

    to: Iterable[Connection]
    text: str
    place: str = ""


def encoded(**frame: Any) -> str:
    """Serialise one frame, with the time at which that was done."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({**frame, "timestamp": now}, separators=(",", ":"), ensure_ascii=False)


class Chat(Generic[Connection]):
    """Rooms of connections; everyone is in `general`."""

    def __init__(self) -> None:
        self.names: dict[Connection, str] = {}
        self.by_name: dict[str, Connection] = {}
        self.rooms: defaultdict[str, dict[Connection, None]] = defaultdict(dict)
        self.joined: defaultdict[Connection, set[str]] = defaultdict(set)
        self.seqs: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))

    def take(self, connection: Connection, data: str) -> list[Out[Connection]]:
        """Do one command; what must be sent, in this order. Until that is begun no other task may run."""
        command = json.loads(data)
        kind, id = command["type"], command.get("id")
        if kind == "connect":
            name = command["username"]
            self.names[connection], self.by_name[name] = name, connection
            self.join(connection, "general")
            return [Out([connection], encoded(type="system", event="welcome", content=f"Welcome {name}!", user=name))]
        if kind == "message":
            return self._message(connection, command["room"], command["content"], id)
        if kind == "private":
            return self._private(connection, command["to"], command["content"], id)
        if kind == "join":
            self.join(connection, command["room"])
            return self._ack(connection, id, room=command["room"])
        return [Out([connection], encoded(type="pong", id=id))] if kind == "ping" else []

    def join(self, connection: Connection, room: str) -> None:
        """Make it a member."""
        self.rooms[room][connection] = None
        self.joined[connection].add(room)

    def left(self, connection: Connection) -> None:
        """The connection is over."""
        self.by_name.pop(self.names.pop(connection, ""), None)
        for room in self.joined.pop(connection, ()):
            del self.rooms[room][connection]

    def _message(self, connection: Connection, room: str, content: str, id: Any) -> list[Out[Connection]]:
        seq = next(self.seqs[room])
        text = encoded(type="message", content=content, sender=self.names[connection], room=room, seq=seq)
        return [*self._ack(connection, id, room=room, seq=seq), Out(self.rooms[room], text, room)]

    def _private(self, connection: Connection, to: str, content: str, id: Any) -> list[Out[Connection]]:
        sender = self.names[connection]
        pair = "@".join(sorted([sender, to]))
        seq = next(self.seqs[pair])
        text = encoded(type="private", **{"from": sender}, sender=sender, to=to, content=content, seq=seq)
        return [*self._ack(connection, id, seq=seq), Out([self.by_name[to], connection], text, pair)]

    def _ack(self, connection: Connection, id: Any, **made: Any) -> list[Out[Connection]]:
        return [] if id is None else [Out([connection], encoded(type="ack", id=id, **made))]
