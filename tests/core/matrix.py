"""Role x command x kind of room: what each may do, said once more, and independently of the code.

`python -m tests.core.matrix` prints what happens, as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from tests.core.driver import Client, Driver
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


@attrs.frozen
class Scene:
    """Somebody in a role, in a room of a kind; `own`: the `seq` of what that one wrote there."""

    driver: Driver
    actor: Client
    room: str
    own: int


def _admin(driver: Driver, name: str) -> Client:
    client = driver.connect(name)
    driver.state.chat.people.by_name[name].admin = True
    return client


def set_up(role: str, kind: str) -> Scene:
    """Beside the actor there are an owner, `deputy` (a moderator), `victim`, `silent` (muted) and `exile` (banned)."""
    driver = Driver(messages_burst=1000, history_days=1000)
    if kind == "conversation":
        return _conversation(driver, role)
    room = "general" if kind == "general" else "den"
    founder = _admin(driver, "founder") if kind == "general" else driver.connect("founder")
    founder.send(Message(room=room, content="hi"))
    people = {name: driver.connect(name) for name in ("deputy", "victim", "silent", "exile")}
    actor = _admin(driver, "actor") if role == "admin" else driver.connect("actor")
    for client in (*people.values(), actor):
        client.send(Join(room=room))
    actor.send(Message(room=room, content="mine"))
    own = actor.of(Posted)[-1].seq
    founder.send(Promote(room=room, user="deputy"))
    founder.send(Mute(room=room, user="silent"))
    if kind != "general":
        founder.send(Ban(room=room, user="exile"))
    actor.send(Block(user="deputy"))
    if role in ("moderator", "owner"):
        founder.send(Promote(room=room, user="actor"))
    if role == "owner":
        founder.send(Demote(room=room, user="deputy"))
        founder.send(Leave(room=room))
        actor.send(Promote(room=room, user="deputy"))
    boss = actor if role == "owner" else founder
    if kind in ("private", "readonly"):
        boss.done(SetRoom(room=room, kind=kind, id=0))
    if case_of := {"muted": Mute, "banned": Ban}.get(role):
        founder.done(case_of(room=room, user="actor", id=0))
    if role == "outsider":
        actor.done(Leave(room=room, id=0))
    if kind == "private":
        driver.connect("stranger")
    return Scene(driver, actor, room, own)


def _conversation(driver: Driver, role: str) -> Scene:
    other = driver.connect("other")
    for name in ("deputy", "victim", "exile", "silent"):
        driver.connect(name)
    actor = _admin(driver, "actor") if role == "admin" else driver.connect("actor")
    actor.send(Block(user="deputy"))
    if role != "outsider":
        other.send(Private(to="actor", content="hi"))
        actor.send(Private(to="other", content="mine"))
    return Scene(driver, actor, "@other", 2)


def outcome(case: str, role: str, kind: str) -> str:
    """What happens: `OK`, or the code of the refusal."""
    scene = set_up(role, kind)
    command = CASES[case][2](scene.room, scene.own)
    if case == "invite" and kind == "private":
        command = Invite(room=scene.room, user="stranger", id=1)
    scene.actor.news()
    answers = [event for event in scene.actor.send(command) if getattr(event, "id", None) == 1]
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
