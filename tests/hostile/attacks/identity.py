"""Tokens, tickets and keys that are forged, guessed or used again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from urllib.parse import quote

from tests.benchmarks.framing import TEXT

from ..scene import Scene, attack
from ..swarm import Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, Raw, frame, upgrade
from .frames import LOGGED

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


def forgeries(true: str, rng: Random) -> Iterator[str]:
    """Texts that are nearly a true one, or that a lookup might fall for."""
    for at in range(len(true)):
        yield true[:at] + rng.choice(ALPHABET.replace(true[at], "")) + true[at + 1 :]
    for _ in range(50):
        yield "".join(rng.choice(ALPHABET) for _ in true)
    yield from (true[:-1], true[1:], true + "A", true + "=", true + "\0", " " + true, true + " ", true.swapcase())
    yield from (true * 2, "", "0", "null", "%", "*", "' OR 1=1 --", "../../etc/passwd", "é" * 100, "A" * 16_000)


@attack("forged resume tokens", bounds=Bounds(lines=LOGGED))
def forged_tokens(scene: Scene) -> int:
    """Tokens that are a character off, random, of another type, or of a session that ended: nobody's session is got."""
    count = 0
    with Raw(scene.port, "victim") as victim:
        victim.ask("join", room="of the victim")
        true = victim.welcome["session"]
        for _ in range(scene.count(10, 1)):
            for forged in forgeries(true, scene.rng):
                count += 1
                with Raw(scene.port) as raw:
                    _connect(raw, {"session": forged, "rooms": {"of the victim": {"epoch": "e", "seq": 0}}})
                    event = raw.receive()
                    _is_nobody(event, forged, true)
                    raw.leave()
            for wrong in (None, [], {}, 5, True, [true], {"$ne": ""}):
                count += 1
                with Raw(scene.port) as raw:
                    _connect(raw, {"session": wrong, "rooms": {}})
                    events, code = raw.to_the_end()
                    if code != 4501 or [event.get("code") for event in events] != ["bad_message"]:
                        raise Broken(f"the token {wrong!r} was answered {events}, {code}")
        if victim.ask("ping")["type"] != "pong":
            raise Broken("the victim lost its session")
        victim.leave()
    with Raw(scene.port) as raw:
        _connect(raw, {"session": true, "rooms": {}})
        _is_nobody(raw.receive(), true, true)
    return count + 1


def _connect(raw: Raw, resume: object) -> None:
    raw.push(frame(TEXT, json.dumps({"type": "connect", "username": "thief", "resume": resume}).encode()))


def _is_nobody(event: dict[str, object], forged: str, true: str) -> None:
    if event.get("code") in ("bad_message", "bad_token"):
        return
    if event.get("resumed") is not False or event["user"] != "thief" or event["session"] == true:
        raise Broken(f"the token {forged!r} of {true!r} was answered {event}")


@attack("forged tickets", setting="guarded", bounds=Bounds(lines=0.1, more_lines=50))
def forged_tickets(scene: Scene) -> int:
    """Tickets a character off, random or cut, from an address that is banned: 403 or 429; the true one passes."""
    source = "127.0.0.8"
    with Raw(scene.port, "ticket holder", source=source) as holder:
        true = holder.welcome["ticket"]
        Swarm(scene.port, patience=0.5).run(Dial(upgrade(), source, "") for _ in range(60))
        dials = [
            Dial(upgrade(f"?ticket={quote(forged)}"), source)
            for forged in forgeries(true, scene.rng)
            if len(forged) < 10_000
        ]
        for one in Swarm(scene.port).run(dials):
            if one.status not in (403, 429):
                raise Broken(f"from a banned address, {one.data[:200]!r} was answered {one.received[:40]!r}")
        returned = Swarm(scene.port, patience=0.5).run([Dial(upgrade(f"?ticket={quote(true)}"), source)])
        if returned[0].status != 101:
            raise Broken(f"from a banned address, the true ticket was answered {returned[0].received[:40]!r}")
        holder.leave()
    return 60 + len(dials)


@attack("keys used again", bounds=Bounds(lines=LOGGED))
def keys_again(scene: Scene) -> int:
    """A message sent again and again with its key, over a resumed connection too: it is in the log once."""
    count = 0
    for n in range(scene.count(50, 3)):
        name, room = f"repeater {n}", f"repeated {n}"
        fields = {"room": room, "content": "only once", "key": "k"}
        with Raw(scene.port, name) as raw:
            seqs = {raw.ask("message", number, **fields)["seq"] for number in range(40)}
            other = raw.ask("message", 50, **(fields | {"content": "another"}))
            token = raw.welcome["session"]
        with Raw(scene.port, name, resume={"session": token, "rooms": {}}) as raw:
            seqs |= {raw.ask("message", number, **fields)["seq"] for number in range(40)}
            entries = raw.ask("history", 51, room=room, limit=50)["entries"]
            raw.leave()
        if seqs != {1} or other.get("code") != "key_reused" or len(entries) != 1:
            raise Broken(f"a key that was used again: {seqs}, {other}, {entries}")
        count += 81
    return count
