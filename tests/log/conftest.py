"""Where the files of these tests are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.log.kinds import IN_MEMORY


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory: no test needs its files after the machine, and a disk takes its time to promise that."""
    with tempfile.TemporaryDirectory(prefix="trio_chat-", dir=IN_MEMORY) as directory:
        yield Path(directory)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"
