"""Hypothesis strategies: of steps, of whole plans, and of frames good, nearly good, and hostile.

They are public: `plans()` is what `trio-chat fuzz` runs, and the others serve whoever tests a server or client of the
protocol in their own way. The nearly good frames are made of the published schema, so a new command is fuzzed at once.

- `commands()`: valid frames, as dicts, of every command or of one `kind`.
- `malformed()`: `Malformed` steps, each a text with the error code that it must be answered with.
- `raw_bytes()`: `Bytes` steps, each with the close codes that may follow (none: the connection lives on).
- `chunkings()`: where to cut: thousandths of the bytes; negative ones begin a new WebSocket fragment.
- `steps(profile)`, `plans(profile)`: what people do, weighted by a `Profile`.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import strategies as st

from trio_chat.core.messages import COMMANDS, Command
from trio_chat.fuzz import steps as s
from trio_chat.fuzz.wire import BINARY, CONTINUATION, PING, PONG, TEXT, closing, encode
from trio_chat.schema import Field, fields_of

FIRST_FRAMES = ("connect", "register", "login")
BY_TYPE: dict[str, type[Command]] = {command.type: command for command in COMMANDS}
BUILT = [command for command in COMMANDS if command.type not in (*FIRST_FRAMES, "refresh", "password")]
HOLE = "?"  # as an id: the run puts its own there


@attrs.frozen
class Profile:
    """How plans are made: of how many steps at most, and how many of a hundred are hostile or long bursts."""

    length: int = 24
    hostile: int = 10
    bursts: int = 4


PROFILES = {
    "quick": Profile(length=16, hostile=8, bursts=2),
    "normal": Profile(),
    "deep": Profile(length=60, hostile=10, bursts=6),
    "hostile": Profile(length=24, hostile=70, bursts=2),
    "polite": Profile(length=30, hostile=0, bursts=6),
}


# --- Frames -----------------------------------------------------------------------------------------------------------


def names() -> st.SearchStrategy[str]:
    """Names that are valid, in several scripts."""
    return st.sampled_from(["ann", "Žofie", "李雷", "anna maria", "a", "x_y-z.0", "b" * 32])


def contents() -> st.SearchStrategy[str]:
    """Contents that are valid: anything but nothing, and halves of surrogate pairs."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def ids() -> st.SearchStrategy[str | int]:
    """Values that an `id` may have."""
    return st.integers(0, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)


@st.composite
def commands(draw: st.DrawFn, kind: str | None = None) -> dict[str, Any]:
    """A valid frame of a command, without an `id`; of `kind`, or of any that one may send behind `welcome`."""
    command = BY_TYPE[kind] if kind is not None else draw(st.sampled_from(BUILT))
    fields = [field for field in fields_of(command) if field.name != "id"]
    frame: dict[str, Any] = {"type": command.type}
    for field in fields:
        if field.required or draw(st.booleans()):
            frame[field.name] = draw(_value(field))
    if command.type == "typing":
        frame.pop(draw(st.sampled_from(["to", "room"])), None)
        if "to" not in frame and "room" not in frame:
            frame["room"] = "general"
    if command.type == "history" and "before" in frame:
        frame.pop("after", None)
    if command.type == "room" and len(frame) == 2:
        frame["receipts"] = True
    return frame


def _value(field: Field) -> st.SearchStrategy[Any]:
    schema = field.schema
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "string":
            if field.name in ("room", "to", "user", "username"):
                return names()
            if field.name == "emoji":
                return st.sampled_from(["👍", "🧑‍🚀", "ok", "+1"])
            if field.name == "content":
                return contents()
            return st.text("abc xyz", min_size=1, max_size=schema.get("maxLength", 64)).map(lambda text: text or "a")
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 2**53 - 1))
        case "number":
            return st.integers(int(schema.get("minimum", 0)), int(schema.get("maximum", 86_400)))
        case "boolean":
            return st.booleans()
        case _:
            if field.name == "resume":
                return st.just({"session": "none", "rooms": {}})
            return st.fixed_dictionaries({"epoch": st.just("none"), "seq": st.integers(0, 9)})


_WRONG: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from([0, 1.5, True, [], {}, ["a"]]),
    "integer": st.sampled_from(["1", 1.5, True, [], {}, "one"]),
    "number": st.sampled_from(["1", True, [], {}]),
    "boolean": st.sampled_from([0, 1, "true", [], {}]),
    "object": st.sampled_from([0, "none", True, [], ["epoch", 1]]),
}


