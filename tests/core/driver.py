"""`ChatState` wired to a `MemoryLog`, without a server: what a broker does, in virtual time, all of it to be looked at.

Of every frame the driver checks that it is no larger than `max_message_bytes`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import attrs

from trio_chat.config import Config
from trio_chat.core.chat import Secrets
from trio_chat.core.codec import encode
from trio_chat.core.effects import (
    Admit,
    Admitted,
    Append,
    Banned,
    Change,
    Changed,
    Committed,
    ConnId,
    Cut,
    Deliver,
    Discard,
    Disconnected,
    Effect,
    Forget,
    Input,
    Keep,
    Note,
    Now,
    Probe,
    Read,
    Received,
    Refused,
    Reply,
    Request,
    Search,
    Tick,
)
from trio_chat.core.errors import Close
from trio_chat.core.events import Ack, Error, Event, Posted, System, Welcome
from trio_chat.core.identity import Identity
from trio_chat.core.messages import Command, Connect, Position, Resume
from trio_chat.core.orders import Act, Answered, Look, Ordered, Result
from trio_chat.core.records import Record, Restored, Span
from trio_chat.core.state import ChatState
from trio_chat.log.memory import MemoryLog

Kind = TypeVar("Kind", bound=Event)
START = Now(1000.0, 1_767_225_600.0)  # 2026-01-01T00:00:00Z


class Died(Exception):
    """The process died in the midst of its effects."""


class Driver:
    """A whole chat. `cuts`, `probed`, `banned`, `notes`: what it asked of the server so far.

    While `held` is True the log's answers wait for `release`; of connections in `full`, replays wait for `drained`.
    `kept`: the records that another process would find, after a `crash`. `lifetime`: how many effects are performed
    before the process dies with `Died`; without end where it is below 0.
    """

    def __init__(self, **options: Any) -> None:
        self.config = Config.of(**options)
        self.state = self._state("boot")
        self.log = MemoryLog(self.config.history)
        self.kept: dict[tuple[str, str], Record] = {}
        self.now = START
        self.effects: list[Effect] = []
        self.inboxes: dict[ConnId, list[Event]] = {}
        self.cuts: dict[ConnId, Close] = {}
        self.probed: list[ConnId] = []
        self.banned: dict[str, float] = {}
        self.notes: list[Note] = []
        self.answers: dict[int, Result] = {}
        self._orders = 0
        self.held = False
        self.full: set[ConnId] = set()
        self.lifetime = -1
        self._waiting: list[Request] = []
        self._asked = 0
        self._places: dict[int, int] = {}  # id of a request → the how many-th it was
        self._kept_after: dict[tuple[str, str], int] = {}  # record → how many requests came before it was kept, or not
        self._replays: list[Read] = []
        self._conns = 0
        self._tokens = 0
        self._boots = 1
        self.apply(Restored())

    def _state(self, boot: str) -> ChatState:
        return ChatState(
            secrets=Secrets(boot=boot, ticket_key=b"k" * 32),
            admission=self.config.admission,
            limits=self.config.limits,
            history=self.config.history,
            heartbeat=self.config.heartbeat,
            connect_timeout=self.config.listen.connect_timeout,
            auth=self.config.auth,
        )

    def crash(
        self, *, trusted: bool = True, drop: Collection[str] = (), lost: Collection[tuple[str, str]] = ()
    ) -> list[Effect]:
        """The process dies, and another takes over what was kept.

        `drop`: but for records of these kinds; `lost`: and but for these, by kind and key. Where the log is not
        `trusted`, each room is in a new epoch.
        """
        self._boots += 1
        boot = f"boot{self._boots}"
        self.state = self._state(boot)
        self.lifetime = -1
        self._waiting.clear()
        self._replays.clear()
        self.full.clear()
        if not trusted:
            for room in self.log._rooms.values():
                room.epoch = f"{boot}-{room.epoch}"
                room.entries = {seq: attrs.evolve(entry, epoch=room.epoch) for seq, entry in room.entries.items()}
        spans = {key: Span(epoch=room.epoch, first=room.first, last=room.last) for key, room in self.log._rooms.items()}
        self.kept = {name: record for name, record in self.kept.items() if record.kind not in drop and name not in lost}
        return self.apply(Restored(records=tuple(self.kept.values()), spans=spans, trusted=trusted))

    # --- Inputs ---------------------------------------------------------------------------------------------------

    def apply(self, given: Input) -> list[Effect]:
        """Apply, and do what it says; returns the effects of this input and of what the log answered."""
        start = len(self.effects)
        self._apply(given)
        self._pull()
        return self.effects[start:]

    def admit(self, **fields: Any) -> tuple[ConnId, Admitted | Refused]:
        """Ask to come in."""
        self._conns += 1
        effects = self.apply(Admit(self._conns, **({"address": f"10.0.{self._conns}"} | fields)))
        (verdict,) = (effect for effect in effects if isinstance(effect, Admitted | Refused))
        return self._conns, verdict

    def open(self, **fields: Any) -> Client:
        """Come in."""
        conn, verdict = self.admit(**fields)
        assert isinstance(verdict, Admitted), verdict
        self.inboxes[conn] = []
        return Client(self, conn)

    def connect(self, name: str, **fields: Any) -> Client:
        """Come in, and connect as `name`."""
        client = self.open(**fields)
        client.send(Connect(username=name))
        return client

    def resume(self, before: Client, positions: dict[str, Position] | None = None, **fields: Any) -> Client:
        """Come in, and carry on the session of a client."""
        client = self.open(**fields)
        client.send(Connect(resume=Resume(session=before.session, rooms=positions or {})))
        return client

    def receive(self, conn: ConnId, command: Command, identity: Identity | None = None) -> list[Effect]:
        """A command came; what its token or password proved."""
        self._tokens += 1
        return self.apply(Received(conn, command, f"token-{self._tokens}", identity=identity))

    def order(self, order: Act | Look) -> Result:
        """An operator asks for something, and the log answers at once."""
        self._orders += 1
        self.apply(Ordered(self._orders, "admin", order))
        return self.answers[self._orders]

    def drop(
        self,
        client: Client,
        code: int | None = None,
        cut: Close | None = None,
        unsent: Iterable[tuple[str, int]] = (),
    ) -> list[Effect]:
        """The connection is over. `unsent`: by the room's key, or its epoch where there is none of that key."""
        rooms = self.state.chat.rooms
        unsent = [(room.epoch if (room := rooms.get(key)) else key, seq) for key, seq in unsent]
        cut = cut or self.cuts.get(client.conn)
        return self.apply(Disconnected(client.conn, code, cut, tuple(unsent)))

    def advance(self, seconds: float) -> list[Effect]:
        """Let time pass, with a tick at each deadline."""
        start, until = len(self.effects), self.now.mono + seconds
        while (due := self.state.next_due()) is not None and due <= until:
            assert due >= self.now.mono, "a tick left something that was due"
            self._at(max(due, self.now.mono))
            self.apply(Tick())
            again = self.state.next_due()
            assert again is None or again > due, "a tick left something that was due"
        self._at(until)
        return self.effects[start:]

    def release(self) -> None:
        """Let the log answer, all that waits and from now on."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._submit(request)
        self._pull()

    def answer(self, make: Any) -> list[Effect]:
        """Answer the oldest held request by hand: `make(request)` gives the answer."""
        return self.apply(make(self._waiting.pop(0)))

    def drained(self, client: Client) -> None:
        """The outbox of a connection has room again."""
        self.full.discard(client.conn)
        self._pull()

    # --- What a broker does ------------------------------------------------------------------------------------------

    def _at(self, mono: float) -> None:
        self.now = Now(mono, START.wall + mono - START.mono)

    def _apply(self, given: Input) -> None:
        if isinstance(given, Committed | Changed):
            self._commit(given.request)
        for effect in self.state.apply(given, self.now):
            if self.lifetime == 0:
                raise Died
            self.lifetime -= 1
            self.effects.append(effect)
            self._perform(effect)

    def _commit(self, request: Append | Change) -> None:
        """Keep what came with the entry, or by itself, unless something newer was kept behind it."""
        for change in request.keep:
            kind, key = (
                (change.record.kind, change.record.key) if isinstance(change, Keep) else (change.kind, change.key)
            )
            if self._kept_after.get((kind, key), 0) < self._places[id(request)]:
                if isinstance(change, Keep):
                    self.kept[kind, key] = change.record
                else:
                    self.kept.pop((kind, key), None)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Deliver():
                assert effect.conns or effect.seq, "a frame was made for nobody"
                self._deliver(effect.conns, effect.event)
            case Reply():
                self._deliver((effect.conn,), effect.event)
            case Append() | Search() | Change():
                self._ask(effect)
            case Keep(record):
                self.kept[record.kind, record.key] = record
                self.log.keep(effect)
                self._kept_after[record.kind, record.key] = self._asked
            case Discard(kind, key):
                self.kept.pop((kind, key), None)
                self._kept_after[kind, key] = self._asked
            case Read():
                if effect.history:
                    self._ask(effect)
                else:
                    self._replays.append(effect)
            case Forget():
                self.log.forget(effect)
            case Cut():
                assert effect.conn not in self.cuts, "cut twice"
                self.cuts[effect.conn] = effect.code
            case Probe():
                self.probed.append(effect.conn)
            case Banned(address, until):
                self.banned.pop(address, None)
                if until is not None:
                    self.banned[address] = until
            case Answered():
                self.answers[effect.number] = effect.result
            case Note():
                assert effect.text % effect.args
                self.notes.append(effect)

    def _deliver(self, conns: tuple[ConnId, ...], event: Event) -> None:
        assert len(encode(event)) <= self.config.limits.max_message_bytes
        for conn in conns:
            if conn not in self.cuts:
                self.inboxes[conn].append(event)

    def _ask(self, request: Request) -> None:
        self._asked += 1
        self._places[id(request)] = self._asked
        if self.held:
            self._waiting.append(request)
        else:
            self._submit(request)

    def _submit(self, request: Request) -> None:
        self._apply(self.log.submit(request, self.now))

    def _pull(self) -> None:
        while any(read.conn not in self.full for read in self._replays):
            ready = [read for read in self._replays if read.conn not in self.full]
            self._replays = [read for read in self._replays if read.conn in self.full]
            for read in ready:
                self._ask(read)
            if self.held:
                return


@attrs.define(eq=False)
class Client:
    """One connection, from the other side."""

    driver: Driver
    conn: ConnId
    _seen: int = 0

    @property
    def all(self) -> list[Event]:
        """Everything it ever received."""
        return self.driver.inboxes[self.conn]

    @property
    def welcome(self) -> Welcome:
        (welcome,) = self.of(Welcome)
        return welcome

    @property
    def session(self) -> str:
        return self.welcome.session

    @property
    def closed(self) -> Close | None:
        """With what it was cut."""
        return self.driver.cuts.get(self.conn)

    @property
    def contents(self) -> list[str]:
        """Of the messages that it received in rooms."""
        return [event.content for event in self.of(Posted)]

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Everything of one kind that it ever received."""
        return [event for event in self.all if isinstance(event, kind)]

    def events(self, name: str) -> list[System]:
        """Its `system` frames with this `event`."""
        return [event for event in self.of(System) if event.event == name]

    def send(self, command: Command, identity: Identity | None = None) -> list[Event]:
        """Send, and return what came since the last look."""
        self.driver.receive(self.conn, command, identity)
        return self.news()

    def refused(self, command: Command, identity: Identity | None = None) -> Error:
        """Send; it must be refused, by exactly one error that carries its `id`."""
        self.news()
        (error,) = self.send(command, identity)
        assert isinstance(error, Error), error
        assert error.id == command.id
        assert "Username" not in error.content or error.code == "username_taken"
        return error

    def done(self, command: Command, identity: Identity | None = None) -> Ack:
        """Send; the first thing that comes back must be its ack."""
        self.news()
        ack = self.send(command, identity)[0]
        assert isinstance(ack, Ack), ack
        assert ack.id == command.id
        return ack

    def news(self) -> list[Event]:
        """What came since the last look."""
        new = self.all[self._seen :]
        self._seen = len(self.all)
        return new

    def drop(self, code: int | None = None, **how: Any) -> list[Effect]:
        """It is gone."""
        return self.driver.drop(self, code, **how)
