"""`trio-chat bench` on a server that runs: what it counts is what happened, and it says when something is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.process import Server
from trio_chat.bench.tool import bench
from trio_chat.cli import main
from trio_chat.client.place import checked, loopback


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that lets its own machine connect as often as it likes; all other limits are the defaults."""
    one = Server("--log", "memory", "--trusted-addresses", "127.0.0.0/8").ready()
    yield one
    one.kill()


def test_every_message_is_acked_and_delivered_to_its_room(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """7 in 3 rooms are 3, 2 and 2: messages go round the connections, and each room gets its own only."""
    assert bench(server.url, connections=7, rooms=3, rate=70, seconds=1, json=True) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["sent"], told["acked"]) == (70, 70)
    assert told["delivered"] == 10 * (3 * 3 + 2 * 2 + 2 * 2), "each sends 10"
    assert told["errors"] == {}
    for figures in (told["delivery_ms"], told["ack_ms"]):
        ordered = [figure for figure in figures.values() if figure is not None]
        assert ordered == sorted(ordered)
        assert ordered[0] > 0


def test_what_the_server_refuses_is_an_error(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """One connection may send 40 at once and 10 a second: of 60 some are refused, and they are nothing else as well."""
    assert bench(server.url, connections=1, rate=6_000, seconds=0.01, json=True) == 1

    told = json.loads(capsys.readouterr().out)
    assert set(told["errors"]) == {"rate_limited"}
    assert told["sent"] == 60 == told["acked"] + told["errors"]["rate_limited"]
    assert told["delivered"] == told["acked"]


def test_people_get_lines_and_no_progress_where_there_is_no_terminal(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(server.url.removesuffix("/ws"), connections=2, rate=20, seconds=0.1) == 0

    out, err = capsys.readouterr()
    assert out.startswith("2 connections in 1 room: 2 messages sent, 2 acked\n4 deliveries, 40 a second\n")
    assert out.endswith("errors: none\n")
    assert err == ""


def test_a_terminal_gets_a_progress_bar(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one line, which is erased in the end, and stdout has nothing but the answer."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert bench(server.url, connections=1, rate=10, seconds=0.2, json=True) == 0

    out, err = capsys.readouterr()
    assert out.startswith("{")
    assert "bench: 100 % connected" not in err
    assert "bench: 50 % sent" in err
    assert err.endswith("\r\x1b[K")
    assert "\n" not in err


def test_a_server_that_refuses_the_connection_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A server with its default limits lets one address connect 20 times in 15 seconds."""
    strict = Server("--log", "memory", "--max-attempts", "3").ready()
    try:
        assert bench(strict.url, connections=5, seconds=0.1) == 1
    finally:
        strict.kill()

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("connection 4 was refused: 429")
    assert "--trusted-addresses 127.0.0.0/8" in err
    assert err.count("\n") == 1


def test_no_server_is_told_in_one_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    gone = Server("--log", "memory").ready()
    gone.kill()

    assert bench(gone.url, seconds=0.1) == 1
    assert capsys.readouterr().err == "connection 1 could not be opened: Connection refused\n"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ws://example.org/ws", "example.org is not this machine: --yes"),
        ("ws://192.0.2.1:10000/ws", "192.0.2.1 is not this machine: --yes"),
        ("http://127.0.0.1/", "is no WebSocket URL: ws://"),
        ("ws:///ws", "is no WebSocket URL: ws://"),
        ("ws://localhost:99999/ws", "'ws://localhost:99999/ws' is no WebSocket URL: ws://"),
        ("ws://localhost:abc/ws", "'ws://localhost:abc/ws' is no WebSocket URL: ws://"),
        ("ws://localhost:0/ws", "'ws://localhost:0/ws' is no WebSocket URL: ws://"),
        ("ws://[::1:10000/ws", "'ws://[::1:10000/ws' is no WebSocket URL: ws://"),
        ("ws://localhost/wé", "'ws://localhost/wé' is no WebSocket URL: ws://"),
        ("ws://localhost/ws?a=b c", "'ws://localhost/ws?a=b c' is no WebSocket URL: ws://"),
        ("ws://0.0.0.0:10000/ws", "0.0.0.0 is no address to connect to: this machine is 127.0.0.1"),
        ("ws://[::]:10000/ws", ":: is no address to connect to: this machine is [::1]"),
        ("ws://localhost.:10000/ws", "localhost. is no address to connect to: this machine is localhost"),
    ],
)
def test_only_this_machine_is_loaded_unasked(url: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(url) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"connections": 0}, "connections"),
        ({"connections": 10_001}, "connections"),
        ({"rooms": 11}, "rooms"),
        ({"rate": 0.0}, "rate"),
        ({"rate": 10_001.0}, "rate"),
        ({"seconds": 3_601.0}, "seconds"),
        ({"rate": 10_000.0, "seconds": 3_600.0}, "36,000,000 messages and 360,000,000 deliveries: at most"),
    ],
)
def test_everything_is_bounded(wrong: dict[str, float], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("ws://127.0.0.1:9/ws", **wrong) == 2  # type: ignore[arg-type]  # the values' types differ
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--connections", "--rooms"])
def test_a_part_of_a_connection_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "ws://127.0.0.1:9/ws", option, "1.5"]) == 2
    assert capsys.readouterr().err == f"Invalid value for {option}: '1.5' must be a whole number\n"


def test_help_tells_bounds_and_what_is_left_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["bench", "--help"]) == 0
    out = capsys.readouterr().out
    bounds = ("at most 10,000", "at most 3,600", "at most 1,000,000 messages and 10,000,000 deliveries")
    for words in (*bounds, "--trusted-addresses", "stay in its log"):
        assert words in out


def test_a_server_elsewhere_is_loaded_on_purpose() -> None:
    assert checked("wss://chat.example.org", True, "loads") == "wss://chat.example.org/ws"


@pytest.mark.parametrize(
    ("host", "here"), [("localhost", True), ("::1", True), ("127.9.9.9", True), ("10.0.0.1", False), ("local", False)]
)
def test_what_is_this_machine(host: str, here: bool) -> None:
    assert loopback(host) is here
