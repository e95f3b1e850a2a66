"""Log files to open."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.log.kinds import NOW, FileKind, append, refer


def fill(path: Path, count: int = 300) -> None:
    with closing(FileKind(path)) as log:
        for number in range(count):
            append(log, f"{number} word " + "x" * (number % 90))
        refer(log, "react", count, emoji="+")
        log.tidy(NOW)


def crash(path: Path) -> None:
    """Leave a log as a process does that is killed, with a -wal that holds what was said last."""
    code = f"""
import os
from pathlib import Path
from tests.log.kinds import FileKind, append
log = FileKind(Path({str(path)!r}))
for number in range(50):
    append(log, f"last {{number}}")
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 9
    assert path.with_name("chat.db-wal").stat().st_size > 0
