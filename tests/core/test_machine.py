"""Any run of the chat against a model of what everybody must have seen.

Of the promises of the protocol: 1 (order), 3 (resume), 4 (joining and leaving), 5 (one answer), and 8 (presence); and
after each step, that what is kept is what another process must know.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.core.machine import NAMES, PICK, WORDS, Comings, wire
from tests.core.model import Entry, Frame, Person, Said
from tests.core.oracle import check_kept, check_sound
from trio_chat.core.events import Ack, HistoryPage, Pong, RoomList, SearchResult, System, UserList
from trio_chat.core.messages import (
    JUDGES,
    Command,
    Delete,
    Edit,
    Find,
    GetHistory,
    Join,
    Judge,
    Leave,
    ListRooms,
    ListUsers,
    MarkRead,
    Message,
    Ping,
    Position,
    Private,
    React,
    SetTopic,
    Typing,
)

INTERVAL = 0.5
ROOMS = st.sampled_from(["general", "den", "attic"])
ELSEWHERE = st.sampled_from(["general", "den", "attic", "@ann", "@bob", "@cy"])
PLACES = st.one_of(PICK, PICK, PICK, ELSEWHERE)  # which of the rooms that one is in, or one that one may not be in
VERDICTS = st.lists(st.sampled_from(JUDGES), min_size=2, max_size=6)
SEQ = st.integers(0, 19)  # below 15: which message; else which entry, or the next one


def seconds_of(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


class ChatMachine(Comings):
    """Several connections, at random."""

    # --- Rooms --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS, after=st.none() | st.integers(0, 6))
    def join(self, pick: int, room: str, after: int | None) -> None:
        person, logs = self.one(pick), self.world.logs
        epoch = logs[room].epoch if room in logs else "none"
        answer = self.send(person, Join(room=room, after=None if after is None else Position(epoch=epoch, seq=after)))
        if room not in person.since and room in logs and person.name in logs[room].banned:
            return self.refused(answer, "banned")
        if room not in person.since:
            self.enters(person, room, after)
        log = logs[room]
        assert isinstance(answer, Ack)
        assert (answer.room, answer.epoch, answer.last) == (room, log.epoch, log.last)
        return self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS)
    def leave(self, pick: int, room: str) -> None:
        person = self.one(pick)
        answer = self.send(person, Leave(room=room))
        code = "bad_room" if room == "general" else self.world.missing(person, room)
        if code is not None:
            return self.refused(answer, code)
        assert isinstance(answer, Ack)
        self.world.leaves(person, room)
        return self.look()

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS)
    def users(self, pick: int, room: str) -> None:
        person = self.one(pick)
        answer = self.send(person, ListUsers(room=room))
        if room in person.since:
            assert isinstance(answer, UserList)
            assert set(answer.users) == self.world.present(room)
            assert answer.total == len(answer.users)
        assert isinstance(self.send(person, Ping()), Pong)

    @precondition(lambda self: self.live())
    @rule(pick=PICK, mine=st.booleans())
    def rooms(self, pick: int, mine: bool) -> None:
        person, world = self.one(pick), self.world
        answer = self.send(person, ListRooms(mine=mine))
        assert isinstance(answer, RoomList)
        logs = {room: world.log_of(person, room) for room in person.since} if mine else world.logs
        expected = [
            world.shown(room, log, person, len(world.present(room)) if log.name else self.both(person, room))
            for room, log in sorted(logs.items(), key=lambda item: item[1].number)
        ]
        assert answer.rooms == expected

    def both(self, person: Person, room: str) -> int:
        return 1 + self.world.people[room[1:]].live

    # --- Saying something ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS, words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    def message(self, pick: int, room: str, words: list[str]) -> None:
        person = self.one(pick)
        log = self.world.logs.get(room)
        code = None if log is None else log.unsayable(person)
        if code is not None:
            return self.refused(self.send(person, Message(room=room, content="let me")), code)
        for word in words:
            self.says(person, room, word)
        return None

    @precondition(lambda self: self.live())
    @rule(pick=PICK, to=NAMES, word=st.sampled_from(WORDS))
    def private(self, pick: int, to: str, word: str) -> None:
        person, talks = self.one(pick), self.world.talks
        content = f"{word} {person.name} {self.ids}"
        answer = self.send(person, Private(to=to, content=content))
        if to == person.name or to not in self.world.people:
            return self.refused(answer, "bad_room" if to == person.name else "no_such_user")
        pair = frozenset((to, person.name))
        if pair not in talks:
            assert isinstance(answer, Ack)
            talks[pair] = self.world.begin("", str(answer.epoch))
            person.enters(f"@{to}", talks[pair].epoch, 0)
            self.world.people[to].enters(f"@{person.name}", talks[pair].epoch, 0)
        entry = Entry("private", person, self.driver.now.wall, content, to=to)
        return self.took(person, f"@{to}", talks[pair], entry, answer)

    @precondition(lambda self: self.live())
    @rule(pick=PICK, room=ROOMS)
    def typing(self, pick: int, room: str) -> None:
        person = self.one(pick)
        answer = self.send(person, Typing(room=room))
        code = self.world.missing(person, room) or self.world.logs[room].unsayable(person)
        if code is not None:
            return self.refused(answer, code)
        assert isinstance(answer, Ack)
        return self.look()

    # --- Changing what was said ---------------------------------------------------------------------------------------

    def refer(self, person: Person, room: str, entry: Entry, command: Command) -> None:
        answer = self.send(person, command)
        code = self.world.missing(person, room)
        if code is not None:
            return self.refused(answer, code)
        log = self.world.log_of(person, room)
        if entry.kind != "delete" and entry.of <= log.last and log.unsayable(person) is not None:
            return self.refused(answer, "muted")
        verdict = log.verdict(entry)
        if isinstance(verdict, str):
            return self.refused(answer, verdict)
        if verdict is None:
            return self.took(person, room, log, entry, answer)
        assert isinstance(answer, Ack)
        assert (answer.room, answer.epoch, answer.seq) == (room, log.epoch, verdict)
        return self.look()

    def where(self, person: Person, place: int | str) -> str:
        return place if isinstance(place, str) else list(person.since)[place % len(person.since)]

    def which(self, person: Person, room: str, pick: int) -> int:
        if room not in person.since:
            return 1
        log = self.world.log_of(person, room)
        messages = log.found([])
        return messages[pick % len(messages)] if messages and pick < 15 else 1 + pick % (log.last + 1)

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, seq=SEQ, word=st.sampled_from(WORDS))
    def edit(self, pick: int, place: int | str, seq: int, word: str) -> None:
        person, content = self.one(pick), f"{word} anew {self.ids}"
        room = self.where(person, place)
        of = self.which(person, room, seq)
        entry = Entry("edit", person, self.driver.now.wall, content, of=of)
        self.refer(person, room, entry, Edit(room=room, seq=of, content=content))

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, seq=SEQ)
    def delete(self, pick: int, place: int | str, seq: int) -> None:
        person = self.one(pick)
        room = self.where(person, place)
        of = self.which(person, room, seq)
        entry = Entry("delete", person, self.driver.now.wall, of=of)
        self.refer(person, room, entry, Delete(room=room, seq=of))

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, seq=SEQ, emoji=st.sampled_from(["+", "!"]), remove=st.booleans())
    def react(self, pick: int, place: int | str, seq: int, emoji: str, remove: bool) -> None:
        person = self.one(pick)
        room = self.where(person, place)
        of = self.which(person, room, seq)
        entry = Entry("react", person, self.driver.now.wall, of=of, emoji=emoji, remove=remove)
        self.refer(person, room, entry, React(room=room, seq=of, emoji=emoji, remove=remove))

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, topic=st.sampled_from(["", *WORDS]))
    def topic(self, pick: int, place: int | str, topic: str) -> None:
        person = self.one(pick)
        room = self.where(person, place)
        answer = self.send(person, SetTopic(room=room, topic=topic))
        code = "bad_room" if room.startswith("@") else self.world.missing(person, room)
        if code is None and not self.world.logs[room].rank(person):
            code = "forbidden"
        if code is not None:
            return self.refused(answer, code)
        entry = Entry("topic", person, self.driver.now.wall, topic)
        return self.took(person, room, self.world.logs[room], entry, answer)

    # --- Moderation ---------------------------------------------------------------------------------------------------

    def seats(self) -> list[tuple[Person, str]]:
        """Who of the live has a rank, and where."""
        found = [(log.rank(person), person, log.name) for log in self.world.logs.values() for person in log.members]
        return [(person, room) for rank, person, room in found if rank and person.live]

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, name=NAMES, judge=st.sampled_from(JUDGES))
    def usurp(self, pick: int, place: int | str, name: str, judge: type[Judge]) -> None:
        person = self.one(pick)
        self.judge(person, self.where(person, place), name, judge)

    @precondition(lambda self: self.seats())
    @rule(pick=PICK, name=NAMES, judges=VERDICTS, back=st.sampled_from([True, True, False]))
    def moderate(self, pick: int, name: str, judges: list[type[Judge]], back: bool) -> None:
        """Somebody with a rank, on one and the same person; who perhaps comes in first."""
        person, room = self.seats()[pick % len(self.seats())]
        victim = self.world.people.get(name)
        if back and victim is not None and victim.live:
            self.join(self.live().index(victim), room, None)
        for judge in judges:
            self.judge(person, room, name, judge)

    def judge(self, person: Person, room: str, name: str, judge: type[Judge]) -> None:
        victim, action = self.world.people.get(name), judge.type
        answer = self.send(person, judge(room=room, user=name))
        code = "bad_room" if room.startswith("@") else self.world.missing(person, room)
        if code is not None:
            return self.refused(answer, code)
        log = self.world.logs[room]
        code = self.injustice(log, person, victim, name, action)
        if code is not None:
            return self.refused(answer, code)
        if victim is not None and action in ("promote", "demote"):
            is_so = log.rank(victim) > 0 if action == "promote" else victim not in log.moderators
            if is_so:
                assert answer == Ack(id=self.ids, room=room)
                return self.look()
        self.took(person, room, log, Entry(action, person, self.driver.now.wall, to=name), answer)
        return self.carry_out(log, room, victim, name, action)

    def injustice(self, log: Said, person: Person, victim: Person | None, target: str, action: str) -> str | None:
        """Why the verdict is refused."""
        if not log.rank(person):
            return "forbidden"
        if action in ("unmute", "unban"):
            return None if target in (log.muted if action == "unmute" else log.banned) else "no_such_user"
        if victim is None:
            return "no_such_user"
        if log.rank(victim) >= log.rank(person) and not (action == "demote" and victim is person):
            return "forbidden"
        return "no_such_user" if action in ("kick", "promote") and victim not in log.members else None

    def carry_out(self, log: Said, room: str, victim: Person | None, target: str, action: str) -> None:
        match action:
            case "mute":
                log.muted.add(target)
            case "unmute":
                log.muted.remove(target)
            case "unban":
                log.banned.remove(target)
            case "ban":
                log.banned.add(target)
        if victim is not None and action == "promote":
            log.moderators.append(victim)
        if victim is not None and action == "demote":
            log.moderators.remove(victim)
        if victim is not None and action in ("kick", "ban") and victim in log.members:
            self.world.leaves(victim, room)

    # --- Reading back -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, after=st.integers(0, 9), limit=st.integers(1, 9))
    def history(self, pick: int, place: int | str, after: int, limit: int) -> None:
        person = self.one(pick)
        room = self.where(person, place)
        answer = self.send(person, GetHistory(room=room, after=after, limit=limit))
        code = self.world.missing(person, room)
        if code is not None:
            return self.refused(answer, code)
        assert isinstance(answer, HistoryPage)
        log = self.world.log_of(person, room)
        seqs = range(after + 1, min(after + limit, log.last) + 1)
        assert [wire(entry) for entry in answer.entries] == [log.frame(seq, room) for seq in seqs]
        assert (answer.room, answer.epoch, answer.last) == (room, log.epoch, log.last)
        assert answer.more is (after + len(seqs) < log.last)
        return None

    @precondition(lambda self: self.live())
    @rule(pick=PICK, place=PLACES, seq=SEQ)
    def read(self, pick: int, place: int | str, seq: int) -> None:
        person = self.one(pick)
        room = self.where(person, place)
        seq = self.which(person, room, seq)
        answer = self.send(person, MarkRead(room=room, seq=seq))
        code = self.world.missing(person, room)
        if code is None and seq > self.world.log_of(person, room).last:
            code = "no_such_entry"
        if code is not None:
            return self.refused(answer, code)
        person.read[room] = max(person.read[room], seq)
        assert isinstance(answer, Ack)
        assert (answer.room, answer.seq) == (room, person.read[room])
        return self.look()

    @precondition(lambda self: self.live())
    @rule(
        pick=PICK,
        place=st.none() | PLACES,
        words=st.lists(st.sampled_from([*WORDS, "ann"]), min_size=1, max_size=2),
        limit=st.integers(1, 4),
    )
    def search(self, pick: int, place: int | str | None, words: list[str], limit: int) -> None:
        """All pages together are all there is, the newest first."""
        person = self.one(pick)
        room = None if place is None else self.where(person, place)
        code = self.world.missing(person, room) if room is not None else None
        if code is not None:
            return self.refused(self.send(person, Find(query=" ".join(words), room=room)), code)
        found = list[tuple[tuple[float, int, int], Frame]]()
        for called in person.since if room is None else [room]:
            log = self.world.log_of(person, called)
            for seq in log.found(words):
                hit = {"room": called, "epoch": log.epoch, "entry": log.frame(seq, called)}
                found.append(((log.entries[seq - 1].at, log.number, seq), hit))
        expected = [hit for _, hit in sorted(found, key=lambda item: item[0], reverse=True)]
        cursor = None
        for start in range(0, max(1, len(expected)), limit):
            answer = self.send(person, Find(query=" ".join(words).upper(), room=room, limit=limit, cursor=cursor))
            assert isinstance(answer, SearchResult)
            assert wire(answer)["hits"] == expected[start : start + limit]
            cursor = answer.cursor
            assert (cursor is None) == (start + limit >= len(expected))
        return self.look()

    # --- What holds at any time ---------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """When all was told, the last list that anyone got of a room is right."""
        self.advance(1)
        for person in self.live():
            for room in person.since:
                lists = [event for event in person.client.of(UserList) if event.room == room and event.id is None]
                if lists:
                    assert set(lists[-1].users) == self.world.present(room)
                    assert person.modern or room == "general"

    @invariant()
    def everybody_heard_all_since_they_came_in_order_and_once(self) -> None:
        """Promises 1, 3 and 4. Whoever's outbox is full has heard the beginning of it."""
        for person in self.world.people.values() if hasattr(self, "world") else ():
            for room, since in person.since.items():
                last, heard = self.world.log_of(person, room).last, person.heard[room]
                assert heard == list(range(since + 1, since + 1 + len(heard)))
                assert since + len(heard) <= last or room in person.unsure
                if person.live and person.client.conn not in self.driver.full:
                    assert since + len(heard) == last

    @invariant()
    def membership_agrees(self) -> None:
        if not hasattr(self, "world"):
            return
        chat = self.driver.state.chat
        assert {
            user.name.text: {room.name for room in user.rooms.values()} for user in chat.people.by_name.values()
        } == {
            person.name: {room for room in person.since if not room.startswith("@")}
            for person in self.world.people.values()
        }
        rooms = {room.name: room for room in chat.rooms.all() if room.between is None}
        assert rooms.keys() == self.world.logs.keys()
        for name, log in self.world.logs.items():
            if name != "general":
                assert [user.name.text for user in rooms[name].members.values()] == [who.name for who in log.members]

    @invariant()
    def another_process_would_know(self) -> None:
        if hasattr(self, "world"):
            check_kept(self.driver)
            check_sound(self.driver)

    @invariant()
    def no_connection_is_closed_without_reason(self) -> None:
        assert all(person.client.closed is None for person in self.live()) if hasattr(self, "world") else True

    def teardown(self) -> None:
        """Promises 5 and 8, over the whole run."""
        if not hasattr(self, "world"):
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


ChatMachine.TestCase.settings = settings(max_examples=600, stateful_step_count=40, deadline=None, derandomize=True)
TestChat = ChatMachine.TestCase
