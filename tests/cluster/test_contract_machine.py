"""Any sequence of requests: the kind `redis` against the model, and beside the kind `memory`."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.cluster.kinds import RedisKind
from tests.log.kinds import Kind, MemoryKind
from tests.log.model import Model
from tests.log.test_contract_machine import LogMachine


@pytest.mark.parametrize("oracle", [Model, MemoryKind])
def test_any_sequence_of_requests(redis_kind: type[RedisKind], oracle: type[Model | Kind]) -> None:
    machine = type("RedisMachine", (LogMachine,), {"kind": redis_kind, "oracle_kind": oracle})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
    )
