"""A server process: started with flags, watched by its log, stopped by its pid."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
START_SECONDS = 15.0
STOP_SECONDS = 10.0  # after SIGTERM; the tests' servers drain in far less
ADDRESS = re.compile(r"\b(?P<scheme>wss?)://(?P<host>[^\s/]+):(?P<port>\d+)/ws")
OURS = ("TRIO_CHAT_", "PORT", "ENVIRONMENT")  # variables that would configure the server


class Server:
    """A server process, `ready` in a moment. Whoever makes one stops it.

    Args:
        flags: of the command line, beside the host. Without a `--port` it is a free one; without a `--log`, that is a
            file that goes with it.
        cwd: where it runs; its temporary files would be there too.
    """

    def __init__(self, *flags: str, cwd: Path = ROOT) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="trio_chat-", ignore_cleanup_errors=True)
        if "--log" not in flags:
            flags = (*flags, "--log", f"sqlite:{self._directory.name}/chat.db")
        if "--port" not in flags:
            flags = (*flags, "--port", "0")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trio_chat", "--host", "127.0.0.1", *flags],
            cwd=cwd,
            env={**variables, "PYTHONPATH": str(ROOT), "TMPDIR": str(cwd)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that what it leaves behind can be asked for
        )
        self.said: list[str] = []  # contents that clients sent: none may turn up in the log
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        assert self.process.stderr is not None
        self._pump = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._pump.start()

    def ready(self) -> Server:
        """Wait until it listens; itself. Whatever else is asked of it comes after this."""
        try:
            found = ADDRESS.search(self.wait_for("listening on", START_SECONDS))
            assert found is not None
        except BaseException:
            self.kill()
            raise
        self.host, self.port = found["host"], int(found["port"])
        self.url = f"{found['scheme']}://{self.host}:{self.port}/ws"
        return self

    @property
    def pid(self) -> int:
        """Also the id of its process group, and of its session."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        with self._news:
            return "".join(self._lines)

    def wait_for(self, words: str, seconds: float = STOP_SECONDS) -> str:
        """The first line of the log with `words` in it, now or within `seconds`."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                line = next((line for line in self._lines if words in line), None)
                if line is not None:
                    return line
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"the server never logged {words!r}: {''.join(self._lines)}")
                self._news.wait(left)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code, within `seconds`; the whole log has been read then."""
        code = self.process.wait(seconds)
        self._pump.join(seconds)
        return code

    def stop(self) -> int:
        """Ask it to stop, and return its exit code; a server that does not stop is killed."""
        try:
            if self.process.poll() is None:
                self.signal()
            return self.wait()
        finally:
            self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._pump.join(STOP_SECONDS)
        self._directory.cleanup()

    def check_log(self) -> None:
        """Nothing went wrong in it, and what people say is nobody's business."""
        log = self.log
        assert "Traceback" not in log, log
        assert "bug" not in log, log
        for content in self.said:
            assert content not in log, f"{content!r} is in the log"

    def _read(self, stderr: IO[str]) -> None:
        with stderr:
            for line in stderr:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


@contextmanager
def serving(*usual: str, ends: Collection[int] = (0,)) -> Iterator[Callable[..., Server]]:
    """Start servers with `usual` flags and further ones, of which the last counts; in the end all are stopped.

    Each must have ended with one of `ends`, and have logged nothing that it must not.
    """
    servers: list[Server] = []

    def start(*flags: str) -> Server:
        words = (*usual, *flags)
        given = dict(zip(words[::2], words[1::2], strict=True))
        servers.append(Server(*(word for pair in given.items() for word in pair)))
        return servers[-1].ready()

    yield start
    codes = [server.stop() for server in servers]
    for server in servers:
        server.check_log()
    assert all(code in ends for code in codes), codes


def unmeasured() -> dict[str, str]:
    """The environment of a process that Ctrl-C stops: without coverage, which may lose it, or hang.

    A KeyboardInterrupt inside its `lock_data` leaves a lock taken, and one inside its tracer is nobody's.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
