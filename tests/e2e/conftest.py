"""Servers for tests, each stopped and its log looked at in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .process import Server, serving

# Joins are told soon; and whoever is still there when a test ends need not be drained.
QUICK = ("--presence-interval", "0.05", "--drain-seconds", "0")


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server with flags; a flag given twice counts as it comes last."""
    with serving(*QUICK) as starting:
        yield starting


@pytest.fixture(scope="session")
def _spare() -> Iterator[list[Server]]:
    """The next default server: it starts while a test runs."""
    servers = [Server(*QUICK)]
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
def server(_spare: list[Server]) -> Iterator[Server]:
    """A server as it is by default, of one's own."""
    server = _spare.pop().ready()
    _spare.append(Server(*QUICK))
    yield server
    code = server.stop()
    server.check_log()
    assert code == 0


@pytest.fixture(params=[True, False], ids=["chat", "no subprotocol"])
def modern(request: pytest.FixtureRequest) -> bool:
    """Whether clients offer the subprotocol `chat`, or none, as the seed's do."""
    return bool(request.param)


@pytest.fixture(scope="module")
def _shared() -> Iterator[Server]:
    with serving(*QUICK, "--trusted-addresses", "127.0.0.0/8") as starting:
        yield starting()


@pytest.fixture
def shared(_shared: Server) -> Iterator[Server]:
    """One server for those tests of a module that need no flags and do not care who else was there."""
    yield _shared
    _shared.check_log()
