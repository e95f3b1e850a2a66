"""People who come, go and come back, to one process and to the next, beside a model of what they must hear."""

from __future__ import annotations

import json

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.core.driver import Client, Driver
from tests.core.model import Entry, Frame, Person, Said, World
from trio_chat.core.codec import encode
from trio_chat.core.effects import Alive
from trio_chat.core.errors import Close
from trio_chat.core.events import Ack, Error, Event, Welcome
from trio_chat.core.messages import Command, Connect, Message, Position, Resume
from trio_chat.core.rooms import Room

NAMES = st.sampled_from(["ann", "bob", "cy", "di"])
WORDS = ["tea", "milk", "oak"]
PICK = st.integers(0, 9)  # which of those there are, modulo their number


def wire(event: Event) -> Frame:
    """The frame of an event."""
    frame: Frame = json.loads(encode(event))
    return frame


class Comings(RuleBasedStateMachine):
    """Connections that come and go at random, and a process that dies."""

    @initialize(crowd=st.sampled_from([0, 3, 3]))
    def begin(self, crowd: int) -> None:
        self.driver = Driver(messages_burst=10_000, messages_per_second=10_000, resume_window=1000, max_attempts=10_000)
        self.world = World()
        self.world.logs["general"] = self.world.begin("general", "boot-1")
        self.ids = 0
        self.asked: list[tuple[Client, int]] = []
        for name in ("ann", "bob", "cy")[:crowd]:
            self.connect(name=name, modern=True, alive=True)
            for room in ("general", "den"):
                self.says(self.world.people[name], room)

    # --- Of the server ------------------------------------------------------------------------------------------------

    def room_of(self, person: Person, room: str) -> Room:
        found = self.driver.state.chat.find_room(self.driver.state.chat.people.by_name[person.name], room)
        assert isinstance(found, Room)
        return found

    def advance(self, seconds: float) -> None:
        self.driver.advance(seconds)
        self.look()

    def live(self) -> list[Person]:
        return self.world.live()

    def one(self, pick: int) -> Person:
        return self.live()[pick % len(self.live())]

    # --- Of the clients -----------------------------------------------------------------------------------------------

    def new_id(self, client: Client) -> int:
        self.ids += 1
        self.asked.append((client, self.ids))
        return self.ids

    def send(self, person: Person, command: Command) -> Event:
        """Send with an `id`; returns the one answer. What else came is looked at once the model has followed."""
        answer_to = self.new_id(person.client)
        before = len(person.client.all)
        self.driver.receive(person.client.conn, attrs.evolve(command, id=answer_to))
        (answer,) = [event for event in person.client.all[before:] if getattr(event, "id", None) == answer_to]
        return answer

    def refused(self, answer: Event, code: str) -> None:
        assert isinstance(answer, Error)
        assert answer.code == code
        self.look()

    def look(self) -> None:
        """Look at all that came: none of it may be of a room that one is not in."""
        for person in self.live():
            for event in person.client.all[person.looked :]:
                self.hears(person, wire(event))
            person.looked = len(person.client.all)

    def hears(self, person: Person, frame: Frame) -> None:
        match frame:
            case {"type": "private", "sender": sender, "to": to}:
                self.entry(person, f"@{to if sender == person.name else sender}", frame)
            case {"type": "message" | "edited" | "deleted" | "reacted", "room": room}:
                self.entry(person, room, frame)
            case {"type": "system", "event": "topic" | "moderation", "room": room}:
                self.entry(person, room, frame)
            case {"type": "system", "event": "joined" | "left" | "lagged" as event, "room": room}:
                assert room in person.since
                assert event != "joined" or frame.get("users") != [person.name]
            case {"type": "user_list" | "typing", "room": room} if "id" not in frame:
                assert room in person.since
            case {"type": kind}:
                assert kind != "read", "nobody has two sessions"

    def entry(self, person: Person, room: str, frame: Frame) -> None:
        """It must be shown as it is now: live that is as it was made."""
        assert room in person.since, "heard in a room that one is not in"
        seq = frame["seq"]
        assert frame == self.world.log_of(person, room).frame(seq, room)
        person.heard[room].append(seq)
        person.stream.append((room, seq))

    def enters(self, person: Person, room: str, after: int | None = None) -> None:
        logs = self.world.logs
        if room not in logs:
            logs[room] = self.world.begin(room, self.room_of(person, room).epoch)
        log = logs[room]
        log.members.append(person)
        if log.owner is None and room != "general":
            log.owner = person
        person.enters(room, log.epoch, log.last if after is None else after if after <= log.last else 0)

    def took(self, person: Person, room: str, log: Said, entry: Entry, answer: Event) -> None:
        """The model follows an entry, whose place the ack must say."""
        log.add(entry)
        assert isinstance(answer, Ack)
        assert (answer.room, answer.epoch, answer.seq) == (room, log.epoch, log.last)
        self.look()

    def says(self, person: Person, room: str, word: str = "tea") -> None:
        content = f"{word.title()} {person.name} {self.ids}"
        answer = self.send(person, Message(room=room, content=content))
        if room not in person.since:
            self.enters(person, room)
        entry = Entry("message", person, self.driver.now.wall, content)
        self.took(person, room, self.world.logs[room], entry, answer)

    # --- Rules --------------------------------------------------------------------------------------------------------

    @rule(name=NAMES, modern=st.booleans(), alive=st.booleans())
    def connect(self, name: str, modern: bool, alive: bool) -> None:
        holder = self.world.people.get(name)
        client = self.driver.open(modern=modern)
        asked = self.new_id(client)
        self.driver.receive(client.conn, Connect(username=name, id=asked))
        if holder is not None and holder.live:
            assert client.all == []
            self.look()
            if alive:
                self.driver.apply(Alive(holder.client.conn))
                (error,) = client.all
                assert isinstance(error, Error)
                assert (error.code, client.closed) == ("username_taken", Close.NAME_TAKEN)
                self.driver.drop(client)
                return
            self.advance(2)
            assert holder.client.closed is Close.HEARTBEAT_MISSED
        if holder is not None:
            self.world.ends(holder)
        self.world.people[name] = person = Person(name, client, modern, client.session)
        assert isinstance(client.all[0], Welcome)
        self.enters(person, "general")
        self.look()
        if holder is not None and holder.live:
            self.driver.drop(holder.client)

    @precondition(lambda self: self.live())
    @rule(pick=PICK, code=st.sampled_from([None, 1000, 1001, 1005]), lost=st.integers(0, 4))
    def drop(self, pick: int, code: int | None, lost: int) -> None:
        """The last `lost` entries never left the outbox."""
        person = self.one(pick)
        unsent = dict[str, int]()
        for room, seq in person.stream[len(person.stream) - min(lost, len(person.stream)) :]:
            unsent.setdefault(room, seq)
            person.heard[room] = [other for other in person.heard[room] if other < unsent[room]]
        keys = {room: self.room_of(person, room).key for room in unsent}
        self.driver.drop(person.client, code, unsent=[(keys[room], seq) for room, seq in unsent.items()])
        self.driver.full.discard(person.client.conn)
        person.live, person.stream = False, []
        if code == 1000:
            self.world.ends(person)
        self.look()

    @precondition(lambda self: self.world.people)
    @rule(trusted=st.sampled_from([True, True, False]))
    def crash(self, trusted: bool) -> None:
        """Of who was live nobody knows what was sent; of a log that is not trusted, nobody knows anything."""
        self.driver.crash(trusted=trusted)
        for person in self.world.people.values():
            for room in person.since:
                if not trusted or (person.live and self.world.log_of(person, room).entries):
                    person.unsure.add(room)
                if not trusted:
                    person.read[room] = 0
            person.live, person.stream = False, []
        if not trusted:
            for name, log in self.world.logs.items():
                found = self.driver.state.chat.rooms.get(name)
                assert found is not None
                self.world.renew(log, found.epoch)
            for pair, log in self.world.talks.items():
                name, other = pair
                self.world.renew(log, self.room_of(self.world.people[name], f"@{other}").epoch)

    @precondition(lambda self: self.world.people)
    @rule(pick=PICK, slow=st.booleans(), back=st.none() | st.integers(-1, 3), modern=st.booleans())
    def resume(self, pick: int, slow: bool, back: int | None, modern: bool) -> None:
        """Come back, live or not, and say where one is: `back` entries before what one has; or too far; or nothing."""
        person = list(self.world.people.values())[pick % len(self.world.people)]
        logs = {room: self.world.log_of(person, room) for room in person.since}
        given, lags = dict[str, Position](), set[str]()
        for room, log in logs.items():
            if back is None:
                lags |= {room} & person.unsure
                continue
            has = person.since[room] + len(person.heard[room])
            at = log.last + 1 if back == -1 else max(0, has - back)
            given[room] = Position(epoch=person.epochs[room], seq=at)
            if back == -1 or person.epochs[room] != log.epoch:
                lags.add(room)
        self.come_back(person, given, slow=slow, modern=modern)
        welcome = person.client.welcome
        assert (welcome.resumed, welcome.user, welcome.session) == (True, person.name, person.token)
        assert {room["room"]: room for room in welcome.rooms} == {
            room: {"room": room, "epoch": log.epoch, "last": log.last, "read": person.read[room]}
            for room, log in logs.items()
        }
        lagged = person.client.events("lagged")
        assert {event.room: (event.epoch, event.first, event.last) for event in lagged} == {
            room: (logs[room].epoch, 1, logs[room].last) for room in lags
        }
        assert len(lagged) == len(lags)
        for room in person.since:
            if room in lags:
                person.begins_again(room, 0)
            elif room in given:
                person.begins_again(room, given[room].seq)
        person.epochs = {room: log.epoch for room, log in logs.items()}
        person.unsure.clear()
        self.look()
        if slow:
            self.says(person, "general")  # while it is still behind

    def come_back(self, person: Person, given: dict[str, Position], *, slow: bool, modern: bool) -> None:
        before, client = person.client, self.driver.open(modern=modern)
        if slow:
            self.driver.full.add(client.conn)
        asked = self.new_id(client)
        self.driver.receive(client.conn, Connect(id=asked, resume=Resume(session=person.token, rooms=given)))
        if person.live:
            assert before.closed is Close.REPLACED
            self.driver.drop(before)
            self.driver.full.discard(before.conn)
        person.client, person.modern, person.live, person.looked, person.stream = client, modern, True, 0, []

    @precondition(lambda self: self.live())
    @rule(pick=PICK)
    def drain(self, pick: int) -> None:
        person = self.one(pick)
        self.driver.drained(person.client)
        self.look()
        self.says(person, "general")  # it must hear that live

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 1.0]))
    def wait(self, seconds: float) -> None:
        self.advance(seconds)

    @precondition(lambda self: self.world.away())
    @rule()
    def wait_until_sessions_end(self) -> None:
        self.advance(1001)
        for person in self.world.away():
            self.world.ends(person)
        self.look()
