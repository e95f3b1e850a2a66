"""Bytes to commands and events to bytes: round trips, and what is wrong with all else."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.codec import HEADROOM, Decoder, encode, frame, json_size
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import (
    EVENTS,
    Ack,
    Deleted,
    Edited,
    Error,
    Event,
    HistoryPage,
    Hit,
    Pong,
    Posted,
    PrivatePosted,
    Reacted,
    ReadShown,
    RoomList,
    SearchResult,
    System,
    TypingShown,
    UserList,
    Welcome,
    type_of,
)
from trio_chat.core.messages import (
    COMMANDS,
    JUDGES,
    Bad,
    Ban,
    Block,
    ChangePassword,
    Command,
    Connect,
    Delete,
    Edit,
    Find,
    GetHistory,
    Invite,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    Login,
    MarkRead,
    Message,
    Mute,
    Ping,
    Position,
    Private,
    React,
    Refresh,
    Register,
    Resume,
    SetRoom,
    SetTopic,
    Typing,
    Unblock,
)
from trio_chat.core.rules import MAX_ID

DECODER = Decoder(content_chars=1000, message_bytes=HEADROOM + 4096)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SHORT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
IDS = st.none() | SHORT | st.integers(0, MAX_ID)
SEQS = st.integers(1, MAX_ID)
POSITIONS = st.builds(Position, epoch=TEXT, seq=st.integers(0, MAX_ID))
EMOJI = st.text(st.sampled_from([*"+👍🏽❤️🇩🇪a"]), max_size=15).map("+".__add__)
TOPICS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\u202a\u202b\u202c\u202d\u202e"),
    max_size=250,
)
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=20)
CONTENTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


COMMAND_OF: dict[type[Command], st.SearchStrategy[Command]] = {
    Connect: st.builds(
        Connect, id=IDS, username=maybe(TEXT), token=maybe(TEXT),
        resume=maybe(st.builds(Resume, session=TEXT, rooms=st.dictionaries(TEXT, POSITIONS, max_size=3))),
    ),
    Register: st.builds(Register, id=IDS, username=TEXT, password=SECRETS),
    Login: st.builds(Login, id=IDS, username=TEXT, password=SECRETS),
    Refresh: st.builds(Refresh, id=IDS, token=TEXT),
    ChangePassword: st.builds(ChangePassword, id=IDS, password=SECRETS, new_password=SECRETS),
    Message: st.builds(Message, id=IDS, content=CONTENTS, room=TEXT, key=maybe(SHORT), reply_to=maybe(SEQS)),
    Private: st.builds(Private, id=IDS, to=TEXT, content=CONTENTS, key=maybe(SHORT), reply_to=maybe(SEQS)),
    Ping: st.builds(Ping, id=IDS),
    Typing: st.one_of(
        st.builds(Typing, id=IDS, to=TEXT, isTyping=st.booleans()),
        st.builds(Typing, id=IDS, room=TEXT, isTyping=st.booleans()),
    ),
    Join: st.builds(Join, id=IDS, room=TEXT, after=maybe(POSITIONS)),
    Leave: st.builds(Leave, id=IDS, room=TEXT),
    GetHistory: st.one_of(
        st.builds(GetHistory, id=IDS, room=TEXT, before=maybe(SEQS), limit=st.integers(1, 200)),
        st.builds(GetHistory, id=IDS, room=TEXT, after=maybe(st.integers(0, MAX_ID)), limit=st.integers(1, 200)),
    ),
    Find: st.builds(
        Find, id=IDS, query=SHORT, room=maybe(TEXT), limit=st.integers(1, 200), cursor=maybe(SHORT)
    ),
    Edit: st.builds(Edit, id=IDS, room=TEXT, seq=SEQS, content=CONTENTS),
    Delete: st.builds(Delete, id=IDS, room=TEXT, seq=SEQS),
    React: st.builds(React, id=IDS, room=TEXT, seq=SEQS, emoji=EMOJI, remove=st.booleans()),
    MarkRead: st.builds(MarkRead, id=IDS, room=TEXT, seq=SEQS),
    SetTopic: st.builds(SetTopic, id=IDS, room=TEXT, topic=TOPICS),
    **{judge: st.builds(judge, id=IDS, room=TEXT, user=TEXT, reason=TOPICS) for judge in JUDGES},
    **{
        judge: st.builds(judge, id=IDS, room=TEXT, user=TEXT, reason=TOPICS, duration=maybe(st.floats(1, 1e6)))
        for judge in (Mute, Ban)
    },
    SetRoom: st.builds(
        SetRoom, id=IDS, room=TEXT, kind=st.sampled_from(["public", "private", "readonly"]),
        slow_mode=maybe(st.floats(0, 86_400)), receipts=maybe(st.booleans()),
    ),
    Invite: st.builds(Invite, id=IDS, room=TEXT, user=TEXT),
    Block: st.builds(Block, id=IDS, user=TEXT),
    Unblock: st.builds(Unblock, id=IDS, user=TEXT),
    ListRooms: st.builds(ListRooms, id=IDS, mine=st.booleans(), limit=st.integers(1, 200), cursor=maybe(SHORT)),
    ListUsers: st.builds(ListUsers, id=IDS, room=TEXT, limit=st.integers(1, 200), cursor=maybe(SHORT)),
}  # fmt: skip
NUMBERS = st.integers(0, MAX_ID)
FLOATS = st.floats(0, 1e6)
REACTIONS = maybe(
    st.dictionaries(EMOJI, st.fixed_dictionaries({"count": NUMBERS, "users": st.lists(TEXT, max_size=2)}))
)
POSTED = st.builds(
    Posted, content=CONTENTS, sender=TEXT, room=TEXT, timestamp=TEXT, seq=SEQS, reply_to=maybe(SEQS),
    edited=maybe(TEXT), reactions=REACTIONS,
)  # fmt: skip
PRIVATE_POSTED = st.builds(
    PrivatePosted, from_=TEXT, sender=TEXT, to=TEXT, content=CONTENTS, timestamp=TEXT, seq=SEQS, epoch=TEXT,
    reply_to=maybe(SEQS), edited=maybe(TEXT), reactions=REACTIONS,
)  # fmt: skip
REFERS = {"room": TEXT, "seq": SEQS, "of": SEQS, "sender": TEXT, "timestamp": TEXT}
EDITED = st.builds(Edited, content=maybe(CONTENTS), **REFERS)
DELETED = st.builds(Deleted, **REFERS)
REACTED = st.builds(Reacted, emoji=EMOJI, remove=maybe(st.just(True)), **REFERS)
ENTRIES = POSTED | PRIVATE_POSTED | EDITED | DELETED | REACTED
EVENT_OF: dict[type[Event], st.SearchStrategy[Event]] = {
    System: st.builds(
        System, content=TEXT, event=TEXT, timestamp=TEXT, room=maybe(TEXT), users=maybe(st.lists(TEXT, max_size=3)),
        count=maybe(NUMBERS), total=maybe(NUMBERS), epoch=maybe(TEXT), first=maybe(NUMBERS), last=maybe(NUMBERS),
        seq=maybe(SEQS), by=maybe(TEXT), topic=maybe(TEXT), action=maybe(TEXT), user=maybe(TEXT), until=maybe(TEXT),
        kind=maybe(TEXT), slow_mode=maybe(FLOATS), receipts=maybe(st.booleans()), code=maybe(NUMBERS),
        reason=maybe(TEXT), expires=maybe(TEXT), retry_after=maybe(FLOATS), jitter=maybe(FLOATS),
    ),
    Welcome: st.builds(
        Welcome, content=TEXT, timestamp=TEXT, id=IDS, user=TEXT, session=TEXT, ticket=TEXT, server=TEXT,
        heartbeat=st.dictionaries(TEXT, FLOATS, max_size=2), reconnect=st.just({}), limits=st.just({}),
        resumed=st.booleans(), rooms=st.just([{"room": "general", "epoch": "e", "last": 1}]), more=maybe(st.just(True)),
    ),
    UserList: st.builds(
        UserList, id=IDS, users=st.lists(TEXT, max_size=3), timestamp=TEXT, room=TEXT, total=NUMBERS, cursor=maybe(TEXT)
    ),
    Posted: POSTED,
    PrivatePosted: PRIVATE_POSTED,
    Edited: EDITED,
    Deleted: DELETED,
    Reacted: REACTED,
    ReadShown: st.builds(ReadShown, room=TEXT, seq=SEQS, sender=TEXT, timestamp=TEXT),
    SearchResult: st.builds(
        SearchResult, id=IDS, cursor=maybe(TEXT),
        hits=st.lists(st.builds(Hit, room=TEXT, epoch=TEXT, entry=ENTRIES), max_size=3),
    ),
    Error: st.builds(Error, content=TEXT, code=TEXT, id=IDS, retry_after=maybe(FLOATS)),
    Pong: st.builds(Pong, timestamp=TEXT, id=IDS),
    TypingShown: st.builds(
        TypingShown, from_=TEXT, sender=TEXT, to=maybe(TEXT), room=maybe(TEXT), isTyping=st.booleans()
    ),
    Ack: st.builds(Ack, id=NUMBERS | SHORT, seq=maybe(SEQS), room=maybe(TEXT), epoch=maybe(TEXT), last=maybe(NUMBERS)),
    HistoryPage: st.builds(
        HistoryPage, id=IDS, room=TEXT, epoch=TEXT, entries=st.lists(ENTRIES, max_size=3),
        first=NUMBERS, last=NUMBERS, more=st.booleans(),
    ),
    RoomList: st.builds(RoomList, id=IDS, rooms=st.just([{"room": "r", "last": 0}]), cursor=maybe(TEXT)),
}  # fmt: skip


def vars_of(message: Any) -> list[tuple[str, Any]]:
    if isinstance(message, Event | Hit):
        return [(field.name, getattr(message, field.name)) for field in msgspec.structs.fields(message)]
    return [(field.name, getattr(message, field.name)) for field in attrs.fields(type(message))]


def written(value: Any) -> Any:
    """The obvious JSON of a message, made without the codec."""
    if isinstance(value, Command | Event | Position | Resume | Hit):
        fields = {name.rstrip("_"): written(item) for name, item in vars_of(value) if item is not None}
        if isinstance(value, Event):
            return {"type": type_of(type(value))} | fields
        return {"type": value.type} | fields if isinstance(value, Command) else fields
    if isinstance(value, list):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return value


def bad(frame: str | bytes) -> Bad:
    command = DECODER.decode(frame)
    assert isinstance(command, Bad), command
    return command


def test_every_message_has_a_strategy() -> None:
    assert set(COMMAND_OF) == set(COMMANDS)
    assert set(EVENT_OF) == set(EVENTS)


@given(command=st.one_of(*COMMAND_OF.values()), ascii_only=st.booleans(), data=st.data())
def test_every_command_is_understood(command: Command, ascii_only: bool, data: st.DataObject) -> None:
    """As text or as bytes, with escapes or without, whatever fields we don't know and in whatever order."""
    fields = [*list(written(command).items()), ("unheard_of", [{"type": 5, "id": {}}])]
    text = json.dumps(dict(data.draw(st.permutations(fields))), ensure_ascii=ascii_only)
    assert DECODER.decode(text) == command
    assert DECODER.decode(text.encode()) == command


