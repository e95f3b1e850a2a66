"""The full-screen client as a process at a terminal of its own (a pty)."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest

from tests.e2e.client import join
from tests.e2e.process import ROOT, Server

from .conftest import ENVIRONMENT, SECONDS

BACK = b"\x1b[?1049l"  # the terminal is as it was
WITHOUT = "import sys; sys.modules['textual'] = None; from trio_chat.cli import main; sys.exit(main(sys.argv[1:]))"


@attrs.define
class Terminal:
    """A process, and what it drew."""

    popen: subprocess.Popen[bytes]
    fd: int
    drawn: bytes = b""

    def until(self, words: bytes) -> None:
        """Read until this was drawn."""
        deadline = time.monotonic() + SECONDS
        while words not in self.drawn:
            assert time.monotonic() < deadline, self.drawn
            self.drawn += os.read(self.fd, 65_536)

    def end(self) -> int:
        """Read all that it still draws. Returns its exit code."""
        try:
            while data := os.read(self.fd, 65_536):
                self.drawn += data
        except OSError:  # the other end is closed
            pass
        return self.popen.wait(SECONDS)


@contextmanager
def terminal(*words: str, program: tuple[str, ...] = ("-m", "trio_chat")) -> Iterator[Terminal]:
    """`trio-chat connect` at a terminal of 100 × 30."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    popen = subprocess.Popen(
        [sys.executable, *program, "connect", *words],
        cwd=ROOT, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(popen, ours)
    finally:
        popen.kill()
        popen.wait(SECONDS)
        os.close(ours)


def test_a_person_at_a_terminal(server: Server, room: str) -> None:
    with join(server, f"bob {room}") as bob, terminal(server.url, "--name", f"ann {room}", "--room", room) as ann:
        ann.until(b"connected as ann")
        os.write(ann.fd, b"hello\r")
        bob.send("join", room=room)
        while not bob.ask("history", room=room)["entries"]:
            pass
        bob.send("message", room=room, content="evil \x1b]0;owned\x07 text")
        ann.until(b"owned")
        os.write(ann.fd, b"\x11")  # Ctrl+Q
        assert ann.end() == 0
        assert b"\x1b]0;owned" not in ann.drawn
        assert BACK in ann.drawn
    with join(server, f"ann {room}"):  # and the name is free
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(server: Server, room: str, number: signal.Signals) -> None:
    with terminal(server.url, "--name", f"ann {room}") as ann:
        ann.until(b"connected as ann")
        ann.popen.send_signal(number)
        assert ann.end() == 0
        assert BACK in ann.drawn


def test_one_who_is_not_let_in_is_told_in_a_line(server: Server, room: str) -> None:
    with join(server, f"ann {room}"), terminal(server.url, "--name", f"ann {room}") as ann:
        assert ann.end() == 1
        told = ann.drawn.rpartition(BACK)[2]
        assert told.endswith(f"{server.url}: 4502: Username is already taken\r\n".encode())
        assert told.count(b"\n") == 1


def test_without_textual_a_line_says_what_to_install(server: Server) -> None:
    with terminal(server.url, program=("-c", WITHOUT)) as ann:
        assert ann.end() == 1
    line = 'the full-screen client needs Textual: pip install "trio-chat[terminal]"; --plain needs nothing more'
    assert ann.drawn.decode() == f"{line}\r\n"
