"""Resuming and revising, over real sockets and a Valkey: the tests that a server with a file has, as they are."""

from __future__ import annotations

import pytest

from tests.cluster.servers import one_server, own_place, restart_on_it, start_on_it, tests_of
from tests.e2e import test_resume, test_revise
from tests.e2e.conftest import modern
from tests.e2e.test_revise import pair

__all__ = ["modern", "one_server", "own_place", "pair", "restart_on_it", "start_on_it"]
pytestmark = pytest.mark.slow
globals().update(tests_of(test_resume) | tests_of(test_revise))
