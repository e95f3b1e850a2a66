"""Why a command may be refused: for each, the error codes that the document allows where things stand.

None at all means that it must succeed. Where several apply, each is as good as another: the document gives no order.
"""

from __future__ import annotations

from trio_chat.fuzz.model import Person, Room, World

SPEAKS = ("message", "edit", "typing")  # what a read-only room keeps to its moderators
ABSENT = {"no_such_user", "no_such_room", "not_in_room"}  # of a conversation with somebody who is not there


def entering(world: World, person: Person, name: str) -> set[str]:
    """Of joining a room that one is not in."""
    room = world.find(name)
    if room is None or person in room.members:
        return set()
    found = set()
    if person.name in room.banned:
        found.add("banned")
    if room.kind == "private" and person not in room.invited:
        found.add("no_such_room")
    return found


def missing(world: World, person: Person, room: Room | None, called: str) -> set[str]:
    """Of anything that takes members only. `called`: what was asked for; `room`: what that is, if it is."""
    if room is not None and room in person.rooms:
        return set()
    if called.startswith("@"):
        return {"bad_room"} if called == f"@{person.name}" else ABSENT
    hidden = room is None or room.kind == "private"
    return {"no_such_room"} if hidden else {"not_in_room"}


def silenced(person: Person, room: Room | None, what: str) -> set[str]:
    """Of saying something in a room, member or not."""
    found = set()
    if room is not None and room.between is None:
        if person.name in room.muted:
            found.add("muted")
        if room.kind == "readonly" and what in SPEAKS and room.rank(person) == 0:
            found.add("forbidden")
    return found


def posting(world: World, person: Person, name: str) -> set[str]:
    """Of a `message`, which joins first."""
    return entering(world, person, name) | silenced(person, world.find(name), "message")


def telling(world: World, person: Person, name: str) -> set[str]:
    """Of a `private`."""
    if name == person.name:
        return {"bad_room"}
    return set() if name in world.people else {"no_such_user"}


def blocked(person: Person, room: Room) -> bool:
    """Whether the other of a conversation hears nothing of the person."""
    if room.between is None:
        return False
    other = room.between[1] if person is room.between[0] else room.between[0]
    return person.name in other.blocked


def referring(world: World, person: Person, room: Room, seq: int, what: str) -> set[str]:
    """Of `edit`, `delete` and `react`, in a room that one is in."""
    found = silenced(person, room, what) if what != "delete" else set()
    entry = room[seq] if room.holds(seq) else None
    if entry is None or entry.erased or entry.kind not in ("message", "private"):
        return found | {"no_such_entry"}
    if what != "delete" and blocked(person, room):
        found.add("no_such_entry")
    if entry.hidden and entry.author is not person:
        found.add("no_such_entry")
    if what in ("edit", "delete") and entry.author is not person and (room.rank(person) == 0 or room.between):
        found.add("forbidden")
    return found


def governing(world: World, person: Person, room: Room | None, called: str, *, least: int = 1) -> set[str]:
    """Of what takes a rank in a room."""
    if called.startswith("@"):
        return {"bad_room"} | ABSENT
    absent = missing(world, person, room, called)
    if absent or room is None:
        return absent
    return set() if room.rank(person) >= least else {"forbidden"}


def judging(world: World, person: Person, room: Room | None, called: str, verb: str, name: str) -> set[str]:
    """Of a verdict on the user `name`."""
    found = governing(world, person, room, called)
    if room is world.general and verb in ("kick", "ban"):
        found = found | {"bad_room"}
    if found or room is None:
        return found
    target = world.people.get(name)
    if verb in ("unmute", "unban"):
        return set()  # where there is nothing to lift the document is silent: see `Doing.judge`
    if target is None:
        return {"no_such_user"}
    if verb in ("kick", "promote") and target not in room.members:
        found.add("no_such_user")
    if room.rank(target) >= room.rank(person) and not (verb == "demote" and target is person):
        found.add("forbidden")
    return found


def configuring(world: World, person: Person, room: Room | None, called: str, kind: str | None) -> set[str]:
    """Of `room`."""
    found = governing(world, person, room, called, least=2)
    return found | {"bad_room"} if room is world.general and kind == "private" else found


def inviting(world: World, person: Person, room: Room | None, called: str, name: str) -> set[str]:
    """Of `invite`."""
    found = governing(world, person, room, called)
    if found or room is None:
        return found
    if room.kind != "private":
        found.add("bad_room")
    if name not in world.people:
        found.add("no_such_user")
    if name in room.banned and (name not in world.people or world.people[name] not in room.members):
        found.add("banned")
    return found


def blocking(world: World, person: Person, name: str, *, undo: bool) -> set[str]:
    """Of `block` and `unblock`."""
    if undo:
        return set() if name in person.blocked else {"no_such_user"}
    return set() if name in world.people and name != person.name else {"no_such_user"}
