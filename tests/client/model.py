"""A small server of one session, without I/O: the protocol's rules for its log, its rooms and resuming, and no more."""

from __future__ import annotations

import json
from typing import Any

import attrs

Frame = dict[str, Any]
T = "2026-01-31T12:00:00.000Z"
ME = "ann"


@attrs.define
class Room:
    """A log, `entries` being what it still holds: `first` to `last`."""

    name: str
    epoch: str
    first: int = 1
    entries: list[Frame] = attrs.field(factory=list)

    @property
    def last(self) -> int:
        return self.first + len(self.entries) - 1

    def append(self, sender: str, content: str) -> Frame:
        frame: Frame = {"content": content, "sender": sender, "timestamp": T, "seq": self.last + 1}
        if self.name.startswith("@"):
            other = self.name[1:]
            frame |= {"type": "private", "from": sender, "to": other if sender == ME else ME, "epoch": self.epoch}
        else:
            frame |= {"type": "message", "room": self.name}
        self.entries.append(frame)
        return frame


class Server:
    """`down` is what it has written and the client has not read. A cut loses that; the server never knows."""

    def __init__(self) -> None:
        self.down: list[str] = []
        self.live = False
        self.posted: list[tuple[str, str]] = []  # epoch and content, each time one was appended
        self._numbers = 0
        self.rooms: dict[str, Room] = {}
        self._keys: dict[str, tuple[int, Room]] = {}
        self._forget_session()
        self.room("general")

    def _forget_session(self) -> None:
        self.token: str | None = None
        self.mine: dict[str, int] = {}  # rooms the client is in → the last `seq` written to it
        self._keys.clear()
        for name in [name for name in self.rooms if name.startswith("@")]:
            del self.rooms[name]  # what only the guest could reach

    def room(self, name: str) -> Room:
        if name not in self.rooms:
            self._numbers += 1
            self.rooms[name] = Room(name, f"epoch {self._numbers}")
        return self.rooms[name]

    def post(self, name: str, sender: str, content: str) -> Room:
        """Somebody posts: an entry, delivered to the client where it is a member and here."""
        room = self.room(name)
        if name.startswith("@"):
            self.mine.setdefault(name, 0)
        frame = room.append(sender, content)
        if self.live and name in self.mine:
            self._write(frame)
            self.mine[name] = room.last
        return room

    def cut(self) -> None:
        """The connection is lost, and all that is on its way."""
        self.live, self.down = False, []

    def expire(self) -> None:
        """The session is gone."""
        self.cut()
        self._forget_session()

    def renew(self, name: str) -> None:
        """A log is lost, and begins anew."""
        self._numbers += 1
        self.rooms[name] = Room(name, f"epoch {self._numbers}")
        self._keys = {key: at for key, at in self._keys.items() if at[1].name != name}

    def trim(self, name: str, keep: int) -> None:
        room = self.rooms[name]
        cut = max(0, len(room.entries) - keep)
        room.first, room.entries = room.first + cut, room.entries[cut:]

    def handle(self, text: str) -> None:
        """A command came."""
        frame = json.loads(text)
        kind = frame.pop("type")
        getattr(self, f"_on_{kind}")(**frame)

    def _write(self, frame: Frame) -> None:
        self.down.append(json.dumps(frame))

    def _on_connect(self, id: int, username: str, resume: Frame | None = None) -> None:
        resumed = resume is not None and resume["session"] == self.token
        if not resumed:
            self._forget_session()
            self._numbers += 1
            self.token = f"session {self._numbers}"
            self.mine["general"] = self.rooms["general"].last
        self.live = True
        here = [{"room": name, "epoch": self.rooms[name].epoch, "last": self.rooms[name].last} for name in self.mine]
        self._write({
            "type": "system", "event": "welcome", "id": id, "user": username, "session": self.token, "ticket": "t",
            "resumed": resumed, "rooms": here, "heartbeat": {"interval": 20.0, "timeout": 10.0},
            "reconnect": {"base": 1.0, "max": 30.0, "jitter": 1.0}, "limits": {"messages_per_second": 1e6},
        })  # fmt: skip
        for name, written in list(self.mine.items()) if resumed else ():
            assert resume is not None
            room = self.rooms[name]
            self._replay(room, resume["rooms"].get(name, {"epoch": room.epoch, "seq": written}))

    def _replay(self, room: Room, after: Frame) -> None:
        seq = after["seq"]
        if after["epoch"] != room.epoch or seq > room.last or seq + 1 < room.first:
            self._write({
                "type": "system", "event": "lagged", "content": "", "timestamp": T, "room": room.name,
                "epoch": room.epoch, "first": room.first, "last": room.last,
            })  # fmt: skip
            seq = room.first - 1
        for frame in room.entries[seq + 1 - room.first :]:
            self._write(frame)
        self.mine[room.name] = room.last

    def _enter(self, name: str) -> Room:
        is_new = name not in self.rooms
        room = self.room(name)
        self.mine[name] = room.last
        if is_new:
            self._write({
                "type": "system", "event": "room_created", "content": "", "timestamp": T, "room": name,
                "epoch": room.epoch, "last": 0,
            })  # fmt: skip
        return room

    def _on_message(self, id: int, room: str, content: str, key: str) -> None:
        if room not in self.mine:
            self._enter(room)
        self._append(id, room, content, key)

    def _on_private(self, id: int, to: str, content: str, key: str) -> None:
        self._append(id, f"@{to}", content, key)

    def _append(self, id: int, name: str, content: str, key: str) -> None:
        if key not in self._keys:
            room = self.room(name)
            self._keys[key] = (room.last + 1, room)
            self.posted.append((room.epoch, content))
            self._write({"type": "ack", "id": id, "seq": room.last + 1, "room": name, "epoch": room.epoch})
            self.post(name, ME, content)
            return
        seq, room = self._keys[key]
        self._write({"type": "ack", "id": id, "seq": seq, "room": name, "epoch": room.epoch})

    def _on_join(self, id: int, room: str, after: Frame | None = None) -> None:
        was_in = room in self.mine
        known = room in self.rooms
        if not was_in:
            self.mine[room] = self.room(room).last
        log = self.rooms[room]
        self._write({"type": "ack", "id": id, "room": room, "epoch": log.epoch, "last": log.last})
        if not known:
            self._write({"type": "system", "event": "room_created", "content": "", "timestamp": T, "room": room,
                         "epoch": log.epoch, "last": 0})  # fmt: skip
        if after is not None and not was_in:
            self._replay(log, after)

    def _on_leave(self, id: int, room: str) -> None:
        if room not in self.mine:
            self._write({"type": "error", "code": "not_in_room", "content": "", "id": id})
            return
        del self.mine[room]
        self._write({"type": "ack", "id": id, "room": room})

    def _on_ping(self, id: int) -> None:
        self._write({"type": "pong", "id": id, "timestamp": T})