@st.composite
def nearly_good(draw: st.DrawFn) -> dict[str, Any]:
    """A frame of which one field is wrong: left out, of another type, or out of its bounds. It is `bad_message`."""
    command = draw(st.sampled_from([one for one in BUILT if len(fields_of(one)) > 1]))
    frame = draw(commands(command.type))
    fields = [one for one in fields_of(command) if one.name != "id"]
    field = draw(st.sampled_from(fields))
    ways = ["type"]
    if field.required:
        ways.append("missing")
    if {"minLength", "maxLength", "minimum", "maximum", "enum"} & set(field.schema):
        ways += ["bounds", "bounds"]
    match draw(st.sampled_from(ways)):
        case "missing":
            frame.pop(field.name, None)
        case "bounds":
            frame[field.name] = draw(_beyond(field.schema))
        case _:
            frame[field.name] = draw(_WRONG[field.schema.get("type", "object")])
    return frame


def _beyond(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    found: list[Any] = []
    if "enum" in schema:
        found.append("no such word")
    if schema.get("minLength"):
        found.append("")
    if "maxLength" in schema:
        found.append("a" * (schema["maxLength"] + 1))
    if "minimum" in schema:
        found.append(schema["minimum"] - 1)
    if "maximum" in schema:
        found.append(schema["maximum"] + 1)
    return st.sampled_from(found)


_TYPELESS: list[dict[str, Any]] = [{}, {"type": 1}, {"type": None}, {"type": ["ping"]}, {"content": "tea"}]


@st.composite
def malformed(draw: st.DrawFn) -> s.Malformed:
    """A text that is no valid message, with the code that it must be answered with."""
    times = draw(st.sampled_from([1, 1, 1, 1, 2, 19, 20]))
    match draw(st.integers(0, 6)):
        case 0:
            text = draw(
                st.sampled_from(["", "{", "nonsense", '{"type": "ping"', "{'type': 'ping'}", "[1,", "\x00", "NaN"])
            )
            return s.Malformed(text=text, code="bad_json", times=times)
        case 1:
            text = draw(
                st.sampled_from(["[]", "1", "null", '"ping"', "true", '[{"type": "ping"}]', "[" * 40 + "]" * 40])
            )
            return s.Malformed(text=text, code="bad_message", times=times)
        case 2:
            wrong = draw(st.sampled_from([[], {}, "", "a" * 65, -1, 2**53, 1.5, True]))
            text = json.dumps({"type": "ping", "id": wrong})
            return s.Malformed(text=text, code="bad_message", times=times)
        case 3:
            kind = draw(st.sampled_from(["", "Ping", "pong", "welcome", "ack", "messages", "a" * 1000]))
            return s.Malformed(
                text=json.dumps({"type": kind, "id": HOLE}), code="unknown_type", answered=True, times=times
            )
        case 4:
            frame = draw(st.sampled_from(_TYPELESS))
            text = json.dumps({**frame, "id": HOLE})
            return s.Malformed(text=text, code="bad_message", answered=True, times=times)
        case _:
            text = json.dumps({**draw(nearly_good()), "id": HOLE})
            return s.Malformed(text=text, code="bad_message", answered=True, times=times)


# --- Bytes ------------------------------------------------------------------------------------------------------------


def chunkings() -> st.SearchStrategy[s.Chunks]:
    """Where a frame is cut: mostly nowhere; else into pieces of the stream, into fragments, or both."""
    place = st.integers(1, 999)
    cut = st.lists(place | place.map(lambda number: -number), min_size=1, max_size=5).map(
        lambda found: tuple(sorted(found))
    )
    return st.just(()) | st.just(()) | st.just(()) | cut | st.just(tuple(range(50, 1000, 50)))


_PROTOCOL = (1002,)
_RAW: list[tuple[bytes, tuple[int, ...]]] = [
    (encode(BINARY, b"{}"), (1003,)),
    (encode(BINARY, b""), (1003,)),
    (encode(TEXT, b'{"type": "ping\xff"}'), (1007,)),
    (encode(TEXT, b"\xed\xa0\x80"), (1007,)),
    (encode(TEXT, b"\xc0\x80"), (1007,)),
    (encode(TEXT, b"{}", rsv=4), _PROTOCOL),
    (encode(TEXT, b"{}", rsv=1), _PROTOCOL),
    (encode(TEXT, b"{}", mask=False), _PROTOCOL),
    (encode(3), _PROTOCOL),
    (encode(11), _PROTOCOL),
    (encode(PING, b"x" * 126), _PROTOCOL),
    (encode(PING, b"x", fin=False), _PROTOCOL),
    (encode(CONTINUATION, b"{}"), _PROTOCOL),
    (encode(TEXT, b"{", fin=False) + encode(TEXT, b"}"), _PROTOCOL),
    (encode(8, b"\x03"), _PROTOCOL),
    (encode(8, closing(1005)), _PROTOCOL),
    (encode(8, closing(999)), _PROTOCOL),
    (encode(8, closing(1000) + b"\xff"), (1007, 1002)),
    (encode(TEXT, b"{", size=1 << 62), (1009,)),
    (encode(TEXT, b"{", size=1 << 40), (1009,)),
    (encode(PING, b"hello"), ()),
    (encode(PONG, b"nobody asked"), ()),
    (encode(PING), ()),
    (encode(TEXT, b'{"type": ', fin=False) + encode(PING) + encode(CONTINUATION, b'"nonsense"}'), ()),
    (encode(TEXT, b"", fin=False) + encode(CONTINUATION, b"", fin=False) + encode(CONTINUATION, b"nonsense"), ()),
]


def raw_bytes() -> st.SearchStrategy[s.Bytes]:
    """Bytes that no client sends, and which closes may follow."""
    return st.builds(
        lambda client, one, chunks: s.Bytes(client=client, data=one[0].hex(), closes=one[1], chunks=chunks),
        clients(),
        st.sampled_from(_RAW),
        chunkings().map(lambda found: tuple(abs(place) for place in found)),
    )


_UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
_KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
_KNOCKS: list[tuple[str, tuple[int, ...]]] = [
    (f"GET /nowhere HTTP/1.1\r\nHost: HOST\r\n{_UPGRADE}{_KEY}\r\n", (404,)),
    (f"POST /ws HTTP/1.1\r\nHost: HOST\r\n{_UPGRADE}{_KEY}\r\n", (405,)),
    ("GET /ws HTTP/1.1\r\nHost: HOST\r\n\r\n", (426,)),
    (f"GET /ws HTTP/1.1\r\nHost: HOST\r\n{_UPGRADE}{_KEY}Sec-WebSocket-Protocol: other\r\n\r\n", (400,)),
    (f"GET /ws HTTP/1.1\r\nHost: HOST\r\n{_UPGRADE}\r\n", (400, 426)),
    ("nonsense\r\n\r\n", (400,)),
    ("GET /ws HTTP/1.1\r\nno colon\r\n\r\n", (400,)),
    (f"GET /ws HTTP/1.1\r\nHost: HOST\r\nX-Long: {'x' * 17_000}\r\n\r\n", (431,)),
]
_FIRST: list[tuple[str, str, int]] = [
    ("nonsense", "bad_json", 4501),
    ("[]", "bad_message", 4501),
    ('{"type": "connect", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": 1, "id": "?"}', "bad_message", 4501),
    ('{"type": "connect", "username": "", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": "@ann", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": "#ann", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": " ann", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": "an  na", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": "%s", "id": "?"}' % ("q" * 33), "bad_username", 4501),
    ('{"type": "connect", "username": "a\\u202eb", "id": "?"}', "bad_username", 4501),
    ('{"type": "connect", "username": "a\\u200bb", "id": "?"}', "bad_username", 4501),
    ('{"type": "message", "content": "too early", "id": "?"}', "not_connected", 4501),
    ('{"type": "ping", "id": "?"}', "not_connected", 4501),
    ('{"type": "nonsense", "id": "?"}', "unknown_type", 4501),
]


# --- Steps ------------------------------------------------------------------------------------------------------------


def clients() -> st.SearchStrategy[int]:
    """Numbers of clients, the first ones more often."""
    return st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 3])


