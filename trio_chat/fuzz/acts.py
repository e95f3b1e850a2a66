"""What a client does among others, and what the model says must be answered and told."""

from __future__ import annotations

from typing import Any

from trio_chat.fuzz.crew import Crew
from trio_chat.fuzz.ear import Due, Ear, Then
from trio_chat.fuzz.laws import (
    blocked,
    blocking,
    entering,
    missing,
    posting,
    referring,
    silenced,
    telling,
)
from trio_chat.fuzz.model import Entry, Json, Room
from trio_chat.fuzz.promises import (
    BAN,
    BLOCK,
    COMMAND,
    KEY,
    LAGGED,
    LOG,
    MEMBERS,
    REFERS,
    RIGHTS,
    TALK,
    TYPING,
    WHERE,
    Broken,
    Promise,
)
from trio_chat.fuzz.steps import (
    ROOMS,
    Block,
    Delete,
    Edit,
    Enter,
    Leave,
    React,
    Say,
    Step,
    Tell,
    Together,
    Typing,
)

WORDS = ("tea", "Schöne Grüße", "日本語", "\U0001f9d1‍\U0001f680", 'quo"te\\', "end")
EMOJI = ("👍", "🎉", "ok")
TOPICS = ("", "of tea", "日本")
DUTY: dict[str, Promise] = {
    "banned": BAN,
    "muted": RIGHTS,
    "forbidden": RIGHTS,
    "key_reused": KEY,
    "no_such_entry": REFERS,
    "not_in_room": WHERE,
    "no_such_room": WHERE,
    "no_such_user": TALK,
    "bad_room": TALK,
}


def may(crew: Crew, ear: Ear, step: Step, refusals: set[str], then: Then | None = None, /, **frame: Any) -> Json | None:
    """Send a command; its `ack` or named reply, or None where it was refused as it must be.

    Raises:
        Broken: it must be refused and was not, or the other way round.
    """
    answer = crew.ask(ear, step, then, **frame)
    judged(ear, answer, refusals, frame)
    return None if answer["type"] == "error" else answer


def judged(ear: Ear, answer: Json, refusals: set[str], frame: Json) -> None:
    """Complain about an answer that is none of those that may come.

    Raises:
        Broken: it is not.
    """
    if answer["type"] == "error":
        if answer["code"] in refusals:
            return
        if not refusals:
            raise Broken(COMMAND, f"{ear.who}: {frame} is good, and was refused: {answer}")
        raise Broken(COMMAND, f"{ear.who}: {frame} should be {' or '.join(sorted(refusals))}: {answer}")
    if refusals:
        least = min(refusals)
        raise Broken(DUTY.get(least, COMMAND), f"{ear.who}: {frame} should be {least}, and was answered {answer}")


def placed(ear: Ear, room: Room, answer: Json, entry: Entry) -> None:
    """An entry was acked: it has its place."""
    if answer.get("room") != room.called(ear.person):
        raise Broken(LOG, f"{ear.who}: the ack should be of {room.called(ear.person)}: {answer}")
    if room.epoch is None:
        room.epoch = answer.get("epoch")
    if answer.get("epoch") != room.epoch:
        raise Broken(LOG, f"{ear.who}: the ack should say epoch {room.epoch}: {answer}")
    if not isinstance(answer.get("seq"), int):
        raise Broken(LOG, f"{ear.who}: the ack should say a seq: {answer}")
    room.append(entry, answer["seq"])
    ear.own[room, answer["seq"]] = answer["id"]


def say(crew: Crew, ear: Ear, step: Say) -> None:
    """Post to a room, or to a conversation, which takes no `message`."""
    called, person = crew.place(step.room), ear.person
    if called.startswith("@"):
        may(crew, ear, step, {"bad_room"}, type="message", room=called, content="nobody should see this")
        return
    room = crew.world.find(called)
    refusals = posting(crew.world, person, called)
    frame: Json = {"type": "message", "room": called}
    key = f"key {step.key}" if step.key and room is not None and room in person.rooms else None
    word = WORDS[step.word % len(WORDS)]
    if key is not None and room is not None:
        frame |= {"key": key, "content": word}
        first = room.keys.get((person, key))
        if first is not None and not refusals:
            _again(crew, ear, step, room, first, frame)
            return
    if step.reply and key is None and room is not None and room in person.rooms:
        frame["reply_to"] = room.last + 1 - step.reply
        if step.reply < 0 and not room.open:
            refusals = refusals | {"no_such_entry"}
        elif not room.holds(frame["reply_to"]):
            del frame["reply_to"]
    frames = [frame if key is not None else frame | {"content": crew.content(word)} for _ in range(step.times)]
    if key is not None or step.times == 1:
        answers = [crew.ask(ear, step, **frames[0])]
    else:
        answers = crew.answers(ear, [crew.send(ear, step, one) for one in frames])
    for answer, sent in zip(answers, frames, strict=False):
        if step.times > 1 and answer.get("code") == "rate_limited":
            continue
        judged(ear, answer, refusals, sent)
        if answer["type"] == "ack":
            room = _enters(crew, ear, called)
            said = {name: value for name, value in sent.items() if name in ("room", "content", "reply_to")}
            entry = Entry("message", person, {"sender": person.name, **said}, original=sent["content"])
            placed(ear, room, answer, entry)
            if key is not None:
                room.keys[person, key] = answer["seq"]


