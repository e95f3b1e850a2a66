"""What a client asks: pages of history, searches, lists; each answer is held against the model."""

from __future__ import annotations

from trio_chat.fuzz.acts import may
from trio_chat.fuzz.crew import Crew
from trio_chat.fuzz.ear import Ear
from trio_chat.fuzz.entries import compare, shown
from trio_chat.fuzz.laws import missing
from trio_chat.fuzz.model import Json, Room
from trio_chat.fuzz.promises import MEMBERS, PAGES, PRESENCE, RIGHTS, SAME, SESSION, Broken
from trio_chat.fuzz.steps import History, Rooms, Search, Users, Wait

DEFAULT_LIMIT = 50
SLOW = 3.0  # seconds more for comings and goings, which are told together


def history(crew: Crew, ear: Ear, step: History) -> None:
    """Ask for a page."""
    called = crew.place(step.room)
    room = crew.room(ear.person, called)
    frame: Json = {"type": "history", "room": called}
    last = 0 if room is None else room.last
    at = max(last - step.nth, 1 if step.way == "before" else 0)
    if step.way != "newest":
        frame[step.way] = at
    if step.limit:
        frame["limit"] = step.limit
    page = may(crew, ear, step, missing(crew.world, ear.person, room, called), **frame)
    if page is None or room is None:
        return
    seqs = [entry.get("seq") for entry in page["entries"]]
    if not room.open:
        limit = step.limit or DEFAULT_LIMIT
        low, high = {
            "newest": (max(0, last - limit), last),
            "before": (max(0, min(at - 1, last) - limit), min(at - 1, last)),
            "after": (min(at, last), min(last, at + limit)),
        }[step.way]
        expected = list(range(low + 1, high + 1))
        if seqs != expected:
            raise Broken(PAGES, f"{ear.who}: the page should be seq {expected}, and is {seqs}")
        more = high < last if step.way == "after" else bool(expected) and low > 0
        said = (page["epoch"], page["first"], page["last"], page["more"])
        if said != (room.epoch, 1, last, more):
            raise Broken(PAGES, f"{ear.who}: epoch, first, last, more should be {(room.epoch, 1, last, more)}: {said}")
    _entries(ear, room, page["entries"])


def _entries(ear: Ear, room: Room, entries: list[Json]) -> None:
    before = None
    for entry in entries:
        if before is not None and entry["seq"] != before + 1:
            raise Broken(PAGES, f"{ear.who}: seq {entry['seq']} stands behind {before}")
        before = entry["seq"]
        if room.holds(entry["seq"]):
            fault = compare(entry, shown(room, entry["seq"], ear.person, live=False))
            if fault is not None:
                raise Broken(fault[0] or SAME, f"{ear.who}: {fault[1]}: {entry}")


def search(crew: Crew, ear: Ear, step: Search) -> None:
    """Look for a word: what is found must be in rooms that one is in, and to be seen there."""
    word = ("tea", "end", "日本語")[step.word % 3]
    result = may(crew, ear, step, set(), type="search", query=word)
    for hit in result["hits"] if result is not None else ():
        room = next((room for room in ear.person.rooms if room.called(ear.person) == hit["room"]), None)
        if room is None:
            raise Broken(MEMBERS, f"{ear.who} finds what is in {hit['room']}, and is not in there")
        seq = hit["entry"].get("seq", 0)
        if room.holds(seq) and room[seq].hidden and room[seq].author is not ear.person:
            raise Broken(MEMBERS, f"{ear.who} finds what it has blocked: {hit}")


def rooms(crew: Crew, ear: Ear, step: Rooms) -> None:
    """Ask for the rooms."""
    if not step.mine:
        listed = may(crew, ear, step, set(), type="rooms", limit=200)
        for one in listed["rooms"] if listed is not None else ():
            room = crew.world.find(one["room"])
            if room is not None and room.kind == "private" and room not in ear.person.rooms:
                raise Broken(RIGHTS, f"{ear.who} is told of {room.name}, which is private")
        return
    listed = may(crew, ear, step, set(), type="rooms", mine=True)
    if listed is None:
        return
    told = {one["room"]: one for one in listed["rooms"]}
    expected = {room.called(ear.person): room for room in ear.person.rooms}
    if set(told) != set(expected):
        raise Broken(SESSION, f"{ear.who} is in {sorted(expected)}, and is told {sorted(told)}")
    for called, room in expected.items():
        one = told[called]
        kind = "private" if room.between else room.kind
        said = (one["epoch"], one["last"], one["kind"], one.get("topic", ""), one["read"])
        if not room.open and said != (room.epoch, room.last, kind, room.topic, ear.person.rooms[room]):
            raise Broken(SESSION, f"{ear.who}: {called} is at {room.epoch} {room.last}, {kind}: {one}")


def users(crew: Crew, ear: Ear, step: Users) -> None:
    """Ask who is present."""
    called = crew.place(step.room)
    room = crew.room(ear.person, called)
    refusals = {"bad_room"} if called.startswith("@") else missing(crew.world, ear.person, room, called)
    listed = may(crew, ear, step, refusals, type="users", room=called, limit=200)
    if listed is None or room is None or "cursor" in listed:
        return
    told = set(listed["users"])
    present = {person.name for person in room.members if person.live}
    perhaps = {person.name for person in room.members if not person.sure}
    if not present <= told or (not room.open and not told <= present | perhaps):
        raise Broken(PRESENCE, f"{ear.who}: in {called} are {sorted(present)}: {listed}")


def wait(crew: Crew, step: Wait) -> None:
    """Wait until everybody was told who came and who left."""

    def untold() -> str | None:
        for ear in crew.ears.values():
            ear.take()
            for (room, name), told in ear.believed.items():
                person = crew.world.people.get(name)
                present = person is not None and person.live and room in person.rooms
                if told is not present and (person in crew.people.values() or name in map(crew.name, range(4))):
                    return f"{ear.who} was never told that {name} {'came' if present else 'left'}, in {room.name}"
        return None

    if not crew.wait(lambda: untold() is None, crew.server.patience + SLOW):
        raise Broken(PRESENCE, untold() or "")
