"""Any bytes at all: the server says what is wrong, and stays up for the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.benchmarks.framing import TEXT

from .client import Client, join
from .process import Server
from .raw import RawClient

LATER = ["dance", "kickoff"]


@pytest.fixture
def alice(shared: Server) -> Iterator[Client]:
    """Somebody who behaves badly, but can be told."""
    with join(shared, "alice") as client:
        yield client
        assert client.ask("ping")["type"] == "pong"


@pytest.mark.parametrize(
    ("frame", "code", "names"),
    [
        ("", "bad_json", ""),
        ("{", "bad_json", ""),
        ('{"type": "ping", "a": ' + "[" * 100_000, "bad_json", ""),
        ("[]", "bad_message", "object"),
        ("5", "bad_message", "object"),
        ("{}", "bad_message", "type"),
        ('{"type": 5}', "bad_message", "type"),
        ('{"type": "dance"}', "unknown_type", ""),
        ('{"type": "message"}', "bad_message", "content"),
        ('{"type": "message", "content": ""}', "bad_message", "content"),
        ('{"type": "message", "content": 5}', "bad_message", "content"),
        ('{"type": "message", "content": "text", "room": []}', "bad_message", "room"),
        ('{"type": "message", "content": "text", "key": ""}', "bad_message", "key"),
        ('{"type": "private", "content": "text"}', "bad_message", "to"),
        ('{"type": "typing"}', "bad_message", "room"),
        ('{"type": "join", "room": "a", "after": {"epoch": "e", "seq": -1}}', "bad_message", "seq"),
        ('{"type": "history", "room": "general", "limit": 201}', "bad_message", "limit"),
        ('{"type": "message", "content": "text", "room": "#a"}', "bad_room", ""),
    ],
)
def test_bad_frame_is_an_error_that_names_the_field(alice: Client, frame: str, code: str, names: str) -> None:
    alice.ws.send(frame)
    error = alice.until("error")
    assert error["code"] == code
    assert names in error["content"]
    assert "Username" not in error["content"]


@pytest.mark.parametrize("bad", ["", "a" * 65, -1, 2**53, 1.5, True, [], {}])
def test_bad_id_is_an_error_without_one(alice: Client, bad: object) -> None:
    alice.ws.send(json.dumps({"type": "ping", "id": bad}))
    error = alice.until("error")
    assert (error["code"], "id" in error) == ("bad_message", False)
    assert "id" in error["content"]


@pytest.mark.parametrize("kind", LATER)
def test_unknown_type_is_answered_under_its_id(alice: Client, kind: str) -> None:
    assert alice.ask(kind)["code"] == "unknown_type"


def test_unknown_fields_are_ignored(alice: Client) -> None:
    assert alice.ask("ping", colour="blue", mood=["sunny"])["type"] == "pong"


def test_content_that_is_too_large_is_refused(start: Callable[..., Server]) -> None:
    server = start("--content-chars", "10", "--max-message-bytes", "8192")
    with join(server, "alice") as alice:
        assert alice.ask("message", content="0123456789x")["code"] == "too_large"
        assert alice.ask("message", content="0123456789")["type"] == "ack"


def test_binary_frame_is_an_error_and_1003(shared: Server, modern: bool) -> None:
    with join(shared, "alice", modern=modern) as alice:
        alice.ws.send(b'{"type": "ping"}')
        frames, code = alice.to_the_end()
        assert [frame["code"] for frame in frames if frame["type"] == "error"] == ["unsupported_data"]
        assert code == 1003


@pytest.mark.parametrize("excess", [1, 1_000_000], ids=["a byte", "a megabyte"])
def test_oversize_frame_is_an_error_and_1009(start: Callable[..., Server], excess: int) -> None:
    """And both can be read, though the client is still sending."""
    server = start("--max-message-bytes", "8192", "--outbox-bytes", "32768")
    with join(server, "alice") as alice, join(server, "bob", modern=False) as bob:
        with suppress(ConnectionClosed):  # cut while it was sending; what it got is read all the same
            alice.ws.send("x" * (8192 + excess))
        frames, code = alice.to_the_end()
        assert [frame["code"] for frame in frames if frame["type"] == "error"] == ["too_large"]
        assert code == 1009
        assert bob.ask("ping")["type"] == "pong"


def test_message_of_fragments_counts_as_one(start: Callable[..., Server]) -> None:
    server = start("--max-message-bytes", "8192")
    with join(server, "alice") as alice:
        alice.ws.send(['{"type": "message", ', '"content": "in ', 'pieces"}'])
        assert alice.until("message")["content"] == "in pieces"
        with pytest.raises(ConnectionClosed):
            alice.ws.send("x" * 1000 for _ in range(100_000))
        frames, code = alice.to_the_end()
        assert [frame["code"] for frame in frames if frame["type"] == "error"] == ["too_large"]
        assert code == 1009


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x82\0\0\0\0\xff\xff", 1007),  # no UTF-8
        (b"\x81\x02{}", 1002),  # not masked
        (b"\xc1\x82\0\0\0\0{}", 1002),  # a reserved bit
        (b"\x83\x82\0\0\0\0{}", 1002),  # no such opcode
        (b"\x89\xfe\0\x7e" + bytes(4 + 126), 1002),  # a ping of more than 125 bytes
    ],
)
def test_broken_framing_is_closed_with_its_code(shared: Server, data: bytes, code: int) -> None:
    with RawClient(shared, "broken") as client:
        client.sock.sendall(data)
        assert client.closed() == code


def test_twentieth_malformed_frame_is_the_last(shared: Server, modern: bool) -> None:
    with join(shared, "alice", modern=modern) as alice:
        for _ in range(19):
            alice.ws.send("{")
        assert alice.ask("ping")["type"] == "pong"  # a valid one between: the count starts anew
        for bad in ("{", "[]", '{"type": "dance"}') * 7:
            alice.ws.send(bad)
        frames, code = alice.to_the_end()
        assert len([frame for frame in frames if frame["type"] == "error"]) == 20
        assert code == 4508


def test_too_fast_is_refused_and_then_a_flood(start: Callable[..., Server]) -> None:
    server = start(
        *("--messages-per-second", "0.01", "--messages-burst", "5", "--frames-per-second", "100000"),
    )
    with join(server, "alice") as alice:
        for number in range(5 + 100 + 1):
            alice.send("ping", id=number)
        frames, code = alice.to_the_end()

        answers = [frame for frame in frames if "id" in frame]
        assert [frame["id"] for frame in answers] == list(range(105)), "exactly one answer to each"
        assert [frame["type"] for frame in answers] == ["pong"] * 5 + ["error"] * 100
        assert {frame["code"] for frame in answers[5:]} == {"rate_limited"}
        assert all(0 < frame["retry_after"] <= 100 for frame in answers[5:])
        assert code == 4005


def test_raw_frames_over_budget_only_pause_the_reading(start: Callable[..., Server]) -> None:
    """For less than five seconds: all of them are answered, none is lost."""
    server = start("--frames-per-second", "50", "--messages-burst", "1000")
    with join(server, "alice") as alice:
        for number in range(80):
            alice.send("ping", id=number)
        pongs = [frame["id"] for frame in alice.up_to("pong", id=79) if frame["type"] == "pong"]
        assert pongs == list(range(80))


def test_ping_is_answered_in_kind(shared: Server) -> None:
    with RawClient(shared, "pinger") as client:
        client.sock.sendall(b"\x89\x85\0\0\0\0hello")
        while True:
            opcode, payload = client.frame()
            if opcode != TEXT:
                break
        assert (opcode, payload) == (10, b"hello")
