"""Admission: attempts, bans, origins, and how many are let in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.driver import Driver
from trio_chat.config import Config
from trio_chat.core import bans
from trio_chat.core.bans import Gate
from trio_chat.core.effects import Admit, Admitted, Attempted, Banned, Effect, Refused


def gate(**options: Any) -> Gate:
    return Gate(Config.of(**options).admission)


def status(effects: list[Effect]) -> int | None:
    """That of the refusal, or None."""
    (verdict,) = (effect for effect in effects if isinstance(effect, Admitted | Refused))
    return verdict.status if isinstance(verdict, Refused) else None


def refusal(effects: list[Effect]) -> Refused:
    (verdict,) = (effect for effect in effects if isinstance(effect, Refused))
    return verdict


def test_one_attempt_too_many_bans_and_only_that_address() -> None:
    door = gate(max_attempts=2, attempt_window=10, ban_seconds=60)
    assert [status(door.admit(Admit(n, "a"), None, 0.0)) for n in (1, 2)] == [None, None]
    effects = door.admit(Admit(3, "a"), None, 1.0)
    assert Banned("a", 61.0) in effects
    assert refusal(effects).status == 429
    assert refusal(effects).retry_after == 60
    during = refusal(door.admit(Admit(4, "a"), None, 31.0))
    assert (during.status, during.retry_after) == (403, 30.0)
    assert status(door.admit(Admit(5, "b"), None, 31.0)) is None


def test_attempts_during_a_ban_neither_count_nor_lengthen_it() -> None:
    door = gate(max_attempts=2, attempt_window=1000, ban_seconds=60)
    for n in range(3):
        door.admit(Admit(n, "a"), None, 0.0)
    assert [door.attempt("a", 30.0) for _ in range(9)] == [[]] * 9
    assert status(door.admit(Admit(10, "a"), None, 59.9)) == 403
    assert door.tick(60.0) == [Banned("a", None)]
    assert [status(door.admit(Admit(n, "a"), None, 60.0)) for n in (11, 12, 13)] == [None, None, 429]


def test_a_ban_is_over_in_time_even_if_the_tick_is_late() -> None:
    door = gate(max_attempts=1, attempt_window=10, ban_seconds=60)
    for n in (1, 2):
        door.admit(Admit(n, "a"), None, 0.0)
    assert status(door.admit(Admit(3, "a"), None, 60.0)) is None
    assert door.tick(60.0) == [Banned("a", None)]


def test_attempts_are_counted_in_a_sliding_window() -> None:
    door = gate(max_attempts=2, attempt_window=10)
    times = [0.0, 9.0, 10.0, 19.5]
    assert [status(door.admit(Admit(n, "a"), None, at)) for n, at in enumerate(times)] == [None] * 4
    assert status(door.admit(Admit(9, "a"), None, 19.6)) == 429


def test_heads_that_never_got_whole_count_too() -> None:
    driver = Driver(max_attempts=2, ban_seconds=60)
    for _ in range(2):
        assert driver.apply(Attempted("a")) == []
    for _ in range(9):
        assert driver.apply(Attempted("a", trusted=True)) == []
    driver.apply(Attempted("a"))
    assert driver.banned == {"a": driver.now.mono + 60}
    driver.advance(60)
    assert driver.banned == {}


def test_trusted_addresses_are_not_counted() -> None:
    door = gate(max_attempts=1, max_connections_per_address=1)
    assert [status(door.admit(Admit(n, "a", trusted=True), None, 0.0)) for n in range(9)] == [None] * 9
    for n in range(9):
        door.closed(n)
    assert status(door.admit(Admit(10, "a"), None, 0.0)) is None


def test_a_returning_session_is_not_charged_to_its_address() -> None:
    door = gate(max_attempts=2, ban_seconds=60)
    for n in range(3):
        door.admit(Admit(n, "a"), None, 0.0)
    assert [status(door.admit(Admit(n, "a"), "session 1", 1.0)) for n in (10, 11)] == [None, None]
    assert status(door.admit(Admit(12, "a"), "session 1", 1.0)) == 403  # its own bucket is empty: it is as anyone
    assert status(door.admit(Admit(13, "b"), "session 1", 1.0)) is None  # charged to b, then
    assert status(door.admit(Admit(14, "b"), None, 1.0)) is None
    assert status(door.admit(Admit(15, "b"), None, 1.0)) == 429


@pytest.mark.parametrize(
    ("origin", "fields", "options", "admitted"),
    [
        ("https://x.org", {}, {}, True),
        ("https://x.org", {}, {"environment": "production"}, False),
        (None, {}, {"environment": "production"}, True),
        ("https://x.org", {"own_origin": True}, {"environment": "production"}, True),
        ("https://a.x.org", {}, {"environment": "production", "allowed_origins": ("https://*.X.org",)}, True),
        ("HTTPS://A.X.ORG", {}, {"allowed_origins": ("https://*.x.org",)}, True),
        ("https://evil.org", {}, {"allowed_origins": ("https://*.x.org",)}, False),
        ("null", {}, {"allowed_origins": ("https://*.x.org",)}, False),
        ("https://x.org", {}, {"allowed_origins": ()}, False),
    ],
)
def test_origins(origin: str | None, fields: dict[str, bool], options: dict[str, Any], admitted: bool) -> None:
    effects = gate(**options).admit(Admit(1, "a", origin=origin, **fields), None, 0.0)  # type: ignore[arg-type]
    assert status(effects) == (None if admitted else 403)


def test_full() -> None:
    door = gate(max_connections=1)
    assert status(door.admit(Admit(1, "a"), None, 0.0)) is None
    full = refusal(door.admit(Admit(2, "b", trusted=True), None, 0.0))
    assert (full.status, full.retry_after) == (503, 5.0)
    door.closed(1)
    door.closed(1)  # no harm
    assert status(door.admit(Admit(3, "b"), None, 0.0)) is None


def test_too_many_from_one_address() -> None:
    door = gate(max_connections_per_address=2)
    assert [status(door.admit(Admit(n, "a"), None, 0.0)) for n in (1, 2)] == [None, None]
    crowded = refusal(door.admit(Admit(3, "a"), None, 0.0))
    assert (crowded.status, crowded.retry_after) == (429, 10.0)
    assert status(door.admit(Admit(4, "b"), None, 0.0)) is None
    door.closed(1)
    assert status(door.admit(Admit(5, "a"), None, 0.0)) is None
    door.closed(2)
    door.closed(5)
    assert status(door.admit(Admit(6, "a"), None, 0.0)) is None


def test_a_valid_resume_is_its_sessions_attempt_and_not_its_addresss() -> None:
    door = gate(max_attempts=2, attempt_window=10)
    for n in range(6):  # each comes without a ticket, and resumes a session of its own
        assert status(door.admit(Admit(n, "a"), None, float(n) / 10)) is None
        door.returned("a", f"session {n}", n / 10, n / 10 + 0.05)
    assert [status(door.admit(Admit(n, "a"), None, 1.0)) for n in (10, 11, 12)] == [None, None, 429]


def test_a_crowd_behind_one_address_comes_back_without_tickets() -> None:
    """By resuming one after the other; who connects anew counts."""
    driver = Driver(max_attempts=3, attempt_window=60)
    clients = [driver.connect(f"user {n}", trusted=True) for n in range(10)]
    for client in clients:
        client.drop()
    for client in clients:
        assert driver.resume(client, address="office").welcome.resumed
    assert driver.banned == {}
    for n in range(3):
        driver.connect(f"new {n}", address="office")
    driver.admit(address="office")
    assert list(driver.banned) == ["office"]


def test_who_came_with_a_ticket_has_paid_with_it() -> None:
    """Its resume is not charged to its session a second time."""
    driver = Driver(max_attempts=2, attempt_window=60)
    alice = driver.connect("alice", trusted=True)
    driver.connect("bob", address="office")
    for _ in range(2):
        driver.advance(1)
        alice.drop()
        alice = driver.resume(alice, address="office", ticket=alice.welcome.ticket)
    driver.connect("carol", address="office")
    assert driver.banned == {}
    driver.admit(address="office")
    assert list(driver.banned) == ["office"]


def test_one_session_is_not_attempts_without_end() -> None:
    """It has a bucket like those with tickets, and the same one; when that is empty, its address pays."""
    door = gate(max_attempts=2, attempt_window=10)
    statuses = []
    for n in range(6):
        statuses.append(status(door.admit(Admit(n, "a"), None, float(n))))
        door.returned("a", "session 1", float(n), n + 0.5)
    assert statuses == [None, None, None, None, 429, 403]
    assert status(door.admit(Admit(10, "b"), "session 1", 6.0)) is None, "its ticket is charged to b"
    assert status(door.admit(Admit(11, "b"), None, 6.0)) is None
    assert status(door.admit(Admit(12, "b"), None, 6.0)) == 429


def test_only_what_was_charged_is_given_back() -> None:
    """Not an attempt of another time, nor one from before a ban."""
    door = gate(max_attempts=2, attempt_window=100, ban_seconds=1)
    door.admit(Admit(1, "a"), None, 0.0)
    for n in (2, 3):
        door.admit(Admit(n, "a"), None, 0.5)  # the third bans
    door.returned("a", "session 1", 0.0, 0.6)
    assert [status(door.admit(Admit(n, "a"), None, 2.0)) for n in (4, 5)] == [None, None]
    door.returned("a", "session 1", 0.5, 2.1)
    assert status(door.admit(Admit(6, "a"), None, 2.2)) == 429


def test_a_48_has_a_quarter_of_all_connections() -> None:
    door = gate(max_connections=16, max_connections_per_address=3)
    asks = [Admit(n, f"2001:db8:0:{n}::/64", "2001:db8::/48") for n in range(6)]
    assert [status(door.admit(ask, None, 0.0)) for ask in asks] == [None] * 4 + [429] * 2
    assert status(door.admit(Admit(7, "2001:db8:1::/64", "2001:db8:1::/48"), None, 0.0)) is None
    assert status(door.admit(Admit(8, asks[5].address, asks[5].site, trusted=True), None, 0.0)) is None
    door.closed(0)
    assert status(door.admit(asks[5], None, 0.0)) is None


def test_a_48_has_no_less_than_an_address() -> None:
    door = gate(max_connections=8, max_connections_per_address=5)
    asks = [Admit(n, "2001:db8::/64", "2001:db8::/48") for n in range(6)]
    assert [status(door.admit(ask, None, 0.0)) for ask in asks] == [None] * 5 + [429]


def test_counts_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that would be forgotten first is forgotten at once; of the others nothing is lost."""
    monkeypatch.setattr(bans, "MOST_COUNTED", 100)
    door = gate(max_attempts=2, attempt_window=1000)
    for n in range(250):
        assert status(door.admit(Admit(n, f"2001:db8:0:{n:x}::/64"), None, float(n))) is None
        assert len(door._attempts) == len(list(door._forget)) <= 100
    last, first = "2001:db8:0:f9::/64", "2001:db8:0:95::/64"
    assert [status(door.admit(Admit(n, last), None, 250.0)) for n in (300, 301)] == [None, 429]
    assert [status(door.admit(Admit(n, first), None, 250.0)) for n in (302, 303, 304)] == [None, None, 429]


