"""Coming, going, and coming back."""

from __future__ import annotations

from typing import Any

from trio_chat.fuzz.crew import Crew
from trio_chat.fuzz.ear import Ear
from trio_chat.fuzz.laws import posting
from trio_chat.fuzz.model import Entry, Json, Person, Room
from trio_chat.fuzz.peer import Peer
from trio_chat.fuzz.promises import (
    ANSWER,
    CLOSES,
    FIRST,
    GUEST,
    LAGGED,
    SESSION,
    WELCOME,
    Broken,
)
from trio_chat.fuzz.steps import Drop, Fresh, Resume
from trio_chat.fuzz.wire import ABNORMAL

PROBE = 3.0  # seconds more: the holder of a name has 2 to show life
CODES = {"done": 1000, "away": 1001, "no code": None}


def here(crew: Crew, client: int) -> Ear | None:
    """A client with a connection: who never came comes, who was lost resumes. None: its name is another's."""
    ear = crew.ears.get(client)
    if ear is not None:
        return ear
    person = crew.people.get(client)
    if person is not None and crew.world.people.get(person.name) is person:
        return resume(crew, Resume(client=client))
    name = crew.name(client)
    return None if name in crew.world.people else come(crew, client, name)


def first_answer(crew: Crew, peer: Peer, frame: Json | str, chunks: tuple[int, ...] = ()) -> Json:
    """Send the first frame, and wait for what is answered.

    Raises:
        Broken: nothing is.
    """
    crew.strays.append(peer)
    peer.send(frame, chunks)
    crew.wait(lambda: bool(peer.frames) or peer.closed is not None, crew.server.patience + PROBE)
    if not peer.frames:
        raise Broken(FIRST, f"{peer.who}: the first frame was not answered")
    return peer.frames.pop(0)


def closes(crew: Crew, peer: Peer, expected: tuple[int, ...]) -> None:
    """Wait for the close of a connection.

    Raises:
        Broken: it does not come, or has another code.
    """
    crew.wait(lambda: peer.closed is not None)
    if peer.closed not in expected:
        found = "no close came" if peer.closed is None else f"the close was {peer.closed}"
        raise Broken(CLOSES, f"{peer.who}: {found}, and should be {' or '.join(map(str, expected))}")


def come(crew: Crew, client: int, name: str, session: str | None = None, chunks: tuple[int, ...] = ()) -> Ear | None:
    """Connect as a new guest, perhaps with a session that nobody knows. None: the name is taken.

    Raises:
        Broken: the answer is none that the document allows.
    """
    holder = crew.world.people.get(name)
    peer = crew.server.open(name, crew.transcript)
    answer_to = crew.new_id()
    frame: Json = {"type": "connect", "username": name, "id": answer_to}
    if session is not None:
        frame["resume"] = {"session": session, "rooms": {}}
    answer = first_answer(crew, peer, frame, chunks)
    if answer.get("id") != answer_to:
        raise Broken(ANSWER, f"{name}: `connect` had the id {answer_to!r}, and was answered {answer}")
    if answer["type"] == "error":
        allowed = holder is not None and (holder.live or not holder.sure)
        if answer.get("code") != "username_taken" or not allowed:
            raise Broken(GUEST, f"{name} is free, and `connect` was answered {answer}")
        closes(crew, peer, (4502,))
        return None
    if holder is not None and holder.live and holder.sure:
        raise Broken(GUEST, f"{name} is live and answers pings, and somebody else was welcomed by that name")
    if holder is not None:
        crew.world.end(holder)
    _check(answer, name, resumed=False)
    person = Person(name, answer["session"])
    crew.world.people[name] = person
    ear = Ear(person, peer, crew.world)
    _rooms(crew, ear, answer, [crew.world.enter(person, "general")])
    ear.gains(crew.world.general)
    crew.strays.remove(peer)
    crew.welcomed(client, ear, answer["limits"])
    return ear


def _check(answer: Json, name: str, *, resumed: bool) -> None:
    if answer["type"] != "system" or answer.get("event") != "welcome":
        raise Broken(WELCOME, f"{name}: the first frame is none: {answer}")
    expected: Json = {"user": name, "resumed": resumed, "protocol": 1, "content": f"Welcome {name}!"}
    for field, value in expected.items():
        if answer.get(field) != value:
            raise Broken(SESSION if field == "resumed" else WELCOME, f"{name}: {field!r} should be {value!r}: {answer}")
    for field in ("session", "ticket", "rooms", "limits", "heartbeat", "reconnect"):
        if not answer.get(field):
            raise Broken(WELCOME, f"{name}: there is no {field!r}: {answer}")


