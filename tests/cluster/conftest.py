"""One server for all tests that do not end it, and one of its own for a test that does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.kinds import Loop, RedisKind
from tests.cluster.valkey import Valkey, valkey


@pytest.fixture(scope="session")
def shared() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.fixture
def server() -> Iterator[Valkey]:
    """Whose data is on disk when it has answered."""
    with valkey(appendonly="yes", appendfsync="always") as own:
        yield own


@pytest.fixture(scope="session")
def redis_kind(shared: Valkey) -> type[RedisKind]:
    """The kind `redis`, on the shared server."""
    RedisKind.server = shared
    RedisKind.loop = Loop()
    return RedisKind
