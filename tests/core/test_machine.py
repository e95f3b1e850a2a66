"""Any run of the chat against a model of what everybody must have seen.

The model is plain lists: what was said in each room, and who was in it since when. It knows nothing of how the server
does it, and holds the promises of the protocol: 1 (order), 3 (resume), 4 (joining and leaving), 5 (one answer), and
8 (presence).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.core.driver import Client, Driver
from trio_chat.core.effects import Alive
from trio_chat.core.errors import Close
from trio_chat.core.events import (
    Ack,
    Error,
    Event,
    HistoryPage,
    Pong,
    Posted,
    PrivatePosted,
    System,
    TypingShown,
    UserList,
    Welcome,
)
from trio_chat.core.messages import (
    Command,
    Connect,
    GetHistory,
    Join,
    Leave,
    ListUsers,
    Message,
    Ping,
    Position,
    Private,
    Resume,
    Typing,
)

INTERVAL = 0.5
NAMES = st.sampled_from(["ann", "bob", "cy", "di"])
ROOMS = st.sampled_from(["general", "den", "attic"])
PICK = st.integers(0, 9)  # which of those there are, modulo their number


@attrs.define
class Said:
    """A room's log as a list: its `seq` are 1, 2, 3 …."""

    epoch: str
    entries: list[str] = attrs.field(factory=list)


@attrs.define(eq=False)
class Person:
    """A guest. Of each room: after which `seq` it was to hear, and what it heard so far."""

    name: str
    client: Client
    modern: bool
    token: str
    since: dict[str, int] = attrs.field(factory=dict)
    heard: dict[str, list[tuple[int, str]]] = attrs.field(factory=dict)
    stream: list[tuple[str, int]] = attrs.field(factory=list)  # entries that its connection received, in order
    looked: int = 0  # events of its connection that were looked at
    live: bool = True

    def enters(self, room: str, since: int) -> None:
        self.since[room], self.heard[room] = since, []

    def leaves(self, room: str) -> None:
        del self.since[room], self.heard[room]
        self.stream = [(other, seq) for other, seq in self.stream if other != room]


