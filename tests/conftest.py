"""What holds for all tests: no example of Hypothesis is judged by the clock of a busy machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .certificates import Authority

settings.register_profile("trio_chat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trio_chat")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Issues certificates."""
    return Authority(tmp_path)
