"""A session against a model of the server, with cuts wherever they may be: once, in order, or `Lagged` says so."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.client.model import Server
from trio_chat.client import Entry, Event, Joined, Lagged, Message, OutcomeUnknown, Position, Posted, Welcomed
from trio_chat.client.events import Answered, Failed
from trio_chat.client.session import ChatSession, State

ROOMS = ("general", "den", "hall")
rooms, others = st.sampled_from(ROOMS), st.sampled_from(["bob", "cat"])


@attrs.define
class Stand:
    """Where the user is in a room, by what the client said: the next entry must be `due`."""

    epoch: str
    due: int


class ClientMachine(RuleBasedStateMachine):
    """`up` is what the client has written and the server has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.server, self.session = Server(), ChatSession("ann")
        self.up: list[str] = []
        self.now = 0.0
        self.stands: dict[str, Stand] = {}
        self.asked: dict[int, tuple[str, str, Position | None]] = {}  # kind, room or content, after
        self.last_lost: dict[str, Position] = {}
        self.count = 0

    def take(self, events: list[Event]) -> None:
        """Look at what the session says."""
        for event in events:
            if isinstance(event, Welcomed) and not event.resumed:
                self.stands = {room: Stand(at.epoch, at.seq + 1) for room, at in event.rooms.items()}
                self.last_lost = event.lost
            elif isinstance(event, Lagged):
                stand = self.stands.setdefault(event.room, Stand(event.epoch, event.first))
                stand.due = max(stand.due, event.first) if stand.epoch == event.epoch else event.first
                stand.due = event.first if stand.due > event.last + 1 else stand.due
                stand.epoch = event.epoch
            elif isinstance(event, Entry):
                self.entry(event)
            elif isinstance(event, Answered):
                self.answered(event)
            elif isinstance(event, Failed):
                assert isinstance(event.error, OutcomeUnknown) or self.asked[event.id][0] == "leave", event
                del self.asked[event.id]

    def entry(self, event: Entry) -> None:
        assert event.epoch is not None
        if event.room.startswith("@"):
            stand = self.stands.get(event.room)
            if stand is None or stand.epoch != event.epoch:
                self.stands[event.room] = Stand(event.epoch, 1)
        stand = self.stands.setdefault(event.room, Stand(event.epoch, event.seq))  # we posted, and the ack was lost
        assert (event.epoch, event.seq) == (stand.epoch, stand.due), (event, stand)
        held = self.server.rooms[event.room]
        if held.epoch == event.epoch and event.seq >= held.first:
            assert isinstance(event, Message)
            assert held.entries[event.seq - held.first]["content"] == event.content
        stand.due += 1

    def answered(self, event: Answered) -> None:
        kind, subject, after = self.asked.pop(event.id)
        match event.result:
            case Posted(seq=seq, room=room, epoch=epoch):
                if not room.startswith("@"):
                    self.stands.setdefault(room, Stand(epoch, seq))
            case Joined(room=room, epoch=epoch, last=last):
                new = Stand(epoch, last + 1) if after is None else Stand(after.epoch, after.seq + 1)
                self.stands.setdefault(room, new)
            case None if kind == "leave":
                self.stands.pop(subject, None)

    def ask(self, kind: str, subject: str, **fields: object) -> None:
        after = fields.get("after")
        assert after is None or isinstance(after, Position)
        self.asked[self.session.request(kind, **fields)] = (kind, subject, after)

    def connect(self) -> None:
        self.session.opened()
        self.write()

    def write(self) -> None:
        self.now += 1.0
        self.up += self.session.data_to_send(self.now)

    def lose(self) -> None:
        self.up = []
        self.take(self.session.closed(1006, "lost", self.now, 0.5))

    @initialize()
    def first_connection(self) -> None:
        self.connect()

    @rule(room=rooms)
    def send(self, room: str) -> None:
        if any(kind == "leave" for kind, _, _ in self.asked.values()):
            return  # whoever leaves and posts at once gets either
        self.count += 1
        content = f"mine {self.count}"
        self.ask("message", content, room=room, content=content, key=f"key {self.count}")

    @rule(to=others)
    def send_private(self, to: str) -> None:
        self.count += 1
        content = f"mine {self.count}"
        self.ask("private", content, to=to, content=content, key=f"key {self.count}")

    @rule(room=rooms)
    def join(self, room: str) -> None:
        if not any(kind in ("join", "leave") for kind, _, _ in self.asked.values()):
            self.ask("join", room, room=room)

    @precondition(lambda self: self.last_lost)
    @rule(data=st.data())
    def join_after(self, data: st.DataObject) -> None:
        """Go back to where one was in an old session."""
        room = data.draw(st.sampled_from(sorted(self.last_lost)))
        after = self.last_lost[room]
        if room in ("den", "hall") and room not in self.stands and not self.asked:
            self.ask("join", room, room=room, after=after)

    @rule(room=st.sampled_from(["den", "hall"]))
    def leave(self, room: str) -> None:
        if room in self.stands and not self.asked:
            self.ask("leave", room, room=room)

    @rule(room=rooms)
    def somebody_posts(self, room: str) -> None:
        self.count += 1
        self.server.post(room, "bob", f"other {self.count}")

    @precondition(lambda self: self.server.token is not None)
    @rule(sender=others)
    def somebody_posts_privately(self, sender: str) -> None:
        self.count += 1
        self.server.post(f"@{sender}", sender, f"other {self.count}")

    @rule(frames=st.integers(1, 4))
    def server_reads(self, frames: int) -> None:
        self.write()
        for text in self.up[:frames]:
            self.server.handle(text)
        del self.up[:frames]

    @rule(frames=st.integers(1, 4))
    def client_reads(self, frames: int) -> None:
        for text in self.server.down[:frames]:
            self.take(self.session.received(text, self.now))
        del self.server.down[:frames]

    @rule()
    def all_is_read(self) -> None:
        self.server_reads(10**6)
        self.client_reads(10**6)

    @rule()
    def answers_are_lost(self) -> None:
        self.server_reads(10**6)
        self.cut()

    @rule()
    def cut(self) -> None:
        self.lose()
        self.server.cut()
        self.connect()

    @rule(really=st.integers(0, 9))
    def session_expires(self, really: int) -> None:
        if really:  # else nothing ever lasts
            return
        self.lose()
        self.server.expire()
        self.connect()

    @rule(room=rooms, really=st.integers(0, 4))
    def log_is_lost(self, room: str, really: int) -> None:
        if really:
            return
        self.lose()
        self.server.cut()
        if room in self.server.rooms:
            self.server.renew(room)
        self.connect()

    @rule(room=rooms, keep=st.integers(0, 2))
    def log_is_trimmed(self, room: str, keep: int) -> None:
        if room in self.server.rooms:
            self.server.trim(room, keep)

    @rule()
    def consumer_is_slow(self) -> None:
        self.session.skim()

    @precondition(lambda self: self.session.behind)
    @rule()
    def catch_up(self) -> None:
        self.up = []
        self.take(self.session.detached())
        self.server.cut()
        self.connect()

    @invariant()
    def nothing_was_appended_twice(self) -> None:
        assert len(self.server.posted) == len(set(self.server.posted))

    def teardown(self) -> None:
        """All quiet: everything is answered, and the user has all there is, in every room."""
        for _ in range(50):
            self.server_reads(10**6)
            self.client_reads(10**6)
            if self.session.behind:
                self.catch_up()
            elif not (self.asked or self.up or self.server.down):
                break
        assert self.session.state is State.WELCOMED
        assert not self.session.behind
        assert self.asked == {}
        for name in self.server.mine:
            room = self.server.rooms[name]
            if name.startswith("@") and room.last == 0:
                continue
            stand = self.stands[name]
            assert (stand.epoch, stand.due) == (room.epoch, room.last + 1), name


ClientMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
test_session_against_the_model = ClientMachine.TestCase
