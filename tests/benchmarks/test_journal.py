"""The measuring of the log measures; what, is no test's business."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import journal


async def test_every_line_has_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With few entries, and for a moment."""
    await journal.measure(tmp_path, "normal", 0.05, 500)

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *(f"normal, {count} senders" for count in (1, 10, 100, 1000)),
        "page of 50 of 500, while all that is indexed",
        *(f"page of 50 of 500, {where}" for where in ("oldest", "middle", "newest")),
        "file",
    ]
    rates = [int(line.split()[3].replace(",", "")) for line in lines[:4]]
    assert max(rates) > 0  # with a thousand senders none may be answered within that moment
