"""One server for the tests of the terminal client, and processes that are ended when a test is."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.client.conftest import QUICK, TRUSTING
from tests.e2e.process import ROOT, Server, serving, unmeasured

RATES = ("--messages-per-second", "10000", "--messages-burst", "10000", "--frames-per-second", "10000")
# What a shell starts in the background ignores Ctrl-C, and so do its children.
HEEDS = """import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
import sys; from trio_chat.__main__ import main; sys.exit(main())"""
SECONDS = 15.0  # within which anything that is waited for must happen
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TRIO_CHAT_")}
_numbers = itertools.count(1)

Connect = Callable[..., "Process"]


class Process:
    """`trio-chat connect`, as a person starts it. `stopped`: by Ctrl-C, see `unmeasured`."""

    def __init__(
        self,
        *words: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stopped: bool = False,
        **env: str,
    ) -> None:
        around = {name: it for name, it in ENVIRONMENT.items() if not stopped or name in unmeasured()}
        self.popen = subprocess.Popen(
            [sys.executable, *(("-c", HEEDS) if stopped else ("-m", "trio_chat")), "connect", *words],
            cwd=ROOT, env={**around, "PYTHONPATH": str(ROOT), "LOGNAME": "login name", **env},
            stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
        )  # fmt: skip

    def write(self, data: bytes) -> None:
        """Type it."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(data)
        self.popen.stdin.flush()

    def read_line(self) -> str:
        """The next line of its stdout."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().decode().removesuffix("\n")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def end(self, data: bytes = b"") -> tuple[int, str, str]:
        """Close its stdin, after `data`. Returns its exit code, and the rest of what it wrote on stdout and stderr."""
        out, err = self.popen.communicate(data or None, timeout=SECONDS)
        assert b"Traceback" not in err, err.decode()
        return self.popen.returncode, (out or b"").decode(), err.decode()


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    with serving(*QUICK, *TRUSTING, "--resume-window", "5") as start:
        yield start()


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """One server for all tests here; rooms and names are of one's own."""
    yield _server
    _server.check_log()


@pytest.fixture
def room() -> str:
    """A room that no other test is in."""
    return f"room {next(_numbers)}"


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Start `trio-chat connect` to the server, with these words more."""
    with ExitStack() as ends:

        def start(*words: str, **kwargs: object) -> Process:
            process = Process(server.url, *words, **kwargs)  # type: ignore[arg-type]
            ends.callback(process.popen.communicate)
            ends.callback(process.popen.kill)
            return process

        yield start


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server of one's own, with flags."""
    with serving(*RATES, "--presence-interval", "0.05", "--drain-seconds", "0", ends=(0, -signal.SIGKILL)) as starting:
        yield starting