@given(event=st.one_of(*EVENT_OF.values()))
def test_every_event_is_the_obvious_json(event: Event) -> None:
    assert json.loads(encode(event)) == written(event)


RAW = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=10,
    ).map(json.dumps),
)
MARK = "xyzzy"
FIELDS = [
    "type", "id", "username", "resume", "content", "room", "key", "reply_to", "to", "isTyping", "after", "before",
    "limit", "mine", "cursor", "session", "rooms", "epoch", "seq",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(MARK) | st.just(MARK * 300),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*FIELDS, MARK]), inner, max_size=3),
    max_leaves=6,
)
MUTATED = st.builds(
    lambda kind, fields: json.dumps(fields | {"type": kind}),
    st.sampled_from([command.type for command in COMMANDS] + [MARK]),
    st.dictionaries(st.sampled_from([*FIELDS, MARK]), VALUES, max_size=6),
)


@given(raw=RAW | MUTATED)
def test_nothing_raises_and_nothing_is_echoed(raw: str | bytes) -> None:
    command = DECODER.decode(raw)
    assert isinstance(command, (*COMMANDS, Bad))
    if isinstance(command, Bad):
        assert "Username" not in command.content
        assert MARK not in command.content
        assert len(command.content) < 200
        assert command.content.isprintable()


