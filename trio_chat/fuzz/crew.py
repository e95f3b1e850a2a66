"""The clients of one run, and what they share: ids, waiting for what must come, and the model."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from trio_chat.fuzz.ear import Ear, Then
from trio_chat.fuzz.model import Json, Person, Room, World
from trio_chat.fuzz.peer import Peer, pump
from trio_chat.fuzz.promises import ANSWER, Broken
from trio_chat.fuzz.steps import CLIENTS, ROOMS, Step
from trio_chat.fuzz.target import FLAGS, MAX_WAIT, NotFuzzableError, Pace, Server
from trio_chat.fuzz.transcript import Transcript

LETTERS = "bcdfghjkpstwxyz"  # no two names of these look alike
TOKEN = 8  # letters of a name that make it new
TRIES = 4  # of a command that is refused for being too fast
UNKNOWN = {"x-unknown": {"deep": [1, None, "·"]}}  # a field that everybody must ignore


@attrs.define(eq=False)
class Crew:
    """All clients of a run: `ears` are those with a connection, `people` those who were there, both by their number."""

    server: Server
    transcript: Transcript = attrs.field(factory=Transcript)
    world: World = attrs.field(factory=lambda: World(Room("general", open=True)))
    ears: dict[int, Ear] = attrs.field(factory=dict)
    people: dict[int, Person] = attrs.field(factory=dict)
    strays: list[Peer] = attrs.field(factory=list)  # connections without a person
    limits: dict[str, float] = attrs.field(factory=dict)
    words: int = 0  # contents so far: each is another
    _paces: dict[Ear, Pace] = attrs.field(factory=dict)
    _ids: itertools.count[int] = attrs.field(factory=itertools.count)
    _token: str = attrs.field(factory=lambda: "".join(secrets.choice(LETTERS) for _ in range(TOKEN)))

    def name(self, client: int) -> str:
        """What a client calls itself."""
        return f"{self._token}{LETTERS[client % CLIENTS]}"

    def place(self, room: int) -> str:
        """What everybody calls a room, and conversations with a client."""
        if room >= ROOMS:
            return f"@{self.name(room - ROOMS)}"
        return f"{self._token}-{LETTERS[room]}" if room else "general"

    def room(self, person: Person, called: str) -> Room | None:
        """What a person calls so, if it is there."""
        if not called.startswith("@"):
            return self.world.find(called)
        other = self.world.people.get(called[1:])
        return None if other is None or other is person else self.world.talk(person, other)

    def ear_of(self, person: Person) -> Ear | None:
        """The connection of a person."""
        return next((ear for ear in self.ears.values() if ear.person is person), None)

    def owner(self, room: int) -> Ear | None:
        """The connection of a room's owner, if there is one."""
        found = self.world.find(self.place(room))
        return None if found is None or found.owner is None else self.ear_of(found.owner)

    def listening(self, room: Room) -> list[Ear]:
        """The connections that hear of a room."""
        return [ear for ear in self.ears.values() if room in ear.hearing]

    def new_id(self) -> str | int:
        """An `id` that was never used: a string or an integer."""
        number = next(self._ids)
        return number if number % 2 else f"n{number}"

    def content(self, word: str) -> str:
        """Something that was not said before."""
        self.words += 1
        return f"{word} {self.words}"

    def welcomed(self, client: int, ear: Ear, limits: dict[str, float]) -> None:
        """A client has a connection."""
        self.ears[client], self.people[client] = ear, ear.person
        self.limits = limits
        self._paces[ear] = Pace.of(limits)

    # --- Saying -------------------------------------------------------------------------------------------------------

    def send(self, ear: Ear, step: Step, frame: Json, then: Then | None = None) -> str | int:
        """Send a command under a new `id`, which is returned; `then` is told of its answer, in its place."""
        self._paces[ear].spend()
        answer_to = self.new_id()
        ear.asked[answer_to] = then
        ear.peer.send({**frame, "id": answer_to, **(UNKNOWN if step.extra else {})}, step.chunks)
        return answer_to

    def ask(self, ear: Ear, step: Step, then: Then | None = None, /, **frame: Any) -> Json:
        """Send a command, and wait for its answer; the frames that came before it are still to be judged.

        Raises:
            Broken: there is none.
            NotFuzzableError: the server lets us do this too seldom.
        """
        for _ in range(TRIES):
            answer = self.answers(ear, [self.send(ear, step, frame, then)])[0]
            if answer.get("code") not in ("rate_limited", "unavailable"):
                return answer
            wait = answer.get("retry_after", 1.0)
            if wait > MAX_WAIT:
                break
            self.server.waiting(wait)
            time.sleep(wait)
        raise NotFuzzableError(f"{frame['type']!r} is refused again and again ({answer['content']}): try {FLAGS}")

    def answers(self, ear: Ear, ids: Sequence[str | int]) -> list[Json]:
        """The answers to commands, in the order of `ids`."""

        def found() -> dict[str | int, Json]:
            return {frame["id"]: frame for frame in ear.peer.frames if "id" in frame}

        self.wait(lambda: ear.peer.closed is not None or set(ids) <= set(found()))
        answers = found()
        strange = [one for one in answers if one not in ear.asked]
        if strange:
            raise Broken(ANSWER, f"{ear.who}: the id {strange[0]!r} was answered, and never asked")
        missing = [one for one in ids if one not in answers]
        if missing:
            ear.take()  # what is wrong with what came is more telling than what did not
            end = "" if ear.peer.closed is None else ", and the connection ended"
            raise Broken(ANSWER, f"{ear.who}: the id {missing[0]!r} was never answered{end}")
        return [answers[one] for one in ids]

    def wait(self, good: Callable[[], bool], seconds: float | None = None) -> bool:
        """Take what comes until `good()`; whether it was, within `seconds`, or as long as one has patience."""
        deadline = time.monotonic() + (self.server.patience if seconds is None else seconds)
        while not good():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            pump(self._peers(), left)
        return True

    def _peers(self) -> list[Peer]:
        return [peer for peer in (*(ear.peer for ear in self.ears.values()), *self.strays) if peer.sock.fileno() >= 0]

    # --- Hearing ------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until everybody heard all that is to be heard, and judge it.

        Raises:
            Broken: something of it breaks a promise, or never came.
        """
        for ear in self.ears.values():
            self._paces[ear].spend()
            barrier = f"barrier {next(self._ids)}"
            ear.asked[barrier] = None
            ear.peer.send({"type": "ping", "id": barrier})
        self.wait(self._has_all)
        for ear in self.ears.values():
            lack = ear.lacks()
            ear.peer.unasked()
            if lack is not None:
                raise lack
        for ear in self.ears.values():
            ear.settled()

    def linger(self) -> None:
        """Judge what comes within `linger` seconds of the server's: what it tells in its own time, as presence.

        Raises:
            Broken: something of it breaks a promise.
        """
        self.wait(lambda: False, self.server.linger)
        for ear in self.ears.values():
            ear.take()

    def _has_all(self) -> bool:
        for ear in self.ears.values():
            ear.take()
            ear.peer.unasked()
        return all(ear.lacks() is None for ear in self.ears.values())

    def loses(self, client: int, *, clean: bool, ends: bool) -> None:
        """A client's connection is over: its session ends, or is detached. `clean`: what was sent is what we have."""
        ear = self.ears.pop(client)
        ear.peer.sock.close()
        person = ear.person
        person.live, person.sure, person.had = False, clean, dict(ear.hearing)
        if ends and person.name in self.world.people:
            self.world.end(person)

    def leave(self) -> None:
        """Be gone, and leave no session behind."""
        for ear in self.ears.values():
            ear.peer.close(1000)
        self.wait(lambda: all(ear.peer.closed is not None for ear in self.ears.values()), 1.0)
        self.abandon()

    def abandon(self) -> None:
        """Close all sockets."""
        for peer in (*(ear.peer for ear in self.ears.values()), *self.strays):
            peer.sock.close()
        self.ears.clear()
