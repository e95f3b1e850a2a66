"""The server under attack: a process, its log in a file, and what it is started with."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.process import ADDRESS, OURS, ROOT, START_SECONDS

from . import material
from .entrance import Entrance
from .material import AUDIENCE, ISSUER
from .vitals import Vitals, forget_peak, vitals

PROXY = "127.0.0.7"
ADMIN_TOKEN = "correct-horse-battery-staple"
ADMIN_ADDRESS = re.compile(r"admin API on http://127\.0\.0\.1:(\d+)")
STOP_SECONDS = 10.0
TRIM_SECONDS = 0.1  # within which a server that has nothing else to do gives memory back
PROGRAM = ("tests.hostile.server",)
SETTINGS: dict[str, dict[str, str]] = {
    # Whoever attacks is not counted: every attempt comes through to what is behind admission.
    "open": {"trusted-addresses": "127.0.0.0/8", "log": "sqlite:{directory}/chat.db"},
    # Attempts are counted and banned, as they are by default; pages of foreign origins are refused.
    "guarded": {
        "environment": "production",
        "allowed-origins": "https://chat.example.org",
        "trusted-proxies": PROXY,
        "ban-seconds": "4",
        "message-timeout": "2",
        "log": "memory",
    },
    # Buffers as small as they can be, and little for all together.
    "small": {
        "trusted-addresses": "127.0.0.0/8",
        "max-message-bytes": "8192",
        "outbox-frames": "400",
        "outbox-bytes": "65536",
        "max-buffered-bytes": str(4 << 20),
        "message-timeout": "2",
        "log": "sqlite:{directory}/chat.db",
    },
    # TLS, and a heart that beats fast. What comes from 127.0.0.0/16 is not counted; from elsewhere it is.
    "tls": {
        "tls-cert": "{directory}/server.pem",
        "tls-key": "{directory}/server.key",
        "trusted-addresses": "127.0.0.0/16",
        "ban-seconds": "4",
        "ping-interval": "1",
        "ping-timeout": "1",
        "max-message-bytes": "65536",
        "outbox-bytes": "262144",
        "log": "memory",
    },
    # Behind 127.0.0.7, a proxy that says whose connection it passes on.
    "proxied": {
        "trusted-proxies": PROXY,
        "proxy-protocol": "on",
        "ban-seconds": "4",
        "log": "memory",
    },
    # Who comes in needs a token; and operators have their port.
    "tokens": {
        "auth": "jwt",
        "auth-jwks": "{directory}/keys.json",
        "auth-issuer": ISSUER,
        "auth-audience": AUDIENCE,
        "trusted-addresses": "127.0.0.0/8",
        "resume-window": "5",
        "admin-port": "0",
        "admin-token": ADMIN_TOKEN,
        "log": "sqlite:{directory}/tokens.db",
    },
    # Who comes in needs a password.
    "accounts": {"auth": "accounts", "trusted-addresses": "127.0.0.0/8", "log": "memory"},
}
# What is over is forgotten soon, as nobody waits ten minutes for it; and the bystander may say a little more.
ALWAYS = {
    "connect-timeout": "2",
    "message-timeout": "6",
    "resume-window": "0.25",
    "dedupe-window": "20",
    "messages-per-second": "50",
    "messages-burst": "100",
    "drain-seconds": "0",
}


class TargetError(Exception):
    """The server did not start; `str()` has its last words."""


class Target:
    """A server process. Whoever makes one stops it.

    Args:
        directory: for its log, and for what it logs.
        setting: one of `SETTINGS`.
        program: what is run, before its flags; it knows SIGUSR1, as `tests.hostile.server` does.

    Raises:
        TargetError: it does not listen within seconds.
    """

    def __init__(self, directory: Path, setting: str = "open", program: tuple[str, ...] = PROGRAM) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        options = ALWAYS | SETTINGS[setting]
        flags = [word for pair in options.items() for word in (f"--{pair[0]}", pair[1])]
        authority = material.write(directory)
        self.setting = setting
        self._log = directory / f"stderr-{setting}"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *program, "--host", "127.0.0.1", "--port", "0"]
                + [flag.format(directory=directory) for flag in flags],
                cwd=ROOT,
                env={**variables, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
        try:
            self.port = int(self._listening()["port"])
            self.entrance = Entrance(
                self.port, authority.file() if "tls-cert" in options else "", options.get("auth", "guest")
            )
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Of the server."""
        return self.process.pid

    @property
    def admin_port(self) -> int:
        """Of its admin API, where it has one."""
        found = ADMIN_ADDRESS.search(self.logged().decode())
        assert found is not None
        return int(found[1])

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def vitals(self) -> Vitals:
        """How it is. Raises OSError where it is gone."""
        return vitals(self.pid)

    def trim(self) -> None:
        """Let it give back what memory it does not use; within a moment it has."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(TRIM_SECONDS)

    def forget_peak(self) -> None:
        """From now on its peak of memory is counted anew."""
        forget_peak(self.pid)

    def logged(self, since: int = 0) -> bytes:
        """What it logged, from that byte on."""
        with self._log.open("rb") as file:
            file.seek(since)
            return file.read()

    @property
    def log_size(self) -> int:
        """Bytes that it logged."""
        return self._log.stat().st_size

    def stop(self) -> int:
        """Stop it by a signal, or kill it; its exit code."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _listening(self) -> re.Match[str]:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.alive:
            if found := ADDRESS.search(self.logged().decode()):
                return found
            time.sleep(0.02)
        raise TargetError(f"the server does not listen: {self.logged().decode(errors='replace')[-2000:]}")