def test_bans_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads them is told of each that is lifted before its time: the one that was nearest to it."""
    monkeypatch.setattr(bans, "MOST_BANS", 100)
    door = gate(max_attempts=1, attempt_window=1000, ban_seconds=10_000)
    banned: dict[str, float] = {}
    for n in range(250):
        for conn in (n, n + 1000):
            for effect in door.admit(Admit(conn, f"net {n}"), None, float(n)):
                if isinstance(effect, Banned) and effect.until is None:
                    del banned[effect.address]
                elif isinstance(effect, Banned):
                    banned[effect.address] = effect.until or 0.0
        assert len(banned) <= 100
    assert list(banned) == [f"net {n}" for n in range(150, 250)]
    assert [status(door.admit(Admit(n, f"net {n}"), None, 250.0)) for n in (149, 150)] == [None, 403]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 0.5, 1.0, 4.0, 11.0]), st.booleans()), max_size=40
    )
)
def test_attempts_and_bans_against_a_model(steps: list[tuple[str, float, bool]]) -> None:
    """Two hits in four seconds, a ban of ten; with ticks when due, or with none at all."""
    door = gate(max_attempts=2, attempt_window=4, ban_seconds=10)
    now, hits, banned = 0.0, dict[str, list[float]](a=[], b=[]), dict[str, float]()
    for conn, (address, step, ticks) in enumerate(steps):
        now += step
        due = door.next_due()
        if ticks and due is not None and due <= now:
            door.tick(now)
        hits[address] = [hit for hit in hits[address] if hit + 4 > now]
        if banned.get(address, 0.0) > now:
            expected = 403
        elif len(hits[address]) < 2:
            hits[address].append(now)
            expected = 0
        else:
            banned[address], hits[address] = now + 10, []
            expected = 429
        assert (status(door.admit(Admit(conn, address), None, now)) or 0) == expected
        door.closed(conn)


def test_an_idle_gate_remembers_nothing() -> None:
    door = gate(max_attempts=2, attempt_window=4, ban_seconds=10)
    now = 0.0
    for conn in range(300):
        door.admit(Admit(conn, f"10.0.0.{conn % 70}"), None, now)
        now += 0.01
    while (due := door.next_due()) is not None:
        door.tick(due)
    for conn in range(300):
        door.closed(conn)
    assert not any(vars(door)[name] for name in ("_attempts", "_open", "_per_address"))