def _rooms() -> st.SearchStrategy[int]:
    return st.sampled_from([1] * 8 + [2] * 3 + [0] + [s.ROOMS, s.ROOMS + 1, s.ROOMS + 2])


def _build(kind: type[s.Step], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    extra = st.sampled_from([False, False, False, False, False, True])
    return st.builds(kind, client=clients(), chunks=chunkings(), extra=extra, **fields)


def steps(profile: Profile) -> st.SearchStrategy[s.AnyStep]:
    """One step, of whatever kind."""
    room, nth, word = _rooms(), st.sampled_from([0, 0, 1, 2, 5]), st.integers(0, 5)
    times = st.sampled_from([1, 1, 1, 2, 3, 7])
    owner = st.sampled_from([True, True, False])
    verb = st.sampled_from(
        ["ban", "ban", "ban", "mute", "mute", "kick", "promote", "promote", "unban", "unmute", "demote"]
    )
    users = st.sampled_from([0, 1, 1, 2, 2, 3])
    key = st.sampled_from([0, 0, 1, 2])
    friendly: list[st.SearchStrategy[Any]] = [
        _build(s.Say, room=room, times=times, key=key, word=word, reply=st.sampled_from([0, 0, 1, 2, -1])),
        _build(s.Say, room=st.just(1), word=word, key=key),
        _build(s.Together, room=room, times=times),
        _build(s.Tell, to=users, key=key, word=word),
        _build(s.Enter, room=room, back=st.sampled_from([None, None, 0, 1, 3, -1])),
        _build(s.Enter, room=st.just(1), back=st.sampled_from([None, None, 1])),
        _build(s.Leave, room=room),
        _build(s.Edit, room=room, nth=nth, word=word),
        _build(s.Delete, room=room, nth=nth),
        _build(s.React, room=room, nth=nth, emoji=st.integers(0, 2), remove=st.sampled_from([False, False, True])),
        _build(s.MarkRead, room=room, nth=st.sampled_from([0, 0, 1, -1])),
        _build(
            s.History,
            room=room,
            way=st.sampled_from(["newest", "newest", "before", "after"]),
            nth=nth,
            limit=st.sampled_from([0, 0, 1, 2, 200]),
        ),
        _build(s.Search, word=word),
        _build(s.SetTopic, room=room, word=word, owner=owner),
        _build(s.Judge, room=room, verb=verb, user=users, owner=owner),
        _build(s.Judge, room=st.just(1), verb=verb, user=users, owner=st.just(True)),
        _build(
            s.SetRoom,
            room=room,
            owner=owner,
            kind=st.sampled_from([None, "public", "private", "readonly"]),
            receipts=st.sampled_from([None, None, True, False]),
        ),
        _build(s.Invite, room=room, user=users, owner=owner),
        _build(s.Block, user=users, undo=st.booleans()),
        _build(s.Rooms, mine=st.sampled_from([True, True, False])),
        _build(s.Users, room=room),
        _build(s.Typing, room=room, stop=st.booleans()),
        _build(
            s.Drop, how=st.sampled_from(["away", "away", "done", "no code", "cut"]), words=st.sampled_from([0, 0, 2])
        ),
        _build(
            s.Resume,
            back=st.sampled_from([0, 0, 1, 3]),
            given=st.sampled_from(["all", "all", "none", "too far", "other epoch"]),
        ),
        _build(s.Fresh, name=st.sampled_from([None, None, 0, 1]), forged=st.booleans()),
        _build(s.Wait),
    ]
    hostile: list[st.SearchStrategy[Any]] = [
        st.builds(
            lambda one, client, chunks: _with(one, client=client, chunks=chunks), malformed(), clients(), chunkings()
        ),
        raw_bytes(),
        _build(s.Odd, what=st.sampled_from(["connect", "register", "login", "refresh", "password"])),
        st.builds(s.Huge, client=clients()),
        st.sampled_from(_FIRST).map(lambda one: s.FirstFrame(text=one[0], code=one[1], close=one[2])),
        st.sampled_from(_KNOCKS).map(lambda one: s.Knock(head=one[0], statuses=one[1])),
    ]
    long = _build(s.Say, room=st.just(1), times=st.sampled_from([40, s.MAX_BURST]))
    kinds = [
        (st.one_of(friendly), 100 - profile.hostile - profile.bursts),
        (st.one_of(hostile), profile.hostile),
        (long, profile.bursts),
    ]
    weights = [strategy for strategy, weight in kinds for _ in range(weight)]
    return st.sampled_from(weights).flatmap(lambda strategy: strategy)


def _with(step: s.Malformed, **changes: Any) -> s.Malformed:
    return s.Malformed(text=step.text, code=step.code, answered=step.answered, times=step.times, **changes)


def plans(profile: Profile) -> st.SearchStrategy[s.Plan]:
    """A whole run."""
    some = st.lists(steps(profile), min_size=profile.length // 2, max_size=profile.length).map(tuple)
    return st.builds(s.Plan, crowd=st.sampled_from([1, 2, 2, 3, 3, 4]), steps=some)
