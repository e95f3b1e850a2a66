"""A server to fuzz, in a process of its own: ours, one with a planted fault, or one of another make."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from tests.e2e.process import ADDRESS, ROOT, START_SECONDS
from trio_chat.fuzz.target import FLAGS

FAST = (*FLAGS.split(), "--log", "memory", "--presence-interval", "0.05", "--port", "0", "--host", "127.0.0.1")


class FuzzedServer:
    """`python -m MODULE ARGUMENTS…`, ready when it has logged where it listens. Whoever makes one kills it."""

    def __init__(self, module: str, *arguments: str) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("TRIO_CHAT_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**variables, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._found = threading.Event()
        self.url = ""
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not self._found.wait(0.05):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError("".join(self.lines))

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append(line)
                found = ADDRESS.search(line)
                if found is not None and not self.url:
                    self.url = found.group()
                    self._found.set()

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return "".join(self.lines)

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def ours(*flags: str) -> FuzzedServer:
    """The real server, as it is fuzzed fast."""
    return FuzzedServer("trio_chat", *FAST, *flags)


def mutant(fault: str) -> FuzzedServer:
    """The same with a fault in it."""
    return FuzzedServer("tests.fuzz.mutants", fault, *FAST)
