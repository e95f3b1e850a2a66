"""Role x command x kind of room: what each may do, said once more, and independently of the code.

`python -m tests.core.matrix` prints what happens, as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from tests.core.driver import Driver
from trio_chat.core.events import Ack, Error, HistoryPage, Pong, Posted, RoomList, SearchResult, UserList
from trio_chat.core.messages import (
    Ban,
    Block,
    Command,
    Delete,
    Demote,
    Edit,
    Find,
    GetHistory,
    Invite,
    Join,
    Kick,
    Leave,
    ListRooms,
    ListUsers,
    MarkRead,
    Message,
    Mute,
    Ping,
    Private,
    Promote,
    React,
    SetRoom,
    SetTopic,
    Typing,
    Unban,
    Unblock,
    Unmute,
)

ROLES = ("outsider", "banned", "member", "muted", "moderator", "owner", "admin")
KINDS = ("public", "private", "readonly", "general", "conversation")
OK = "ok"
NAMED = (HistoryPage, Pong, Posted, RoomList, SearchResult, UserList)  # answers that are no ack

# What each command needs; those of another's entry need more than those of one's own.
CASES: dict[str, tuple[type[Command], str, Callable[[str, int], Command]]] = {
    "message": (Message, "speak", lambda room, own: Message(room=room, content="hey", id=1)),
    "typing": (Typing, "type", lambda room, own: Typing(room=room, id=1)),
    "edit own": (Edit, "edit", lambda room, own: Edit(room=room, seq=own, content="new", id=1)),
    "edit other": (Edit, "edit other", lambda room, own: Edit(room=room, seq=1, content="new", id=1)),
    "delete own": (Delete, "be in", lambda room, own: Delete(room=room, seq=own, id=1)),
    "delete other": (Delete, "delete other", lambda room, own: Delete(room=room, seq=1, id=1)),
    "react": (React, "react", lambda room, own: React(room=room, seq=1, emoji="+", id=1)),
    "join": (Join, "join", lambda room, own: Join(room=room, id=1)),
    "leave": (Leave, "leave", lambda room, own: Leave(room=room, id=1)),
    "history": (GetHistory, "be in", lambda room, own: GetHistory(room=room, id=1)),
    "search": (Find, "be in", lambda room, own: Find(room=room, query="hi", id=1)),
    "read": (MarkRead, "be in", lambda room, own: MarkRead(room=room, seq=1, id=1)),
    "users": (ListUsers, "be in a room", lambda room, own: ListUsers(room=room, id=1)),
    "topic": (SetTopic, "be moderator in", lambda room, own: SetTopic(room=room, topic="tea", id=1)),
    "kick": (Kick, "expel", lambda room, own: Kick(room=room, user="victim", id=1)),
    "ban": (Ban, "expel", lambda room, own: Ban(room=room, user="victim", id=1)),
    "unban": (Unban, "unban", lambda room, own: Unban(room=room, user="exile", id=1)),
    "mute": (Mute, "moderate", lambda room, own: Mute(room=room, user="victim", id=1)),
    "unmute": (Unmute, "moderate", lambda room, own: Unmute(room=room, user="silent", id=1)),
    "promote": (Promote, "moderate", lambda room, own: Promote(room=room, user="victim", id=1)),
    "demote": (Demote, "outrank", lambda room, own: Demote(room=room, user="deputy", id=1)),
    "room": (SetRoom, "own", lambda room, own: SetRoom(room=room, receipts=True, id=1)),
    "invite": (Invite, "invite", lambda room, own: Invite(room=room, user="exile", id=1)),
    "private": (Private, "nothing", lambda room, own: Private(to="victim", content="psst", id=1)),
    "ping": (Ping, "nothing", lambda room, own: Ping(id=1)),
    "rooms": (ListRooms, "nothing", lambda room, own: ListRooms(id=1)),
    "block": (Block, "nothing", lambda room, own: Block(user="victim", id=1)),
    "unblock": (Unblock, "nothing", lambda room, own: Unblock(user="deputy", id=1)),
}
NOT_OF_A_CONVERSATION = (
    *("speak", "join", "leave", "be in a room", "be moderator in"),
    *("expel", "unban", "moderate", "outrank", "own", "invite"),
)


def expected(case: str, role: str, kind: str) -> str:
    """`OK`, or the code of the refusal."""
    need = CASES[case][1]
    if need == "nothing":
        return OK
    if kind == "conversation":
        return _in_conversation(need, role)
    inside = role not in ("outsider", "banned")
    if not inside:
        return _outside(need, role, kind)
    muted, rank = role == "muted", ("moderator", "owner", "admin").index(role) + 1 if role in ROLES[4:] else 0
    if need in ("speak", "type", "edit", "edit other") and (muted or (kind == "readonly" and not rank)):
        return "muted" if muted else "forbidden"
    if need == "react" and muted:
        return "muted"
    if need == "leave" and kind == "general":
        return "bad_room"
    least = {"delete other": 1, "edit other": 1, "be moderator in": 1, "expel": 1, "unban": 1, "moderate": 1}
    least |= {"invite": 1, "outrank": 2, "own": 2}
    if rank < least.get(need, 0):
        return "forbidden"
    if kind == "general" and need == "expel":
        return "bad_room"
    if kind == "general" and need == "unban":
        return "no_such_user"
    if need == "invite":
        return OK if kind == "private" else "bad_room"
    return OK


def _in_conversation(need: str, role: str) -> str:
    if need in NOT_OF_A_CONVERSATION:
        return "bad_room"
    if role == "outsider":
        return OK if need == "type" else "no_such_room"
    return "forbidden" if need in ("edit other", "delete other") else OK


def _outside(need: str, role: str, kind: str) -> str:
    if kind == "private":
        return "no_such_room"
    if need in ("speak", "join"):
        if role == "banned":
            return "banned"
        return "forbidden" if need == "speak" and kind == "readonly" else OK
    return "not_in_room"


def cells() -> Iterator[tuple[str, str, str]]:
    """All that there is: case, role, kind."""
    for kind in KINDS:
        for role in ROLES:
            if kind == "general" and role in ("outsider", "banned", "owner"):
                continue  # everyone is in it, and nobody owns it
            if kind == "conversation" and role not in ("outsider", "member", "admin"):
                continue
            for case in CASES:
                yield case, role, kind


def cast(role: str, kind: str) -> dict[str, bool]:
    """Who is there beside others, and whether that one is an admin of the server.

    Of a room these are its founder, `deputy` (a moderator), `victim`, `silent` (muted), `exile` (banned), and a
    `stranger` to it.
    """
    names = ("deputy", "victim", "silent", "exile", "stranger", "actor")
    first = "other" if kind == "conversation" else "founder"
    return {first: kind == "general"} | {name: name == "actor" and role == "admin" for name in names}


def room_of(kind: str) -> str:
    """Its name, as the actor knows it."""
    return {"general": "general", "conversation": "@other"}.get(kind, "den")


def steps(role: str, kind: str) -> Iterator[tuple[str, Command]]:
    """What they do before it is the actor's turn: each is granted."""
    room = room_of(kind)
    if kind == "conversation":
        yield "actor", Block(user="deputy")
        if role != "outsider":
            yield "other", Private(to="actor", content="hi")
            yield "actor", Private(to="other", content="mine")
        return
    yield "founder", Message(room=room, content="hi")
    for name in ("deputy", "victim", "silent", "exile", "actor"):
        yield name, Join(room=room)
    yield "actor", Message(room=room, content="mine")
    yield "founder", Promote(room=room, user="deputy")
    yield "founder", Mute(room=room, user="silent")
    if kind != "general":
        yield "founder", Ban(room=room, user="exile")
    yield "actor", Block(user="deputy")
    if role in ("moderator", "owner"):
        yield "founder", Promote(room=room, user="actor")
    if role == "owner":
        yield "founder", Demote(room=room, user="deputy")
        yield "founder", Leave(room=room)
        yield "actor", Promote(room=room, user="deputy")
    if kind in ("private", "readonly"):
        yield "actor" if role == "owner" else "founder", SetRoom(room=room, kind=kind)
    if judge := {"muted": Mute, "banned": Ban}.get(role):
        yield "founder", judge(room=room, user="actor")
    if role == "outsider":
        yield "actor", Leave(room=room)


