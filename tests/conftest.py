"""What holds for all tests: no example of Hypothesis is judged by the clock of a busy machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("trio_chat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trio_chat")
