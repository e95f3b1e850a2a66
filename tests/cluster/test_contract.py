"""The log's contract suite, as it is, on the kind `redis` and a real server."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.cluster.kinds import RedisKind
from tests.log import test_contract, test_contract_kept, test_contract_refers, test_contract_search, test_forget
from tests.log.kinds import Make, making

SUITE = [test_contract, test_contract_kept, test_contract_refers, test_contract_search, test_forget]
globals().update(
    {
        name: test
        for suite in SUITE
        for name, test in vars(suite).items()
        if name.startswith("test_") and not {"path", "tmp_path"} & {*inspect.signature(test).parameters}  # of a file
    }
)


@pytest.fixture(name="make")
def make_redis(redis_kind: type[RedisKind]) -> Iterator[Make]:
    """A way to make logs of this kind."""
    with making(redis_kind) as made:
        yield made


@pytest.fixture(name="lasting")
def make_lasting(redis_kind: type[RedisKind]) -> Iterator[Make]:
    """The same, where the suite asks for one that survives."""
    with making(redis_kind) as made:
        yield made
