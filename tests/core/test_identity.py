"""User ids: one kind is never taken for another, and none breaks a key."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.identity import PREFIX, Identity, account_id, subject_id

SUBJECTS = st.text(st.characters(categories=["L", "N", "P", "Cc", "Cs", "Zl"]), min_size=1, max_size=20)


@given(one=SUBJECTS, other=SUBJECTS)
def test_ids_of_subjects_are_theirs_alone_and_printable(one: str, other: str) -> None:
    assert (subject_id(one) == subject_id(other)) is (one == other)
    assert not {unicodedata.category(char) for char in subject_id(one)} & {"Cc", "Cs", "Zl", "Zp"}
    assert subject_id(one).startswith("sub:")


def test_an_id_is_encoded_no_more_than_it_must_be() -> None:
    assert subject_id("auth0|5f7%\n\ud800") == "sub:auth0|5f7%25%0A%ED%A0%80"
    assert account_id("ＡＮＮ") == "account:ann"
    assert len(set(PREFIX.values())) == len(PREFIX)


def test_what_is_secret_is_not_shown() -> None:
    assert "secret" not in repr(Identity(id="account:ann", proof="secret", hash="secret"))
