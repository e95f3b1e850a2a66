"""What was sent, and what became of it: each message, and each of its deliveries, is counted as one thing only.

A message that was due is `not sent`, or sent: then it was acked, refused (by the error's code), or is `unanswered`. A
delivery is owed by each acked message to each connection of its room that is still there: it came, or it is `lost`.
"""

from __future__ import annotations

import secrets
from collections import Counter

import attrs
import msgspec
import trio

from trio_chat.bench.plan import Plan


class Frame(msgspec.Struct):
    """What is looked at in a frame of the server's; the types are the protocol's."""

    type: str
    event: str | None = None
    id: str | int | None = None
    content: str | None = None
    code: str | int | None = None


READ = msgspec.json.Decoder(Frame)


@attrs.define(eq=False)
class Member:
    """A connection in its room: which of the room's messages came to it, and which of its own wait for an answer."""

    room: int
    came: bytearray  # by a message's place in the room: 1 where it came
    unanswered: set[int] = attrs.Factory(set)


class Tally:
    """What was sent and what came. Latencies are in seconds, one of each ack and delivery."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.token = secrets.token_hex(4)  # of this run: names, rooms and contents hold it
        self.start = self.last = trio.current_time()  # of message 0; of the last answer or delivery
        self.stopped: float | None = None  # when the last connection was closed, if the server closed all
        self.opened = self.sent = 0
        self.acks: list[float] = []
        self.deliveries: list[float] = []
        self.closed: Counter[str] = Counter()  # connections that the server closed, by code and reason
        self.complete = trio.Event()
        self._errors: Counter[str] = Counter()
        self._acked = [bytearray(plan.messages_in(room)) for room in range(plan.rooms)]
        self._members: dict[int, Member] = {}  # who is there
        self._gone: dict[int, Member] = {}
        self._asked = self._owed = 0  # answers and deliveries that those who are there wait for
        self._all_sent = False

    @property
    def errors(self) -> dict[str, int]:
        """All that went wrong, now or in the end. No two of them count the same message, delivery or connection."""
        unanswered = self._asked + sum(len(member.unanswered) for member in self._gone.values())
        rest = {"unanswered": unanswered, "lost": self._owed}
        closed = {f"closed {how}": count for how, count in self.closed.items()}
        return {name: count for name, count in {**self._errors, **rest, **closed}.items() if count}

    @property
    def deserted(self) -> bool:
        """Nobody is left to send."""
        return not self._members

    def due(self, n: int) -> float:
        """When message n should leave."""
        return self.start + n / self.plan.rate

    def enter(self, connection: int) -> None:
        """A connection is in its room."""
        room = self.plan.room(connection)
        self._members[connection] = Member(room, bytearray(len(self._acked[room])))
        self.opened += 1

    def leave(self, connection: int, how: str) -> None:
        """The server closed a connection: nothing more is owed to it."""
        member = self._members.pop(connection)
        self._gone[connection] = member
        self._asked -= len(member.unanswered)
        acked, came = (int.from_bytes(flags) for flags in (self._acked[member.room], member.came))
        self._owed -= (acked & ~came).bit_count()
        self.closed[how] += 1
        if self.deserted:
            self.stopped = trio.current_time()
        self._look()

    def ask(self, n: int) -> bool:
        """Message n is about to be sent; False where its sender is gone."""
        member = self._members.get(self.plan.sender(n))
        if member is None:
            self._errors["not sent"] += 1
            return False
        member.unanswered.add(n)
        self._asked += 1
        self.sent += 1
        return True

    def unsend(self, n: int) -> None:
        """It could not be."""
        connection = self.plan.sender(n)
        if connection in self._members:
            self._asked -= 1
        (self._members.get(connection) or self._gone[connection]).unanswered.discard(n)
        self.sent -= 1
        self._errors["not sent"] += 1

    def take(self, connection: int, data: str | bytes) -> None:
        """Note one frame of the server's."""
        try:
            frame = READ.decode(data)
        except msgspec.MsgspecError:
            self._errors["not understood"] += 1
            return
        now = trio.current_time()
        if frame.type == "ack" and isinstance(frame.id, int):
            if self._answered(connection, frame.id):
                self.acks.append(now - self.due(frame.id))
                self._owe(frame.id)
                self.last = now
        elif frame.type == "message" and (n := self._number(frame.content or "")) is not None:
            self._delivered(connection, n, now)
        elif frame.type == "error" and (not isinstance(frame.id, int) or self._answered(connection, frame.id)):
            self._errors[str(frame.code)] += 1
            self.last = now
        self._look()

    def finish(self) -> None:
        """Nothing more is sent."""
        self._all_sent = True
        self._look()

    def _answered(self, connection: int, n: int) -> bool:
        """Message n has its answer; False where it had one already, which is an error of its own."""
        waiting = self._members[connection].unanswered
        if n not in waiting:
            self._errors["answered twice"] += 1
            return False
        waiting.discard(n)
        self._asked -= 1
        return True

    def _owe(self, n: int) -> None:
        room, place = self.plan.place(n)
        self._acked[room][place] = 1
        for connection in range(room, self.plan.connections, self.plan.rooms):
            member = self._members.get(connection)
            if member is not None and not member.came[place]:
                self._owed += 1

    def _delivered(self, connection: int, n: int, now: float) -> None:
        room, place = self.plan.place(n)
        member = self._members[connection]
        if member.room != room or member.came[place]:
            self._errors["doubled" if member.room == room else "in the wrong room"] += 1
            return
        member.came[place] = 1
        self._owed -= self._acked[room][place]
        self.deliveries.append(now - self.due(n))
        self.last = now

    def _number(self, content: str) -> int | None:
        token, _, number = content.partition(" ")
        return int(number) if token == self.token and number.isdecimal() and int(number) < self.plan.messages else None

    def _look(self) -> None:
        if self._all_sent and not self._asked and not self._owed:
            self.complete.set()
