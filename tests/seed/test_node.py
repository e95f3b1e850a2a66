"""The message service of the older system's browser client, in Node: a drop-in works unchanged."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Server, serving

HERE = Path(__file__).parent
SECONDS = 60.0


@pytest.fixture(scope="session")
def node() -> str:
    """A Node from version 22 on, whose WebSocket is a browser's; that of 20 does not tell that a connection failed."""
    beside = Path(sys.executable).with_name("node")
    path = str(beside) if beside.exists() else shutil.which("node")
    assert path is not None, "there is no node: `nox -s seed` installs one"
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    assert int(version.removeprefix("v").split(".")[0]) >= 22, f"{path} is {version}: `nox -s seed` installs another"
    return path


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server with flags."""
    with serving("--presence-interval", "0.05", "--drain-seconds", "1", ends=(0, -signal.SIGKILL)) as starting:
        yield starting


def run(node: str, scene: str, server: Server, *words: str) -> subprocess.Popen[str]:
    command = [node, str(HERE / "run.js"), scene, server.url, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_meet_talk_are_cut_off_and_part(node: str, start: Callable[..., Server]) -> None:
    with run(node, "seedProof", start()) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[0] == "the first frame is the welcome"
    assert out.splitlines()[-1] == "1000 is the end"


@pytest.mark.parametrize("end", ["drain", "kill"])
def test_it_is_back_by_itself_when_the_server_is(
    node: str, start: Callable[..., Server], end: str, tmp_path: Path
) -> None:
    flags = ("--log", f"sqlite:{tmp_path}/chat.db")
    server = start(*flags)
    with run(node, "seedComesBack", server) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if end == "drain":
            assert server.stop() == 0
        else:
            server.kill()
        start(*flags, "--port", str(server.port))
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "and it is back by itself when the server is"


def test_the_proof_can_fail(node: str, start: Callable[..., Server]) -> None:
    """Against a server whose names are all reserved for somebody else, for one."""
    with run(node, "seedProof", start("--reserved-names", "js ann"), "1000") as process:
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert err.count("\n") == 1
