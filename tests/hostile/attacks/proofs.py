"""Commands that prove who somebody is, by those who are somebody else, or at the wrong time."""

from __future__ import annotations

import itertools
from typing import Any

from trio_chat.core.messages import ChangePassword, Command, Connect, Login, Refresh, Register

from ..entrance import PASSWORD, bearer
from ..scene import Scene, attack
from ..vitals import Bounds
from ..wire import Broken, Frame, Raw
from .frames import LOGGED

# Each command of these is tried on a server of each `auth`: the others are `tests.core.matrix`'s, over sockets.
TRIED: dict[type[Command], dict[str, Any]] = {
    Connect: {"username": "somebody else"},
    Register: {"username": "somebody else", "password": PASSWORD},
    Login: {"username": "somebody else", "password": PASSWORD},
    Refresh: {"token": "none"},
    ChangePassword: {"password": PASSWORD, "new_password": "another horse"},
}
FIRST = (Connect, Register, Login)
NUMBERS = itertools.count(1)


def refused(answer: Frame, *codes: str) -> None:
    """It is an error of one of these codes. Raises Broken."""
    if answer["type"] != "error" or answer["code"] not in codes:
        raise Broken(f"not refused with {' or '.join(codes)}, but answered {answer}")


def powerless(raw: Raw, name: str) -> None:
    """Who is connected is still that one, and may not do what an admin may. Raises Broken."""
    refused(raw.ask("topic", 2, room="general", topic=f"{name} was here"), "forbidden")
    ack = raw.ask("message", 3, room=f"of {name}", content="who am I?")
    entry = raw.ask("history", 4, room=f"of {name}", limit=1)["entries"][-1]
    if ack["type"] != "ack" or entry["sender"] != name:
        raise Broken(f"{name} is {entry['sender']}, after what was refused")


def again(raw: Raw) -> int:
    """First frames of one who is in already."""
    for command in FIRST:
        refused(raw.ask(command.type, 1, **TRIED[command]), "already_connected")
    return len(FIRST)


@attack("proofs that there are none of here", bounds=Bounds(lines=LOGGED))
def of_guests(scene: Scene) -> int:
    """`login`, `register`, `refresh` and `password` where all are guests, first and later: `forbidden`."""
    count = 0
    for _ in range(scene.count(50, 5)):
        name = f"prover {next(NUMBERS)}"
        for command in (Register, Login):
            answer, code = scene.entrance.refused({"type": command.type, **TRIED[command]})
            refused(answer, "forbidden")
            if code != 4501:
                raise Broken(f"{command.type} of a guest was closed with {code}")
        with scene.entrance.enter(name) as raw:
            count += again(raw) + 4
            refused(raw.ask("refresh", 1, token=bearer("admin", roles=["admin"])), "forbidden")
            refused(raw.ask("password", 1, **TRIED[ChangePassword]), "forbidden")
            powerless(raw, name)
            raw.leave()
    return count


@attack("refresh with what is another's", setting="tokens", bounds=Bounds(lines=LOGGED))
def refresh(scene: Scene) -> int:
    """`refresh` with an admin's token, another user's, one that is over, spoilt or none: nobody is somebody else."""
    count = 0
    for _ in range(scene.count(50, 5)):
        name = f"refresher {next(NUMBERS)}"
        own = bearer(name)
        wrong = (
            bearer(f"boss of {name}", roles=["admin"]),
            bearer(name, roles=["admin"], ttl=-60),
            bearer(name, roles=["admin"], iss="https://evil.example"),
            bearer(f"{name} ", roles=["admin"]),
            bearer(name.upper(), roles=["admin"], preferred_username=name),
            own[:-20] + own[-20:].swapcase(),
            *("", "none", own + "." + own, own * 2),
        )
        with scene.entrance.enter(name) as raw:
            count += again(raw) + len(wrong) + 1
            for token in wrong:
                refused(raw.ask("refresh", 1, token=token), "bad_token")
            refused(raw.ask("password", 1, **TRIED[ChangePassword]), "forbidden")
            powerless(raw, name)
            raw.leave()
    return count


@attack("passwords of others", setting="accounts", bounds=Bounds(lines=LOGGED))
def passwords(scene: Scene) -> int:
    """`password` and `login` with another's name, a wrong password, or forged fields: an account stays its owner's."""
    count = 0
    for _ in range(scene.count(10, 2)):
        owner, thief = f"owner {next(NUMBERS)}", f"thief {next(NUMBERS)}"
        with scene.entrance.enter(owner) as victim, scene.entrance.enter(thief) as raw:
            count += again(raw) + 6
            wrong = {"password": "not the password", "new_password": "another horse"}
            refused(raw.ask("password", 1, **wrong), "bad_credentials")
            refused(raw.ask("password", 1, **wrong, username=owner, user=owner, sub=owner), "bad_credentials")
            refused(raw.ask("refresh", 1, token=bearer(owner)), "forbidden")
            forged = {"password": PASSWORD, "new_password": "the thief's horse", "username": owner, "user": owner}
            if (ack := raw.ask("password", 1, **forged))["type"] != "ack":
                raise Broken(f"{thief} may change its own password, and was answered {ack}")
            for password in ("the thief's horse", "another horse"):
                answer, _ = scene.entrance.refused({"type": "login", "username": owner, "password": password})
                refused(answer, "bad_credentials")
            login = {"type": "login", "username": owner, "password": PASSWORD}
            scene.entrance.greet(login).leave()
            for one, name in ((victim, owner), (raw, thief)):
                powerless(one, name)
                one.leave()
    return count
