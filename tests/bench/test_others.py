"""Servers that are no trio_chat, or that go away: one line says what is there, at once; and Ctrl-C always stops."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from trio_websocket import WebSocketConnection
from websockets.sync.server import ServerConnection, serve
from wsproto.events import TextMessage

from tests.e2e.process import Server, unmeasured
from trio_chat.bench import guest
from trio_chat.bench.tally import Tally
from trio_chat.bench.tool import bench
from trio_chat.cli import main
from trio_chat.client.connection import Lost

ROOT = Path(__file__).parents[2]


@contextmanager
def websocket(talk: Callable[[ServerConnection], None]) -> Iterator[str]:
    """A WebSocket server that does `talk` with each client; its URL."""
    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws"
        server.shutdown()
        thread.join()


@contextmanager
def tcp(says: bytes | None) -> Iterator[str]:
    """A TCP server that says something to one client and closes, or is silent (None) until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as held:
        held_open = [held]

        def answer() -> None:
            client, _ = listener.accept()
            held_open.append(client)
            if says is not None:
                client.recv(65_536)
                client.sendall(says)
                client.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
        for one in held_open:
            one.close()


def complaint(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the tool says of it."""
    assert bench(url, connections=2, seconds=0.1) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.strip()


@pytest.mark.parametrize("says", ["hello", b'{"type": "system"}', "[1, 2]", '{"type": 5}', '{"type": "system"}'])
def test_who_does_not_speak_the_protocol_is_told_at_once(
    says: str | bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 60.0)  # over the time that a test may take: it is not waited for

    def talk(client: ServerConnection) -> None:
        client.send(says)
        for _ in client:
            pass

    with websocket(talk) as url:
        assert complaint(url, capsys) == "connection 1 got no welcome: this is a WebSocket server, but no trio_chat"


def test_an_echo_is_told_at_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 60.0)

    def talk(client: ServerConnection) -> None:
        for message in client:
            client.send(message)

    with websocket(talk) as url:
        assert complaint(url, capsys) == "connection 1 got no welcome: this is a WebSocket server, but no trio_chat"


def test_who_says_nothing_over_a_websocket(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 0.3)

    def talk(client: ServerConnection) -> None:
        for _ in client:
            pass

    with websocket(talk) as url:
        told = complaint(url, capsys)
    assert told == (
        "connection 1 got no welcome within 0.3 s: this is a WebSocket server, but no trio_chat, or it is overloaded"
    )


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("ws", "had no answer to its handshake within 0.3 s: is this a WebSocket server?"),
        ("wss", "could not be opened: no answer within 0.3 s"),
    ],
)
def test_who_says_nothing_at_all(
    scheme: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 0.3)
    with tcp(None) as place:
        assert complaint(f"{scheme}://{place}/ws", capsys) == f"connection 1 {words}"


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_who_closes_or_talks_otherwise_is_told_at_once(
    says: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 60.0)
    with tcp(says) as place:
        told = complaint(f"ws://{place}/ws", capsys)
    assert told == (
        "connection 1 was closed within its handshake, or the answer was no HTTP: is this a WebSocket server?"
    )


def test_tls_to_a_port_without_it_is_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 60.0)
    server = Server("--log", "memory").ready()
    try:
        told = complaint(server.url.replace("ws://", "wss://"), capsys)
    finally:
        server.kill()
    assert told.startswith("connection 1 could not be opened: no TLS with 127.0.0.1: ")
    assert told.endswith("(ws:// is for a server without TLS)")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"503 x\r\nContent-Length: 0\r\n\r\n", "503 Service Unavailable"),
        (b"404 x\r\nContent-Length: 22\r\n\r\n<html>\n<b>no</b></html>", "404 Not Found"),
        (b"799 x\r\nContent-Length: 0\r\n\r\n", "799 "),
        (b"503 x\r\nContent-Length: 9\r\n\r\nfull\nhere", "503 full"),
        (b"403 x\r\nContent-Length: 2\r\n\r\nno", "403 no"),
        (b"403 x\r\nRetry-After: 9\r\nContent-Length: 6\r\n\r\nbanned", f"403 banned ({guest.ATTEMPTS})"),
    ],
)
def test_a_refusal_has_words(answer: bytes, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with tcp(b"HTTP/1.1 " + answer) as place:
        assert complaint(f"ws://{place}/ws", capsys) == f"connection 1 was refused: {shown}".strip()


def test_a_page_is_no_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    with tcp(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>") as place:
        assert complaint(f"ws://{place}/ws", capsys) == "connection 1 got no WebSocket: 200 OK"


def test_an_address_that_is_never_served_gets_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server("--log", "memory", "--denied-addresses", "127.0.0.0/8").ready()
    try:
        assert complaint(server.url, capsys) == "connection 1 was refused: 403 This address is not served"
    finally:
        server.kill()


def test_an_address_that_is_banned_for_its_attempts_is_told_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """The first load gets it banned, the second one finds it so."""
    server = Server("--log", "memory", "--max-attempts", "1").ready()
    try:
        assert complaint(server.url, capsys).startswith("connection 2 was refused: 429 ")
        told = complaint(server.url, capsys)
    finally:
        server.kill()
    assert told == f"connection 1 was refused: 403 This address is banned for a while ({guest.ATTEMPTS})"
    assert "--trusted-addresses 127.0.0.0/8" in told


def test_rooms_that_may_not_be_made_are_told_with_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server("--log", "memory", "--max-attempts", "1000").ready()
    try:
        assert bench(server.url, connections=30, rooms=30, seconds=0.1) == 1
    finally:
        server.kill()
    err = capsys.readouterr().err
    assert "could not join its room: Too fast" in err
    assert "--rooms-created-per-hour" in err
    assert "--trusted-addresses 127.0.0.0/8" in err


def test_too_few_descriptors_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server("--log", "memory", "--trusted-addresses", "127.0.0.0/8").ready()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 20, hard))
    try:
        assert bench(server.url, connections=100, seconds=0.1) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.kill()
    assert f"could not be opened: {os.strerror(errno.EMFILE)}: `ulimit -n`" in capsys.readouterr().err


def test_a_load_ends_when_the_server_has_closed_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an hour that was wanted; `pytest-timeout` would end it."""
    server = Server("--log", "memory", "--drain-seconds", "0.5").ready()
    take = Tally.take

    def stop_after_first(tally: Tally, connection: int, data: str | bytes) -> None:
        take(tally, connection, data)
        if len(tally.acks) == 1:
            server.signal()

    monkeypatch.setattr(Tally, "take", stop_after_first)
    try:
        assert bench(server.url, connections=3, rate=20, seconds=3_600, json=True) == 1
    finally:
        server.kill()
    told = json.loads(capsys.readouterr().out)
    assert told["stopped"].startswith("the server closed all connections (4001 draining) after ")
    assert told["errors"]["closed 4001 draining"] == 3
    assert told["sent"] < 3_600 * 20


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (4001, "bye", "4001 draining"),
        (None, "lost", "1006 connection lost"),
        (1001, "", "1001 going away"),
        (3000, "so", "3000 so"),
        (3000, "", "3000"),
    ],
)
def test_a_close_has_a_name(code: int | None, reason: str, words: str) -> None:
    assert guest.how(Lost(code, reason)) == words