def _again(crew: Crew, ear: Ear, step: Say | Tell, room: Room, first: int, frame: Json) -> None:
    """A key that was used: the first `seq` again, or a refusal."""
    same = room[first].original == frame["content"]
    answer = may(crew, ear, step, set() if same else {"key_reused"}, **frame)
    if answer is not None and answer.get("seq") != first:
        raise Broken(KEY, f"{ear.who}: the key was used for seq {first}, and came again: {answer}")


def _enters(crew: Crew, ear: Ear, called: str) -> Room:
    """A client is in a room, and hears of it from now on."""
    room = crew.world.enter(ear.person, called)
    if room not in ear.hearing:
        ear.gains(room)
    return room


def together(crew: Crew, step: Together) -> None:
    """Everybody who is in a room and may speak posts there, nobody waiting for the others."""
    room = crew.world.find(crew.place(step.room))
    if room is None:
        return
    sent: list[tuple[Ear, list[str | int], list[str]]] = []
    for ear in crew.listening(room):
        if not posting(crew.world, ear.person, room.name):
            words = [crew.content("all at once") for _ in range(step.times)]
            frames = [{"type": "message", "room": room.name, "content": content} for content in words]
            sent.append((ear, [crew.send(ear, step, frame) for frame in frames], words))
    acked: list[tuple[int, Ear, Json, str]] = []
    for ear, ids, words in sent:
        for answer, content in zip(crew.answers(ear, ids), words, strict=True):
            if answer.get("code") == "rate_limited":
                continue
            judged(ear, answer, set(), {"type": "message", "content": content})
            acked.append((answer.get("seq", 0), ear, answer, content))
    for _, ear, answer, content in sorted(acked, key=lambda one: one[0]):
        fields = {"sender": ear.person.name, "room": room.name, "content": content}
        placed(ear, room, answer, Entry("message", ear.person, fields, original=content))


def tell(crew: Crew, ear: Ear, step: Tell) -> None:
    """Write in private."""
    person, name = ear.person, crew.name(step.to)
    word = WORDS[step.word % len(WORDS)]
    key = f"key {step.key}" if step.key else None
    content = crew.content(word) if key is None else word
    frame: Json = {"type": "private", "to": name, "content": content}
    refusals = telling(crew.world, person, name)
    talk = crew.room(person, f"@{name}")
    if key is not None:
        frame["key"] = key
        first = None if talk is None else talk.keys.get((person, key))
        if first is not None and talk is not None and not refusals:
            _again(crew, ear, step, talk, first, frame)
            return
    answer = may(crew, ear, step, refusals, **frame)
    if answer is None:
        return
    other = crew.world.people[name]
    if talk is None:
        talk = crew.world.begin_talk(person, other)
        for one in (ear, crew.ear_of(other)):
            if one is not None:
                one.gains(talk)
    fields = {"from": person.name, "sender": person.name, "to": name, "content": content, "epoch": answer.get("epoch")}
    entry = Entry("private", person, fields, hidden=blocked(person, talk), original=content)
    placed(ear, talk, answer, entry)
    if key is not None:
        talk.keys[person, key] = answer["seq"]


def enter(crew: Crew, ear: Ear, step: Enter) -> None:
    """Join a room."""
    called, person = crew.place(step.room), ear.person
    room = crew.world.find(called)
    member = room is not None and room in person.rooms
    refusals = {"bad_room"} if called.startswith("@") else entering(crew.world, person, called)
    frame: Json = {"type": "join", "room": called}
    after = None
    if step.back is not None and room is not None and not room.open and room.epoch is not None:
        after = room.last + 3 if step.back < 0 else max(0, room.last - step.back)
        frame["after"] = {"epoch": room.epoch, "seq": after}

    def joined(answer: Json) -> None:
        if answer["type"] != "ack" or member or room is None:
            return
        ear.gains(room, after)
        if after is not None and after > room.last:
            ear.replaying[room], ear.lagging[room] = room.last, LAGGED

    answer = may(crew, ear, step, refusals, joined, **frame)
    if answer is None:
        return
    room = crew.world.enter(person, called)
    if room.epoch is None:
        room.epoch = answer.get("epoch")
    if (answer.get("room"), answer.get("epoch")) != (called, room.epoch):
        raise Broken(MEMBERS, f"{ear.who}: the ack of its join should say {called}, {room.epoch}: {answer}")
    if not room.open and answer.get("last") != room.last:
        raise Broken(LOG, f"{ear.who}: {called} is at {room.last}: {answer}")


