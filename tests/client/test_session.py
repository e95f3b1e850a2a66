"""The session, frame by frame: what it sends, what it says, and when it comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trio_chat.client import (
    Backoff,
    ConnectionEnded,
    Disconnected,
    Event,
    Joined,
    Lagged,
    Message,
    Moderated,
    OutcomeUnknown,
    Position,
    Posted,
    Private,
    Refused,
    System,
    TopicSet,
    Typing,
    Unknown,
    UserList,
    Welcomed,
)
from trio_chat.client.events import Answered, Failed
from trio_chat.client.session import ChatSession, State
from trio_chat.client.welcome import Heartbeat

T = "2026-01-31T12:00:00.000Z"
Frame = dict[str, Any]
DEN = {"room": "den", "epoch": "e", "last": 5}


def welcome(*rooms: Frame, resumed: bool = False, **more: Any) -> Frame:
    return {
        "type": "system", "event": "welcome", "content": "Welcome ann!", "timestamp": T, "id": 0, "user": "ann",
        "session": "s", "ticket": "t", "server": "x", "protocol": 1, "resumed": resumed, "rooms": list(rooms),
        "heartbeat": {"interval": 5.0, "timeout": 2.0}, "reconnect": {"base": 1.0, "max": 8.0, "jitter": 1.0},
        "limits": {"messages_per_second": 1000.0, "messages_burst": 1000.0, "content_chars": 50}, **more,
    }  # fmt: skip


def message(seq: int, room: str = "den", content: str = "hi") -> Frame:
    return {"type": "message", "room": room, "sender": "bob", "timestamp": T, "content": content, "seq": seq}


def private(seq: int, epoch: str = "p") -> Frame:
    return {"type": "private", "from": "bob", "sender": "bob", "to": "ann", "content": "psst", "timestamp": T,
            "seq": seq, "epoch": epoch}  # fmt: skip


def said(seq: int, room: str = "den", epoch: str | None = "e") -> Message:
    return Message(room=room, epoch=epoch, seq=seq, sender="bob", timestamp=T, content="hi")


class Talk:
    """A session, and a hand that plays the server."""

    def __init__(self, *rooms: Frame, proven: bool = False, **more: Any) -> None:
        self.session = ChatSession("ann", proven=proven)
        self.session.opened("token" if proven else None)
        self.first = self.sent()
        self.welcomed = self.hear(welcome(*rooms, **more))

    def hear(self, *frames: Frame) -> list[Event]:
        return [event for frame in frames for event in self.session.received(json.dumps(frame), 0.0)]

    def sent(self, now: float = 0.0) -> list[Frame]:
        return [json.loads(text) for text in self.session.data_to_send(now)]

    def ask(self, kind: str, **fields: Any) -> int:
        """A command that is sent at once. Returns its id."""
        number = self.session.request(kind, **fields)
        assert [frame["id"] for frame in self.sent()] == [number]
        return number

    def again(self, *rooms: Frame, resumed: bool = True, **more: Any) -> tuple[Frame, list[Event]]:
        """Lose the connection and come back. Returns `connect`, and what `welcome` brought."""
        self.session.closed(1006, "lost", 0.0, 0.0)
        self.session.opened()
        (connect,) = self.sent()
        return connect, self.hear(welcome(*rooms, resumed=resumed, **more))


def test_connect_and_welcome() -> None:
    talk = Talk(DEN, proven=True)

    assert talk.first == [{"type": "connect", "id": 0, "username": "ann", "token": "token"}]
    assert talk.welcomed == [Welcomed(user="ann", resumed=False, rooms={"den": Position(epoch="e", seq=5)})]
    assert (talk.session.ticket, talk.session.heartbeat) == ("t", Heartbeat(interval=5.0, timeout=2.0))
    assert talk.session.state is State.WELCOMED


def test_nothing_is_sent_before_welcome_and_nothing_else_is_heard() -> None:
    session = ChatSession(None)
    session.opened("token")
    session.request("ping")

    assert [json.loads(text)["type"] for text in session.data_to_send(0.0)] == ["connect"]
    assert session.data_to_send(0.0) == []
    assert session.next_due() is None
    assert session.received(json.dumps(message(1)), 0.0) == []
    bad = {"type": "system", "event": "welcome", "user": 3}
    assert session.received(json.dumps(bad), 0.0) == [Unknown(frame=bad)]
    session.received(json.dumps(welcome()), 0.0)
    assert session.next_due() == 0.0
    assert [json.loads(text) for text in session.data_to_send(0.0)] == [{"type": "ping", "id": 1}]


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, "null"])
def test_what_is_no_object_is_nothing(text: str) -> None:
    assert Talk().session.received(text, 0.0) == []


def test_entries_come_once() -> None:
    talk = Talk(DEN)

    assert talk.hear(message(5), message(6), message(6), message(7)) == [said(6), said(7)]


def test_a_resume_says_where_we_stand() -> None:
    talk = Talk(DEN)
    talk.hear(message(6), private(1))

    connect, events = talk.again(DEN | {"last": 9}, {"room": "@bob", "epoch": "p", "last": 1})
    assert connect["resume"] == {
        "session": "s",
        "rooms": {"den": {"epoch": "e", "seq": 6}, "@bob": {"epoch": "p", "seq": 1}},
    }
    stand = {"den": Position(epoch="e", seq=6), "@bob": Position(epoch="p", seq=1)}
    assert events == [Welcomed(user="ann", resumed=True, rooms=stand)]
    assert not talk.session.behind
    assert talk.hear(message(6), message(7)) == [said(7)]


def test_a_new_session_says_what_was_lost_with_the_old_one() -> None:
    talk = Talk(DEN, {"room": "general", "epoch": "g", "last": 2})

    _, events = talk.again({"room": "general", "epoch": "g", "last": 8}, resumed=False)
    assert events == [
        Welcomed(
            user="ann",
            resumed=False,
            rooms={"general": Position(epoch="g", seq=8)},
            lost={"general": Position(epoch="g", seq=2), "den": Position(epoch="e", seq=5)},
        )
    ]


def test_lagged_moves_us_on() -> None:
    talk = Talk(DEN)

    frame = {"type": "system", "event": "lagged", "content": "", "room": "den", "epoch": "e", "first": 9, "last": 20}
    assert talk.hear(frame, message(8), message(9)) == [Lagged(room="den", epoch="e", first=9, last=20), said(9)]
    bad = {"type": "system", "event": "lagged", "content": ""}
    assert talk.hear(bad) == [Unknown(frame=bad)]


def test_at_a_gap_we_come_back_and_where_it_stays_we_say_so() -> None:
    talk = Talk(DEN)

    assert talk.hear(message(7), message(8)) == []
    assert talk.session.behind
    assert talk.session.detached() == []
    assert talk.session.delay == 0.0
    connect, _ = talk.again(DEN)
    assert connect["resume"]["rooms"]["den"]["seq"] == 5
    assert talk.hear(message(7), message(8)) == [Lagged(room="den", epoch="e", first=7, last=7), said(7), said(8)]
    assert talk.hear(message(10)) == []  # another one is tried anew
    assert talk.session.behind


def test_a_skim_keeps_answers_only() -> None:
    talk = Talk(DEN)
    number = talk.ask("ping")
    talk.session.skim()

    lagged = {"type": "system", "event": "lagged", "content": "", "room": "den", "epoch": "e", "first": 9, "last": 20}
    joined = {"type": "system", "event": "joined", "content": ""}
    assert talk.session.in_flight
    assert talk.hear(message(6), lagged, joined, private(1), {"type": "pong", "id": number}) == [
        Answered(id=number, result=None)
    ]
    assert not talk.session.in_flight
    connect, _ = talk.again(DEN, {"room": "@bob", "epoch": "p", "last": 1})
    assert connect["resume"]["rooms"] == {"den": {"epoch": "e", "seq": 5}, "@bob": {"epoch": "p", "seq": 0}}
    assert talk.hear(message(6)) == [said(6)]


def test_a_skim_without_a_connection_is_none() -> None:
    session = ChatSession("ann")
    session.skim()

    assert not session.behind


def test_a_conversation_that_began_while_we_were_away_is_read_from_its_begin() -> None:
    talk = Talk()

    _, _ = talk.again({"room": "@bob", "epoch": "p", "last": 3})
    assert talk.session.behind
    connect, _ = talk.again({"room": "@bob", "epoch": "p", "last": 3})
    assert connect["resume"]["rooms"] == {"@bob": {"epoch": "p", "seq": 0}}
    assert not talk.session.behind
    assert [event.seq for event in talk.hear(private(1), private(2)) if isinstance(event, Private)] == [1, 2]


def test_a_room_that_we_know_nothing_of_begins_with_the_first_entry() -> None:
    talk = Talk()

    talk.again({"room": "hall", "epoch": "h", "last": 3})
    assert not talk.session.behind
    assert talk.hear(message(4, "hall")) == [said(4, "hall", "h")]
    connect, _ = talk.again()
    assert connect["resume"]["rooms"] == {"hall": {"epoch": "h", "seq": 4}}


def test_a_room_whose_epoch_we_could_not_say_is_asked_for_again() -> None:
    talk = Talk()
    assert talk.hear(message(4, "hall")) == [said(4, "hall", None)]  # another session of ours joined it

    connect, _ = talk.again({"room": "hall", "epoch": "h", "last": 6})
    assert connect["resume"]["rooms"] == {}
    assert talk.session.behind
    connect, _ = talk.again({"room": "hall", "epoch": "h", "last": 6})
    assert connect["resume"]["rooms"] == {"hall": {"epoch": "h", "seq": 4}}
    assert not talk.session.behind


def test_a_room_that_we_are_no_longer_in_is_forgotten() -> None:
    talk = Talk(DEN)

    talk.again()
    number = talk.ask("join", room="den")
    talk.hear({"type": "ack", "id": number, "room": "den", "epoch": "e", "last": 9})
    assert talk.hear(message(9), message(10)) == [said(10)]


@pytest.mark.parametrize(("user", "entries"), [("Ann", [10]), ("cat", [])])
def test_after_a_kick_the_place_is_forgotten(user: str, entries: list[int]) -> None:
    talk = Talk(DEN)

    kick = {"type": "system", "event": "moderation", "content": "", "room": "den", "seq": 6, "by": "bob",
            "action": "kick", "user": user, "timestamp": T}  # fmt: skip
    (event,) = talk.hear(kick)
    assert isinstance(event, Moderated)
    number = talk.ask("join", room="den")
    talk.hear({"type": "ack", "id": number, "room": "den", "epoch": "e", "last": 9})
    assert [entry.seq for entry in talk.hear(message(10)) if isinstance(entry, Message)] == entries


def test_a_room_that_an_admin_closes_is_forgotten() -> None:
    talk = Talk(DEN)

    talk.hear({"type": "system", "event": "room_closed", "content": "", "room": "den"})
    connect, _ = talk.again(DEN)
    assert connect["resume"]["rooms"] == {}


def test_what_we_post_to_a_new_room_is_the_first_we_hear_of_it() -> None:
    talk = Talk()
    number = talk.ask("message", room="hall", content="hi", key="k")

    created = {"type": "system", "event": "room_created", "content": "", "room": "hall", "epoch": "h", "last": 0}
    ack = {"type": "ack", "id": number, "room": "hall", "epoch": "h", "seq": 1}
    assert talk.hear(created, ack, message(1, "hall")) == [
        System(event="room_created", room="hall", fields=created),
        Answered(id=number, result=Posted(seq=1, room="hall", epoch="h")),
        said(1, "hall", "h"),
    ]


def test_until_the_answer_tells_our_place_nothing_of_a_room_is_for_us() -> None:
    talk = Talk()
    number = talk.ask("message", room="hall", content="hi", key="k")

    ack = {"type": "ack", "id": number, "room": "Hall", "epoch": "h", "seq": 8}
    assert talk.hear(message(7, "Hall"), ack, message(8, "Hall")) == [
        Answered(id=number, result=Posted(seq=8, room="Hall", epoch="h")),
        said(8, "Hall", "h"),
    ]


def test_a_post_that_is_sent_again_brings_what_came_of_the_first() -> None:
    talk = Talk()
    first = talk.ask("message", room="hall", content="hi", key="k")

    talk.again({"room": "hall", "epoch": "h", "last": 9})
    (frame,) = talk.sent()
    assert frame == {"type": "message", "id": first, "room": "hall", "content": "hi", "key": "k"}
    events = talk.hear(message(10, "hall"), {"type": "ack", "id": first, "room": "hall", "epoch": "h", "seq": 8})
    assert events == [Answered(id=first, result=Posted(seq=8, room="hall", epoch="h"))]
    assert talk.session.behind
    connect, _ = talk.again({"room": "hall", "epoch": "h", "last": 10})
    assert connect["resume"]["rooms"] == {"hall": {"epoch": "h", "seq": 7}}


def test_a_join_from_a_place_survives_its_lost_answer() -> None:
    talk = Talk()
    number = talk.ask("join", room="hall", after=Position(epoch="h", seq=3))

    connect, _ = talk.again({"room": "hall", "epoch": "h", "last": 5})
    assert connect["resume"]["rooms"] == {"hall": {"epoch": "h", "seq": 3}}
    ack = {"type": "ack", "id": number, "room": "hall", "epoch": "h", "last": 5}
    talk.sent()
    assert talk.hear(message(4, "hall"), message(5, "hall"), ack, message(6, "hall")) == [
        said(4, "hall", "h"),
        said(5, "hall", "h"),
        Answered(id=number, result=Joined(room="hall", epoch="h", last=5)),
        said(6, "hall", "h"),
    ]


def test_a_join_from_a_place() -> None:
    talk = Talk()
    number = talk.ask("join", room="hall", after=Position(epoch="h", seq=3))

    ack = {"type": "ack", "id": number, "room": "hall", "epoch": "h", "last": 5}
    assert talk.hear(ack, message(3, "hall"), message(4, "hall"))[1:] == [said(4, "hall", "h")]


def test_what_we_left_is_forgotten() -> None:
    talk = Talk(DEN)
    number = talk.ask("leave", room="den")

    assert talk.hear({"type": "ack", "id": number, "room": "den"}) == [Answered(id=number, result=None)]
    assert talk.again()[0]["resume"]["rooms"] == {}


def test_an_answer_while_we_are_behind_does_not_move_us() -> None:
    talk = Talk(DEN)
    number = talk.ask("join", room="den")
    talk.session.skim()

    talk.hear({"type": "ack", "id": number, "room": "den", "epoch": "new", "last": 2})
    assert talk.again(DEN)[0]["resume"]["rooms"] == {"den": {"epoch": "e", "seq": 5}}


def test_rooms_that_welcome_has_no_room_for_are_asked_for() -> None:
    talk = Talk(DEN, more=True)

    (frame,) = talk.sent()
    assert frame == {"type": "rooms", "id": 1, "mine": True, "limit": 200}
    hall, attic = (
        {"room": room, "members": 1, "kind": "public", "epoch": "h", "last": 3} for room in ("hall", "attic")
    )
    assert talk.hear({"type": "room_list", "id": 1, "rooms": [hall], "cursor": "c"}) == []
    (frame,) = talk.sent()
    assert frame["cursor"] == "c"
    assert talk.hear({"type": "room_list", "id": 2, "rooms": [attic]}) == []
    assert talk.sent() == []
    connect, _ = talk.again(more=True)
    assert set(connect["resume"]["rooms"]) == {"den", "hall", "attic"}
    (frame,) = talk.sent()
    assert talk.hear({"type": "error", "id": frame["id"], "code": "internal", "content": ""}) == []


def test_frames_that_are_no_entries() -> None:
    talk = Talk(DEN)

    typing = {"type": "typing", "from": "bob", "sender": "bob", "room": "den", "isTyping": True}
    users = {"type": "user_list", "users": ["ann"], "timestamp": T, "room": "den", "total": 1}
    party = {"type": "party", "seq": 77, "room": "den"}
    read = {"type": "read", "room": "den", "seq": 88}
    assert talk.hear(typing, users, party, read, {"type": "pong", "id": "?"}, {"type": "pong", "id": 99}) == [
        Typing(room="den", sender="bob", typing=True),
        UserList(room="den", users=["ann"], total=1),
        Unknown(frame=party),
        Unknown(frame=read),
    ]
    assert talk.hear(message(6)) == [said(6)]


def test_entries_of_kinds_to_come_have_their_place() -> None:
    talk = Talk(DEN)

    poll = {"type": "poll", "room": "den", "seq": 6}
    seal = {"type": "system", "event": "seal", "content": "", "room": "den", "seq": 7}
    topic = {"type": "system", "event": "topic", "content": "", "room": "den", "seq": 8, "by": "bob", "topic": "tea",
             "timestamp": T}  # fmt: skip
    assert talk.hear(poll, seal, topic, message(9)) == [
        Unknown(frame=poll),
        System(event="seal", room="den", fields=seal),
        TopicSet(room="den", epoch="e", seq=8, sender="bob", timestamp=T, topic="tea"),
        said(9),
    ]


# --- What is sent again -----------------------------------------------------------------------------------------------


def test_what_was_not_acked_is_sent_again_but_no_typing() -> None:
    talk = Talk(DEN)
    typing, post = talk.session.request("typing", room="den"), talk.session.request("message", content="hi", key="k")
    talk.sent()

    assert talk.session.closed(1006, "lost", 0.0, 0.0)[0] == Answered(id=typing, result=None)
    talk.session.opened()
    talk.sent()
    talk.hear(welcome(DEN, resumed=True))
    assert [frame["id"] for frame in talk.sent()] == [post]


def test_a_repeated_message_that_is_too_fast_is_sent_once_more() -> None:
    talk = Talk(DEN)
    post = talk.ask("message", room="den", content="hi", key="k")
    talk.again(DEN)
    talk.sent()

    assert talk.hear({"type": "error", "id": post, "code": "rate_limited", "content": "", "retry_after": 3}) == []
    assert talk.session.next_due() == 3.0
    assert [frame["id"] for frame in talk.sent(3.0)] == [post]


def test_a_guest_s_message_is_not_sent_again_in_a_new_session() -> None:
    talk = Talk(DEN)
    post, ping = talk.ask("message", room="den", content="hi", key="k"), talk.ask("ping")
    unsent = talk.session.request("message", room="den", content="ho", key="l")

    _, (failed, _) = talk.again(resumed=False)
    assert isinstance(failed, Failed)
    assert failed.id == post
    assert isinstance(failed.error, OutcomeUnknown)
    assert [frame["id"] for frame in talk.sent()] == [ping, unsent]


def test_with_a_token_it_is() -> None:
    talk = Talk(DEN, proven=True)
    post = talk.ask("message", room="den", content="hi", key="k")

    talk.again(resumed=False)
    assert [frame["id"] for frame in talk.sent()] == [post]


def test_what_nobody_waits_for_is_not_sent() -> None:
    talk = Talk()
    number, sent = talk.session.request("ping"), talk.session.request("ping")
    talk.session.abandon(number)

    assert [frame["id"] for frame in talk.sent()] == [sent]
    talk.session.abandon(sent)
    assert talk.hear({"type": "pong", "id": sent}) == []


def test_limits_are_checked_before_sending() -> None:
    with pytest.raises(Refused, match="too_large"):
        Talk().session.request("message", content="x" * 51, key="k")


# --- The end of a connection ------------------------------------------------------------------------------------------


def gone(session: ChatSession, code: int | None = 1006, now: float = 0.0, random: float = 0.5) -> float:
    """The connection is lost. Returns the delay that it says."""
    (event,) = session.closed(code, "", now, random)
    assert isinstance(event, Disconnected)
    assert event.delay == session.delay
    return event.delay


def test_the_delay_doubles_until_a_connection_holds() -> None:
    talk = Talk()

    assert [gone(talk.session) for _ in range(5)] == [1.5, 2.5, 4.5, 8.5, 8.5]
    talk.session.opened()
    talk.hear(welcome(resumed=True))
    assert gone(talk.session, now=7.9) == 8.5
    talk.session.opened()
    talk.hear(welcome(resumed=True))
    assert gone(talk.session, now=8.0) == 1.5


def test_one_s_own_backoff_goes_before_the_server_s() -> None:
    session = ChatSession("ann", backoff=Backoff(base=0.25, max=0.5, jitter=0.0))
    session.opened()
    session.received(json.dumps(welcome()), 0.0)

    assert [gone(session) for _ in range(3)] == [0.25, 0.5, 0.5]


def test_a_draining_server_says_when_to_come_back() -> None:
    talk = Talk()
    draining = {"type": "system", "event": "draining", "content": "", "retry_after": 3.0, "jitter": 10.0}

    assert talk.hear(draining) == [System(event="draining", fields=draining)]
    assert gone(talk.session, 4001) == 8.0
    assert gone(talk.session, None) == 2.5


def test_a_draining_server_is_obeyed_after_losses_too() -> None:
    """Its time was forgotten where an earlier connection had just been lost."""
    talk = Talk()
    draining = {"type": "system", "event": "draining", "content": "", "retry_after": 30.0, "jitter": 0.0}
    talk.again()

    talk.hear(draining)
    assert gone(talk.session, 4001) == 30.0


@pytest.mark.parametrize(
    ("code", "reason"), [(None, "lost"), (1006, "lost"), (4003, "too_slow"), (4499, "lost"), (1000, "done")]
)
def test_what_one_comes_back_from(code: int | None, reason: str) -> None:
    session = Talk().session

    assert session.closed(code, "", 0.0, 0.0) == [Disconnected(code=code, reason=reason, delay=1.0)]
    assert session.ended is None


@pytest.mark.parametrize(("code", "reason"), [(4500, "connect_timeout"), (4506, "replaced"), (4999, "lost"),
                                              (1009, "message too large")])  # fmt: skip
def test_what_one_does_not_come_back_from(code: int, reason: str) -> None:
    talk = Talk()
    number = talk.ask("ping")

    (failed,) = talk.session.closed(code, "", 0.0, 0.0)
    assert isinstance(failed, Failed)
    assert failed.id == number
    assert str(failed.error) == str(talk.session.ended) == f"{code}: {reason}"
    assert talk.hear(message(1)) == []
    with pytest.raises(ConnectionEnded, match=str(code)):
        talk.session.request("ping")


def test_the_error_that_answers_connect_is_the_reason() -> None:
    session = ChatSession("ann")
    session.opened()
    session.received('{"type": "error", "code": "username_taken", "content": "Username is already taken"}', 0.0)

    assert session.closed(4502, "name_taken", 0.0, 0.0) == []
    assert str(session.ended) == "4502: Username is already taken"


@pytest.mark.parametrize(
    ("status", "retry_after", "delay"),
    [(503, 9.0, 9.5), (503, None, 1.5), (429, 0.0, 1.5), (408, None, 1.5), (403, 60.0, 60.5)],
)
def test_refusals_that_pass(status: int, retry_after: float | None, delay: float) -> None:
    session = ChatSession("ann")

    (event,) = session.refused(status, "No", retry_after, 0.5)
    assert event == Disconnected(code=status, reason="No", delay=delay)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_refusals_that_stay(status: int) -> None:
    session = ChatSession("ann")

    assert session.refused(status, "No", None, 0.5) == []
    assert str(session.ended) == f"{status}: No"