def test_nothing_is_waited_for_once_all_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A farewell is answered: with no bound on the wait for that, the load ends all the same."""
    monkeypatch.setattr(guest, "CLOSE_SECONDS", float("inf"))
    server = Server("--log", "memory").ready()
    try:
        assert bench(server.url, connections=3, rate=20, seconds=0.2) == 0
    finally:
        server.kill()


def test_ctrl_c_is_no_exception_in_a_task_that_could_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while the library's reader runs, which loses an exception if it is cancelled as that is raised."""
    server = Server("--log", "memory").ready()
    handle = WebSocketConnection._handle_message_event

    async def interrupted(self: WebSocketConnection, event: TextMessage) -> None:
        if '"message"' in event.data:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        await handle(self, event)

    monkeypatch.setattr(WebSocketConnection, "_handle_message_event", interrupted)
    try:
        assert main(["bench", server.url, "--rate", "20", "--seconds", "0.5"]) == 130
    finally:
        server.kill()


def test_ctrl_c_while_it_opens_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "OPEN_SECONDS", 60.0)
    ours = os.getpid()

    def talk(client: ServerConnection) -> None:
        os.kill(ours, signal.SIGINT)
        for _ in client:
            pass

    with websocket(talk) as url:
        assert main(["bench", url]) == 130


def test_ctrl_c_while_the_script_is_loaded_is_130_without_a_word() -> None:
    """A finder of modules sends it when the command line's library is looked for."""
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["trio-chat"]
    entry = EntryPoint("trio-chat", script, "console_scripts")
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
class Interrupting:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "cyclopts":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting)
from {entry.module} import {entry.attr}
sys.exit({entry.attr}())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=unmeasured(), capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
