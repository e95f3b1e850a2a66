"""A server that is stopped or killed, and started anew on the same log file."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_chat.config import History
from trio_chat.log.store import Store

from .client import Client, Frame, contents, dial, join
from .conftest import QUICK
from .process import Server
from .web import page

Restart = Callable[..., Server]
KILLED = pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The log file, which stays."""
    return tmp_path / "chat.db"


@pytest.fixture
def restart(file: Path) -> Iterator[Restart]:
    """Start a server on the file; the one before it is stopped, or killed."""
    servers: list[Server] = []

    def end(killed: bool) -> None:
        server = servers[-1]
        if server.process.poll() is None:
            server.signal(signal.SIGKILL if killed else signal.SIGTERM)
        code = server.wait()
        server.kill()  # it is gone: this removes what it left
        server.check_log()
        assert code == (-signal.SIGKILL if killed else 0)

    def again(*flags: str, killed: bool = False) -> Server:
        if servers:
            end(killed)
        servers.append(Server(*QUICK, "--log", f"sqlite:{file}", *flags))
        return servers[-1].ready()

    yield again
    try:
        end(False)
    finally:
        for server in servers:
            server.kill()


def back(server: Server, before: Client, rooms: Frame | None = None, **fields: Any) -> Client:
    """A client that resumes the session of another."""
    client = Client(server, dial(server))
    resume = {"session": before.welcome["session"], **({} if rooms is None else {"rooms": rooms})}
    client.send("connect", resume=resume, **fields)
    client.welcome = client.receive()
    return client


def last_of(client: Client) -> dict[str, int]:
    """Of each room, the last `seq`, by its welcome."""
    return {here["room"]: here["last"] for here in client.welcome["rooms"]}


@KILLED
def test_session_rooms_and_messages_outlive_the_process(restart: Restart, killed: bool) -> None:
    server = restart()
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.ask("join", room="garden")
        bob.ask("join", room="garden")
        made = alice.ask("message", room="garden", content="before the end")
        alice.ask("private", to="bob", content="between us")
        alice.ask("topic", room="garden", topic="what grows")
        assert alice.ask("read", room="garden", seq=1)["seq"] == 1
        bob.so_far()
        since = {"garden": bob.position("garden") | {"seq": 2}, "general": bob.position()}
        assert alice.ask("message", room="garden", content="the last words", key="k")["seq"] == 3

        server = restart(killed=killed)
        with back(server, alice) as again, back(server, bob, since) as other:
            assert (other.welcome["resumed"], other.welcome["user"]) == (True, "bob")
            assert last_of(other) == {"general": 0, "garden": 3, "@alice": 1}
            assert contents(other.so_far("message")) == ["the last words"]
            assert {here["room"]: here["read"] for here in again.welcome["rooms"]} == {
                "general": 0,
                "garden": 1,
                "@bob": 0,
            }
            assert again.ask("message", room="garden", content="the last words", key="k")["seq"] == 3
            page = other.ask("history", room="garden")
            assert page["epoch"] == made["epoch"]
            assert contents(page["entries"]) == ["before the end", "the last words"]
            assert contents(other.ask("history", room="@alice")["entries"]) == ["between us"]
            rooms = {room["room"]: room.get("topic") for room in other.ask("rooms")["rooms"]}
            assert rooms == {"general": None, "garden": "what grows"}
            assert again.ask("topic", room="garden", topic="")["type"] == "ack", "she owns it still"
            assert other.ask("message", room="garden", content="and on")["seq"] == 5


def test_what_was_sent_is_known_after_a_stop(restart: Restart) -> None:
    """Without positions the server goes on from what it wrote."""
    server = restart()
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.ask("message", content="heard")
        bob.until("message")
        server = restart()
        with back(server, alice) as again, back(server, bob) as other:
            again.ask("message", content="newer")
            assert contents(other.up_to("message")) == ["newer"]
            assert "lagged" not in [frame.get("event") for frame in other.frames]


def test_what_was_sent_is_not_known_after_a_crash(restart: Restart) -> None:
    """Without positions there is `lagged`, and then all that is held."""
    server = restart()
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.ask("message", content="heard, perhaps")
        bob.until("message")
        server = restart(killed=True)
        with back(server, bob) as other:
            lagged, held = other.so_far("system", "message")
            assert (lagged["event"], lagged["room"], lagged["first"], lagged["last"]) == ("lagged", "general", 1, 1)
            assert held["content"] == "heard, perhaps"


def test_session_expires_though_nobody_serves(restart: Restart) -> None:
    server = restart("--resume-window", "0.5")
    with join(server, "alice") as alice:
        alice.vanish()
        server.wait_for("alice left: nobody came back")
        server = restart("--resume-window", "0.5")
        with back(server, alice, username="alice") as again:
            assert again.welcome["resumed"] is False