def leave(crew: Crew, ear: Ear, step: Leave) -> None:
    """Leave a room."""
    called = crew.place(step.room)
    room = crew.room(ear.person, called)
    refusals = {"bad_room"} if called == "general" else missing(crew.world, ear.person, room, called)
    if called.startswith("@"):
        refusals = refusals | {"bad_room"}

    def left(answer: Json) -> None:
        if answer["type"] == "ack" and room is not None:
            ear.loses(room)

    if may(crew, ear, step, refusals, left, type="leave", room=called) is not None and room is not None:
        crew.world.leave(ear.person, room)


def refer(crew: Crew, ear: Ear, step: Edit | Delete | React) -> None:
    """Edit, delete, or react to what somebody wrote."""
    called, person = crew.place(step.room), ear.person
    room = crew.room(person, called)
    what = {Edit: "edit", Delete: "delete", React: "react"}[type(step)]
    refusals = missing(crew.world, person, room, called)
    seq = _place(room, step.nth)
    frame: Json = {"type": what, "room": called, "seq": seq}
    if not refusals and room is not None:
        refusals = referring(crew.world, person, room, seq, what)
    if isinstance(step, Edit):
        frame["content"] = crew.content(f"edited {WORDS[step.word % len(WORDS)]}")
    if isinstance(step, React):
        _react(crew, ear, step, room, refusals, frame)
        return
    answer = may(crew, ear, step, refusals, **frame)
    if answer is None or room is None:
        return
    fields: Json = {"sender": person.name}
    if isinstance(step, Edit):
        fields["content"] = frame["content"]
        placed(ear, room, answer, Entry("edited", person, fields, of=seq))
        crew.world.edit(room, seq, frame["content"])
    else:
        placed(ear, room, answer, Entry("deleted", person, fields, of=seq))
        crew.world.delete(room, seq)


def _place(room: Room | None, nth: int) -> int:
    """The `nth` last message of a room; where there is none, a place that nobody of us has written to."""
    if room is None:
        return 1
    messages = room.messages()
    return messages[-1 - nth % len(messages)] if messages else room.last + 1


def _react(crew: Crew, ear: Ear, step: React, room: Room | None, refusals: set[str], frame: Json) -> None:
    frame["emoji"] = EMOJI[step.emoji % len(EMOJI)]
    if step.remove:
        frame["remove"] = True
    which = (frame["emoji"], ear.person)
    entry = room[frame["seq"]] if room is not None and room.holds(frame["seq"]) else None
    standing = None if entry is None else entry.reactions.get(which)
    if step.remove and standing is None:
        refusals = refusals | {"no_such_entry"}
    answer = may(crew, ear, step, refusals, **frame)
    if answer is None or entry is None or room is None:
        return
    if not step.remove and standing is not None:
        if answer.get("seq") != standing:
            raise Broken(REFERS, f"{ear.who}: the same reaction is at seq {standing}: {answer}")
        return
    fields: Json = {"emoji": frame["emoji"], "sender": ear.person.name}
    if step.remove:
        fields["remove"] = True
    placed(ear, room, answer, Entry("reacted", ear.person, fields, of=frame["seq"]))
    if step.remove:
        del entry.reactions[which]
    else:
        entry.reactions[which] = answer["seq"]


def block(crew: Crew, ear: Ear, step: Block) -> None:
    """Block somebody, or no longer."""
    name, what = crew.name(step.user), "unblock" if step.undo else "block"
    refusals = blocking(crew.world, ear.person, name, undo=step.undo)
    if may(crew, ear, step, refusals, type=what, user=name) is not None:
        if step.undo:
            ear.person.blocked.discard(name)
        else:
            ear.person.blocked.add(name)


def typing(crew: Crew, ear: Ear, step: Typing) -> None:
    """Type, or stop."""
    called, person = crew.place(step.room), ear.person
    frame: Json = {"type": "typing", "isTyping": not step.stop}
    told: Json = {"type": "typing", "from": person.name, "sender": person.name, "isTyping": not step.stop}
    if step.room >= ROOMS:
        name = called[1:]
        refusals = telling(crew.world, person, name)
        other = crew.world.people.get(name)
        ears = [] if other is None or person.name in other.blocked else [crew.ear_of(other)]
        frame["to"] = told["to"] = name
    else:
        room = crew.world.find(called)
        refusals = missing(crew.world, person, room, called)
        if not refusals:
            refusals = silenced(person, room, "typing")
        ears = [] if room is None else [one for one in crew.listening(room) if one is not ear]
        frame["room"] = told["room"] = called
    if may(crew, ear, step, refusals, **frame) is not None:
        for one in ears:
            if one is not None:
                one.due.append(Due(told, step.stop, BLOCK if step.room >= ROOMS and not step.stop else TYPING))
