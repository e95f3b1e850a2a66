"""What changes a room, and who is what in it: markers, topics, verdicts, settings, invitations."""

from __future__ import annotations

from trio_chat.fuzz.acts import judged, may, placed
from trio_chat.fuzz.crew import Crew
from trio_chat.fuzz.ear import Due, Ear
from trio_chat.fuzz.laws import configuring, governing, inviting, judging, missing
from trio_chat.fuzz.model import Entry, Json, Person, Room
from trio_chat.fuzz.promises import READ, RIGHTS, Broken
from trio_chat.fuzz.steps import Invite, Judge, MarkRead, SetRoom, SetTopic

TOPICS = ("", "of tea", "日本")


def read(crew: Crew, ear: Ear, step: MarkRead) -> None:
    """Say how far one has read."""
    called, person = crew.place(step.room), ear.person
    room = crew.room(person, called)
    seq = 1 if room is None else max(1, room.last - step.nth)
    refusals = missing(crew.world, person, room, called)
    if not refusals and room is not None and seq > room.last:
        if room.open:
            return  # strangers may write meanwhile
        refusals = {"no_such_entry"}
    answer = may(crew, ear, step, refusals, type="read", room=called, seq=seq)
    if answer is None or room is None:
        return
    moved = seq > person.rooms[room]
    person.rooms[room] = max(person.rooms[room], seq)
    if answer.get("seq") != person.rooms[room]:
        raise Broken(READ, f"{ear.who}: the marker is at {person.rooms[room]}: {answer}")
    if moved and room.receipts:
        for other in crew.listening(room):
            if other is not ear:
                told = {"type": "read", "room": called, "seq": seq, "sender": person.name}
                other.due.append(Due(told, True, RIGHTS))


def topic(crew: Crew, ear: Ear, step: SetTopic) -> None:
    """Set a room's topic."""
    called, text = crew.place(step.room), TOPICS[step.word % len(TOPICS)]
    room = crew.room(ear.person, called)
    refusals = governing(crew.world, ear.person, room, called)
    answer = may(crew, ear, step, refusals, type="topic", room=called, topic=text)
    if answer is not None and room is not None:
        placed(ear, room, answer, Entry("topic", ear.person, {"by": ear.person.name, "topic": text}))
        room.topic = text


def judge(crew: Crew, ear: Ear, step: Judge) -> None:
    """A verdict on somebody. What is so already may be acked without a place; of lifting nothing nobody says more."""
    called, name = crew.place(step.room), crew.name(step.user)
    room, target = crew.room(ear.person, called), crew.world.people.get(name)
    refusals = judging(crew.world, ear.person, room, called, step.verb, name)
    already = not refusals and room is not None and _already(room, step.verb, name, target)
    if already and step.verb in ("unmute", "unban"):
        answer = crew.ask(ear, step, type=step.verb, room=called, user=name)
        judged(ear, answer, {"no_such_user"} if answer["type"] == "error" else set(), {"type": step.verb})
    else:
        answer = may(crew, ear, step, refusals, type=step.verb, room=called, user=name) or {"type": "error"}
    if answer["type"] == "error" or room is None or (already and "seq" not in answer):
        return
    fields = {"by": ear.person.name, "action": step.verb, "user": name}
    placed(ear, room, answer, Entry("moderation", ear.person, fields))
    if not (already and step.verb in ("promote", "demote")):
        crew.world.judge(room, step.verb, target, name)


def _already(room: Room, verb: str, name: str, target: Person | None) -> bool:
    match verb:
        case "promote":
            return target is not None and room.rank(target) > 0
        case "demote":
            return target not in room.moderators
        case "mute" | "unmute":
            return (name in room.muted) is (verb == "mute")
        case "ban" | "unban":
            return (name in room.banned) is (verb == "ban")
    return False


def configure(crew: Crew, ear: Ear, step: SetRoom) -> None:
    """Set a room's kind, or its receipts."""
    called = crew.place(step.room)
    room = crew.room(ear.person, called)
    changes: Json = {} if step.kind is None else {"kind": step.kind}
    if step.receipts is not None or not changes:
        changes["receipts"] = bool(step.receipts)
    refusals = configuring(crew.world, ear.person, room, called, step.kind)
    answer = may(crew, ear, step, refusals, type="room", room=called, **changes)
    if answer is not None and room is not None:
        fields = {"by": ear.person.name, "action": "room", **changes}
        placed(ear, room, answer, Entry("moderation", ear.person, fields))
        room.kind, room.receipts = changes.get("kind", room.kind), changes.get("receipts", room.receipts)


def invite(crew: Crew, ear: Ear, step: Invite) -> None:
    """Let somebody into a private room."""
    called, name = crew.place(step.room), crew.name(step.user)
    room = crew.room(ear.person, called)
    refusals = inviting(crew.world, ear.person, room, called, name)
    if may(crew, ear, step, refusals, type="invite", room=called, user=name) is None or room is None:
        return
    target = crew.world.people[name]
    if target in room.members or ear.person.name in target.blocked:
        return
    listener = crew.ear_of(target)
    if listener is not None:
        told = {"type": "system", "event": "invited", "by": ear.person.name}
        listener.due.append(Due(told, target not in room.invited, RIGHTS))
    room.invited.add(target)
