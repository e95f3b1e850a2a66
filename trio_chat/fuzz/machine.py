"""A plan, done step by step against a server: after each step all that came is held against the model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import attrs

from trio_chat.fuzz import acts, comings, hostility, orders, questions, steps
from trio_chat.fuzz.crew import Crew
from trio_chat.fuzz.promises import Broken
from trio_chat.fuzz.steps import Plan, Step
from trio_chat.fuzz.target import Server
from trio_chat.fuzz.transcript import Transcript

# What somebody does who has a connection, and what is done by nobody in particular.
ACTS: dict[type[Step], Callable[..., None]] = {
    steps.Say: acts.say,
    steps.Tell: acts.tell,
    steps.Enter: acts.enter,
    steps.Leave: acts.leave,
    steps.Edit: acts.refer,
    steps.Delete: acts.refer,
    steps.React: acts.refer,
    steps.MarkRead: orders.read,
    steps.SetTopic: orders.topic,
    steps.Judge: orders.judge,
    steps.SetRoom: orders.configure,
    steps.Invite: orders.invite,
    steps.Block: acts.block,
    steps.Typing: acts.typing,
    steps.History: questions.history,
    steps.Search: questions.search,
    steps.Rooms: questions.rooms,
    steps.Users: questions.users,
    steps.Odd: hostility.odd,
    steps.Malformed: hostility.malformed,
    steps.Huge: hostility.huge,
    steps.Bytes: hostility.raw,
}
EVENTS: dict[type[Step], Callable[..., Any]] = {
    steps.Together: acts.together,
    steps.Drop: comings.drop,
    steps.Resume: comings.resume,
    steps.Fresh: comings.fresh,
    steps.FirstFrame: hostility.first_frame,
    steps.Knock: hostility.knock,
    steps.Wait: questions.wait,
}

RULINGS = (steps.SetTopic, steps.Judge, steps.SetRoom, steps.Invite)


@attrs.frozen
class Outcome:
    """What a run came to. `broken`: the first promise that was; `done`: steps up to there."""

    plan: Plan
    transcript: Transcript
    broken: Broken | None
    done: int


def run(server: Server, plan: Plan, until: float = math.inf) -> Outcome:
    """Do a plan. The names and rooms are new each time, so that a server need not be.

    What is not done by `until` (monotonic seconds) is left out: so far nothing was broken.

    Raises:
        NotFuzzableError: the server is gone, or lets us do too little.
    """
    crew = Crew(server)
    done = 0
    try:
        for client in range(plan.crowd):
            comings.here(crew, client)
            crew.settle()
        for step in plan.steps:
            if time.monotonic() >= until:
                return Outcome(plan, crew.transcript, None, done)
            do(crew, step)
            crew.settle()
            crew.linger()
            done += 1
        look_back(crew)
        crew.leave()
    except Broken as broken:
        return Outcome(plan, crew.transcript, broken, done)
    finally:
        crew.abandon()
    return Outcome(plan, crew.transcript, None, done)


def look_back(crew: Crew) -> None:
    """In the end everybody reads back each room that it is in.

    Raises:
        Broken: it is not as the model has it.
    """
    for client, ear in list(crew.ears.items()):
        for place in range(1, steps.PLACES):
            room = crew.room(ear.person, crew.place(place))
            if room is not None and room in ear.person.rooms:
                questions.history(crew, ear, steps.History(client=client, room=place, limit=200))
        crew.settle()


def do(crew: Crew, step: Step) -> None:
    """One step.

    Raises:
        Broken: what it is answered breaks a promise.
    """
    act = ACTS.get(type(step))
    if act is None:
        EVENTS[type(step)](crew, step)
        return
    owner = crew.owner(step.room) if isinstance(step, RULINGS) and step.owner else None
    present = step.client in crew.ears
    ear = comings.here(crew, step.client) if owner is None else owner
    if not present and owner is None:
        crew.settle()  # a replay shows what was there before this step
    if ear is not None:
        act(crew, ear, step)
