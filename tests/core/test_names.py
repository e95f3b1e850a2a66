"""Names: what is one, and which are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.names import INVISIBLE, MAX_CHARS, MAX_RAW_CHARS, RULE, parse_name

LETTERS = st.characters(categories=("L", "Nd"))
RAW = st.text(st.one_of(LETTERS, st.characters(), st.sampled_from(" _-.@#ßİſﬁ")), max_size=MAX_RAW_CHARS + 2)


@pytest.mark.parametrize(
    "raw",
    [
        "a",
        "Ann-Marie O.",
        "_x_",
        "9",
        "Жанна",
        "नमस्ते",  # vowel signs are marks
        "ﬁ" * 16,  # two letters each, normalised
        "𐐀" * 32,
        "e\u0301" * 32,  # one letter each, normalised
    ],
)
def test_good(raw: str) -> None:
    name = parse_name(raw)
    assert name.text == unicodedata.normalize("NFKC", raw)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        " a",
        "a ",
        "a  b",
        "\u00a0a",
        "a\u3000",
        "a" * 33,
        "ﬁ" * 17,
        "a" * (MAX_RAW_CHARS + 1),
        "@a",
        "#a",
        "a@b",
        "a#",
        "a\nb",
        "a\tb",
        "a\x00",
        "a\x7f",
        "a/b",
        "a,b",
        "😀",
        "a\u200bb",  # zero-width space
        "a\u200db",  # zero-width joiner
        "a\u202eb",  # right-to-left override
        "a\u2066b",  # bidi isolate
        "a\ufeff",
        "\u0301a",  # a mark with nothing to stand on
        "a\ud800",
        "\u3164",  # a letter that shows as nothing
        "\uffa0a",
        "a\ufe0f",  # variation selector
        "a\U000e0101",
        "a\u034fb",
    ],
)
def test_bad(raw: str) -> None:
    with pytest.raises(ValueError, match="1-32") as caught:
        parse_name(raw)
    assert str(caught.value) == RULE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob", "bOB"),
        ("STRASSE", "straße"),
        ("ＡＬＩＣＥ", "alice"),
        ("e\u0301", "É"),
        ("a\u00a0b", "A b"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ],
)
def test_same(one: str, other: str) -> None:
    assert parse_name(one).key == parse_name(other).key


@given(raw=RAW)
def test_a_name_or_the_rule(raw: str) -> None:
    try:
        name = parse_name(raw)
    except ValueError:
        return
    assert 1 <= len(name.text) <= MAX_CHARS
    assert name.text.strip() == name.text
    assert name.text[0] not in "@#"
    assert name.text.isprintable()
    assert not INVISIBLE & set(name.text)
    assert not {unicodedata.category(char) for char in name.text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(raw=st.text(LETTERS, min_size=1, max_size=MAX_CHARS))
def test_normalising_again_changes_nothing(raw: str) -> None:
    try:
        name = parse_name(raw)
    except ValueError:
        return  # longer when normalised
    assert parse_name(name.text) == name
    assert unicodedata.normalize("NFKC", name.key.casefold()) == name.key


def test_what_is_invisible_is_a_letter_or_a_mark() -> None:
    """All else that shows as nothing is refused by its category already."""
    assert {unicodedata.category(char) for char in INVISIBLE} <= {"Lo", "Mn", "Cf"}
