"""The generated pages are as their sources say."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_chat import docs
from trio_chat.config import OPTIONS

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", docs.PAGES)
def test_page_is_not_stale(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == docs.PAGES[name](), f"docs/{name} is stale: run `nox -s docs`"


def test_main_writes_every_page(tmp_path: Path) -> None:
    docs.main(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == set(docs.PAGES)


def test_every_option_has_its_row() -> None:
    page = docs.configuration()
    assert [name for name in OPTIONS if f"\n| `{name}`<br>" not in page] == []
    assert all(line.count("|") == 5 for line in page.splitlines() if line.startswith("|"))
