"""A real server for the client's tests, and time that passes by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.process import Server, serving

QUICK = ("--presence-interval", "0.05", "--drain-seconds", "0", "--log", "memory")
TRUSTING = ("--trusted-addresses", "127.0.0.0/8", "--messages-per-second", "10000", "--messages-burst", "10000")


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    with serving(*QUICK, *TRUSTING, "--frames-per-second", "10000", "--ping-interval", "0.5") as start:
        yield start()


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """One server for all tests here: nobody is counted, and whoever is silent for half a second is pinged."""
    yield _server
    _server.check_log()
