"""Words: what a search finds in a text, in every script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.words import MAX_WORD_CHARS, words_of

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(" _-.@'ßİſﬁéё東ガหि한ⅧᾳΣς")), max_size=30)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n!?_-🎉", []),
        ("Hello, World_2!", ["hello", "world", "2"]),
        ("don't", ["don", "t"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ﬁn Ⅷ ｆｕｌｌ", ["fin", "viii", "full"]),
        ("Café cafe\u0301 Ёлка", ["cafe", "cafe", "елка"]),
        ("ΌΣΟΣ", ["οσοσ"]),
        ("İ", ["i"]),
        ("東京Tower", ["東", "京", "tower"]),
        ("a東b", ["a", "東", "b"]),
        ("ガラス・ｶﾞ", ["カ", "ラ", "ス", "カ"]),  # the middle dot is no word
        ("हिन्दी में", ["हनद", "म"]),  # one word each, though the vowel signs have no combining class
        ("กิน ฿", ["ก", "น"]),
        ("မာ", ["မ"]),
        ("שָׁלוֹם", ["שלום"]),
        ("مُحَمَّد", ["محمد"]),
        ("❤\ufe0fa\ufe0fb", ["ab"]),
        ("𠀀𠀁", ["𠀀", "𠀁"]),
        ("٣ 3", ["٣", "3"]),
        ("한국", [unicodedata.normalize("NFD", "한국")]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_long_word_is_its_beginning() -> None:
    assert words_of("x" * 99 + " y") == ["x" * MAX_WORD_CHARS, "y"]
    assert words_of("é" * 99) == ["e" * MAX_WORD_CHARS]


@given(TEXTS)
def test_a_word_is_letters_and_digits_and_not_too_long(text: str) -> None:
    for word in words_of(text):
        assert word.isalnum()
        assert len(word) <= MAX_WORD_CHARS


@given(TEXTS)
def test_how_a_text_is_composed_does_not_matter(text: str) -> None:
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(text)
    assert words_of(unicodedata.normalize("NFC", text)) == words_of(text)


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_ascii_is_treated_as_all_else(text: str) -> None:
    assert [*words_of(text), "é"[:0] + "e"] == words_of(text + " é")


@given(TEXTS)
def test_words_are_found_by_themselves(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
