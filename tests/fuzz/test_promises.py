"""The sentences of the fuzzer are those of the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_chat.fuzz.promises import PROMISES, Promise

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


@pytest.mark.parametrize("promise", PROMISES.values(), ids=list(PROMISES))
def test_a_promise_stands_in_the_document_word_for_word(promise: Promise) -> None:
    assert " ".join(promise.text.split()) in " ".join(PAGE.read_text(encoding="utf-8").split())
