"""Servers on a Valkey of their own, under the names that the tests of `tests/e2e` have for theirs."""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.cluster.valkey import Valkey, valkey
from tests.e2e.conftest import QUICK
from tests.e2e.process import Server, serving

Restart = Callable[..., Server]


def taken_from(module: ModuleType) -> dict[str, Any]:
    """Those that need no log file."""
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and not {"file", "tmp_path"} & {*inspect.signature(test).parameters}
    }


@pytest.fixture(name="place")
def own_place() -> Iterator[Valkey]:
    with valkey(appendonly="yes", appendfsync="always") as own:
        yield own


@pytest.fixture(name="start")
def start_on_it(place: Valkey) -> Iterator[Callable[..., Server]]:
    with serving(*QUICK, "--log", place.url) as starting:
        yield starting


@pytest.fixture(name="server")
def one_server(start: Callable[..., Server]) -> Server:
    return start()


@pytest.fixture(name="restart")
def restart_on_it(place: Valkey) -> Iterator[Restart]:
    """Start a server; the one before it is stopped, or killed. Its lease is taken for over, as it is in ten seconds."""
    servers: list[Server] = []

    def end(killed: bool) -> None:
        server = servers[-1]
        if server.process.poll() is None:
            server.signal(signal.SIGKILL if killed else signal.SIGTERM)
        code = server.wait()
        server.kill()  # it is gone: this removes what it left
        server.check_log()
        assert code == (-signal.SIGKILL if killed else 0)
        if killed:
            place.ask("DEL", "trio_chat:lease")

    def again(*flags: str, killed: bool = False) -> Server:
        if servers:
            end(killed)
        servers.append(Server(*QUICK, "--log", place.url, *flags))
        return servers[-1].ready()

    yield again
    try:
        end(False)
    finally:
        for server in servers:
            server.kill()