@given(command=st.one_of(*COMMAND_OF.values()), cut=st.integers(0, 400), junk=st.binary(max_size=4))
def test_a_broken_frame_raises_nothing(command: Command, cut: int, junk: bytes) -> None:
    whole = json.dumps(written(command), ensure_ascii=False).encode()
    cut = min(cut, len(whole))
    assert isinstance(DECODER.decode(whole[:cut] + junk + whole[cut:]), Command)
    assert isinstance(DECODER.decode(whole[:cut] + junk), Command)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "nope",
        '{"type": "ping"} x',
        b"\xff",
        b'{"type": "message", "content": "\xff"}',
        '{"type": "ping", "x": ' + "[" * 100_000,
        '{"type": "ping", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_bad_json(raw: str | bytes) -> None:
    assert bad(raw) == Bad(code=ErrorCode.BAD_JSON, content=ErrorCode.BAD_JSON.text)


@pytest.mark.parametrize(
    ("fields", "must"),
    [
        ({"type": 5}, "type must be a string"),
        ({}, "type must be a string"),
        ({"type": "message"}, "content must be given"),
        ({"type": "message", "content": 5}, "content must be a string"),
        ({"type": "message", "content": None}, "content must be a string"),
        ({"type": "message", "content": ""}, "content must be a string that is not empty"),
        ({"type": "message", "content": "a", "room": []}, "room must be a string"),
        ({"type": "message", "content": "a", "key": 5}, "key must be a string or null"),
        ({"type": "private", "content": "a"}, "to must be given"),
        ({"type": "typing"}, "to or room must be given, and not both"),
        ({"type": "room", "room": "r"}, "kind, slow_mode or receipts must be given"),
        ({"type": "room", "room": "r", "kind": "secret"}, "kind must be public, private or readonly"),
        ({"type": "room", "room": "r", "slow_mode": -1}, "slow_mode must be a number of seconds from 0 to 86400"),
        ({"type": "room", "room": "r", "slow_mode": "5"}, "slow_mode must be a number or null"),
        ({"type": "room", "room": "r", "receipts": 1}, "receipts must be true or false or null"),
        (
            {"type": "ban", "room": "r", "user": "u", "duration": 0},
            "duration must be a number of seconds from 1 to 315360000",
        ),
        ({"type": "kick", "room": "r"}, "user must be given"),
        (
            {"type": "kick", "room": "r", "user": "u", "reason": "a\nb"},
            "reason must be a string of at most 250 characters, without control characters and bidirectional overrides",
        ),
        ({"type": "join", "room": "r", "after": {"seq": 1}}, "epoch must be given"),
        ({"type": "join", "room": "r", "after": {"epoch": "e", "seq": "1"}}, "after.seq must be an integer"),
        ({"type": "connect", "resume": {"session": "s", "rooms": {MARK: 5}}}, "resume.rooms.* must be an object"),
        ({"type": "rooms", "mine": 1}, "mine must be true or false"),
        ({"type": "history", "room": "r", "limit": 10**30}, "limit must be an integer from 1 to 200"),
    ],
)
def test_bad_message_names_the_field(fields: dict[str, Any], must: str) -> None:
    assert bad(json.dumps(fields | {"id": 7})) == Bad(code=ErrorCode.BAD_MESSAGE, content=must, id=7)