def asked(case: str, kind: str, own: int) -> Command:
    """The actor's command; `own`: the `seq` of what that one wrote there."""
    if case == "invite" and kind == "private":
        return Invite(room=room_of(kind), user="stranger", id=1)
    return CASES[case][2](room_of(kind), own)


def outcome(case: str, role: str, kind: str) -> str:
    """What happens: `OK`, or the code of the refusal."""
    driver = Driver(messages_burst=1000, history_days=1000)
    clients = {name: driver.connect(name) for name in cast(role, kind)}
    for name, admin in cast(role, kind).items():
        driver.state.chat.people.by_name[name].admin = admin
    own = 2
    for name, command in steps(role, kind):
        (ack,) = [event for event in clients[name].send(attrs.evolve(command, id=0)) if isinstance(event, Ack)]
        if name == "actor" and isinstance(command, Message):
            own = ack.seq or own
    actor = clients["actor"]
    actor.news()
    answers = [event for event in actor.send(asked(case, kind, own)) if getattr(event, "id", None) == 1]
    (answer,) = answers
    if isinstance(answer, Error):
        return answer.code
    assert isinstance(answer, (Ack, *NAMED)), answer
    return OK


def main() -> None:
    """Print the matrix."""
    for kind in KINDS:
        roles = [role for role in ROLES if any(cell[1:] == (role, kind) for cell in cells())]
        print(f"\n| {kind} | {' | '.join(roles)} |\n| --- |{' --- |' * len(roles)}")
        for case in CASES:
            print(f"| {case} | {' | '.join(outcome(case, role, kind) for role in roles)} |")


if __name__ == "__main__":
    main()
