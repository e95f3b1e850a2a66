"""Coming back: exactly what was missed, once, before anything newer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .client import Client, Frame, contents, dial, join, seqs
from .process import Server
from .raw import RawClient


def come_back(server: Server, session: str, rooms: dict[str, Frame] | None = None, *, modern: bool = True) -> Client:
    """A new connection that resumes `session`; its name is left out."""
    client = Client(server, dial(server, modern=modern))
    client.send("connect", resume={"session": session, **({} if rooms is None else {"rooms": rooms})})
    client.welcome = client.receive()
    return client


@pytest.mark.parametrize("told", [True, False], ids=["positions", "no positions"])
def test_resume_gives_what_was_missed_once_and_first(server: Server, modern: bool, told: bool) -> None:
    with join(server, "alice", modern=modern) as alice, join(server, "bob", modern=modern) as bob:
        alice.ask("join", room="garden")
        bob.ask("join", room="garden")
        bob.send("message", content="seen")
        bob.send("message", room="garden", content="seen in the garden")
        assert len(bob.so_far("message")) == len(alice.so_far("message")) == 2
        rooms = {"general": alice.position(), "garden": alice.position("garden")}

        bob.sees("alice", "bob")  # else her coming and going would be undone before they are told
        alice.vanish()
        bob.hears("left", "alice")
        for line in ("missed 1", "missed 2"):
            bob.send("message", content=line)
            bob.send("message", room="garden", content=f"{line} in the garden")
        bob.send("private", to="alice", content="missed by you alone")
        assert len(bob.so_far("message", "private")) == 5

        with come_back(server, alice.welcome["session"], rooms if told else None, modern=modern) as back:
            assert (back.welcome["resumed"], back.welcome["user"]) == (True, "alice")
            assert back.welcome["session"] == alice.welcome["session"]
            assert {here["room"]: here["last"] for here in back.welcome["rooms"]} == {
                "general": 3,
                "garden": 3,
                "@bob": 1,
            }
            bob.send("message", content="newer")
            bob.send("message", room="garden", content="newer in the garden")
            frames = back.up_to("message", content="newer in the garden") + back.so_far()
            if not any(frame["type"] == "private" for frame in frames):  # rooms are replayed one after the other
                frames += back.up_to("private")
            by_room = {
                room: contents([frame for frame in frames if frame.get("room", "@bob") == room])
                for room in ("general", "garden", "@bob")
            }
            assert by_room == {
                "general": ["missed 1", "missed 2", "newer"],
                "garden": ["missed 1 in the garden", "missed 2 in the garden", "newer in the garden"],
                "@bob": ["missed by you alone"],
            }
            bob.hears("joined", "alice")


def test_long_absence_is_replayed_in_pages(start: Callable[..., Server]) -> None:
    """More than a page of 200; and what is said meanwhile comes behind it."""
    server = start("--messages-burst", "10000", "--frames-per-second", "10000")
    with join(server, "alice") as alice, join(server, "bob") as bob:
        since = {"general": alice.position()}
        alice.vanish()
        for number in range(450):
            bob.send("message", content=f"missed line {number}")
        assert len(bob.so_far("message")) == 450
        with come_back(server, alice.welcome["session"], since) as back:
            for number in range(50):
                bob.send("message", content=f"newer line {number}")
            frames = back.up_to("message", seq=500)
            assert list(seqs(frames)) == list(range(1, 501))


def test_live_connection_is_replaced(server: Server, modern: bool) -> None:
    with join(server, "alice", modern=modern) as old, join(server, "bob") as bob:
        with come_back(server, old.welcome["session"], modern=modern) as new:
            assert new.welcome["resumed"] is True
            assert old.closed() == 4506
            bob.send("message", content="which of you is it")
            assert contents(bob.so_far()) == contents(new.so_far()) == ["which of you is it"]
            assert contents(old.frames) == []
        assert [frame for frame in bob.frames if frame.get("event") == "left"] == []


def test_what_is_no_longer_held_is_said(start: Callable[..., Server]) -> None:
    server = start("--history-limit", "2")
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.vanish()
        for number in range(1, 6):
            bob.send("message", content=f"line number {number}")
        assert len(bob.so_far("message")) == 5
        with come_back(server, alice.welcome["session"], {"general": alice.position()}) as back:
            lagged, *rest = back.so_far()
            assert (lagged["event"], lagged["room"], lagged["first"], lagged["last"]) == ("lagged", "general", 4, 5)
            assert contents(rest) == ["line number 4", "line number 5"]


@pytest.mark.parametrize("how", ["unknown", "left for good"])
def test_session_that_is_no_more_is_a_plain_connect(server: Server, how: str) -> None:
    session = "unknown"
    with join(server, "alice") as alice:
        if how != "unknown":
            session = alice.welcome["session"]
    with join(server, "alice", resume={"session": session}) as back:
        assert back.welcome["resumed"] is False
        assert back.welcome["session"] != session


def test_name_taken_meanwhile_ends_the_session(server: Server) -> None:
    with join(server, "alice") as alice, join(server, "bob") as bob:
        bob.sees("alice", "bob")  # else her coming and going would be undone before they are told
        alice.vanish()
        bob.hears("left", "alice")
        with join(server, "alice"), Client(server, dial(server)) as late:
            late.send("connect", resume={"session": alice.welcome["session"]}, username="alice 2")
            assert late.receive()["resumed"] is False


def test_last_cut_is_told(start: Callable[..., Server]) -> None:
    """Of a session that was cut for its silence."""
    server = start("--ping-interval", "0.2", "--ping-timeout", "0.2")
    with RawClient(server, "alice") as silent:
        assert silent.closed() == 4004
        with come_back(server, silent.welcome["session"]) as back:
            told = back.receive()
            assert (told["event"], told["code"], told["reason"]) == ("closed_before", 4004, "heartbeat_missed")


def test_join_with_after(server: Server, modern: bool) -> None:
    """A room that was left is caught up with; the ack comes before what was missed."""
    with join(server, "alice", modern=modern) as alice, join(server, "bob", modern=modern) as bob:
        alice.ask("join", room="garden")
        bob.ask("message", room="garden", content="line before")
        alice.until("message", room="garden")
        since = alice.position("garden")
        alice.ask("leave", room="garden")
        bob.ask("message", room="garden", content="line missed")
        alice.send("join", room="garden", after=since, id="back")
        frames = [*alice.up_to("message"), *alice.so_far()]
        told = [frame["type"] for frame in frames if "event" not in frame]
        assert [kind for kind in told if kind != "user_list"] == ["ack", "message"]  # that comes in its own time
        assert alice.frames[-1]["type"] == "history"
        assert contents(frames) == ["line missed"]


def test_resent_with_its_key_it_is_there_once(server: Server) -> None:
    """The ack was lost with the connection: resend, and get the first `seq`."""
    with join(server, "alice") as alice, join(server, "bob") as bob:
        alice.send("message", content="did it arrive", key="k", id=1)
        first = bob.until("message")
        alice.vanish()
        with come_back(server, alice.welcome["session"]) as back:
            assert back.ask("message", content="did it arrive", key="k")["seq"] == first["seq"]
            assert contents(bob.so_far()) == []