def _rooms(crew: Crew, ear: Ear, answer: Json, rooms: list[Room]) -> None:
    """What the welcome says of one's rooms."""
    told = {one["room"]: one for one in answer["rooms"]}
    expected = {room.called(ear.person): room for room in rooms}
    if set(told) != set(expected) or len(told) != len(answer["rooms"]):
        raise Broken(SESSION, f"{ear.who} is in {sorted(expected)}, and the welcome says {sorted(told)}")
    for called, room in expected.items():
        one = told[called]
        if room.open:
            follow(room, one["last"])
        if room.epoch is None:
            room.epoch = one["epoch"]
        said = (one["epoch"], one["last"], one["read"])
        if said != (room.epoch, room.last, ear.person.rooms[room]):
            raise Broken(SESSION, f"{ear.who}: {called} is at {(room.epoch, room.last)}, and the welcome says {one}")


def follow(room: Room, last: int) -> None:
    """Strangers wrote to `general`."""
    if room.epoch is None:
        room.base = last
    while room.last < last:
        room.entries.append(Entry("stranger", None, {}))


def fresh(crew: Crew, step: Fresh) -> None:
    """Come anew."""
    if step.client in crew.ears:
        drop(crew, Drop(client=step.client))
    name = crew.name(step.client if step.name is None else step.name)
    come(crew, step.client, name, "nobody-knows-this" if step.forged else None, step.chunks)


def drop(crew: Crew, step: Drop) -> None:
    """Go away."""
    ear = crew.ears.get(step.client)
    if ear is None:
        return
    if step.how == "cut":
        ear.peer.cut_off()
        crew.loses(step.client, clean=False, ends=False)
        return
    room = crew.world.find(crew.place(1))
    speaks = room is not None and room in ear.person.rooms and not posting(crew.world, ear.person, room.name)
    said: dict[str | int, str] = {}
    for _ in range(step.words if speaks else 0):
        content = crew.content("last words")
        said[crew.send(ear, step, {"type": "message", "room": crew.place(1), "content": content})] = content
    ear.peer.close(CODES[step.how])
    crew.wait(lambda: ear.peer.closed is not None)
    if ear.peer.closed in (None, ABNORMAL):
        raise Broken(CLOSES, f"{ear.who} closed, and no close frame was answered")
    for answer in crew.answers(ear, list(said)) if room is not None else ():
        if answer["type"] == "ack" and room is not None:
            own = {"room": room.name, "sender": ear.person.name, "content": said[answer["id"]]}
            room.append(Entry("message", ear.person, own, original=said[answer["id"]]), answer["seq"])
    ear.take()
    crew.loses(step.client, clean=not said, ends=step.how == "done")


def resume(crew: Crew, step: Resume) -> Ear | None:
    """Come back; None where there is nothing to come back to."""
    person = crew.people.get(step.client)
    if person is None or crew.world.people.get(person.name) is not person:
        return None
    before = crew.ears.get(step.client)
    had = person.had if before is None else dict(before.hearing)
    exact = before is None and person.sure
    given = "all" if step.given == "none" and not exact else step.given
    at, positions, lags = _positions(person, had, given, step.back)
    peer = crew.server.open(person.name, crew.transcript)
    answer_to = crew.new_id()
    frame: dict[str, Any] = {"type": "connect", "username": person.name, "id": answer_to}
    frame["resume"] = {"session": person.session, "rooms": positions}
    answer = first_answer(crew, peer, frame, step.chunks)
    if answer.get("id") != answer_to or answer["type"] == "error":
        raise Broken(SESSION, f"{person.name} resumes, and is answered {answer}")
    _check(answer, person.name, resumed=True)
    if answer["session"] != person.session:
        raise Broken(SESSION, f"{person.name}: the session should be the same: {answer}")
    if before is not None:
        closes(crew, before.peer, (4506,))
        before.take()
        crew.loses(step.client, clean=True, ends=False)
    ear = Ear(person, peer, crew.world)
    _rooms(crew, ear, answer, list(person.rooms))
    for room in person.rooms:
        ear.gains(room, at[room])
        if room in lags:
            ear.lagging[room] = LAGGED
    person.live, person.sure = True, True
    crew.strays.remove(peer)
    crew.welcomed(step.client, ear, answer["limits"])
    return ear


def _positions(
    person: Person, had: dict[Room, int], given: str, back: int
) -> tuple[dict[Room, int], dict[str, Json], set[Room]]:
    """Where one begins again in each room, what one says of it, and in which rooms nothing is there to go on from."""
    at: dict[Room, int] = {}
    said: dict[str, Json] = {}
    lags: set[Room] = set()
    for room in person.rooms:
        has = had.get(room, 0)
        at[room] = max(room.base, has - back) if given == "all" else has
        if given == "none":
            continue
        said[room.called(person)] = position = {"epoch": room.epoch, "seq": at[room]}
        if not room.open and given == "too far":
            position["seq"] = room.last + 5
            lags.add(room)
        if not room.open and given == "other epoch":
            position["epoch"] = "of-no-log"
            lags.add(room)
    return at, said, lags
