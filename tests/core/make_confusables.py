"""Makes `trio_chat/core/confusables.py` of Unicode's own file: `python -m tests.core.make_confusables PATH > …`.

The file is https://www.unicode.org/Public/security/latest/confusables.txt. Of it we need what a name may hold, as it is
when it is decomposed (UTS 39, section 4).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path
from textwrap import wrap

from trio_chat.core.names import INVISIBLE

LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd", "Cn")  # Cn: newer than this interpreter's Unicode
PAGE = '''"""What is shown alike: a table of Unicode {version}, made by `tests/core/make_confusables.py`.

It is `confusables.txt` of UTS 39, cut down to what the names of this server may hold. Each group is a text and, behind
`<`, the characters that look like it; in hex.
"""

# UNICODE LICENSE V3
# COPYRIGHT AND PERMISSION NOTICE: Copyright © 1991-{year} Unicode, Inc.
#
# NOTICE TO USER: Carefully read the following legal agreement. BY DOWNLOADING, INSTALLING, COPYING OR OTHERWISE USING
# DATA FILES, AND/OR SOFTWARE, YOU UNEQUIVOCALLY ACCEPT, AND AGREE TO BE BOUND BY, ALL OF THE TERMS AND CONDITIONS OF
# THIS AGREEMENT. IF YOU DO NOT AGREE, DO NOT DOWNLOAD, INSTALL, COPY, DISTRIBUTE OR USE THE DATA FILES OR SOFTWARE.
#
# Permission is hereby granted, free of charge, to any person obtaining a copy of data files and any associated
# documentation (the "Data Files") or software and any associated documentation (the "Software") to deal in the Data
# Files or Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
# distribute, and/or sell copies of the Data Files or Software, and to permit persons to whom the Data Files or Software
# are furnished to do so, provided that either (a) this copyright and permission notice appear with all copies of the
# Data Files or Software, or (b) this copyright and permission notice appear in associated Documentation.
#
# THE DATA FILES AND SOFTWARE ARE PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
# LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT OF THIRD PARTY
# RIGHTS. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR HOLDERS INCLUDED IN THIS NOTICE BE LIABLE FOR ANY CLAIM, OR ANY
# SPECIAL INDIRECT OR CONSEQUENTIAL DAMAGES, OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS,
# WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
# PERFORMANCE OF THE DATA FILES OR SOFTWARE.
#
# Except as contained in this notice, the name of a copyright holder shall not be used in advertising or otherwise to
# promote the sale, use or other dealings in these Data Files or Software without prior written authorization of the
# copyright holder.

VERSION = "{version}"
TABLE = """\\
{table}
"""
'''


def table(source: str) -> dict[str, list[str]]:
    """Text → the characters that look like it."""
    found: dict[str, list[str]] = {}
    for line in source.splitlines():
        fields = [field.strip() for field in line.partition("#")[0].split(";")]
        if len(fields) == 3:
            char, text = chr(int(fields[0], 16)), "".join(chr(int(code, 16)) for code in fields[1].split())
            if may_be_in_a_name(char):
                found.setdefault(text, []).append(char)
    return found


def may_be_in_a_name(char: str) -> bool:
    if char in INVISIBLE or unicodedata.normalize("NFKD", char) != char:
        return False
    return char in "_-." or unicodedata.category(char) in LETTERS


def codes(text: str) -> str:
    return " ".join(f"{ord(char):X}" for char in text)


def page(source: str) -> str:
    """The text of the module."""
    version = re.search(r"# Version: (\S+)", source)
    year = re.search(r"# Date: (\d+)", source)
    assert version is not None
    assert year is not None
    groups = [f"{codes(text)}<{codes(''.join(chars))};" for text, chars in sorted(table(source).items())]
    lines = wrap(" ".join(groups), 118, break_long_words=False, break_on_hyphens=False)
    return PAGE.format(version=version[1], year=year[1], table="\n".join(lines))


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]).read_text(encoding="utf-8-sig")))
