"""Names that look alike, by the data of Unicode; and those that are reserved."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make_confusables import page
from trio_chat.core import confusables
from trio_chat.core.lookalikes import looks, skeleton
from trio_chat.core.names import Name, parse_name
from trio_chat.core.naming import Reserved
from trio_chat.core.sessions import People

NAMES = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=12)


def alike(one: str, other: str) -> bool:
    first, second = looks(parse_name(one)), looks(parse_name(other))
    assert first.like(second) is second.like(first)
    return first.like(second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "аnn"),  # Cyrillic a
        ("Ian", "lan"),
        ("bob1", "bobl"),
        ("Barn", "Bam"),
        ("admin", "АDМIN"),  # in capitals
        ("MAMA", "МАМА"),
        ("mama", "МАМА"),
        ("B0B", "bob"),
        ("paypal", "раураl"),
        ("scope", "ѕсоре"),
        ("jose\u0301", "josé"),
    ],
)
def test_alike(one: str, other: str) -> None:
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "anna"),
        ("вова", "boba"),
        ("b0b", "bob"),
        ("user 1", "user i"),
        ("müller", "muller"),
        ("user 1", "user 7"),
    ],
)
def test_not_alike(one: str, other: str) -> None:
    assert not alike(one, other)


def test_numbered_names_do_not_look_alike() -> None:
    """As tests, and people who find their name taken, make them."""
    crowd = People("boot", b"")
    for number in range(300):
        name = parse_name(f"user{number}")
        assert not crowd.has_lookalike(name)
        crowd.new_guest(name, 1)


@given(text=NAMES)
def test_a_skeleton_is_its_own(text: str) -> None:
    assert skeleton(skeleton(text)) == skeleton(text)
    assert skeleton(text) == skeleton(unicodedata.normalize("NFD", text))


@given(text=NAMES)
def test_everybody_looks_like_oneself(text: str) -> None:
    try:
        name = parse_name(text)
    except ValueError:
        return
    assert looks(name).like(looks(name))
    assert alike(name.text, name.key)


def test_the_table_is_what_the_generator_makes() -> None:
    """Of the lines that it keeps, the same."""
    groups = [group.partition("<") for group in confusables.TABLE.split(";") if "<" in group]
    lines = [f"{char} ; {' '.join(text.split())} ; MA # x" for text, _, chars in groups for char in chars.split()]
    made = page("\n".join([f"# Version: {confusables.VERSION}", "# Date: 2025-07-22", *lines]))
    assert made.partition("TABLE")[2] == Path(confusables.__file__).read_text(encoding="utf-8").partition("TABLE")[2]


def test_reserved() -> None:
    reserved = Reserved(["Admin", "#none", "root"])
    assert parse_name("ADMIN") in reserved
    assert parse_name("none") not in reserved
    assert reserved.has_lookalike(parse_name("rооt"))
    assert reserved.has_lookalike(parse_name("admin")), "a name looks like itself"
    assert not reserved.has_lookalike(parse_name("adam"))


@pytest.mark.parametrize("name", ["Adm1n", "4dmin", "ad.min", "-admin", "adm in", "аdm1n", "ADMlN", "R00T", "r.0.0.t"])
def test_what_is_read_as_a_reserved_name(name: str) -> None:
    assert Reserved(["admin", "root"]).has_lookalike(parse_name(name))


@pytest.mark.parametrize("name", ["adam", "admins", "badmin", "rooted", "r2d2", "1", "..x"])
def test_what_is_not(name: str) -> None:
    assert not Reserved(["admin", "root"]).has_lookalike(parse_name(name))


def test_a_crowd_knows_who_looks_like_whom() -> None:
    crowd = People("boot", b"")
    ann = crowd.new_guest(parse_name("Ann"), 1)
    fake = parse_name("Аnn")
    assert crowd.has_lookalike(fake)
    assert not crowd.has_lookalike(fake, ann)
    assert not crowd.has_lookalike(parse_name("ann")), "that is the same name"
    crowd.rename(ann, parse_name("Bea"))
    assert not crowd.has_lookalike(fake)
    assert crowd.has_lookalike(parse_name("Веа"))
    crowd.remove_user(ann)
    assert not crowd.has_lookalike(parse_name("Веа"))
    assert crowd._by_looks == {}


def test_several_may_share_a_skeleton() -> None:
    """Those that look alike in capitals only."""
    crowd = People("boot", b"")
    boba, vova = crowd.new_guest(parse_name("boba"), 1), crowd.new_guest(parse_name("вова"), 1)
    assert crowd.has_lookalike(Name("ВОВА", "вова"))
    crowd.remove_user(boba)
    assert not crowd.has_lookalike(Name("ВОВА", "вова"))
    crowd.remove_user(vova)
    assert crowd._by_looks == {}
