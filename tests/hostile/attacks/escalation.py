"""Every command, by whom it is not for, in every kind of room: the pure matrix of role and command, over sockets.

What is refused there must be refused here, with the same code, whatever else is written into the frame; and what
others in the room see, hear and find in its history stays as it was. What is granted there is granted here, or a
refusal would say nothing.
"""

from __future__ import annotations

import itertools
import json
from contextlib import ExitStack
from typing import Any

import attrs

from tests.core.matrix import CASES, OK, asked, cast, cells, expected, room_of, steps
from trio_chat.core.messages import Command

from ..scene import Scene, attack
from ..vitals import Bounds
from ..wire import Broken, Frame, Raw
from .frames import LOGGED

NUMBERS = itertools.count(1)  # of plays, whose people and rooms are new
FIELDS = ("user", "to")  # that name somebody
UNTOLD = ("joined", "left", None)  # events of a `system` frame that say who is there, and no event at all


def frame_of(command: Command) -> dict[str, Any]:
    """A command as its fields on the wire."""
    given = attrs.asdict(command)
    return {"type": command.type} | {name: value for name, value in given.items() if value is not None}


class Play:
    """People of the matrix, connected: in a room of a `kind`, with the actor in a `role`."""

    def __init__(self, scene: Scene, role: str, kind: str, stack: ExitStack) -> None:
        self._number, self._kind = next(NUMBERS), kind
        self._people: dict[str, Raw] = {}
        self._seqs: dict[str, int] = {}
        for name, admin in cast(role, kind).items():
            claims: dict[str, Any] = {"roles": ["admin"]} if admin else {}
            self._people[name] = scene.entrance.enter(f"{name} {self._number}", **claims)
            stack.callback(self._people[name].leave)
        for name, command in steps(role, kind):
            answer = self.ask(name, frame_of(command))
            if answer["type"] != "ack":
                raise Broken(f"{role}, {kind}: {command} of {name} was answered {answer}")
            if command.type in ("message", "private"):
                self._seqs[name] = answer["seq"]
        insider = "other" if kind == "conversation" else "deputy"
        self.witnesses = {name: self._people[name] for name in (insider, "victim", "stranger", "exile")}
        self._insider = insider if kind != "conversation" or role != "outsider" else ""
        self.heard()
        self._before = self._look()

    def ask(self, name: str, fields: dict[str, Any]) -> Frame:
        """One of them sends a command of the matrix; its answer."""
        meant = {key: value for key, value in fields.items() if key not in ("type", "id")}
        for key in FIELDS:
            if key in meant:
                meant[key] = f"{meant[key]} {self._number}"
        if meant.get("room") not in (None, "general"):
            meant["room"] = f"{meant['room']} {self._number}"
        return self._people[name].ask(fields["type"], 1, **meant)

    def act(self, case: str, **forged: Any) -> Frame:
        """The actor's command of a case; the matrix calls the first entry 1, and the actor's own 2."""
        fields = frame_of(asked(case, self._kind, 2))
        if "seq" in fields:
            first = self._seqs.get("founder", self._seqs.get("other", 1))
            fields["seq"] = {1: first, 2: self._seqs.get("actor", 2)}[fields["seq"]]
        return self.ask("actor", fields | forged)

    def forged(self) -> dict[str, Any]:
        """Fields that claim the rights of somebody else."""
        boss = f"{'other' if self._kind == 'conversation' else 'founder'} {self._number}"
        named = dict.fromkeys(("by", "from", "sender", "username", "owner", "as", "sub"), boss)
        return named | {"role": "owner", "roles": ["admin"], "admin": True, "rank": 3, "moderator": True, "token": boss}

    def heard(self) -> list[Frame]:
        """What the witnesses were told since the last time, but for who is there."""
        news = []
        for raw in self.witnesses.values():
            raw.send(type="ping", id="heard")
            while (event := raw.receive()).get("id") != "heard":
                if event["type"] not in ("ack", "user_list", "system") or event.get("event") not in UNTOLD:
                    news.append(event)
        return news

    def unchanged(self) -> None:
        """The room is as it was. Raises Broken."""
        if (now := self._look()) != self._before:
            raise Broken(f"what was refused had an effect: {self._before}, and now {now}")

    def _look(self) -> list[str]:
        """What somebody in the room can see of it."""
        if not self._insider:
            return []
        raw, room = self._people[self._insider], f"{room_of(self._kind)} {self._number}"
        if self._kind == "conversation":
            room = f"@actor {self._number}"
        if self._kind == "general":
            room = "general"
        page = raw.ask("history", 2, room=room, limit=200)
        rooms = raw.ask("rooms", 3, mine=True, limit=200)["rooms"]
        seen = [*page["entries"], *([] if self._kind == "general" else rooms)]
        if self._kind in ("public", "private", "readonly"):
            seen.append(sorted(raw.ask("users", 4, room=room)["users"]))
        return [json.dumps(one, sort_keys=True) for one in seen]


def refusals(scene: Scene, role: str, kind: str) -> int:
    """All that the actor may not do, one after the other, plainly and with forged fields."""
    cases = [case for case in CASES if expected(case, role, kind) != OK]
    with ExitStack() as stack:
        play = Play(scene, role, kind, stack)
        for case, forged in itertools.product(cases, ({}, play.forged())):
            answer = play.act(case, **forged)
            if answer["type"] != "error" or answer["code"] != expected(case, role, kind):
                raise Broken(f"{case} by {role} in {kind} was answered {answer}")
            if news := play.heard():
                raise Broken(f"{case} by {role} in {kind} was refused, and others were told {news}")
        play.unchanged()
    return 2 * len(cases)


def granted(scene: Scene, case: str, role: str, kind: str) -> int:
    """One thing that the actor may do."""
    with ExitStack() as stack:
        answer = Play(scene, role, kind, stack).act(case)
        if answer["type"] == "error":
            raise Broken(f"{case} by {role} in {kind} may be done, and was answered {answer}")
    return 1


def everything(scene: Scene, cells: list[tuple[str, str, str]]) -> int:
    """All cells of the matrix that are given; in short, some of those that are granted."""
    count = sum(refusals(scene, role, kind) for role, kind in dict.fromkeys((role, kind) for _, role, kind in cells))
    free = [cell for cell in cells if expected(*cell) == OK]
    return count + sum(granted(scene, *cell) for cell in scene.rng.sample(free, scene.count(len(free), 25)))


@attack("every command, by guests whom it is not for", bounds=Bounds(lines=3 * LOGGED, memory=48))
def by_guests(scene: Scene) -> int:
    """Each command of the table, as outsider, banned, muted, member, moderator, owner, in each kind of room."""
    return everything(scene, [cell for cell in cells() if cell[1] != "admin" and cell[2] != "general"])


@attack("every command, with tokens that it is not for", setting="tokens", bounds=Bounds(lines=3 * LOGGED, memory=48))
def with_tokens(scene: Scene) -> int:
    """The same by users with tokens, whose admins are so by a claim, and in `general`, too."""
    return everything(scene, list(cells()))
