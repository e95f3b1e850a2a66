"""What holds for a server and its log file holds with a Valkey: its own tests, as they are, and what only this has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.servers import one_server, own_place, restart_on_it, start_on_it, taken_from
from tests.cluster.valkey import Valkey, free_port, valkey
from tests.e2e import test_restart
from tests.e2e.client import contents, join
from tests.e2e.conftest import QUICK
from tests.e2e.process import Server, serving
from tests.e2e.web import page
from trio_chat import cli

__all__ = ["one_server", "own_place", "restart_on_it", "start_on_it"]
globals().update(taken_from(test_restart))


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


def test_a_server_that_was_paused_does_nothing_more(place: Valkey) -> None:
    """It believed that it had the log; another took it when its lease was over."""
    paused = Server(*QUICK, "--log", place.url).ready()
    with join(paused, "alice") as alice:
        alice.ask("message", content="mine")
        paused.signal(signal.SIGSTOP)
        place.ask("DEL", "trio_chat:lease")  # as ten seconds do
        with serving(*QUICK, "--log", place.url) as start:
            server = start()
            with join(server, "bob") as bob:
                assert bob.ask("message", content="the next")["seq"] == 2
                alice.send("message", content="too late")
                paused.signal(signal.SIGCONT)
                assert paused.wait() == 2
                assert paused.log.endswith("--log: another process has it by now\n")
                assert contents(bob.ask("history", room="general")["entries"]) == ["mine", "the next"]
    paused.kill()
    paused.check_log()


@pytest.mark.slow
def test_a_redis_that_is_too_slow(place: Valkey, start: Callable[..., Server]) -> None:
    """What was sent has no answer until it is known; all the rest is refused, and nothing piles up."""
    server = start("--messages-burst", "10000", "--messages-per-second", "10000")
    with join(server, "alice") as alice, join(server, "bob") as bob:
        place.pause()
        alice.send("message", content="on its way", id="first")
        server.wait_for("refused: the server does not answer: no answer within 5 s", 15)
        assert page(server, "/readyz") == 503
        for number in range(200):
            assert bob.ask("message", content=f"refused {number}")["code"] == "unavailable"
        assert bob.ask("search", query="anything")["code"] == "unavailable"
        place.resume()
        server.wait_for("log: the trouble is over")
        while not (mine := [frame for frame in alice.frames if frame.get("id") == "first"]):
            alice.receive()
        done = ["on its way"] if mine[0]["type"] == "ack" else []  # it was not sent where upkeep waited for an answer
        assert bob.ask("message", content="taken")["seq"] == len(done) + 1
        assert contents(bob.ask("history", room="general")["entries"]) == [*done, "taken"]


def test_without_coredis_it_is_said_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "coredis.py").write_text("raise ModuleNotFoundError('No module named coredis', name='coredis')")
    found = subprocess.run(
        [sys.executable, "-m", "trio_chat", "--port", "0", "--log", "redis://:sesame@localhost"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 2
    said = "--log: redis://localhost:6379/0: coredis is missing: pip install 'trio-chat[redis]'\n"
    assert found.stderr == said


@pytest.mark.parametrize("command", ["check", "stats", "export"])
def test_the_tools_for_files_are_none_for_it(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["log", command, "redis://:sesame@localhost"]) == 2
    assert capfd.readouterr().err == "these tools are for log files; a Redis has its own\n"


def test_a_redis_that_is_full(place: Valkey, start: Callable[..., Server]) -> None:
    server = start()
    with join(server, "alice") as alice:
        alice.ask("message", content="held")
        place.ask("CONFIG", "SET", "maxmemory", "1")
        answer = alice.ask("message", content="lost")
        assert answer.items() >= {"code": "unavailable", "retry_after": 1}.items()
        assert page(server, "/readyz") == 503
        assert contents(alice.ask("history", room="general")["entries"]) == ["held"]
        assert alice.ask("search", query="held")["type"] == "search_result"
        place.ask("CONFIG", "SET", "maxmemory", "0")
        server.wait_for("log: the trouble is over")
        assert alice.ask("message", content="more")["seq"] == 2
