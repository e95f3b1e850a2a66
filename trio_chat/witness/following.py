"""One connection, line by line: order, membership, answers; and what it proves goes to the evidence."""

from __future__ import annotations

from typing import Any

import attrs

from trio_chat.witness.evidence import Claim, Evidence, Keyed, Shown
from trio_chat.witness.talks import whole
from trio_chat.witness.transcript import Connection, End, Frame, Line, Place, brief, is_entry, room_key, room_of

ANSWERS = {
    "ping": "pong",
    "history": "history",
    "search": "search_result",
    "rooms": "room_list",
    "users": "user_list",
    "connect": "system",
}
ACK, SEARCH = "by an ack", "by a search"  # ways to be shown an entry
POSTS = ("message", "private", "edit", "delete", "react", "topic")


@attrs.define
class Here:
    """Where a connection stands in a room: it has all up to `pos`.

    `pos` None: not known; but the first entry is above `above`, and at most the next after `at_most`.
    """

    epoch: str | None = None
    pos: int | None = None
    above: int = 0
    at_most: int | None = None
    acked: bool = False  # `pos` is by the ack of what joined the room: nothing of it was heard yet
    lag: str = ""  # why `lagged` must come before any entry
    waiting: list[tuple[Frame, float, int]] = attrs.field(factory=list)  # entries whose epoch is not known yet


@attrs.define(eq=False)
class Memory:
    """What a user had at the end of its connections so far. `users`: how many of the name there were."""

    session: str = ""
    users: int = 0
    last: Connection | None = None
    places: dict[str, tuple[str | None, int | None]] = attrs.field(factory=dict)  # room → epoch, pos …
    process: int = 0  # … as this one had sent it
    keys: set[tuple[int, str, str]] = attrs.field(factory=set)  # that were sent: user, room, key