def test_ticket_outlives_the_process(restart: Restart) -> None:
    """Whoever comes back with one after a deploy is not charged to its address."""
    server = restart("--max-attempts", "2")
    with join(server, "alice") as alice:
        alice.ask("message", content="so all before it is kept")
        server = restart("--max-attempts", "2", killed=True)
        for _ in range(2):
            join(server, "other").ws.close()
        query = f"?ticket={alice.welcome['ticket']}"
        with join(server, "alice", query=query, resume={"session": alice.welcome["session"]}) as again:
            assert again.welcome["resumed"] is True


def test_wal_that_was_lost_after_a_crash_is_another_epoch(restart: Restart, file: Path) -> None:
    """What was acked last may have been in it."""
    server = restart()
    with join(server, "alice") as alice:
        epoch = alice.ask("message", content="in the -wal")["epoch"]
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        file.with_name("chat.db-wal").unlink()
        server = restart(killed=True)
        assert "its -wal is gone: it may have lost its end" in server.wait_for("was not closed well")
        with join(server, "bob") as bob:
            assert bob.position()["epoch"] != epoch


def test_file_that_is_moved_away_takes_no_more(restart: Restart, file: Path) -> None:
    """Nobody would find what was said into it."""
    server = restart("--messages-burst", "100000", "--messages-per-second", "10000")
    with join(server, "alice") as alice:
        alice.ask("message", content="before")
        moved = file.with_name("moved.db")
        file.rename(moved)
        answer = alice.ask("message", content="into it, perhaps")
        while answer["type"] == "ack":  # for a second at most
            answer = alice.ask("message", content="into it, perhaps")
        assert answer["code"] == "unavailable"
        server.wait_for("messages are refused: the file was moved or deleted")
        assert page(server, "/readyz") == 503
        assert contents(alice.ask("history", room="general", after=0)["entries"])[0] == "before"
        moved.rename(file)
        over = server.wait_for("log: the trouble is over after")
        assert "1 new entries were refused" in over
        assert page(server, "/readyz") == 200
        assert alice.ask("message", content="it is back")["type"] == "ack"


def test_restored_file_is_another_epoch(restart: Restart, file: Path) -> None:
    """Whoever was told of entries that are gone must not take new ones for them."""
    server = restart()
    with join(server, "alice") as alice:
        assert alice.ask("message", content="in the backup")["seq"] == 1
        server = restart()
        backup = file.with_suffix(".copy")
        shutil.copy(file, backup)
        with back(server, alice) as alice:
            assert alice.ask("message", content="after the backup")["seq"] == 2
            since = {"general": alice.welcome["rooms"][0] | {"seq": 2}}
            assert server.stop() == 0
            for name in ("", "-wal", "-shm"):
                file.with_name(file.name + name).unlink(missing_ok=True)
            shutil.copy(backup, file)
            for boot in ("one", "two"):  # starts that end before anything is said in them
                Store.open(file, history=History(), sync="normal", boot=boot, wall=time.time()).close()
            server = restart()
            with back(server, alice, since) as again:
                assert again.welcome["resumed"] is True
                _closed_before, lagged, held = again.so_far("system", "message")
                assert (lagged["event"], lagged["first"], lagged["last"]) == ("lagged", 1, 1)
                assert lagged["epoch"] != since["general"]["epoch"]
                assert contents([held]) == ["in the backup"]


@KILLED
def test_what_moderators_decided_outlives_the_process(restart: Restart, killed: bool) -> None:
    server = restart()
    with join(server, "alice") as alice, join(server, "bob") as bob, join(server, "cy") as cy, join(server, "di") as di:
        for client in (alice, bob, cy, di):
            client.ask("message", room="den", content="hello")
        alice.ask("promote", room="den", user="bob")
        ban = bob.ask("ban", room="den", user="cy", reason="spam")
        told = cy.until("system", event="moderation", action="ban")
        assert (told["seq"], told["by"], told["user"], told["reason"]) == (ban["seq"], "bob", "cy", "spam")
        bob.ask("mute", room="den", user="di", duration=3600)
        alice.ask("room", room="den", kind="private")
        alice.ask("block", user="cy")
        cy.ask("private", to="alice", content="let me in")
        shown = alice.until("deleted", room="@cy")
        server = restart(killed=killed)
    with back(server, alice) as alice, back(server, bob) as bob, back(server, cy) as cy, back(server, di) as di:
        assert {here["room"] for here in cy.welcome["rooms"]} == {"general", "@alice"}
        assert cy.ask("join", room="den")["code"] == "no_such_room"
        assert bob.ask("invite", room="den", user="cy")["code"] == "banned"
        assert bob.ask("unban", room="den", user="cy")["seq"] == ban["seq"] + 3
        bob.ask("invite", room="den", user="cy")
        assert cy.until("system", event="invited")["by"] == "bob"
        assert cy.ask("join", room="den")["type"] == "ack"
        refused = di.ask("message", room="den", content="psst")
        assert (refused["code"], 3590 < refused["retry_after"] <= 3600) == ("muted", True)
        assert alice.ask("history", room="@cy")["entries"] == [shown]
        audit = [entry for entry in alice.ask("history", room="den")["entries"] if entry.get("event") == "moderation"]
        assert [entry["action"] for entry in audit] == ["promote", "ban", "mute", "room", "unban"]