def test_a_number_that_is_none_is_told_of_its_field() -> None:
    assert bad('{"type": "history", "room": "r", "limit": 1e999}').content == "limit must be valid"


@pytest.mark.parametrize("raw", ["[" * 1000, "[1,", '"connect', "nul"])
def test_what_is_neither_an_object_nor_json_is_no_json(raw: str) -> None:
    assert bad(raw).code is ErrorCode.BAD_JSON


def test_an_id_without_end_is_told_as_an_id() -> None:
    assert bad('{"type": "ping", "id": ' + "9" * 5000 + "}").content.startswith("id must be")


@pytest.mark.parametrize(("id", "told"), [(3, 3), (-3, None)])
def test_half_a_surrogate_is_grammatical_and_answered(id: int, told: int | None) -> None:
    """Browsers write it, where an emoji was cut in half."""
    answer = bad(f'{{"type": "message", "id": {id}, "content": "a\\ud800b"}}')
    assert (answer.code, answer.id) == (ErrorCode.BAD_MESSAGE, told)
    assert "surrogate" in answer.content


@pytest.mark.parametrize("raw", ['{"type": NaN, "id": 1}', '["\\ud800", NaN]'])
def test_a_number_that_is_none_is_no_json(raw: str) -> None:
    assert bad(raw) == Bad(code=ErrorCode.BAD_JSON, content=ErrorCode.BAD_JSON.text)


