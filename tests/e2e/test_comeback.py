"""A whole office behind one address: five hundred clients that lose their server, and come back to the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .crowd import Crowd, Member
from .process import Server

MANY = 500
AT_ONCE = 20  # without a ticket: as many as an address may attempt (`max_attempts`, by default)
QUIET = ("--presence-interval", "5", "--presence-limit", "0", "--drain-seconds", "1")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server on one log, by the default limits on attempts; the one before it is drained."""
    servers: list[Server] = []

    def starting(*flags: str) -> Server:
        if servers:
            assert servers[-1].stop() == 0
        servers.append(Server(*QUIET, "--log", f"sqlite:{tmp_path}/chat.db", *flags))
        return servers[-1].ready()

    yield starting
    for server in servers:
        server.stop()
        server.check_log()


def sessions(server: Server) -> list[tuple[str, str]]:
    """Session and ticket of each of the many, who came one day, and are there when the server goes."""
    with Crowd(server) as crowd:
        members = crowd.add(f"user{number}" for number in range(MANY))
        assert server.stop() == 0
        return [(member.frames[0]["session"], member.frames[0]["ticket"]) for member in members]


def back(crowd: Crowd, held: list[tuple[str, str]], *, tickets: bool) -> list[Member]:
    """All of them at once, each to its session."""
    return crowd.add(
        [f"user{number}" for number in range(len(held))],
        paths=[f"/ws?ticket={ticket}" if tickets else "/ws" for _, ticket in held],
        fields=[{"resume": {"session": session, "rooms": {}}} for session, _ in held],
    )


def test_with_their_tickets_all_come_back_at_once(office: Callable[..., Server]) -> None:
    """None is charged to the address; and a stranger behind it is not worse off."""
    held = sessions(office("--max-attempts", str(MANY)))
    server = office()
    with Crowd(server) as crowd:
        members = back(crowd, held, tickets=True)
        assert all(member.frames[0]["resumed"] for member in members)
        crowd.add(f"stranger{number}" for number in range(AT_ONCE))
        for member in members:
            member.send(type="ping", id=1)
        crowd.run(lambda: all(member.of("pong") for member in members), "an answer for everybody")
    assert "banned" not in server.log


def test_without_tickets_they_come_back_as_well(office: Callable[..., Server]) -> None:
    """As long as no more than `max_attempts` are between upgrade and resume: each that resumes is refunded."""
    held = sessions(office("--max-attempts", str(MANY)))
    server = office("--attempt-window", "600")
    with Crowd(server) as crowd:
        for begin in range(0, MANY, AT_ONCE):
            members = back(crowd, held[begin : begin + AT_ONCE], tickets=False)
            assert all(member.frames[0]["resumed"] for member in members)
        crowd.add(f"stranger{number}" for number in range(AT_ONCE))
        assert len(crowd.members) == MANY + AT_ONCE
    assert "banned" not in server.log


def test_what_resumes_nothing_is_not_refunded(office: Callable[..., Server]) -> None:
    """Forged sessions count like any newcomer: the one that is too many is a ban."""
    server = office("--max-attempts", "5")
    with Crowd(server) as crowd:
        forged = [("A" * 32, "")] * 5
        assert not any(member.frames[0]["resumed"] for member in back(crowd, forged, tickets=False))
        with pytest.raises(AssertionError, match="429"):
            back(crowd, forged[:1], tickets=False)
    assert "127.0.0.1 banned" in server.log
