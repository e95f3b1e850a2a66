"""The servers that are compared: how each is installed, started and stopped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

ROOT = Path(__file__).parents[2]
PLACES = ROOT / ".nox" / "benchmarks"  # of what the peers need, one directory each
ADDRESS = re.compile(rb"\bws://[^\s/]+:(\d+)")
START_SECONDS = 10  # within which a server must print its address
STOP_SECONDS = 10  # after SIGTERM; then it is killed
INSTALL_SECONDS = 300

OURS, PEER = "trio_chat", "websockets"
# Every limit that a thousand clients from one address, and a saturated room, would meet. They stay on.
LIMITS = {
    "trusted-addresses": "127.0.0.0/8",
    "max-attempts": 1_000_000,
    "max-connections-per-address": 100_000,
    "messages-per-second": 1_000_000,
    "messages-burst": 1_000_000,
    "frames-per-second": 1_000_000,
    "rooms-created-per-hour": 1_000_000,
    "outbox-frames": 100_000,
    "outbox-bytes": 256 << 20,
}


class BenchmarkError(Exception):
    """A server or the load did not work; `str()` says which and shows the end of its output."""


@attrs.frozen
class Kind:
    """One server: what its place must hold, and how it is run.

    `requires` are PyPI's, or npm's where `node` says so; none: it runs in our own environment. `{directory}` in the
    command is a new directory that goes with the process.
    """

    command: list[str]
    requires: tuple[str, ...] = ()
    node: bool = False


def ours(log: str) -> Kind:
    """Our server with its log there."""
    flags = [word for name, value in LIMITS.items() for word in (f"--{name}", str(value))]
    return Kind(["-m", "trio_chat", "--host", "127.0.0.1", "--port", "0", "--log", log, *flags])


def _peer(name: str, *requires: str) -> Kind:
    return Kind(["-m", f"tests.benchmarks.peer_{name}"], requires)


SERVERS = {
    OURS: ours("memory"),
    "trio_chat, sqlite": ours("sqlite:{directory}/chat.db"),
    PEER: _peer("websockets", "websockets"),
    "aiohttp": _peer("aiohttp", "aiohttp"),
    "Starlette, uvicorn": _peer("starlette", "starlette", "uvicorn[standard]"),
    "picows": _peer("picows", "picows", "uvloop"),
    "Node ws": Kind([str(Path(__file__).with_name("peer_ws.cjs"))], ("ws",), node=True),
    "socketify": _peer("socketify", "socketify"),
}
# A peer that was wanted, and the reason why it is not here.
MISSING = {
    "uWebSockets.js": "npm's registry has no such package; its authors give it out on GitHub only. "
    "socketify is the same C++ library under Python."
}


@attrs.frozen
class Server:
    """A server that runs."""

    pid: int
    port: int


def place_of(kind: Kind, places: Path) -> Path:
    """Its directory; made of what is required, as that decides what is in there."""
    return places / re.sub(r"\W+", "-", " ".join(kind.requires)).strip("-")


def install(kind: Kind, places: Path = PLACES) -> None:
    """Install what a server needs, once; later calls find it.

    Raises:
        BenchmarkError: it could not be had; `str()` has the installer's last words.
    """
    place = place_of(kind, places)
    if not kind.requires or (place / "installed").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    if kind.node:
        commands = [["npm", "install", "--no-audit", "--no-fund", "--prefix", str(place), *kind.requires]]
    else:
        python = str(place / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *kind.requires]
        commands = [[sys.executable, "-m", "venv", str(place)], pip]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, timeout=INSTALL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchmarkError(f"{command[0]}: {error}") from None
        if done.returncode:
            raise BenchmarkError(tail(done.stderr))
    (place / "installed").touch()


def versions(kind: Kind, places: Path = PLACES) -> str:
    """What is installed: "websockets 17.0", …; empty for our own."""
    if not kind.requires:
        return ""
    place = place_of(kind, places)
    if kind.node:
        code = "for (const n of process.argv.slice(1)) console.log(n, require(n+'/package.json').version)"
        command = ["node", "-e", code, *kind.requires]
    else:
        code = "import sys, importlib.metadata as m; [print(n, m.version(n)) for n in sys.argv[1:]]"
        names = [name.partition("[")[0] for name in kind.requires]
        command = [str(place / "bin" / "python"), "-c", code, *names]
    env = {**os.environ, "NODE_PATH": str(place / "node_modules")}
    done = subprocess.run(command, capture_output=True, env=env, timeout=30, check=True, text=True)
    return ", ".join(done.stdout.split("\n")[:-1])


@contextmanager
def serving(name: str, cpu: int | None = None, places: Path | None = None) -> Iterator[Server]:
    """Start one of `SERVERS`, on core `cpu`; stop it in the end. Without `places` it runs in our own environment.

    Raises:
        BenchmarkError: it ended, or printed no address within `START_SECONDS`.
    """
    kind = SERVERS[name]
    place = place_of(kind, places) if places and kind.requires else None
    program = node() if kind.node else str(place / "bin" / "python") if place else sys.executable
    env = {**os.environ, "PYTHONPATH": str(ROOT)} | ({"NODE_PATH": str(place / "node_modules")} if place else {})
    # A file takes the output, as a pipe that nobody reads would stop the server.
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile() as output:
        command = [program, *(word.replace("{directory}", directory) for word in kind.command)]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            if cpu is not None:
                os.sched_setaffinity(process.pid, {cpu})
            yield Server(process.pid, port_of(name, process, output))
        finally:
            stop(process)


def node() -> str:
    """Node itself: what PATH has may be a script that starts it, whose CPU is not Node's, and whose end neither.

    Raises:
        BenchmarkError: there is none that runs.
    """
    command = ["node", "-p", "process.execPath"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=True, text=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchmarkError(f"node: {error}") from None


def port_of(name: str, process: subprocess.Popen[bytes], output: IO[bytes]) -> int:
    """Wait for the address in a server's output."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        running = process.poll() is None
        text = os.pread(output.fileno(), 65_536, 0)
        if found := ADDRESS.search(text):
            return int(found[1])
        if not running:
            raise BenchmarkError(f"{name} ended with {process.returncode}: {tail(text)}")
        time.sleep(0.02)
    raise BenchmarkError(f"{name} printed no address within {START_SECONDS} s: {tail(text)}")


def tail(text: bytes) -> str:
    """The end of some output, to put in a message."""
    return text.decode(errors="replace").strip()[-2_000:]


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, in at most about `STOP_SECONDS`."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
