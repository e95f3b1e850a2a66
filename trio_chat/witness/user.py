"""A user of a chat: comes, talks, loses the connection, comes back; and records all of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import attrs
import trio

from trio_chat.witness.transcript import Connection, End, Frame, brief, is_entry
from trio_chat.witness.wire import Dial, Lost, Wire

SECONDS = 10.0  # within which whatever is waited for must come
TOO_FAST = 1.0  # seconds to wait when the server says so
WINDOW = 8  # commands that may be unanswered, before the next is sent
ROOMS = ("general", "red", "blue")
EMOJI = ("👍", "🎉", "heart")


@attrs.define
class Where:
    """Where a user stands in a room, as the user knows it."""

    epoch: str | None = None
    seq: int | None = None


class User:
    """A user of the name `name`; `others` may be written to. All choices come from `rng`.

    After `patience` seconds without a byte a connection is given up. `deaf_until`: before that nothing is read.
    """

    def __init__(
        self, name: str, others: tuple[str, ...], rng: Random, *, basic: bool = False, patience: float = math.inf
    ) -> None:
        self.patience, self.deaf_until = patience, 0.0
        self.name, self.connections = name, list[Connection]()
        self.rooms: dict[str, Where] = {}  # as we write them
        self.unacked: dict[str, Frame] = {}  # key → command, to be sent again
        self._others, self._rng, self._basic = others, rng, basic
        self._session: str | None = None
        self._serial = itertools.count(1)
        self._mine: list[tuple[str, int]] = []  # messages of ours: room and seq
        self._seen: list[tuple[str, int]] = []  # messages of all
        self._wire: Wire | None = None
        self._record = Connection(name, 0)
        self._leaving: End | None = None  # how we closed it
        self._waiting: dict[int, Frame] = {}  # id → command
        self._ids = itertools.count(1)
        self._news = trio.Condition()
        self.lost = ""  # how the last connection ended

    @property
    def unanswered(self) -> str:
        """The commands that wait for their answers, for people."""
        return f"{len(self._waiting)} unanswered: {', '.join(brief(frame) for frame in self._waiting.values())}"

    # --- Connecting --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def here(self, dial: Dial, process: Callable[[], int], *, positions: bool) -> AsyncIterator[None]:
        """Be connected: resume, or come anew. `process`: the number of the server process that took the connection.

        What is within ends when the connection is lost. Raises Lost where none can be made. Cancelled: it is dropped.
        """
        record = self._record = Connection(self.name, 0)
        self._waiting, self._ids, self._leaving, self.lost = {}, itertools.count(1), None, "never heard anything"
        try:
            wire = self._wire = await Wire.open(dial, patience=self.patience)
        except Lost:
            record.end = End.LOST
            raise
        record.process = process()
        self.connections.append(record)
        try:
            await self._connect(positions=positions)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, nursery.cancel_scope)
                with suppress(Lost):
                    yield
                nursery.cancel_scope.cancel()
        finally:
            await wire.drop()
            record.end = End.LOST if record.end is End.OPEN else record.end
            record.ended_at = trio.current_time()

    async def _connect(self, *, positions: bool) -> None:
        assert self._wire is not None
        asked: Frame = {"username": self.name}
        if self._session is not None:
            asked["resume"] = {"session": self._session}
            if positions:
                known = {room: attrs.asdict(at) for room, at in self.rooms.items() if None not in (at.epoch, at.seq)}
                asked["resume"]["rooms"] = known
        await self.send("connect", **asked)
        with trio.move_on_after(SECONDS) as scope:
            welcome = await self._wire.receive()
        if scope.cancelled_caught:
            raise Lost("no welcome")
        self._record.got(trio.current_time(), welcome)
        if welcome.get("event") != "welcome":
            raise Lost(brief(welcome))
        self._waiting.clear()
        if not welcome["resumed"]:
            self.rooms, self._mine, self._seen = {}, [], []
            self.unacked.clear()  # they were another's, for whom alone their keys are good
        self._session = welcome["session"]
        listed = {here["room"]: here for here in welcome["rooms"]}
        self.rooms = {room: at for room, at in self.rooms.items() if room in listed or not welcome["resumed"]}
        for room, told in listed.items():
            at = self.rooms.setdefault(room, Where(told["epoch"], None if welcome["resumed"] else told["last"]))
            if at.epoch != told["epoch"]:
                self.rooms[room] = Where(told["epoch"])

    async def _listen(self, scope: trio.CancelScope) -> None:
        assert self._wire is not None
        try:
            while True:
                if self.deaf_until > trio.current_time():
                    await trio.sleep_until(self.deaf_until)
                frame = await self._wire.receive()
                self._record.got(trio.current_time(), frame)
                self._learn(frame)
                async with self._news:
                    self._news.notify_all()
        except Lost as lost:
            self.lost = str(lost)
            if self._wire.code in (1000, 1001) and self._leaving is not None:
                self._record.end = self._leaving
            scope.cancel()

    def _learn(self, frame: Frame) -> None:
        """Keep up with where we are, as every client does."""
        command = self._waiting.pop(frame["id"], None) if "id" in frame else None
        if command is not None:
            if "key" in command and frame.get("code") != "unavailable":
                self.unacked.pop(command["key"], None)
            if frame["type"] == "ack":
                self._acked(command, frame)
        if frame.get("event") == "lagged":
            self.rooms[frame["room"]] = Where(frame["epoch"], frame["first"] - 1)
        elif is_entry(frame) and frame["type"] != "history":
            room = self._written(frame)
            at = self.rooms.setdefault(room, Where(frame.get("epoch")))
            at.epoch, at.seq = frame.get("epoch") or at.epoch, frame["seq"]
            if frame["type"] in ("message", "private"):
                self._seen.append((room, frame["seq"]))
                del self._seen[:-50]

    def _written(self, frame: Frame) -> str:
        if frame["type"] == "private":
            return f"@{frame['to'] if frame['sender'] == self.name else frame['sender']}"
        return str(frame["room"])

    def _acked(self, command: Frame, frame: Frame) -> None:
        room = f"@{command['to']}" if command["type"] == "private" else command.get("room")
        if room is None:
            return
        if command["type"] == "leave":
            self.rooms.pop(room, None)
            return
        at = self.rooms.setdefault(room, Where(frame.get("epoch")))
        at.epoch = frame.get("epoch") or at.epoch
        if command["type"] == "join" and at.seq is None:
            at.seq = frame["last"]
        elif command["type"] in ("message", "private"):
            self._mine.append((room, frame["seq"]))
            del self._mine[:-50]

    # --- Talking -----------------------------------------------------------------------------------------------------

    async def send(self, type: str, *, quiet: bool = False, **fields: Any) -> int:
        """Send a command, with the `id` that is returned unless `quiet`, when there are not too many unanswered.

        Raises Lost.
        """
        assert self._wire is not None
        async with self._news:
            while len(self._waiting) >= WINDOW:
                await self._news.wait()
        number = next(self._ids)
        frame = {**fields} if quiet else {"id": number, **fields}
        frame = self._record.sent(trio.current_time(), type, **frame)
        if not quiet:
            self._waiting[number] = frame
        await self._wire.send(frame)
        return number

    async def resend(self) -> None:
        """Send again what may be lost, with its key."""
        for command in list(self.unacked.values()):
            fields = {name: value for name, value in command.items() if name not in ("type", "id")}
            await self.send(command["type"], **fields)

    async def post(self, *, keyed: bool = True, quiet: bool = False) -> None:
        """Say something that nobody said before, somewhere."""
        rng, number = self._rng, next(self._serial)
        content = f"{self.name}-{number} {'word ' * rng.randrange(1, 12)}{'x' * rng.choice((0, 0, 0, 3000))}"
        fields: Frame = {"content": content}
        if rng.random() < 0.25:
            type, fields["to"] = "private", rng.choice(self._others)
        else:
            type, fields["room"] = "message", rng.choice(ROOMS)
        if keyed:
            fields["key"] = f"{self.name}:{number}"
            self.unacked[fields["key"]] = {"type": type, **fields}
        await self.send(type, quiet=quiet, **fields)

    async def act(self) -> None:
        """Do something, mostly talk. Raises Lost."""
        rng = self._rng
        choice = rng.random()
        if choice < 0.55 or (self._basic and choice < 0.8):
            await self.post(keyed=rng.random() < 0.8, quiet=rng.random() < 0.1)
        elif self._basic or choice >= 0.8:
            await self._look_about()
        elif self._seen:
            await self._change()

    async def _change(self) -> None:
        """Edit, delete, react, mark as read."""
        rng, choice = self._rng, self._rng.random()
        room, seq = rng.choice(self._seen)
        if choice < 0.3 and self._mine:
            room, seq = rng.choice(self._mine)
            await self.send("edit", room=room, seq=seq, content=f"{self.name}-{next(self._serial)} edited")
        elif choice < 0.45 and self._mine:
            room, seq = self._mine.pop(rng.randrange(len(self._mine)))
            await self.send("delete", room=room, seq=seq)
        elif choice < 0.8:
            await self.send("react", room=room, seq=seq, emoji=rng.choice(EMOJI), remove=rng.random() < 0.25)
        else:
            await self.send("read", room=room, seq=seq)

    async def _look_about(self) -> None:
        """Read back, come and go, and what else does not change a log."""
        rng, choice = self._rng, self._rng.random()
        if choice < 0.4:
            room = rng.choice(list(self.rooms))
            which = rng.choice(("none", "after", "before"))
            place: Frame = {} if which == "none" else {which: max(1, (self.rooms[room].seq or 1) - rng.randrange(20))}
            await self.send("history", room=room, limit=20, **place)
        elif choice < 0.6:
            await self.send("ping")
        elif choice < 0.7 or self._basic:
            await self.send("rooms", mine=True)
        elif choice < 0.8:
            await self.send("search", query="word edited" if rng.random() < 0.3 else "word", limit=20)
        elif choice < 0.9:
            await self.send("topic", room=rng.choice(ROOMS[1:]), topic=f"{self.name}-{next(self._serial)}")
        else:
            await self._come_or_go()

    async def _come_or_go(self) -> None:
        """Leave `blue`, or join it, when nothing of ours is on its way there."""
        await self.answered()
        if "blue" in self.rooms:
            await self.send("leave", room="blue")
        else:
            await self.send("join", room="blue")

    async def answered(self) -> None:
        """Wait until every command is answered, or `SECONDS`: what is not by then is the checker's to find."""
        with trio.move_on_after(SECONDS):
            async with self._news:
                while self._waiting:
                    await self._news.wait()

    async def settle(self) -> None:
        """Wait until all has come; nobody writes any more. Raises Lost."""
        await self.answered()
        self._record.patient = True
        with trio.move_on_after(SECONDS):
            await self.send("rooms", mine=True, limit=200)
            await self.answered()
            listed = self._record.lines[-1].frame
            async with self._news:
                while any(self._lacks(told["room"], told["last"]) for told in listed.get("rooms", ())):
                    await self._news.wait()
        self._record.settled = True

    def _lacks(self, room: str, last: int) -> bool:
        at = self.rooms.get(room, Where(seq=0)).seq
        return at is not None and at < last

    async def go(self, end: End) -> None:
        """Close with 1000 or 1001, and read until the server's close frame; then the connection is lost."""
        assert self._wire is not None
        self._leaving, self._record.goodbye = end, end is End.LEFT
        await self._wire.say_close(1000 if end is End.LEFT else 1001)
        await trio.sleep(SECONDS)  # `here` cancels us

    def deafen(self, seconds: float) -> None:
        """Read nothing for a while."""
        self.deaf_until = trio.current_time() + seconds

    async def log_of(self, room: str) -> tuple[Frame, list[Frame]] | None:
        """The newest page and all entries of a room's log, while nobody writes; None where there is none. Raises Lost.

        A conversation ends with a guest, and the other is not told.
        """
        entries: list[Frame] = []
        after = 0
        while True:
            number = await self.send("history", room=room, after=after, limit=200)
            await self.answered()
            heard = (line.frame for line in reversed(self._record.lines) if not line.ours)
            page = next((frame for frame in heard if frame.get("id") == number), {})
            if page.get("code") == "no_such_room":
                return None
            if "entries" not in page:  # we were too fast, or it was not answered
                await trio.sleep(TOO_FAST)
                continue
            entries += page["entries"]
            if not page["more"] or not page["entries"]:
                return page, entries
            after = entries[-1]["seq"]
