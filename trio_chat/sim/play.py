"""What users do in a simulation, and what goes wrong meanwhile."""

from __future__ import annotations

import ipaddress
from functools import partial
from random import Random

import attrs
import trio

from trio_chat.sim.chance import branch
from trio_chat.sim.disk import Disk
from trio_chat.sim.house import House
from trio_chat.sim.network import Network
from trio_chat.sim.scenario import FaultPlan, Scenario, UsersPlan
from trio_chat.sim.trace import Trace
from trio_chat.witness.transcript import End
from trio_chat.witness.user import User
from trio_chat.witness.wire import Dial, Lost

FIRST_ADDRESS = ipaddress.IPv4Address("10.0.0.1")
BACKOFF = 30.0  # seconds between two attempts to come back, at most
SLEEP = 15.0  # seconds that a sleepy one does not read: short enough that whoever is cut meanwhile may still resume
STAY = 5.0  # seconds that one who churns stays, about


@attrs.define(eq=False)
class Actor:
    """A user, and how that user behaves."""

    user: User
    plan: UsersPlan
    dial: Dial
    rng: Random


def cast(scenario: Scenario, seed: object, network: Network, patience: float) -> list[Actor]:
    """All users of a scenario."""
    names = [
        (f"{plan.behaviour}{group}-{number}", plan, number)
        for group, plan in enumerate(scenario.users, 1)
        for number in range(1, plan.count + 1)
    ]
    actors = []
    for name, plan, number in names:
        others = tuple(other for other, _, _ in names if other != name) or (name,)
        basic = plan.behaviour != "chat"
        user = User(name, others, branch(seed, "user", name), basic=basic, patience=patience)
        address = FIRST_ADDRESS + (number - 1) % plan.addresses
        actors.append(Actor(user, plan, partial(network.dial, name, address), branch(seed, "actor", name)))
    return actors


async def act(actor: Actor, house: House) -> None:
    """Come, behave, come back when the connection is lost; until cancelled, which loses the connection."""
    user, rng, tries = actor.user, actor.rng, 0
    while True:
        try:
            async with user.here(actor.dial, lambda: house.number, positions=rng.random() < actor.plan.positions):
                tries = 0
                await user.resend()
                await BEHAVIOURS[actor.plan.behaviour](actor)
        except Lost:
            pass
        tries += 1
        await trio.sleep(min(BACKOFF, 0.5 * 2 ** min(tries, 10)) * rng.uniform(0.5, 1))


async def _chat(actor: Actor) -> None:
    while True:
        await trio.sleep(actor.rng.expovariate(1 / actor.plan.every))
        await actor.user.act()


async def _talk(actor: Actor) -> None:
    while True:
        await trio.sleep(actor.rng.expovariate(1 / actor.plan.every))
        await actor.user.post()


async def _listen(actor: Actor) -> None:
    await trio.sleep_forever()


async def _churn(actor: Actor) -> None:
    for _ in range(actor.rng.randrange(1, 4)):
        await trio.sleep(actor.rng.expovariate(1 / STAY))
        await actor.user.post()
    await actor.user.answered()
    await actor.user.go(End.LEFT if actor.rng.random() < 0.5 else End.AWAY)


async def _sleepy(actor: Actor) -> None:
    while True:
        for _ in range(5):
            await trio.sleep(actor.rng.expovariate(1 / actor.plan.every))
            await actor.user.post()
        actor.user.deafen(SLEEP)


BEHAVIOURS = {"chat": _chat, "talk": _talk, "listen": _listen, "churn": _churn, "sleepy": _sleepy}


async def strike(fault: FaultPlan, house: House, network: Network, disk: Disk, rng: Random, trace: Trace) -> None:
    """Let a fault happen, when it is time. Cancelled: it does not, or is not waited for."""
    await trio.sleep_until(fault.at)
    trace.note("faults", fault.kind, f"for {fault.lasts:g} s")
    match fault.kind:
        case "crash":
            await house.crash(fault.lasts)
        case "deploy":
            await house.deploy(fault.lasts)
        case "disk_full":
            disk.full_until = trio.current_time() + fault.lasts
        case _:
            links = [link for link in network.links if link.alive]
            for link in rng.sample(links, round(len(links) * fault.share)):
                trace.note("faults", fault.kind, f"{link.client}, link {link.number}")
                match fault.kind:
                    case "cut":
                        link.cut()
                    case "stall":
                        link.stall(trio.current_time() + fault.lasts)
                    case "vanish":
                        link.vanish()
