"""Whole frames whose content is the attack."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tests.benchmarks.framing import TEXT

from ..scene import Scene, attack
from ..swarm import Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, Raw, frame, upgrade
from .frames import LOGGED

DEPTH = 100_000
LIMIT = 1 << 20  # bytes of a message


def deep() -> Iterator[bytes]:
    """JSON that is nested `DEPTH` deep: in an array, in objects, with an end and without one."""
    yield b"[" * DEPTH
    yield b"[" * DEPTH + b"]" * DEPTH
    yield b'{"type":' * DEPTH
    yield b'{"type": "ping", "a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}"
    yield b'{"type": "ping", "a": ' + b'{"a":' * DEPTH + b"1" + b"}" * DEPTH + b"}"
    yield b'{"type": "message", "content": ' + b"[" * DEPTH + b"]" * DEPTH + b"}"
    yield b'{"type": "join", "room": "r", "after": ' + b'{"epoch":' * DEPTH + b"1" + b"}" * DEPTH + b"}"
    yield b'[{"a":' * (DEPTH // 2)


@attack("deep JSON", bounds=Bounds(lines=LOGGED))
def deep_json(scene: Scene) -> int:
    """JSON that is nested 100,000 deep, in every place: an error each, and the twentieth is the last."""
    count = 0
    for n in range(scene.count(20, 3)):
        with Raw(scene.port, f"digger {n}") as raw:
            for one in deep():
                raw.push(frame(TEXT, one) + frame(TEXT, b'{"type": "ping", "id": 5}'))
                while (event := raw.receive()).get("id") != 5:
                    if event["type"] == "error" and event["code"] not in ("bad_json", "bad_message"):
                        raise Broken(f"deep JSON was answered {event}")
                count += 1
            for _ in range(20):
                raw.push(frame(TEXT, b"[" * DEPTH))
                count += 1
            if (code := raw.to_the_end()[1]) != 4508:
                raise Broken(f"the twentieth was closed with {code}")
    return count


ESCAPES = ("\\u0000", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\udc00\\ud800", "\\\\", '\\"', "\\/", "\\n", "\\u202e")


@attack("a megabyte of escapes", bounds=Bounds(lines=LOGGED))
def escapes(scene: Scene) -> int:
    """Messages of 1 MiB that are escapes wholly, each kind: each has its answer, and what is delivered is no larger."""
    count = 0
    for n in range(scene.count(20, 2)):
        with Raw(scene.port, f"escaper {n}") as raw:
            for number, escape in enumerate(ESCAPES):
                head, tail = f'{{"type":"message","room":"escapes","id":{number},"content":"', '"}'
                body = escape * ((LIMIT - len(head) - len(tail)) // len(escape))
                raw.push(frame(TEXT, f"{head}{body}{tail}".encode()))
                event = raw.receive()
                while event.get("id") != number and event.get("code") != "bad_json":
                    if len(json.dumps(event)) > 6 * LIMIT:
                        raise Broken(f"{escape} became a frame of {len(json.dumps(event))} characters")
                    event = raw.receive()
                count += 1
            raw.leave()
    return count


HIDDEN = (
    *range(0x200B, 0x2010),  # zero width, and marks of direction
    *range(0x202A, 0x202F),  # embeddings and overrides
    *range(0x2060, 0x2070),  # isolates, invisible operators
    *(0x00, 0x09, 0x0A, 0x0D, 0x1B, 0x7F, 0x85, 0xA0, 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x180E),
    *(0x2028, 0x2029, 0x3000, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xFFFC, 0xE0001, 0xE0041, 0xE0100),
)


@attack("hidden characters in names", bounds=Bounds(lines=LOGGED))
def hidden_names(scene: Scene) -> int:
    """Names of users and rooms with bidi, zero-width and control characters: refused, and never shown to anybody."""
    count = 0
    with Raw(scene.port, "reader of names") as watcher, Raw(scene.port, "namer") as namer:
        for code in HIDDEN:
            for name in (f"ali{chr(code)}ce", f"{chr(code)}alice", f"alice{chr(code)}"):
                if name.strip() == name.strip(chr(code)) and chr(code) in ("\u3000", "\xa0"):
                    continue  # a blank of another width is a blank, once normalised
                with Raw(scene.port) as raw:
                    raw.send(type="connect", username=name)
                    events, close = raw.to_the_end()
                    if close != 4501 or events[-1].get("code") != "bad_username":
                        raise Broken(f"the name {name!r} was answered {events}, {close}")
                answer = namer.ask("join", room=name)
                while answer.get("code") == "rate_limited":
                    time.sleep(answer["retry_after"])
                    answer = namer.ask("join", room=name)
                if answer.get("code") != "bad_room":
                    raise Broken(f"the room {name!r} was answered {answer}")
                count += 2
        watcher.send(type="users", room="general", id=2)
        shown = json.dumps(watcher.answer_to(2)["users"], ensure_ascii=False)
        for code in HIDDEN:
            if chr(code) in shown:
                raise Broken(f"U+{code:04X} is in the names that are shown: {shown}")
        namer.leave()
        watcher.leave()
    return count


@attack("hidden characters in other fields", bounds=Bounds(lines=LOGGED))
def hidden_elsewhere(scene: Scene) -> int:
    """The same, and lines of a log, in ids, keys, origins, tickets and reasons: nothing of it comes into the log."""
    forged = "\r\n2026-01-01 00:00:00,000 - INFO - admin connected"
    marked = "\x1b[2J\u202e" + forged
    count = scene.count(100, 20)
    for n in range(count):
        with Raw(scene.port, f"forger {n}") as raw:
            raw.send(type="ping", id=marked)
            raw.send(type="message", content=marked, room="forgeries", key=marked[:64])
            raw.send(type=marked)
            raw.send(type="private", to=marked, content="x")
            raw.send(type="typing", room=marked)
            raw.push(frame(8, (4000).to_bytes(2, "big") + marked.encode()))
            raw.to_the_end()
        with Raw(scene.port, query="?ticket=%0d%0a%1b[2J&ticket=") as raw:
            raw.push(frame(TEXT, json.dumps({"type": "connect", "username": forged, "token": marked}).encode()))
            raw.to_the_end()
    if b"admin connected" in scene.target.logged() or b"\x1b" in scene.target.logged():
        raise Broken("a client wrote a line of the log")
    return 2 * count


@attack("log lines by origin", setting="guarded", bounds=Bounds(lines=1.1))
def log_lines_by_origin(scene: Scene) -> int:
    """Origins of 15 KB, or in other scripts, which are logged as they are refused: short, and quoted."""
    origins = (
        "https://evil.example/" + "a" * 15_000,
        "https://\x85\xa0\xadevil",
        "https://evil\t\x80",
        "null",
        "é" * 99,
    )
    dials = [
        Dial(upgrade("", f"Origin: {origin}"), f"127.0.2.{n}")
        for n in range(scene.count(200, 40))
        for origin in origins
    ]
    for one in Swarm(scene.port).run(dials):
        if one.status not in (400, 403, 429):
            raise Broken(f"the origin {one.data[190:230]!r} was answered {one.received[:60]!r}")
    return len(dials)
