"""Edits, deletions, reactions and topics: what the log says to them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.oracle import check_kept
from tests.core.scenes import den
from trio_chat.core.effects import Failed, KeyReused, Rejected, Stale
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import (
    Ack,
    Deleted,
    Edited,
    Error,
    Posted,
    Reacted,
    System,
)
from trio_chat.core.messages import (
    Command,
    Connect,
    Delete,
    Edit,
    Leave,
    Message,
    React,
    Resume,
    SetTopic,
)

CHANGES = [
    Edit(room="den", seq=1, content="x", id=1),
    Delete(room="den", seq=1, id=1),
    React(room="den", seq=1, emoji="+", id=1),
]


def error_text(code: str) -> str:
    return next(known.text for known in ErrorCode if known.value == code)


@pytest.mark.parametrize("command", [*CHANGES, SetTopic(room="den", topic="tea", id=1)])
class TestAnswersOfTheLog:
    @pytest.mark.parametrize(
        ("make", "code", "retry_after"),
        [
            (Stale, "unavailable", 1.0),
            (lambda request: Failed(request, 2.5), "unavailable", 2.5),
            (lambda request: Rejected(request, ErrorCode.FORBIDDEN), "forbidden", None),
            (lambda request: Rejected(request, ErrorCode.TOO_LARGE, "so it is"), "too_large", None),
            (KeyReused, "key_reused", None),
        ],
    )
    def test_no(self, command: Command, make: Any, code: str, retry_after: float | None) -> None:
        driver, alice, bob = den()
        driver.held = True
        alice.news()
        bob.news()
        assert alice.send(command) == []
        driver.answer(make)
        (error,) = alice.news()
        assert isinstance(error, Error)
        assert (error.id, error.code, error.retry_after) == (1, code, retry_after)
        assert error.content == ("so it is" if code == "too_large" else error_text(code))
        assert bob.news() == []
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.pending, room.last, room.settings.topic) == (0, 2, "")
        check_kept(driver)

    def test_who_asked_is_gone(self, command: Command) -> None:
        driver, alice, bob = den()
        driver.held = True
        alice.send(command)
        alice.drop()
        bob.news()
        driver.release()
        assert [type(event) for event in bob.news()] in ([Edited], [Deleted], [Reacted], [System])
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.pending, room.last) == (0, 3)
        driver.held = True
        bob.send(Message(content="x", room="den"))
        bob.drop()
        driver.answer(lambda request: Rejected(request, ErrorCode.FORBIDDEN))
        assert room.pending == 0

    def test_who_left_meanwhile_hears_the_ack_and_nothing_of_the_room(self, command: Command) -> None:
        driver, alice, _ = den()
        driver.held = True
        alice.send(command)
        alice.send(Leave(room="den", id=2))
        alice.news()
        driver.release()
        assert alice.news() == [Ack(id=1, seq=3, room="den", epoch="boot-2")]

    def test_whoever_is_being_replayed_to_gets_it_in_its_order(self, command: Command) -> None:
        driver, alice, bob = den()
        bob.drop()
        alice.send(Message(content="3", room="den"))
        back = driver.open()
        driver.full.add(back.conn)
        back.send(Connect(resume=Resume(session=bob.session)))
        alice.send(command)
        assert back.of(Posted) == []
        driver.drained(back)
        assert [event.seq for event in back.all if getattr(event, "seq", None)] == [3, 4]  # type: ignore[attr-defined]
