"""`trio-chat connect --plain` by real processes and pipes, against a real server."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.auth.keyring import key_file, token
from tests.e2e.client import Client, contents, join
from tests.e2e.process import Server
from trio_chat.settings import load

from .conftest import Connect, Process

MANY = 100  # lines


def hears(server: Server, room: str, name: str = "ear") -> Client:
    """Somebody who is in the room."""
    client = join(server, f"{name} {room}")
    client.send("join", room=room, id="in")
    client.until("ack", id="in")
    return client


def present(client: Client, name: str, room: str) -> None:
    """Wait until somebody is in the room, too."""
    while name not in client.ask("users", room=room)["users"]:
        pass


def test_a_line_is_a_message(server: Server, connect: Connect, room: str) -> None:
    with hears(server, room) as ear:
        assert connect("--room", room, "--plain").end(b"hi\n") == (0, "", "")
        heard = ear.until("message")
    assert (heard["content"], heard["sender"], heard["room"]) == ("hi", "login name", room)


def test_all_lines_in_order_and_each_once(server: Server, connect: Connect, room: str) -> None:
    lines = [f"line {i} ü" for i in range(MANY)]
    with hears(server, room) as ear:
        assert connect("--name", f"w {room}", "--room", room, "--plain").end("\n".join(lines).encode())[0] == 0
        assert contents([ear.until("message") for _ in lines]) == lines


def test_empty_lines_are_left_out_and_told(server: Server, connect: Connect, room: str) -> None:
    with hears(server, room) as ear:
        code, out, err = connect("--name", f"w {room}", "--room", room, "--plain").end(b"\na\r\n\r\nb")
        assert contents([ear.until("message"), ear.until("message")]) == ["a", "b"]
    assert (code, out, err) == (0, "", "2 empty lines were left out\n")


def test_nothing_is_no_mistake(connect: Connect, room: str) -> None:
    assert connect("--name", f"w {room}", "--room", room, "--plain").end() == (0, "", "")


def test_what_is_said_is_printed_while_stdin_is_open(server: Server, connect: Connect, room: str) -> None:
    plain = connect("--name", f"w {room}", "--room", room, "--plain")
    with hears(server, room, "ann") as ann:
        present(ann, f"w {room}", room)
        plain.write(b"this is not printed\n")
        ann.until("message")
        ann.send("message", room=room, content="two\nlines \x1b]0;title\x07\x1b[31m \u202e \x9b1m")
        assert plain.read_line() == f"ann {room}: two\\nlines \\x1b]0;title\\x07\\x1b[31m \\u202e \\x9b1m"
        ann.send("message", room="general", content="elsewhere")
        ann.send("message", room=room, content="bye")
        assert plain.read_line() == f"ann {room}: bye"
    assert plain.end() == (0, "", "")


def test_the_past_is_printed_where_nothing_is_to_be_said(server: Server, connect: Connect, room: str) -> None:
    with hears(server, room) as ann:
        for word in ("one", "two"):
            ann.ask("message", room=room, content=word)
    look = connect("--name", f"w {room}", "--room", room, "--plain", "--last", "5", stdin=subprocess.DEVNULL)
    assert look.end() == (0, f"ear {room}: one\near {room}: two\n", "")


def test_other_scripts_are_printed_as_they_are(server: Server, connect: Connect, room: str) -> None:
    with hears(server, room) as ann:
        ann.ask("message", room=room, content="می\u200cخواهم \N{MAN}\u200d\N{GIRL} bonjour\xa0! \u202e\x1b[2J")
    look = connect("--name", f"w {room}", "--room", room, "--plain", "--last", "1", stdin=subprocess.DEVNULL)
    printed = "می\u200cخواهم \N{MAN}\u200d\N{GIRL} bonjour\xa0! \\u202e\\x1b[2J"
    assert look.end() == (0, f"ear {room}: {printed}\n", "")


def test_follow_prints_on_and_ctrl_c_ends_it(server: Server, connect: Connect, room: str) -> None:
    words = ("--name", f"w {room}", "--room", room, "--plain", "--follow")
    tail = connect(*words, stdin=subprocess.DEVNULL, stopped=True)
    with hears(server, room) as ann:
        present(ann, f"w {room}", room)
        for i in range(MANY):
            ann.send("message", room=room, content=f"number {i}")
        assert [tail.read_line() for _ in range(MANY)] == [f"ear {room}: number {i}" for i in range(MANY)]
        tail.signal(signal.SIGINT)
        assert tail.end() == (130, "", "")
        ann.until("system", event="left")  # 1000: the session is over, and its name is free


def test_sigterm_ends_it(connect: Connect, room: str) -> None:
    plain = connect("--name", f"w {room}", "--room", room, "--plain", "--follow", "--last", "1")
    plain.write(b"one\n")
    again = connect("--name", f"v {room}", "--room", room, "--plain", "--follow", "--last", "1")
    assert again.read_line() == f"w {room}: one"
    again.signal(signal.SIGTERM)
    assert again.end() == (143, "", "")


def test_the_past_comes_first_and_once(server: Server, connect: Connect, room: str) -> None:
    assert connect("--name", f"w {room}", "--room", room, "--plain").end(b"1\n2\n3\n")[0] == 0
    tail = connect("--name", f"w {room}", "--room", room, "--plain", "--last", "2", "--json")
    assert [json.loads(tail.read_line())["content"] for _ in range(2)] == ["2", "3"]
    with hears(server, room, "ann") as ann:
        present(ann, f"w {room}", room)
        ann.send("message", room=room, content="\x1b4\u202e")
        line = tail.read_line()
    assert line.isascii()
    assert "\x1b" not in line
    heard = json.loads(line)
    assert (heard["content"], heard["sender"], heard["seq"], heard["room"]) == (
        "\x1b4\u202e", f"ann {room}", 4, room,
    )  # fmt: skip
    assert tail.end()[0] == 0


def test_a_private_conversation(server: Server, connect: Connect, room: str) -> None:
    with join(server, f"ann {room}") as ann:
        plain = connect("--name", f"w {room}", "--room", f"@ann {room}", "--plain")
        plain.write(b"psst\n")
        assert ann.until("private")["content"] == "psst"
        ann.send("private", to=f"w {room}", content="yes?")
        assert plain.read_line() == f"ann {room}: yes?"
        assert plain.end() == (0, "", "")


def test_the_reader_goes_away(connect: Connect, room: str) -> None:
    """Though nothing is said that could fail to be written."""
    plain = connect("--name", f"w {room}", "--room", room, "--plain", "--follow")
    assert plain.popen.stdout is not None
    plain.popen.stdout.close()
    plain.popen.stdout = None
    assert plain.popen.wait(15) == 1
    assert plain.end() == (1, "", "")


def test_a_reader_that_waits_stops_only_the_printing(server: Server, connect: Connect, room: str) -> None:
    """Pings are answered and lines are sent while a full pipe holds the output."""
    plain = connect("--name", f"w {room}", "--room", room, "--plain")
    plain.write(b"here\n")
    with hears(server, room) as ann:
        present(ann, f"w {room}", room)
        for _ in range(40):
            ann.send("message", room=room, content="x" * 10_000)
        plain.write(b"still here\n")
        while ann.until("message")["content"] != "still here":
            pass
        assert [plain.read_line() for _ in range(40)] == [f"ear {room}: {'x' * 10_000}"] * 40
    assert plain.end()[0] == 0


def test_output_that_cannot_be_written(connect: Connect, room: str) -> None:
    with Path("/dev/full").open("wb") as full:
        assert connect("--name", f"v {room}", "--room", room, "--plain").end(b"said\n")[0] == 0
        plain = connect("--name", f"w {room}", "--room", room, "--plain", "--last", "1", stdout=full.fileno())
        assert plain.popen.wait(15) == 1
        assert plain.end() == (1, "", "stdout: No space left on device\n")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"good\nbad \xff\n", "line 2 is not UTF-8 (byte 5); it was not sent\n"),
        (b"x" * (2**24 + 1), "line 1 is longer than 16777216 bytes; it was not sent\n"),
        (b"x" * 1_044_481, "line 1 was refused: too_large: The message must be at most 1048576 bytes as JSON\n"),
    ],
    ids=["not utf-8", "endless", "too large"],
)
def test_a_line_that_cannot_be_sent(connect: Connect, room: str, data: bytes, line: str) -> None:
    plain = connect("--name", f"w {room}", "--room", room, "--plain")
    assert plain.end(data) == (1, "", line)


def test_a_line_that_is_refused(connect: Connect, room: str) -> None:
    plain = connect("--name", f"w {room}", "--room", "@nobody", "--plain")
    assert plain.end(b"hello\nis nobody there\n") == (
        1, "", "line 1 was refused: no_such_user: There is no such user\n",
    )  # fmt: skip


def test_slow_mode_is_waited_for(server: Server, connect: Connect, room: str) -> None:
    with hears(server, room) as ann:
        assert ann.ask("room", room=room, slow_mode=0.3)["type"] == "ack"
        assert connect("--name", f"w {room}", "--room", room, "--plain").end(b"a\nb\n") == (0, "", "")
        assert contents([ann.until("message"), ann.until("message")]) == ["a", "b"]


def test_a_name_that_is_taken(server: Server, connect: Connect, room: str) -> None:
    with join(server, f"ann {room}"):
        code, out, err = connect("--name", f"ann {room}", "--plain").end(b"hi\n")
    assert (code, out) == (1, "")
    told = f"the server ended it for ann {room} (--name says another): 4502: Username is already taken"
    assert err == f"{server.url}: {told}\n"


def test_a_name_of_this_system_that_is_reserved(server: Server) -> None:
    """Who is root here has not asked for that name, so it is said."""
    code, out, err = Process(server.url, "--plain", LOGNAME="root").end(b"hi\n")
    assert (code, out) == (1, "")
    assert err == f"{server.url}: the server ended it for root (--name says another): 4501: This name is reserved\n"


def test_a_server_that_is_not_there() -> None:
    code, out, err = Process("ws://127.0.0.1:1", "--plain").end(b"hi\n")
    assert (code, out) == (1, "")
    assert err.startswith("ws://127.0.0.1:1/ws: cannot be reached: ")
    assert err.count("\n") == 1


def test_an_answer_that_does_not_come(start: Callable[..., Server]) -> None:
    """A server that is stopped (SIGSTOP): whoever sends learns it in time."""
    server = start()
    plain = Process(server.url, "--plain", "--timeout", "0.5", "--follow")
    with join(server, "ann") as ann:
        plain.write(b"one\n")
        ann.until("message")
        server.signal(signal.SIGSTOP)
        try:
            plain.write(b"two\n")
            assert plain.popen.wait(15) == 1
        finally:
            server.signal(signal.SIGCONT)
        assert plain.end() == (1, "", "line 2: no answer within 0.5 s; it may be posted or not\n")


def test_a_new_server_is_followed_too(start: Callable[..., Server]) -> None:
    """The session is gone, and the room with it: it joins again, and what is said there is printed."""
    flags = ("--log", "memory", "--resume-window", "1")
    old = start(*flags)
    tail = Process(old.url, "--plain", "--follow", "--name", "tail", "--room", "ops", stdin=subprocess.DEVNULL)
    with join(old, "ann") as ann:
        ann.send("join", room="ops")
        present(ann, "tail", "ops")
        ann.send("message", room="ops", content="the first one")
        assert tail.read_line() == "ann: the first one"
    old.stop()
    new = start(*flags, "--port", str(old.port))
    with join(new, "ann") as ann:
        ann.send("join", room="ops")
        present(ann, "tail", "ops")
        ann.send("message", room="ops", content="the next one")
        assert tail.read_line() == "ann: the next one"
    tail.signal(signal.SIGTERM)
    assert tail.end()[0] == 143


def test_an_account(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start("--auth", "accounts")
    secret = tmp_path / "password"
    secret.write_text("correct horse\n")
    words = (server.url, "--plain", "--name", "bea")
    assert Process(*words, "--password-file", str(secret), "--register").end(b"one\n") == (0, "", "")
    assert Process(*words, TRIO_CHAT_PASSWORD="correct horse").end(b"two\n") == (0, "", "")
    code, _, err = Process(*words, TRIO_CHAT_PASSWORD="wrong horse").end(b"three\n")
    assert (code, err.count("\n")) == (1, 1)
    assert "horse" not in err


def test_a_token(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256")))
    file = tmp_path / "token"
    file.write_text(f"{token(sub='bea')}\n")
    assert Process(server.url, "--plain", "--token-file", str(file)).end(b"one\n") == (0, "", "")
    assert Process(server.url, "--plain", TRIO_CHAT_TOKEN=token(sub="ann")).end(b"two\n") == (0, "", "")
    code, _, err = Process(server.url, "--plain", TRIO_CHAT_TOKEN="no token").end(b"three\n")
    assert (code, err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["http://x"], "'http://x' is no WebSocket URL: ws://HOST[:PORT][/PATH] or wss://…"),
        (["ws://x:99999"], "'ws://x:99999' is no WebSocket URL: ws://HOST[:PORT][/PATH]"),
        (["ws://0.0.0.0:1"], "0.0.0.0 is no address to connect to: this machine is 127.0.0.1"),
        (["ws://x", "--name", "@x"], "--name: '@x' must be 1-32 letters, digits,"),
        (["ws://x", "--room", "#x"], "--room: '#x' must be 1-32 letters, digits,"),
        (["ws://x", "--last", "201"], "--last: 201 must be an integer from 0 to 200"),
        (["ws://x", "--timeout", "nan"], "--timeout: nan must be a number of seconds over 0, at most 86400"),
        (["ws://x", "--ca", "/nowhere"], "--ca: '/nowhere' must be a file with a certificate in PEM"),
        (["ws://x", "--token-file", "/nowhere"], "--token-file: '/nowhere' must be a file that can be read (No such"),
        (["ws://x", "--password-file", "/dev/null"], "--password-file: '/dev/null' must be a file that is not empty"),
        (["ws://x", "--token-file", "a", "--password-file", "b"], "--password-file, --token-file: one of them"),
        (["ws://x", "--register"], "--register needs a password: --password-file, or TRIO_CHAT_PASSWORD"),
        (["ws://x", "--folow"], "Unknown option: --folow. Did you mean --follow?"),
        ([], 'Command "connect" parameter URL requires an argument.'),
    ],
)
def test_a_mistake_is_one_line(words: list[str], line: str) -> None:
    code, out, err = Process(*words, "--plain").end(b"hi\n")
    assert (code, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


@pytest.mark.parametrize("flags", [["--follow"], ["--json"], ["--last", "1"]])
def test_flags_for_pipes_want_plain(flags: list[str]) -> None:
    assert Process("ws://x", *flags).end() == (2, "", f"{flags[0]} goes with --plain\n")


def test_a_pipe_is_no_screen() -> None:
    assert Process("ws://x").end() == (
        2,
        "",
        "stdin, stdout and stderr must be a terminal; for pipes there is --plain\n",
    )


def test_variables_of_the_client_do_not_stop_a_server() -> None:
    assert load({}, {"TRIO_CHAT_TOKEN": "t", "TRIO_CHAT_PASSWORD": "p"}).given == {}


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_that_are_closed(server: Server, room: str, closed: str) -> None:
    command = f"exec {sys.executable} -m trio_chat connect {server.url} --plain --name '{room}' --last 1 {closed}"
    done = subprocess.run(["sh", "-c", command], input=b"hi\n", capture_output=True, timeout=15, check=False)
    assert done.returncode == 0
    assert done.stderr == b""


def test_at_a_terminal(server: Server, connect: Connect, room: str) -> None:
    """Lines typed at a terminal; Ctrl-D is the end."""
    ours, theirs = pty.openpty()
    with hears(server, room) as ear:
        plain = connect("--name", f"w {room}", "--room", room, "--plain", stdin=theirs)
        os.write(ours, b"typed\n")
        assert ear.until("message")["content"] == "typed"
        os.write(ours, b"\x04")
        assert plain.popen.wait(15) == 0
    os.close(ours)
    os.close(theirs)