def seconds_of(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


class ChatMachine(RuleBasedStateMachine):
    """Several connections, at random."""

    @initialize()
    def begin(self) -> None:
        self.driver = Driver(messages_burst=10_000, messages_per_second=10_000, resume_window=1000, max_attempts=10_000)
        self.people: dict[str, Person] = {}
        self.logs: dict[str, Said] = {"general": Said("boot-1")}
        self.talks: dict[frozenset[str], Said] = {}
        self.epochs = {"boot-1"}
        self.ids = 0
        self.asked: list[tuple[Client, int]] = []

    # --- Of the model -------------------------------------------------------------------------------------------------

    def log_of(self, person: Person, room: str) -> Said:
        return self.talks[frozenset((person.name, room[1:]))] if room.startswith("@") else self.logs[room]

    def live(self) -> list[Person]:
        return [person for person in self.people.values() if person.live]

    def away(self) -> list[Person]:
        return [person for person in self.people.values() if not person.live]

    def present(self, room: str) -> set[str]:
        return {person.name for person in self.live() if room in person.since}

    def ends(self, person: Person) -> None:
        del self.people[person.name]
        for room in list(person.since):
            self.closes_if_empty(room)
        for pair in [pair for pair in self.talks if person.name in pair]:
            del self.talks[pair]
            (other,) = pair - {person.name}
            self.people[other].leaves(f"@{person.name}")

    def closes_if_empty(self, room: str) -> None:
        nobody = not any(room in person.since for person in self.people.values())
        if nobody and room in self.logs and room != "general" and not self.logs[room].entries:
            del self.logs[room]

    def enters(self, person: Person, room: str, after: int | None = None) -> None:
        if room not in self.logs:
            epoch = self.driver.state.chat.rooms._by_key[room].epoch
            assert epoch not in self.epochs, "an epoch was used again"
            self.epochs.add(epoch)
            self.logs[room] = Said(epoch)
        last = len(self.logs[room].entries)
        person.enters(room, last if after is None else after if after <= last else 0)

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

    def look(self) -> None:
        """Look at all that came: none of it may be of a room that one is not in."""
        for person in self.live():
            for event in person.client.all[person.looked :]:
                self.hears(person, event)
            person.looked = len(person.client.all)

    def hears(self, person: Person, event: Event) -> None:
        match event:
            case Posted(room=room, seq=seq, content=content):
                self.entry(person, room, seq, content)
            case PrivatePosted(from_=sender, to=to, seq=seq, content=content):
                other = to if sender == person.name else sender
                self.entry(person, f"@{other}", seq, content)
            case System(event="joined" | "left" | "lagged", room=str(room)):
                assert room in person.since
                assert event.event != "joined" or event.users != [person.name]
            case UserList(id=None, room=room) | TypingShown(room=str(room)):
                assert room in person.since
            case _:
                pass

    def entry(self, person: Person, room: str, seq: int, content: str) -> None:
        assert room in person.since, "heard in a room that one is not in"
        person.heard[room].append((seq, content))
        person.stream.append((room, seq))

    # --- Rules --------------------------------------------------------------------------------------------------------

    @rule(name=NAMES, modern=st.booleans(), alive=st.booleans())
    def connect(self, name: str, modern: bool, alive: bool) -> None:
        holder = self.people.get(name)
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
            self.ends(holder)
        self.people[name] = person = Person(name, client, modern, client.session)
        assert isinstance(client.all[0], Welcome)
        person.enters("general", len(self.logs["general"].entries))
        self.look()
        if holder is not None and holder.live:
            self.driver.drop(holder.client)

    @precondition(lambda self: self.live())
    @rule(pick=PICK, code=st.sampled_from([None, 1000, 1001, 1005]), lost=st.integers(0, 4))
    def drop(self, pick: int, code: int | None, lost: int) -> None:
        """The last `lost` entries never left the outbox."""
        person = self.live()[pick % len(self.live())]
        unsent = dict[str, int]()
        for room, seq in person.stream[len(person.stream) - min(lost, len(person.stream)) :]:
            unsent.setdefault(room, seq)
            person.heard[room] = [(other, content) for other, content in person.heard[room] if other < unsent[room]]
        keys = {room: self.key_of(person, room) for room in unsent}
        self.driver.drop(person.client, code, unsent=[(keys[room], seq) for room, seq in unsent.items()])
        self.driver.full.discard(person.client.conn)
        person.live, person.stream = False, []
        if code == 1000:
            self.ends(person)
        self.look()

    def key_of(self, person: Person, room: str) -> str:
        if not room.startswith("@"):
            return room
        found = self.driver.state.chat.find_room(self.driver.state.chat.people.by_name[person.name], room)
        return found.key  # type: ignore[union-attr]

    @precondition(lambda self: self.people)
    @rule(pick=PICK, slow=st.booleans(), back=st.none() | st.integers(-1, 3), modern=st.booleans())
    def resume(self, pick: int, slow: bool, back: int | None, modern: bool) -> None:
        """Come back, live or not, and say where one is: `back` entries before what one has; or too far; or nothing."""
        person = list(self.people.values())[pick % len(self.people)]
        given = dict[str, Position]()
        for room, since in person.since.items() if back is not None else ():
            log = self.log_of(person, room)
            has = since + len(person.heard[room])
            at = len(log.entries) + 1 if back == -1 else max(0, has - (back or 0))
            given[room] = Position(epoch=log.epoch, seq=at)
        before, client = person.client, self.driver.open(modern=modern)
        if slow:
            self.driver.full.add(client.conn)
        asked = self.new_id(client)
        self.driver.receive(client.conn, Connect(id=asked, resume=Resume(session=person.token, rooms=given)))
        if person.live:
            assert before.closed is Close.REPLACED
            self.driver.drop(before)
            self.driver.full.discard(before.conn)
        welcome = client.welcome
        assert (welcome.resumed, welcome.user, welcome.session) == (True, person.name, person.token)
        assert {room["room"]: room["last"] for room in welcome.rooms} == {
            room: len(self.log_of(person, room).entries) for room in person.since
        }
        lagged = {event.room for event in client.events("lagged")}
        assert lagged == (set(given) if back == -1 else set())
        for room, position in given.items():
            at = 0 if back == -1 else position.seq
            person.since[room] = min(at, person.since[room])
            person.heard[room] = [(seq, content) for seq, content in person.heard[room] if seq <= at]
        person.client, person.modern, person.live, person.looked, person.stream = client, modern, True, 0, []
        self.look()
        if slow:
            self.says(person, "general")  # while it is still behind

    @precondition(lambda self: self.live())
    @rule(pick=PICK)
    def drain(self, pick: int) -> None:
        person = self.live()[pick % len(self.live())]
        self.driver.drained(person.client)
        self.look()
        self.says(person, "general")  # it must hear that live

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS, after=st.none() | st.integers(0, 6))
    def join(self, pick: int, room: str, after: int | None) -> None:
        person = self.live()[pick % len(self.live())]
        epoch = self.logs[room].epoch if room in self.logs else "none"
        answer = self.send(person, Join(room=room, after=None if after is None else Position(epoch=epoch, seq=after)))
        if room not in person.since:
            self.enters(person, room, after)
        log = self.logs[room]
        assert isinstance(answer, Ack)
        assert (answer.room, answer.epoch, answer.last) == (room, log.epoch, len(log.entries))
        self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS)
    def leave(self, pick: int, room: str) -> None:
        person = self.live()[pick % len(self.live())]
        answer = self.send(person, Leave(room=room))
        if room == "general" or room not in person.since:
            code = "bad_room" if room == "general" else "not_in_room" if room in self.logs else "no_such_room"
            assert isinstance(answer, Error)
            assert answer.code == code
        else:
            assert isinstance(answer, Ack)
            person.leaves(room)
            self.closes_if_empty(room)
        self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS, times=st.integers(1, 3))
    def message(self, pick: int, room: str, times: int) -> None:
        person = self.live()[pick % len(self.live())]
        for _ in range(times):
            self.says(person, room)

    def says(self, person: Person, room: str) -> None:
        content = f"{person.name} {self.ids}"
        answer = self.send(person, Message(room=room, content=content))
        if room not in person.since:
            self.enters(person, room)
        log = self.logs[room]
        log.entries.append(content)
        assert isinstance(answer, Ack)
        assert (answer.room, answer.epoch, answer.seq) == (room, log.epoch, len(log.entries))
        self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, to=NAMES)
    def private(self, pick: int, to: str) -> None:
        person = self.live()[pick % len(self.live())]
        content = f"{person.name} {self.ids}"
        answer = self.send(person, Private(to=to, content=content))
        if to == person.name or to not in self.people:
            assert isinstance(answer, Error)
            assert answer.code == ("bad_room" if to == person.name else "no_such_user")
            return
        assert isinstance(answer, Ack)
        pair = frozenset((to, person.name))
        if pair not in self.talks:
            self.talks[pair] = Said(str(answer.epoch))
            person.enters(f"@{to}", 0)
            self.people[to].enters(f"@{person.name}", 0)
        self.talks[pair].entries.append(content)
        assert (answer.room, answer.epoch, answer.seq) == (
            f"@{to}",
            self.talks[pair].epoch,
            len(self.talks[pair].entries),
        )
        self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS, after=st.integers(0, 9), limit=st.integers(1, 9))
    def history(self, pick: int, room: str, after: int, limit: int) -> None:
        person = self.live()[pick % len(self.live())]
        answer = self.send(person, GetHistory(room=room, after=after, limit=limit))
        if room not in person.since:
            assert isinstance(answer, Error)
            return
        assert isinstance(answer, HistoryPage)
        expected = self.logs[room].entries[after : after + limit]
        assert [entry.content for entry in answer.entries if isinstance(entry, Posted)] == expected
        assert answer.more is (after + len(expected) < len(self.logs[room].entries))

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS)
    def typing(self, pick: int, room: str) -> None:
        person = self.live()[pick % len(self.live())]
        assert isinstance(self.send(person, Typing(room=room)), Ack if room in person.since else Error)
        self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS)
    def users(self, pick: int, room: str) -> None:
        person = self.live()[pick % len(self.live())]
        answer = self.send(person, ListUsers(room=room))
        if room in person.since:
            assert isinstance(answer, UserList)
            assert set(answer.users) == self.present(room)
            assert answer.total == len(answer.users)
        assert isinstance(self.send(person, Ping()), Pong)

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 1.0]))
    def wait(self, seconds: float) -> None:
        self.advance(seconds)

    @precondition(lambda self: self.away())
    @rule()
    def wait_until_sessions_end(self) -> None:
        self.advance(1001)
        for person in self.away():
            self.ends(person)
        self.look()

    @rule()
    def settle(self) -> None:
        """When all was told, the last list that anyone got of a room is right."""
        self.advance(1)
        for person in self.live():
            for room in person.since:
                lists = [event for event in person.client.of(UserList) if event.room == room and event.id is None]
                if lists:
                    assert set(lists[-1].users) == self.present(room)
                    assert person.modern or room == "general"

    def advance(self, seconds: float) -> None:
        self.driver.advance(seconds)
        self.look()

    # --- What holds at any time ---------------------------------------------------------------------------------------

    @invariant()
    def everybody_heard_all_since_they_came_in_order_and_once(self) -> None:
        """Promises 1, 3 and 4. Whoever's outbox is full has heard the beginning of it."""
        for person in getattr(self, "people", {}).values():
            for room, since in person.since.items():
                said = list(enumerate(self.log_of(person, room).entries, 1))[since:]
                heard = person.heard[room]
                assert heard == said[: len(heard)]
                if person.live and person.client.conn not in self.driver.full:
                    assert len(heard) == len(said)

    @invariant()
    def membership_agrees(self) -> None:
        if not hasattr(self, "people"):
            return
        chat = self.driver.state.chat
        assert {
            user.name.text: {room.name for room in user.rooms.values()} for user in chat.people.by_name.values()
        } == {
            person.name: {room for room in person.since if not room.startswith("@")} for person in self.people.values()
        }
        assert {room.name for room in chat.rooms._by_key.values() if room.between is None} == set(self.logs)

    @invariant()
    def no_connection_is_closed_without_reason(self) -> None:
        assert all(person.client.closed is None for person in self.live()) if hasattr(self, "people") else True

    def teardown(self) -> None:
        """Promises 5 and 8, over the whole run."""
        if not hasattr(self, "people"):
            return
        for client, asked in self.asked:
            answers = [event for event in client.all if getattr(event, "id", None) == asked]
            assert len(answers) == 1 or client.closed is not None
        for inbox in self.driver.inboxes.values():
            told = dict[tuple[str, str], list[float]]()
            for event in inbox:
                if isinstance(event, UserList) and event.id is None:
                    told.setdefault(("list", event.room), []).append(seconds_of(event.timestamp))
                elif isinstance(event, System) and event.event in ("joined", "left"):
                    told.setdefault((event.event, str(event.room)), []).append(seconds_of(event.timestamp))
            for times in told.values():
                assert all(later - earlier >= INTERVAL - 0.002 for earlier, later in pairwise(times))
            assert max(Counter(map(id, inbox)).values(), default=1) == 1


ChatMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None, derandomize=True)
TestChat = ChatMachine.TestCase
