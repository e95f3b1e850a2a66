"""Users, sessions, and the tickets of those who come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.core.names import parse_name
from trio_chat.core.sessions import People, Session, digest


def people() -> People:
    return People("boot", b"k" * 32)


def guest(crowd: People, name: str = "alice") -> Session:
    return crowd.open_session(crowd.new_guest(parse_name(name), 20), f"token of {name}")


def test_a_guest_has_an_id_of_its_own_each_time() -> None:
    crowd = people()
    first = guest(crowd)
    crowd.end(first)
    assert crowd.find("token of alice") is None
    crowd.remove_user(first.user)
    assert (crowd.by_name, crowd.by_id) == ({}, {})
    again = guest(crowd)
    assert again.user.id != first.user.id
    assert again.number != first.number


def test_found_by_name_and_token() -> None:
    crowd = people()
    session = guest(crowd, "Alice")
    assert crowd.by_name["alice"] is session.user
    assert crowd.by_id[session.user.id] is session.user
    assert crowd.find("token of Alice") is session
    assert crowd.find("token of alice") is None


def test_a_user_stays_as_long_as_one_of_its_sessions() -> None:
    crowd = people()
    first = guest(crowd)
    second = crowd.add_session(Session(99, digest("second"), first.user))
    crowd.end(first)
    assert crowd.by_name["alice"] is first.user
    assert list(first.user.conns) == []
    second.conn = 7
    assert list(first.user.conns) == [7]


def test_ticket_is_good_as_long_as_the_session() -> None:
    crowd = people()
    alice, bob = guest(crowd), guest(crowd, "bob")
    assert crowd.holder(crowd.ticket(alice)) is alice
    assert crowd.holder(crowd.ticket(bob)) is bob
    assert alice.key not in crowd.ticket(alice)
    ticket = crowd.ticket(alice)
    crowd.end(alice)
    assert crowd.holder(ticket) is None


@pytest.mark.parametrize("key", [b"x" * 32, b""])
def test_ticket_of_another_server_is_none(key: bytes) -> None:
    crowd, other = people(), People("boot", key)
    assert other.holder(crowd.ticket(guest(crowd))) is None


@pytest.mark.parametrize(
    "ticket", [None, "", ".", "1", "1.", "1.0", "x.y", "١.0", "-1.0", "1" * 5000 + ".0", "1.\ud800"]
)
def test_forged_ticket(ticket: str | None) -> None:
    crowd = people()
    guest(crowd)
    assert crowd.holder(ticket) is None


@given(ticket=st.text(max_size=60), spot=st.integers(0, 40), char=st.characters())
def test_no_text_but_the_ticket_is_one(ticket: str, spot: int, char: str) -> None:
    crowd = people()
    good = crowd.ticket(guest(crowd))
    assert crowd.holder(ticket) is None
    changed = good[:spot] + char + good[spot + 1 :]
    assert (crowd.holder(changed) is not None) == (changed == good)