def test_half_a_surrogate_in_what_is_no_object() -> None:
    assert bad('["\\ud800"]').id is None


@pytest.mark.parametrize("raw", ["[]", "null", "5", '"connect"'])
def test_a_frame_is_an_object(raw: str) -> None:
    assert bad(raw) == Bad(code=ErrorCode.BAD_MESSAGE, content="The frame must be a JSON object")


@pytest.mark.parametrize("wrong", ["", "x" * 65, -1, 2**53, 1.5, True, [], {}])
def test_a_bad_id_is_not_answered_under(wrong: object) -> None:
    answer = bad(json.dumps({"type": "ping", "id": wrong}))
    assert answer.code is ErrorCode.BAD_MESSAGE
    assert answer.id is None
    assert answer.content.startswith("id must be")


def test_null_id_is_none() -> None:
    assert DECODER.decode('{"type": "ping", "id": null}') == Ping()


def test_unknown_type_is_not_echoed() -> None:
    assert bad('{"type": "Username", "id": 1}') == Bad(
        code=ErrorCode.UNKNOWN_TYPE, content=ErrorCode.UNKNOWN_TYPE.text, id=1
    )


@pytest.mark.parametrize("kind", ["dance", ""])
def test_what_is_not_built_is_unknown(kind: str) -> None:
    assert bad(json.dumps({"type": kind})).code is ErrorCode.UNKNOWN_TYPE


@pytest.mark.parametrize("char", ["a", "é", "😀", '"', "\x00"])
@pytest.mark.parametrize("kind", [{"type": "message"}, {"type": "private", "to": "b"}])
def test_size_of_a_content(char: str, kind: dict[str, str]) -> None:
    """By code points, and by the bytes that it takes as the JSON string which is sent."""

    def verdict(decoder: Decoder, content: str) -> ErrorCode | None:
        command = decoder.decode(json.dumps(kind | {"content": content, "id": 3}))
        if isinstance(command, Bad):
            assert command.id == 3
            return command.code
        return None

    by_chars = Decoder(content_chars=10, message_bytes=HEADROOM * 2)
    assert verdict(by_chars, char * 10) is None
    assert verdict(by_chars, char * 11) is ErrorCode.TOO_LARGE
    by_bytes = Decoder(content_chars=10_000, message_bytes=HEADROOM + 600)
    fitting = (600 - 2) // (json_size(char) - 2)
    assert verdict(by_bytes, char * fitting) is None
    assert verdict(by_bytes, char * (fitting + 1)) is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frame(size: int, head: bytes) -> None:
    payload = b"x" * size
    assert frame(payload) == head + payload
