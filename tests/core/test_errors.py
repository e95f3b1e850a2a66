"""The registry: texts that seed clients read, and codes whose range is the verdict."""

from __future__ import annotations

import re

import pytest

from trio_chat.core.errors import Close, ErrorCode, ends_session


def test_only_a_taken_name_is_told_with_the_word_that_seed_clients_test() -> None:
    assert ErrorCode.USERNAME_TAKEN.text.startswith("Username")
    assert [code for code in ErrorCode if "Username" in code.text] == [ErrorCode.USERNAME_TAKEN]


@pytest.mark.parametrize("code", ErrorCode)
def test_error_code_is_its_value(code: ErrorCode) -> None:
    assert code == code.value
    assert re.fullmatch("[a-z]+(_[a-z]+)*", code.value)
    assert code.text.strip() == code.text != ""


@pytest.mark.parametrize("code", Close)
def test_close_reason_fits_into_a_control_frame(code: Close) -> None:
    assert 0 < len(code.reason.encode()) <= 123


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        (Close.DONE, None),
        (Close.INTERNAL, None),
        (Close.DRAINING, True),
        (Close.UNAVAILABLE, True),
        (Close.CONNECT_TIMEOUT, False),
        (Close.BAD_INPUT, False),
    ],
)
def test_range_is_the_verdict(code: Close, retry: bool | None) -> None:
    assert code.retry is retry


@pytest.mark.parametrize(
    ("code", "cut", "ends"),
    [
        (1000, None, True),
        (1001, None, False),
        (1005, None, False),
        (4999, None, False),  # a client's number, not ours
        (None, None, False),
        (None, Close.TOO_SLOW, False),
        (None, Close.INTERNAL, False),
        (None, Close.BAD_INPUT, True),
        (None, Close.REPLACED, False),
        (1000, Close.TOO_SLOW, False),  # ours came first
    ],
)
def test_what_ends_a_session(code: int | None, cut: Close | None, ends: bool) -> None:
    assert ends_session(code, cut) is ends
