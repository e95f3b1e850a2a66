"""Servers for tests, each stopped and its log looked at in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .process import Server

# Joins are told soon; and whoever is still there when a test ends need not be drained.
QUICK = ("--presence-interval", "0.05", "--drain-seconds", "0")


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server with flags; a flag given twice counts as it comes last."""
    servers: list[Server] = []

    def starting(*flags: str) -> Server:
        given = {QUICK[i]: QUICK[i + 1] for i in range(0, len(QUICK), 2)}
        given |= {flags[i]: flags[i + 1] for i in range(0, len(flags), 2)}
        servers.append(Server(*(word for pair in given.items() for word in pair)))
        return servers[-1].ready()

    yield starting
    codes = [server.stop() for server in servers]
    for server in servers:
        server.check_log()
    assert codes == [0] * len(servers)


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
    server = Server(*QUICK, "--trusted-addresses", "127.0.0.0/8").ready()
    yield server
    code = server.stop()
    server.check_log()
    assert code == 0


@pytest.fixture
def shared(_shared: Server) -> Iterator[Server]:
    """One server for those tests of a module that need no flags and do not care who else was there."""
    yield _shared
    _shared.check_log()
