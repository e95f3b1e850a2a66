"""Nobody may do more, or less, than the matrix says."""

from __future__ import annotations

import pytest

from tests.core.matrix import CASES, OK, cells, expected, outcome
from trio_chat.core.commands import HANDLERS


def test_no_command_is_forgotten() -> None:
    assert {command for command, _, _ in CASES.values()} == set(HANDLERS)


@pytest.mark.parametrize(("case", "role", "kind"), list(cells()))
def test_matrix(case: str, role: str, kind: str) -> None:
    assert outcome(case, role, kind) == expected(case, role, kind)


def test_each_need_is_met_and_missed_somewhere() -> None:
    """Else a column of the matrix would say nothing."""
    for need in {need for _, need, _ in CASES.values()} - {"nothing"}:
        verdicts = {expected(*cell) == OK for cell in cells() if CASES[cell[0]][1] == need}
        assert verdicts == {True, False}, need
