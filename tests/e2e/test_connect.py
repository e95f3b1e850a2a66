"""Coming in: `connect`, names, and what goes wrong before `welcome`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from tests.benchmarks.framing import masked

from .client import Client, dial, join
from .process import Server
from .raw import UPGRADE, RawClient, open_socket
from .web import refused

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_welcome_says_all_that_a_client_needs(server: Server, modern: bool) -> None:
    with join(server, "alice", modern=modern, id="hello") as alice:
        welcome = alice.welcome

        assert alice.ws.subprotocol == ("chat" if modern else None)
        assert welcome["type"] == "system"
        assert welcome["content"] == "Welcome alice!"
        assert TIMESTAMP.fullmatch(welcome["timestamp"])
        assert (welcome["id"], welcome["user"], welcome["protocol"]) == ("hello", "alice", 1)
        assert welcome["resumed"] is False
        assert welcome["heartbeat"] == {"interval": 20, "timeout": 10}
        assert welcome["reconnect"].keys() == {"base", "max", "jitter"}
        assert welcome["limits"].keys() >= {"message_bytes", "content_chars", "rooms_per_user", "messages_per_second"}
        assert all(isinstance(welcome[name], str) and welcome[name] for name in ("session", "ticket", "server"))
        (general,) = welcome["rooms"]
        assert (general["room"], general["last"]) == ("general", 0)


def test_without_an_id_there_is_none_in_the_welcome(shared: Server, modern: bool) -> None:
    with join(shared, "nobody", modern=modern) as alice:
        assert "id" not in alice.welcome


def test_only_other_subprotocols_are_refused(shared: Server) -> None:
    assert refused(shared, **{"Sec-WebSocket-Protocol": "superchat"}) == (400, None)


def test_first_frame_may_come_with_the_request(shared: Server) -> None:
    """In one segment with its head."""
    with open_socket(shared) as sock:
        sock.sendall(UPGRADE + masked(b'{"type": "connect", "username": "eager"}'))
        received = b""
        while b"Welcome eager!" not in received:
            data = sock.recv(65536)
            assert data, received
            received += data


def test_name_of_a_live_user_is_taken(server: Server, modern: bool) -> None:
    """The holder answers the probe, so the newcomer hears it at once; what it says must make seed clients stop."""
    with join(server, "Alice") as alice, Client(server, dial(server, modern=modern)) as other:
        started = time.monotonic()
        other.send("connect", username="aLiCe", id=1)
        (error,), code = other.to_the_end()

        assert time.monotonic() - started < 1.5, "the probe was not answered"
        assert (error["type"], error["code"], error["id"]) == ("error", "username_taken", 1)
        assert error["content"].startswith("Username")
        assert code == 4502
        assert alice.ask("ping")["type"] == "pong"


def test_name_of_a_silent_user_is_taken_over(server: Server) -> None:
    """Nothing comes from the holder within two seconds."""
    with RawClient(server, "alice") as silent:
        started = time.monotonic()
        with join(server, "alice") as alice:
            assert 1.9 < time.monotonic() - started < 3.5
            assert silent.closed() == 4004
            assert alice.ask("users")["users"] == ["alice"]
            assert alice.welcome["session"] != silent.welcome["session"]


def test_name_of_one_who_left_is_free_at_once(server: Server, modern: bool) -> None:
    for code in (1000, 1001):
        with join(server, "alice", modern=modern) as alice:
            alice.ws.close(code)
    with join(server, "alice") as alice, join(server, "bob") as bob:
        bob.sees("alice", "bob")
        alice.vanish()
        started = time.monotonic()
        bob.hears("left", "alice")
        with join(server, "alice"):
            assert time.monotonic() - started < 1.5


def test_without_connect_the_time_runs_out(start: Callable[..., Server], modern: bool) -> None:
    server = start("--connect-timeout", "0.2")
    with Client(server, dial(server, modern=modern)) as late:
        assert late.to_the_end() == ([], 4500)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"type": "message", "content": "too early"}, "not_connected"),
        ({"type": "dance"}, "unknown_type"),
        ({"type": "connect"}, "bad_username"),
        ({"type": "connect", "username": 5}, "bad_message"),
        ({"type": "connect", "username": "#alice"}, "bad_username"),
        ({"type": "connect", "username": "a" * 33}, "bad_username"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:40],
)
def test_wrong_first_frame_is_an_error_and_a_close(shared: Server, first: dict[str, object], code: str) -> None:
    with Client(shared, dial(shared)) as client:
        client.ws.send(json.dumps({**first, "id": 7}))
        (error,), close = client.to_the_end()

        assert (error["type"], error["code"], error["id"], close) == ("error", code, 7, 4501)
        assert "Username" not in error["content"], "seed clients would take it for a taken name"


def test_first_frame_that_is_no_json(shared: Server) -> None:
    with Client(shared, dial(shared)) as client:
        client.ws.send("hello")
        (error,), close = client.to_the_end()
        assert (error["code"], close) == ("bad_json", 4501)


def test_second_connect_changes_nothing(shared: Server) -> None:
    with join(shared, "twice") as client:
        assert client.ask("connect", username="other")["code"] == "already_connected"
        assert "twice" in client.ask("users")["users"]
