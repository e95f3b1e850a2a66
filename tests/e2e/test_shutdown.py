"""Going away: a drain within its time whatever the clients do, and nothing that outlives it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .client import SECONDS, join
from .crowd import Crowd, Member
from .process import Server
from .web import page, refused

DRAIN = 3.0
MANY, DEAF = 200, 10
BIG = "x" * 60_000
LINES = 50  # of BIG: more than sockets hold, and less than an outbox may


@pytest.fixture
def quiet_start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server in an empty directory; the test ends it."""
    servers: list[Server] = []

    def starting(*flags: str) -> Server:
        servers.append(Server(*flags, cwd=tmp_path).ready())
        return servers[-1]

    yield starting
    for server in servers:
        server.kill()
        server.check_log()


def deafen(crowd: Crowd, names: list[str], server: Server) -> list[Member]:
    """Clients that never read again, with more on its way to them than their sockets take."""
    deaf = crowd.add(names, receive_buffer=4096)
    (sender,) = crowd.add(["loud"])
    for member in (*deaf, sender):
        member.send(type="join", room="loud", id="in")
    crowd.run(lambda: all(member.of("ack") for member in (*deaf, sender)), "everybody in the loud room")
    for member in deaf:
        crowd.stop_reading(member)
    server.said.append(BIG)
    for _ in range(LINES):
        sender.send(type="message", room="loud", content=BIG)
    crowd.run(lambda: len(sender.of("message")) == LINES, "the loud one's own copies")
    return deaf


def leaves_nothing(server: Server) -> None:
    """No process of its session, no listening socket, no file in its directory."""
    with pytest.raises(ProcessLookupError):
        os.killpg(server.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), SECONDS).close()


def test_drain_ends_in_time_though_some_never_read(quiet_start: Callable[..., Server], tmp_path: Path) -> None:
    server = quiet_start(
        *("--drain-seconds", str(DRAIN), "--trusted-addresses", "127.0.0.0/8", "--messages-burst", "1000"),
    )
    with Crowd(server) as crowd:
        deaf = deafen(crowd, [f"deaf{number}" for number in range(DEAF)], server)
        crowd.add(f"user{number}" for number in range(MANY - DEAF - 1))
        readers = [member for member in crowd.members if member not in deaf]
        assert len(crowd.members) == MANY

        began = time.monotonic()
        server.signal()
        server.wait_for("draining")
        crowd.run(lambda: all(one.of("system", "draining") for one in readers), "everybody told of the drain", DRAIN)
        assert page(server, "/readyz") == 503
        assert refused(server) == (503, 1)
        crowd.run(lambda: all(one.gone for one in readers), "everybody closed", DRAIN + 1)
        assert server.wait(DRAIN + 1) == 0
        assert time.monotonic() - began < DRAIN + 1

        assert {one.close_code for one in readers} == {4001}
        for one in readers:
            (told,) = one.of("system", "draining")
            assert told["retry_after"] > 0
            assert told["jitter"] > 0
    leaves_nothing(server)
    assert list(tmp_path.iterdir()) == []


def test_second_signal_stops_at_once(quiet_start: Callable[..., Server]) -> None:
    """Not even those who do not read can hold it up for more than the second that a farewell has."""
    server = quiet_start("--drain-seconds", "30", "--trusted-addresses", "127.0.0.0/8", "--messages-burst", "1000")
    with Crowd(server) as crowd:
        deaf = deafen(crowd, ["deaf1", "deaf2"], server)
        crowd.add(f"user{number}" for number in range(10))
        server.signal()
        server.wait_for("draining")
        began = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait() == 130
        assert time.monotonic() - began < 2
        crowd.run(lambda: all(one.gone for one in crowd.members if one not in deaf), "everybody closed")
        assert {one.close_code for one in crowd.members if one not in deaf} == {4001}
    leaves_nothing(server)


@pytest.mark.parametrize("visitors", [0, 1], ids=["nobody ever came", "somebody came and went"])
def test_with_nobody_there_it_ends_at_once(quiet_start: Callable[..., Server], visitors: int) -> None:
    server = quiet_start("--drain-seconds", "5")
    for _ in range(visitors):
        join(server, "alice").ws.close()
    began = time.monotonic()
    server.signal()
    assert server.wait() == 0
    assert time.monotonic() - began < 1
    leaves_nothing(server)


def test_idle_page_connection_does_not_hold_it_up(quiet_start: Callable[..., Server]) -> None:
    """Kept connections, and heads that never come, are nobody to drain."""
    server = quiet_start("--drain-seconds", "5")
    with socket.create_connection((server.host, server.port), SECONDS) as half:
        half.sendall(b"GET / HTTP/1.1\r\n")
        kept = http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b"ok\n"
        began = time.monotonic()
        server.signal()
        assert server.wait() == 0
        assert time.monotonic() - began < 2
        kept.close()
    leaves_nothing(server)


def test_port_is_free_again(quiet_start: Callable[..., Server]) -> None:
    """A server that comes after a drain takes the same port, though connections linger in the kernel."""
    server = quiet_start("--drain-seconds", "1")
    with join(server, "alice") as alice:
        server.signal()
        assert alice.closed() == 4001
    assert server.wait() == 0
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((server.host, server.port))