class Follower:
    """Follows one connection; `memory` is of the connections of the same user before it, and is brought up to date."""

    def __init__(self, connection: Connection, memory: Memory, evidence: Evidence) -> None:
        self._connection, self._memory, self._evidence = connection, memory, evidence
        self._me = connection.name
        self._rooms: dict[str, Here] = {}
        self._members: dict[str, str] = {}  # room → in, maybe
        self._asked: dict[Any, tuple[Frame, bool]] = {}  # id → command, whether its key is new
        self._answered: dict[Any, Frame] = {}
        self._joins: dict[str, int] = {}  # room → number of the last line that may join it …
        self._leaves: dict[str, int] = {}  # … and of the last that left it
        self._versions: dict[tuple[str, int], int] = {}  # room, seq → the last edit or deletion we were told
        self._listed: Frame | None = None
        self._line = 0

    def follow(self) -> None:
        """Go through all lines."""
        for number, line in enumerate(self._connection.lines):
            self._line = number
            if line.ours:
                self._sent(line)
            else:
                self._got(line)
        self._finish()

    def _find(self, kind: str, text: str, *frames: Frame) -> None:
        connection = self._connection
        where = f"{self._me}, process {connection.process}, line {self._line}: "
        self._evidence.find(kind, where + text, *map(brief, frames))

    # --- What we sent ------------------------------------------------------------------------------------------------

    def _sent(self, line: Line) -> None:
        frame, new = line.frame, True
        room = self._target(frame)
        if frame["type"] in ("message", "join") and room is not None:
            self._members.setdefault(room, "maybe")
            self._joins[room] = self._line
        if frame["type"] in ("message", "private") and room is not None:
            key = frame.get("key")
            if key is not None:
                new = (self._memory.users, whole(room), key) not in self._memory.keys
                self._memory.keys.add((self._memory.users, whole(room), key))
            self._evidence.sent.setdefault(frame["content"], []).append((self._me, self._memory.users, key))
        if frame["type"] == "edit" and room is not None:
            self._evidence.edits[frame["content"]] = (whole(room), frame["seq"])
        if "id" in frame:
            self._asked[frame["id"]] = frame, new

    def _target(self, frame: Frame) -> str | None:
        if frame["type"] == "private" and "room" not in frame:
            return room_key(f"@{frame['to']}", self._me)
        if frame["type"] == "message":
            return room_key(frame.get("room", "general"), self._me)
        return room_key(frame["room"], self._me) if "room" in frame else None

    # --- What came ---------------------------------------------------------------------------------------------------

    def _got(self, line: Line) -> None:
        frame = line.frame
        if not self._answered and not self._rooms and frame["type"] not in ("error", "system"):
            self._find("outside", "something came before the welcome", frame)
        if "id" in frame and frame["type"] != "ack":
            self._answer(frame)
        if frame["type"] == "system" and frame["event"] == "welcome":
            self._welcomed(frame)
        elif frame["type"] == "ack":
            self._acked(frame, self._answer(frame), line.at)
        elif frame["type"] == "history":
            self._history(frame, line.at)
        elif frame["type"] == "room_list":
            self._listed = frame
        elif frame["type"] == "search_result":
            for hit in frame["hits"]:
                place = Place(room_key(hit["room"], self._me), hit["epoch"], hit["entry"]["seq"])
                self._show(place, hit["entry"], line.at, 0, SEARCH)  # by what is newer it may be overtaken
        elif frame["type"] == "error" and frame["code"] == "internal":
            self._find("server", "it says that it has a bug", frame)
        elif "id" not in frame:
            self._of_room(frame, line.at)

    def _answer(self, frame: Frame) -> Frame | None:
        """Note an answer; returns the command that it answers, unless something is wrong with it."""
        number = frame["id"]
        asked = self._asked.get(number)
        if asked is None:
            self._find("answer", f"an answer to id {number!r}, which was never sent", frame)
            return None
        if number in self._answered:
            self._find("answer", f"a second answer to id {number!r}", asked[0], self._answered[number], frame)
            return None
        self._answered[number] = frame
        if frame["type"] not in ("error", ANSWERS.get(asked[0]["type"], "ack")):
            self._find("answer", f"the wrong kind of answer to id {number!r}", asked[0], frame)
        return asked[0]

    def _of_room(self, frame: Frame, at: float) -> None:
        room = room_of(frame, self._me)
        if room is None or frame["type"] == "error":
            return
        if not room.startswith("@") and room not in self._members:
            self._find("outside", f"we are not in {room}", frame)
        if frame["type"] == "system" and frame["event"] == "lagged":
            self._lagged(room, frame)
        elif frame["type"] == "system" and frame["event"] == "room_created" and "epoch" in frame:
            self._rooms.setdefault(room, Here(frame["epoch"], frame.get("last", 0)))
        elif is_entry(frame):
            self._entry(room, frame, at)

    def _welcomed(self, frame: Frame) -> None:
        memory, connect = self._memory, self._connection.lines[0].frame
        resumed = frame["resumed"]
        if not resumed:
            memory.users += 1
            memory.places = {}
        memory.session = frame["session"]
        given = connect.get("resume", {}).get("rooms", {}) if resumed else {}
        positions = {room_key(room, self._me): at for room, at in given.items()}
        for told in frame["rooms"]:
            room = room_key(told["room"], self._me)
            self._members[room] = "in"
            self._claim(room, told["epoch"], told["last"], frame)
            self._rooms[room] = self._standing(room, told, positions.get(room), resumed=resumed)

    def _standing(self, room: str, told: Frame, given: Frame | None, *, resumed: bool) -> Here:
        """Where a new connection begins in a room (promise 3)."""
        epoch, last = told["epoch"], told["last"]
        if not resumed:
            return Here(epoch, last)
        before = self._memory.last
        if given is None and before is not None:
            known_epoch, pos = self._memory.places.get(room, (None, 0 if room.startswith("@") else None))
            same = before.process == self._connection.process
            if before.end is End.AWAY and (same or self._evidence.kept_since(before.ended_at, before.process)):
                if pos is None:
                    return Here(epoch, at_most=last)
                given = {"epoch": known_epoch or epoch, "seq": pos}
            else:
                told_us = self._memory.process == self._connection.process
                return Here(epoch, above=(pos or 0) if told_us else 0, at_most=last)
        if given is None:
            return Here(epoch, at_most=last)
        if given["epoch"] != epoch:
            return Here(epoch, lag=f"the epoch was {given['epoch']}")
        if given["seq"] > last:
            return Here(epoch, lag=f"our position {given['seq']} is beyond {last}")
        return Here(epoch, given["seq"])

    def _lagged(self, room: str, frame: Frame) -> None:
        here = self._rooms.setdefault(room, Here())
        epoch, first, last = frame["epoch"], frame["first"], frame["last"]
        self._claim(room, epoch, last, frame)
        if not here.lag and here.epoch == epoch and here.pos is not None and first - 1 <= here.pos <= last:
            self._find("lagged", f"{room}: lagged, though nothing is missing after {here.pos}", frame)
        self._rooms[room] = Here(epoch, first - 1)

    def _entry(self, room: str, frame: Frame, at: float) -> None:
        here, seq = self._rooms.get(room), frame["seq"]
        if here is None:
            here = self._rooms[room] = Here(pos=0) if room.startswith("@") else Here()
        here = self._rooms[room] = self._same(room, here, frame)
        if here.lag:
            self._find("lagged", f"{room}: an entry before `lagged`, and {here.lag}", frame)
        elif here.pos is not None and seq <= here.pos:
            kind = "double" if seq == here.pos else "order"
            self._find(kind, f"{room}: {seq} after {here.pos}", *self._before(room), frame)
        elif here.pos is not None and seq > here.pos + 1:
            self._find("gap", f"{room}: {seq} after {here.pos}", *self._before(room), frame)
        elif here.pos is None and here.at_most is not None and seq > here.at_most + 1:
            self._find("gap", f"{room}: begins at {seq}, and the welcome said last {here.at_most}", frame)
        elif here.pos is None and seq <= here.above:
            self._find("double", f"{room}: {seq}, though this session was sent {here.above}", frame)
        here.lag, here.acked, here.pos = "", False, max(seq, here.pos or 0)
        if here.epoch is None:
            here.waiting.append((frame, at, self._told(room, frame)))
        else:
            self._show(Place(room, here.epoch, seq), frame, at, self._told(room, frame))

    def _same(self, room: str, here: Here, frame: Frame) -> Here:
        """Where we stand, in the epoch of an entry or an ack."""
        epoch = frame.get("epoch")
        if epoch is not None and here.epoch not in (None, epoch):
            self._find("epoch", f"{room}: the epoch was {here.epoch} on this connection", frame)
        here.epoch = epoch or here.epoch
        return here

    def _before(self, room: str) -> list[Frame]:
        """What this connection began with, and the last that it heard of a room."""
        lines = self._connection.lines[: self._line]
        heard = [line.frame for line in lines[2:] if not line.ours and room_of(line.frame, self._me) == room]
        return [line.frame for line in lines[:2]] + heard[-3:]

    def _told(self, room: str, frame: Frame) -> int:
        """The last edit or deletion that we were told before this frame came, of what it is or refers to."""
        of = room, int(frame.get("of") or frame["seq"])
        told = self._versions.get(of, 0)
        if frame["type"] in ("edited", "deleted") and frame["of"] != frame["seq"]:
            self._versions[of] = max(told, frame["seq"])
        return told

    def _show(self, place: Place, frame: Frame, at: float, told: int, how: str = "as it came") -> None:
        by = f"{self._me} (process {self._connection.process}, line {self._line}, {how})"
        since = self._connection.opened_at
        self._evidence.shown.append(Shown(place, frame, by, at, since, told, acked=how == ACK))

    def _claim(self, room: str, epoch: str, last: int, frame: Frame) -> None:
        self._evidence.claims.append(Claim(room, epoch, last, self._me, self._connection.opened_at, frame))

    # --- Answers -----------------------------------------------------------------------------------------------------

    def _acked(self, frame: Frame, command: Frame | None, at: float) -> None:
        if command is None:
            return
        room = self._target(command)
        if room is None:
            return
        if command["type"] == "join":
            self._joined(room, command, frame)
        elif command["type"] == "leave":
            self._rooms.pop(room, None)
            self._leaves[room] = self._number_of(command)
            if self._joins.get(room, -1) < self._leaves[room]:
                self._members.pop(room, None)
            else:
                self._members[room] = "maybe"  # what was sent behind it brings us in again
        elif command["type"] in POSTS:
            self._posted(room, command, frame, at)

    def _number_of(self, command: Frame) -> int:
        return next(n for n, line in enumerate(self._connection.lines) if line.frame is command)

    def _joined(self, room: str, command: Frame, frame: Frame) -> None:
        was = self._members.get(room)
        self._members[room] = "in"
        self._claim(room, frame["epoch"], frame["last"], frame)
        here = self._rooms.get(room)
        if was == "in" or (here is not None and here.pos is not None):
            return
        after = command.get("after")
        if after is None:
            self._rooms[room] = Here(frame["epoch"], frame["last"])
        elif after["epoch"] != frame["epoch"] or after["seq"] > frame["last"]:
            self._rooms[room] = Here(frame["epoch"], lag=f"`after` was {after['epoch']}:{after['seq']}")
        else:
            self._rooms[room] = Here(frame["epoch"], after["seq"])

    def _posted(self, room: str, command: Frame, frame: Frame, at: float) -> None:
        seq, new = frame["seq"], self._asked[frame["id"]][1]
        if room not in self._rooms and self._number_of(command) < self._leaves.get(room, -1):
            self._made(room, frame["epoch"], command, frame, at)  # we were in; when it was committed we had left
            return
        if room not in self._rooms:
            begun = seq - 1 if new and command["type"] == "message" else None
            self._rooms[room] = Here(frame.get("epoch"), 0 if room.startswith("@") else begun, acked=True)
        here = self._rooms[room] = self._same(room, self._rooms[room], frame)
        self._members[room] = "in"
        if new and command["type"] in ("message", "private") and here.pos is not None and here.pos >= seq:
            self._find("order", f"{room}: we stand at {here.pos}, and only now comes its ack", command, frame)
        if here.epoch is None:
            return
        for waiting, then, told in here.waiting:
            self._show(Place(room, here.epoch, waiting["seq"]), waiting, then, told)
        here.waiting = []
        self._made(room, here.epoch, command, frame, at)

    def _made(self, room: str, epoch: str, command: Frame, frame: Frame, at: float) -> None:
        """An ack says where the entry is that a command made."""
        place = Place(room, epoch, frame["seq"])
        if command["type"] in ("message", "private") and "key" in command:
            whose = (self._me, self._memory.users)
            self._evidence.keyed.append(Keyed(whose, room, command["key"], command["content"], place))
        made = {**_as_entry(command, self._me), "seq": place.seq}
        self._show(place, made, at, self._told(room, made), ACK)

    def _history(self, frame: Frame, at: float) -> None:
        room = room_key(frame["room"], self._me)
        epoch, first, last = frame["epoch"], frame["first"], frame["last"]
        self._claim(room, epoch, last, frame)
        seqs = [entry["seq"] for entry in frame["entries"]]
        if seqs and (seqs != list(range(seqs[0], seqs[0] + len(seqs))) or seqs[0] < first or seqs[-1] > last):
            self._find("gap", f"{room}: a history of {first} to {last} with the entries {seqs}", frame)
        for entry in frame["entries"]:
            self._show(Place(room, epoch, entry["seq"]), entry, at, self._told(room, entry), "in a history")

    # --- The end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        connection, memory = self._connection, self._memory
        if connection.patient:
            for number, (command, _) in self._asked.items():
                if number not in self._answered:
                    self._find("answer", f"no answer to id {number!r}", command)
        if connection.settled and self._listed is not None:
            for told in self._listed["rooms"]:
                room = room_key(told["room"], self._me)
                here = self._rooms.get(room, Here(pos=0))
                reached = here.at_most if here.pos is None else here.pos
                if reached is not None and reached < told["last"]:
                    self._find("gap", f"{room}: nothing came after {reached}, and the log goes to {told['last']}")
        if connection.lines:
            memory.last = connection
        if connection.welcome is not None:
            memory.process = connection.process
            again = self._joining_again()
            memory.places = {
                room: (here.epoch, None if room in again or self._is_unsure(room) else here.pos)
                for room, here in self._rooms.items()
            }

    def _is_unsure(self, room: str) -> bool:
        """Whether we know where we are by an ack alone: we were in since before, and who parts hears no entries."""
        return self._rooms[room].acked and not room.startswith("@")

    def _joining_again(self) -> set[str]:
        """Rooms that we asked to join, without an answer: with `after`, what we had already was to come once more.

        And to leave: if we were in again then, by whatever came behind it, we know nothing of the time between.
        """
        commands = [command for number, (command, _) in self._asked.items() if number not in self._answered]
        return {room_key(command["room"], self._me) for command in commands if command["type"] in ("join", "leave")}


def _as_entry(command: Frame, me: str) -> Frame:
    """What an acked command made, as the frame of its entry."""
    match command["type"]:
        case "edit":
            return {"type": "edited", "of": command["seq"], "content": command["content"], "sender": me}
        case "delete":
            return {"type": "deleted", "of": command["seq"], "sender": me}
        case "react":
            found = {"type": "reacted", "of": command["seq"], "emoji": command["emoji"], "sender": me}
            return {**found, "remove": True} if command.get("remove") else found
        case "topic":
            return {"type": "system", "event": "topic", "topic": command["topic"]}
        case kind:
            return {"type": kind, "content": command["content"], "sender": me}
