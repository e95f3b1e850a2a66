"""Resuming and revising, over real sockets and a Valkey: the tests that a server with a file has, as they are."""

from __future__ import annotations

import pytest

from tests.cluster.servers import one_server, own_place, restart_on_it, start_on_it, taken_from
from tests.e2e import test_resume, test_revise
from tests.e2e.conftest import modern
from tests.e2e.test_revise import pair

__all__ = ["modern", "one_server", "own_place", "pair", "restart_on_it", "start_on_it"]
pytestmark = pytest.mark.slow
globals().update(taken_from(test_resume) | taken_from(test_revise))
