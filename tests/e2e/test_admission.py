"""The door: attempts, bans, tickets, origins, limits on connections, request heads."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from .client import SECONDS, dial, join
from .process import Server
from .raw import UPGRADE, answer_to
from .web import page, refused, upgrade


def test_twenty_first_attempt_is_one_too_many(start: Callable[..., Server], modern: bool) -> None:
    """By the documented defaults: 20 within 15 s, and then a minute's ban."""
    server = start()
    for number in range(19):
        join(server, f"user{number}", modern=modern).ws.close()
    alice = join(server, "alice", modern=modern)
    alice.vanish()

    assert refused(server) == (429, 60)
    status, after = refused(server)
    assert status == 403
    assert after is not None
    assert 58 <= after <= 60
    with join(server, "alice", query=f"?ticket={alice.welcome['ticket']}", modern=modern) as back:
        assert back.ask("ping")["type"] == "pong"
    assert refused(server, query="?ticket=forged")[0] == 403
    assert page(server, "/") == 200


def test_ban_ends_and_the_count_starts_at_nought(start: Callable[..., Server]) -> None:
    """Attempts during the ban do not lengthen it."""
    server = start("--max-attempts", "3", "--attempt-window", "60", "--ban-seconds", "1")
    for _ in range(3):
        dial(server).close()
    assert refused(server) == (429, 1)
    began, tries = time.monotonic(), 0
    while time.monotonic() < began + SECONDS:
        status = upgrade(server).status
        if status == 101:
            break
        assert status == 403
        tries += 1
    assert 0.8 < time.monotonic() - began < 2
    assert tries > 3
    for _ in range(2):
        dial(server).close()
    assert refused(server)[0] == 429


def test_ticket_is_good_for_a_session_that_can_be_resumed(start: Callable[..., Server]) -> None:
    server = start("--max-attempts", "2")
    bob = join(server, "bob")
    bob.ws.close(1000)  # for good
    alice = join(server, "alice")
    alice.vanish()
    assert refused(server)[0] == 429
    resume = {"session": alice.welcome["session"]}
    with join(server, "alice", query=f"?ticket={alice.welcome['ticket']}", resume=resume) as back:
        assert back.welcome["resumed"] is True
    assert refused(server, query=f"?ticket={bob.welcome['ticket']}")[0] == 403


def test_broken_heads_are_attempts_and_pages_are_none(start: Callable[..., Server]) -> None:
    server = start("--max-attempts", "3", "--connect-timeout", "0.3")
    for _ in range(10):
        assert page(server, "/healthz") == 200
    assert answer_to(server, b"nonsense\r\n\r\n").startswith("HTTP/1.1 400")
    assert answer_to(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000).startswith("HTTP/1.1 431")
    assert answer_to(server, b"GET / HT").startswith("HTTP/1.1 408")
    assert refused(server)[0] == 429


def test_key_must_be_one(shared: Server) -> None:
    assert answer_to(shared, UPGRADE.replace(b"==", b"")).startswith("HTTP/1.1 400")


def test_production_admits_no_foreign_page(start: Callable[..., Server]) -> None:
    server = start("--environment", "production")
    assert refused(server, Origin="https://evil.example")[0] == 403
    assert refused(server, Origin="null")[0] == 403
    dial(server, origin=f"http://{server.host}:{server.port}").close()  # our own page
    dial(server).close()  # no page at all


def test_listed_origins_are_admitted(start: Callable[..., Server]) -> None:
    server = start("--environment", "production", "--allowed-origins", "https://*.example.org")
    dial(server, origin="https://chat.example.org").close()
    assert refused(server, Origin="https://example.com")[0] == 403


def test_development_admits_any_page(shared: Server) -> None:
    dial(shared, origin="https://evil.example").close()


def test_full_server_says_when_to_come_back(start: Callable[..., Server]) -> None:
    server = start("--max-connections", "2")
    with ExitStack() as stack:
        for name in ("alice", "bob"):
            stack.enter_context(join(server, name))
        status, after = refused(server)
        assert status == 503
        assert after is not None
        assert page(server, "/readyz") == 200
    with join(server, "carol"):
        pass


def test_one_address_has_only_so_many_connections(start: Callable[..., Server]) -> None:
    server = start("--max-connections-per-address", "2")
    with join(server, "alice"), join(server, "bob"):
        status, after = refused(server)
        assert status == 429
        assert after is not None
