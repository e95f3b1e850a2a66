"""What holds for a server and its log file holds with a Valkey: its own tests, as they are, and what only this has."""

from __future__ import annotations

import inspect
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.valkey import Valkey, free_port, valkey
from tests.e2e import test_restart, test_resume, test_revise
from tests.e2e.client import contents, join
from tests.e2e.conftest import QUICK, modern
from tests.e2e.process import Server, serving
from tests.e2e.test_revise import pair
from tests.e2e.web import page

__all__ = ["modern", "pair"]
Restart = Callable[..., Server]
globals().update(
    {
        name: test
        for suite in (test_restart, test_resume, test_revise)
        for name, test in vars(suite).items()
        if name.startswith("test_") and not {"file", "tmp_path"} & {*inspect.signature(test).parameters}
    }
)


@pytest.fixture(name="place")
def own_place() -> Iterator[Valkey]:
    with valkey(appendonly="yes", appendfsync="always") as own:
        yield own


@pytest.fixture(name="start")
def start_on_it(place: Valkey) -> Iterator[Callable[..., Server]]:
    with serving(*QUICK, "--log", place.url) as starting:
        yield starting


@pytest.fixture(name="server")
def one_server(start: Callable[..., Server]) -> Server:
    return start()


@pytest.fixture(name="restart")
def restart_on_it(place: Valkey) -> Iterator[Restart]:
    """Start a server; the one before it is stopped, or killed. Its lease is taken for over, as it is in ten seconds."""
    servers: list[Server] = []

    def end(killed: bool) -> None:
        server = servers[-1]
        if server.process.poll() is None:
            server.signal(signal.SIGKILL if killed else signal.SIGTERM)
        code = server.wait()
        server.kill()  # it is gone: this removes what it left
        server.check_log()
        assert code == (-signal.SIGKILL if killed else 0)
        if killed:
            place.ask("DEL", "trio_chat:lease")

    def again(*flags: str, killed: bool = False) -> Server:
        if servers:
            end(killed)
        servers.append(Server(*QUICK, "--log", place.url, *flags))
        return servers[-1].ready()

    yield again
    try:
        end(False)
    finally:
        for server in servers:
            server.kill()


@pytest.mark.slow
def test_a_lease_that_was_left_is_waited_for(place: Valkey, start: Callable[..., Server]) -> None:
    killed = Server(*QUICK, "--log", place.url).ready()
    killed.kill()
    server = start()
    assert "it is dead" in server.wait_for("its lease ends in")


def test_another_server_is_told_whose_it_is(place: Valkey, server: Server) -> None:
    other = Server(*QUICK, "--log", place.url)
    try:
        assert other.wait(15) == 2
        assert f"--log: {place.url.replace('/0', '')}" in other.log
        assert f"process {server.pid} on" in other.log
    finally:
        other.kill()
    with join(server, "alice") as alice:
        assert alice.ask("message", content="still here")["type"] == "ack"


def test_a_password_is_used_and_never_shown() -> None:
    with valkey(requirepass="sesame") as place, serving(*QUICK) as start:
        server = start("--log", place.url)
        with join(server, "alice") as alice:
            assert alice.ask("message", content="said")["type"] == "ack"
        assert server.stop() == 0
        assert f"log: redis://127.0.0.1:{place.port}/0" in server.log
        wrong = Server("--log", place.url.replace("sesame", "simsalabim"))
        assert wrong.wait(15) == 2
        assert "sesame" not in server.log + wrong.log
        assert "simsalabim" not in wrong.log
        wrong.kill()


def test_nobody_listens(place: Valkey) -> None:
    place.kill()
    server = Server("--log", place.url)
    try:
        assert server.wait(15) == 2
        assert server.log == f"--log: {place.url}: the server cannot be reached: Connection refused\n"
    finally:
        server.kill()


def test_gone_and_back(place: Valkey, start: Callable[..., Server]) -> None:
    """New entries are refused, `/readyz` says why, and when it is back it goes on by itself."""
    server = start("--log", place.url, "--messages-burst", "10000")
    with join(server, "alice") as alice, join(server, "bob") as bob:
        assert alice.ask("message", content="held")["seq"] == 1
        place.kill()
        answer = alice.ask("message", content="lost")
        assert (answer["code"], answer["retry_after"]) == ("unavailable", 1)
        assert page(server, "/readyz") == 503
        assert page(server, "/healthz") == 200
        server.wait_for("messages are refused: the server cannot be reached")
        assert bob.ask("ping")["type"] == "pong"
        place.start()
        server.wait_for("log: the trouble is over")
        assert page(server, "/readyz") == 200
        assert alice.ask("message", content="there again")["seq"] == 2
        assert contents(bob.ask("history", room="general")["entries"]) == ["held", "there again"]


def test_restarted_empty(start: Callable[..., Server]) -> None:
    """What was acked is gone, and nobody is told otherwise: the server begins anew, with new epochs."""
    with valkey() as place:
        server = start("--log", place.url, "--port", str(free_port()))
        with join(server, "alice") as alice:
            epoch = alice.ask("message", content="gone")["epoch"]
            place.kill()
            place.start()
            server.wait_for("lost entries that it had acknowledged; the server begins anew")
            assert alice.closed() == 4001
        deadline = time.monotonic() + 10
        while server.log.count("listening on") < 2:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.01)
        with join(server, "alice") as alice:
            answer = alice.ask("message", content="the first")
            assert answer["seq"] == 1
            assert answer["epoch"] != epoch
        assert server.stop() == 0


def test_a_user_with_few_rights(place: Valkey) -> None:
    """Those that docs/cluster.md names."""
    rights = ["on", ">sesame", "~trio_chat:*", "+@all", "-@dangerous", "+info"]
    assert place.ask("ACL", "SETUSER", "chat", *rights) == b"+OK\r\n"
    with serving(*QUICK) as start:
        server = start("--log", place.url.replace("//", "//chat:sesame@"))
        with join(server, "alice") as alice:
            assert alice.ask("message", content="said")["type"] == "ack"
        server.wait_for("deleted messages may still be in the server's files: BGREWRITEAOF")
        assert "sesame" not in server.log
