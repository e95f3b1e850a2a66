"""What a search looks for: the words of a text, the same for a query and for what was written."""

from __future__ import annotations

import re
import unicodedata
from itertools import filterfalse

MAX_WORD_CHARS = 64  # a longer one is found by its beginning
# Scripts that are written without spaces between words: each of their characters is a word by itself.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[^\W_](?:(?<=[{_UNSPACED}])|[^\W_{_UNSPACED}]*)")


def words_of(text: str) -> list[str]:
    """The words of `text`, in order: letters and digits, NFKC, case-folded, without the marks on them."""
    if text.isascii():  # nothing to fold but the case, and most of what is written
        plain = text.lower()
    else:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
        plain = "".join(filterfalse(_is_mark, folded))
    return [word[:MAX_WORD_CHARS] for word in _WORD.findall(plain)]


def _is_mark(char: str) -> bool:
    """Whether it is an accent or a vowel sign: those of India have no combining class, and would split words."""
    return unicodedata.category(char)[0] == "M"
