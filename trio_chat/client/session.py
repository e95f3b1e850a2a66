"""The client's side of a session, without I/O: frames in, events and frames out.

It has no clock, no chance and no socket: times (monotonic seconds) and random numbers are arguments. Whoever drives it
says what happened to the connection (`opened`, `received`, `closed`, `refused`), writes what `data_to_send` returns,
and asks `ended` and `delay` whether and when to connect again.

What it holds is promise 3 from the other side: an entry comes out once, in order, or `Lagged` says that it cannot. So
where one is missing (a `skim` left it out, or it was lost on the wire before we knew its room) the session goes
`behind`: it drops entries until it is resumed from where it really stands.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs
import msgspec

from trio_chat.client.calls import Call, Calls, new_call, outcome_of
from trio_chat.client.events import (
    ENTRIES,
    Answered,
    ConnectionEnded,
    Disconnected,
    Event,
    Failed,
    Lagged,
    Moderated,
    OutcomeUnknown,
    RoomPage,
    Unknown,
    Welcomed,
    entry_of,
    kind_of,
    passing_of,
    read_as,
    room_of,
)
from trio_chat.client.positions import Positions, Verdict, key_of
from trio_chat.client.welcome import Account, Backoff, Heartbeat, Welcome, reason_of, seconds_of
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.messages import Position

PASSING_STATUSES = (408, 425, 429)  # of HTTP's 4xx; the other ones say that the request is wrong


class State(Enum):
    """Where the session stands with its connection."""

    CLOSED = "closed"  # no connection; one may be made after `delay`
    OPENING = "opening"  # `connect` was sent
    WELCOMED = "welcomed"
    ENDED = "ended"  # for good; `ended` says why


class ChatSession:
    """A session: one connection, and those that resume it.

    Args:
        username: the name to take; with a token it may be None.
        proven: we come with a token. Then keys outlive a session, for the user is the same in the next one.
        account: or with a password; likewise.
        backoff: how to come back, whatever the server says of it.
    """

    def __init__(
        self,
        username: str | None,
        *,
        proven: bool = False,
        account: Account | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.state = State.CLOSED
        self.user = username or ""
        self.ticket: str | None = None
        self.heartbeat = Heartbeat()
        self.delay = 0.0  # seconds until the next connection may be tried
        self.ended: ConnectionEnded | None = None
        self.behind = False  # entries were left out; a new connection brings them
        self._username, self._proven, self._account = username, proven or account is not None, account
        self._session: str | None = None  # the token to resume it with
        self._connect: str | None = None
        self._positions = Positions()
        self._calls = Calls()
        self._last_id = 0
        self._limits: dict[str, float] = {}
        self._own_backoff = backoff
        self._backoff = backoff or Backoff()
        self._tries = 0  # since a connection last held
        self._welcomed_at = 0.0
        self._farewell: tuple[float, float] | None = None  # `retry_after` and `jitter` of `draining`
        self._complaint: str | None = None  # the error that answered `connect` …
        self._complained = ""  # … and its code
        self._gap: tuple[str, str | None, int | None] | None = None  # where one was found, and not yet filled

    # --- Commands ----------------------------------------------------------------------------------------------------

    def request(self, kind: str, /, **fields: Any) -> int:
        """Let a command wait to be sent; its `Answered` or `Failed` has this id. A field that is None is left out.

        Raises:
            ConnectionEnded: nothing is sent any more.
            Refused: `too_large`, by the limits that the server told.
            ValueError: a text that no JSON can carry.
        """
        if self.ended is not None:
            raise self.ended.again()
        self._last_id += 1
        self._calls.add(new_call(self._last_id, kind, fields, self._limits))
        return self._last_id

    def abandon(self, number: int) -> None:
        """Nobody waits for a command any longer: it is not sent (again), and its answer means nothing."""
        self._calls.remove(number)

    @property
    def backoff(self) -> Backoff:
        """How to come back: as the server said, or as we were told."""
        return self._backoff

    @property
    def in_flight(self) -> bool:
        """Whether an answer is on its way."""
        return self._calls.in_flight

    def data_to_send(self, now: float) -> list[str]:
        """The frames to be written now, in order: each is taken to be sent. Not faster than the server allows."""
        if self._connect is not None:
            connect, self._connect = self._connect, None
            return [connect]
        return self._calls.take_due(now) if self.state is State.WELCOMED else []

    def next_due(self) -> float | None:
        """When `data_to_send` has more, if nothing else happens."""
        return self._calls.next_due() if self.state is State.WELCOMED else None

    # --- The connection ----------------------------------------------------------------------------------------------

    def opened(self, token: str | None = None) -> None:
        """There is a connection: `connect` is to be sent, with our places in every room if there is one to resume.

        `token`: proves who we are.
        """
        self.state, self.behind, self._complaint, self._farewell = State.OPENING, False, None, None
        connect: dict[str, Any] = {"type": "connect", "id": 0, "username": self._username, "token": token}
        if self._session is None and self._account is not None:
            connect = self._account.frame()
        elif self._session is not None:
            places = self._asked_for() | self._positions.known()
            connect["resume"] = {"session": self._session, "rooms": places}
        given = {name: value for name, value in connect.items() if value is not None}
        self._connect = msgspec.json.encode(given).decode()

    def received(self, text: str, now: float) -> list[Event]:
        """A text frame came. What does not make sense is `Unknown`, never an error.

        A frame brings one event for the user at most, two where a gap stays one.
        """
        try:
            frame = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            return []
        if not isinstance(frame, dict) or self.state is State.ENDED:
            return []
        kind = kind_of(frame)
        if self.state is State.OPENING:
            return self._opening(frame, kind, now)
        number = frame.get("id")
        if number is not None:
            return self._answered(number, frame, now) if isinstance(number, int) else []
        if kind == "system/lagged":
            return self._lagged(frame)
        if kind == "system/draining":
            self._farewell = seconds_of(frame, "retry_after"), seconds_of(frame, "jitter")
        if kind == "system/room_closed":
            self._positions.forget(room_of(frame, self.user))
        if kind == "system/room_created" and isinstance(frame.get("epoch"), str):
            self._positions.told(room_of(frame, self.user), frame["epoch"], int(seconds_of(frame, "last")))
        if isinstance(frame.get("seq"), int) and frame.get("type") != "read" and (kind in ENTRIES or "room" in frame):
            return self._entry(frame, kind)
        return [] if self.behind else [passing_of(frame)]

    def skim(self) -> None:
        """From here on only answers count: what else comes is dropped. The next connection brings the entries."""
        self.behind = self.state is State.WELCOMED

    def detached(self) -> list[Event]:
        """We dropped the connection, to come back at once: nothing is lost, and the user need not hear of it."""
        self.delay = 0.0
        return self._lose()

    def closed(self, code: int | None, reason: str, now: float, random: float) -> list[Event]:
        """The connection is gone, with a close `code`, or none could be made. `random`: 0 ≤ random < 1.

        4500-4999 is final (the range is the verdict), and so is 1009: the frame that is too large would come again.
        """
        if code == Close.BAD_HANDSHAKE and self._complained == ErrorCode.BAD_CREDENTIALS.value and self._session:
            self._session = None  # it has ended meanwhile: log in again
        elif code is not None and (4500 <= code <= 4999 or code == Close.TOO_LARGE):
            return self.end(ConnectionEnded(code, self._complaint or reason or reason_of(code)))
        if self.state is State.WELCOMED and now - self._welcomed_at >= self._backoff.max:
            self._tries = 0
        farewell = self._farewell
        events = self._lose()
        self._tries += 1
        self.delay = self._backoff.delay(self._tries, random)
        if farewell is not None:  # never sooner than one is told to
            asked = farewell[0] + farewell[1] * random
            self.delay = asked if self._tries == 1 else max(self.delay, asked)
        return [*events, Disconnected(code=code, reason=reason or reason_of(code), delay=self.delay)]

    def refused(self, status: int, reason: str, retry_after: float | None, random: float) -> list[Event]:
        """The upgrade was answered over HTTP. Final, unless it is a 5xx, 408, 425 or 429, or says when to come back."""
        if status < 500 and status not in PASSING_STATUSES and retry_after is None:
            return self.end(ConnectionEnded(status, reason))
        events = self._lose()
        self._tries += 1
        asked = (retry_after or 0.0) + self._backoff.jitter * random
        self.delay = max(self._backoff.delay(self._tries, random), asked)
        return [*events, Disconnected(code=status, reason=reason, delay=self.delay)]

    def end(self, why: ConnectionEnded) -> list[Event]:
        """It is over for good, by us or by the server: all that waits has failed."""
        self.state, self.ended, self._connect = State.ENDED, why, None
        return [Failed(id=call.id, error=why.again()) for call in self._calls.clear() if not call.internal]

    def _lose(self) -> list[Event]:
        self.state, self._connect, self._farewell = State.CLOSED, None, None
        return [Answered(id=call.id, result=None) for call in self._calls.lost()]

    # --- Frames ------------------------------------------------------------------------------------------------------

    def _opening(self, frame: dict[str, Any], kind: str, now: float) -> list[Event]:
        if kind == "error":
            self._complaint, self._complained = str(frame.get("content", "")), str(frame.get("code", ""))
        if kind != "system/welcome":
            return []
        try:
            welcome = read_as(Welcome, frame)
        except msgspec.ValidationError:
            return [Unknown(frame=frame)]
        lost = {} if welcome.resumed else self._positions.known()
        failed = [] if welcome.resumed else self._uncertain()
        self.state, self._welcomed_at = State.WELCOMED, now
        self.user, self._session, self.ticket = welcome.user, welcome.session, welcome.ticket
        self.heartbeat, self._limits = welcome.heartbeat, welcome.limits
        self._backoff = self._own_backoff or welcome.reconnect
        self._calls.pace(self._limits, now)
        self._account = self._account and attrs.evolve(self._account, register=False)
        if welcome.resumed:
            self._resumed(welcome)
        else:
            self._positions = Positions()
            for here in welcome.rooms:
                self._positions.told(here.room, here.epoch, here.last if here.after is None else here.after)
        if welcome.more:
            self._ask_rooms(None)
        rooms = self._positions.known()
        return [*failed, Welcomed(user=self.user, resumed=welcome.resumed, rooms=rooms, lost=lost)]

    def _resumed(self, welcome: Welcome) -> None:
        """The server goes on from the places that we gave, and in all other rooms from what it last wrote."""
        asked_for = {key_of(room): after for room, after in self._asked_for().items()}
        for here in welcome.rooms:
            place, after = self._positions.place(here.room), asked_for.get(key_of(here.room))
            if place is not None and place.seq is not None and place.epoch is None:
                place.epoch = here.epoch  # we could not say it, so what was lost on the way is not replayed:
                self.behind = self.behind or here.last > place.seq  # come back, and say it
            elif place is None and after is not None:
                self._positions.put(here.room, after.epoch, after.seq)
            elif place is None and here.room.startswith("@"):
                # A conversation that we know nothing of began after our first welcome: we have nothing of it.
                self._positions.put(here.room, here.epoch, 0)
                self.behind = self.behind or here.last > 0
            elif place is None:  # the answer to what we posted there will tell, or else the first entry that comes
                self._positions.put(here.room, here.epoch, None)
        if not welcome.more:
            self._positions.keep(here.room for here in welcome.rooms)

    def _uncertain(self) -> list[Event]:
        """A new session: a guest is another user now, whose keys are new. What may have been done is not done again."""
        if self._proven:
            return []
        calls = [call for call in self._calls if call.keyed and call.repeated]
        for call in calls:
            self._calls.remove(call.id)
        text = "The session ended before the answer came"
        return [Failed(id=call.id, error=OutcomeUnknown(text)) for call in calls]

    def _ask_rooms(self, cursor: str | None) -> None:
        """`welcome` was too small for all our rooms: ask for the rest."""
        self._last_id += 1
        call = new_call(self._last_id, "rooms", {"mine": True, "limit": 200, "cursor": cursor}, self._limits)
        call.internal = True
        self._calls.add(call)

    def _answered(self, number: int, frame: dict[str, Any], now: float) -> list[Event]:
        call = self._calls.sent(number)
        if call is None:
            return []
        if frame.get("type") == "error" and call.retries(frame):
            self._calls.again(call, now + float(frame["retry_after"]))
            return []
        self._calls.remove(number)
        outcome = outcome_of(call, frame)
        if isinstance(outcome, Answered):
            self._learn(call, frame)
        if not call.internal:
            return [outcome]
        if isinstance(outcome, Answered) and isinstance(outcome.result, RoomPage):
            for room in outcome.result.rooms:
                self._told(room.room, room.epoch, room.last)
            if outcome.result.cursor is not None:
                self._ask_rooms(outcome.result.cursor)
        return []

    def _learn(self, call: Call, frame: dict[str, Any]) -> None:
        """What an answer says of our place in a room."""
        room = str(frame.get("room", call.room))
        place = self._positions.place(room)
        known = place is not None and place.seq is not None
        if call.type == "password" and self._account is not None:
            self._account = attrs.evolve(self._account, password=call.fields["new_password"])
        elif call.type == "leave":
            self._positions.forget(room)
        elif call.type == "join":
            after: Position | None = call.fields.get("after")
            if after is not None and not known:
                self._positions.put(room, after.epoch, after.seq)
            else:
                self._told(room, frame["epoch"], frame["last"])
        elif call.type in ("message", "private"):
            if place is not None and not known and call.repeated:
                self.behind = True  # the first sending brought us in, and what came of it was lost
            self._told(room, frame["epoch"], frame["seq"] - 1)

    def _told(self, room: str, epoch: str, last: int) -> None:
        """An answer says how far a log goes. A place that is behind stays: a `lagged` that was dropped comes again."""
        place = self._positions.place(room)
        if not self.behind or place is None or place.seq is None:
            self._positions.told(room, epoch, last)

    def _lagged(self, frame: dict[str, Any]) -> list[Event]:
        if self.behind:
            return []
        try:
            event = read_as(Lagged, frame)
        except msgspec.ValidationError:
            return [Unknown(frame=frame)]
        self._positions.lagged(event.room, event.epoch, event.first, event.last)
        return [event]

    def _entry(self, frame: dict[str, Any], kind: str) -> list[Event]:
        """Something with a place in the log of a room, also of a type that we do not know."""
        room, epoch, seq = room_of(frame, self.user), frame.get("epoch"), int(frame["seq"])
        place = self._positions.place(room)
        if self.behind:
            if place is None and isinstance(epoch, str):  # a conversation that begins: this is still to come
                self._positions.put(room, epoch, seq - 1)
            return []
        if (place is None or place.seq is None) and epoch is None and self._entering(room):
            return []
        known = kind in ENTRIES or frame.get("type") == "system"
        if not known and (place is None or place.seq is None or seq != place.seq + 1):
            return [passing_of(frame)]  # who knows what its `seq` is
        before = (key_of(room), place.epoch, place.seq) if place is not None else None
        events: list[Event] = []
        verdict = self._positions.entry(room, seq, epoch if isinstance(epoch, str) else None)
        if verdict is Verdict.GAP and self._gap != before:
            self._gap, self.behind = before, True
            return []
        if verdict is Verdict.GAP:  # it is one for the server, too
            assert place is not None
            events.append(Lagged(room=room, epoch=str(place.epoch), first=seq, last=seq))
            place.seq = seq
        if verdict is Verdict.OLD:
            return []
        self._gap = None
        place = self._positions.place(room)
        epoch = None if place is None else place.epoch
        event = entry_of(frame, room, epoch) if kind in ENTRIES else passing_of(frame)
        if isinstance(event, Moderated) and event.action in ("kick", "ban") and key_of(event.user) == key_of(self.user):
            self._positions.forget(room)
        return [*events, event]

    def _entering(self, room: str) -> bool:
        """Whether the answer to a command will tell our place in a room; until then nothing of it is for us."""
        key = key_of(room)
        return any(call.type in ("message", "join") and key_of(call.room) == key for call in self._calls)

    def _asked_for(self) -> dict[str, Position]:
        """Places that a `join` asked for, whose answer may be lost. Of a room we are not in, they are ignored."""
        return {
            call.room: call.fields["after"]
            for call in self._calls
            if call.type == "join" and call.repeated and "after" in call.fields
        }
