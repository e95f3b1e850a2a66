"""docs/security.md names settings and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.hostile.scene import all_attacks
from trio_chat.config import OPTIONS

SUITE = all_attacks()
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ") and " --- " not in line]
ATTACKS = [tuple(cell.strip() for cell in row) for row in ROWS if row[0].strip() != "somebody"]
HOSTILE = {
    f"hostile/attacks/{one.run.__module__.rpartition('.')[2]}.py::{one.run.__name__}": one for one in SUITE.values()
}
CODE = re.compile(r"`([^`]+)`")


def defined(file: Path) -> set[str]:
    """The names that a module defines: its constants, functions, and the methods of its classes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            targets = [name for target in node.targets for name in ast.walk(target)]
            found |= {name.id for name in targets if isinstance(name, ast.Name)}
    return found


def exists(named: str) -> bool:
    """Whether an option, a `file.py:NAME` of the package, or a `file.py::test` is there."""
    file, test, name = named.partition("::") if "::" in named else named.partition(":")
    if not test:
        return named in OPTIONS
    path = ROOT / ("tests" if test == "::" else "trio_chat") / file
    return path.is_file() and name in defined(path)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack[0])
def test_each_attack_has_its_bound_and_its_test(attack: tuple[str, ...]) -> None:
    _, bounds, outcome, tests = attack
    assert [named for named in CODE.findall(bounds) + CODE.findall(tests) if not exists(named)] == []
    assert all("::test_" in named or named in HOSTILE for named in CODE.findall(tests))
    assert CODE.sub("", bounds).strip(" ,") == ""
    assert CODE.findall(tests)
    assert outcome


def test_what_else_the_page_names_exists() -> None:
    named = [word for word in CODE.findall(PAGE) if "::" in word]
    assert len(named) > 50
    assert [word for word in named if not exists(word)] == []


def test_attacks_of_the_suite_have_their_row() -> None:
    named = set(CODE.findall(PAGE))
    assert [where for where in HOSTILE if where not in named] == []


@pytest.mark.parametrize(
    ("named", "there"),
    [
        ("max_attempts", True),
        ("max_attempt", False),
        ("server/http.py:MAX_HEAD", True),
        ("server/http.py:MAX_HAT", False),
        ("server/none.py:MAX_HEAD", False),
        ("core/test_names.py::test_bad", True),
        ("core/test_names.py::test_none", False),
    ],
)
def test_what_is_looked_for(named: str, there: bool) -> None:
    assert exists(named) is there
