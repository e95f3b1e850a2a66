"""Edits, deletions and reactions in a private conversation."""

from __future__ import annotations

from tests.core.driver import Client, Driver
from tests.core.scenes import shown
from trio_chat.core.effects import Deliver, Rejected
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import (
    Ack,
    Deleted,
    Edited,
    Error,
    PrivatePosted,
    Reacted,
)
from trio_chat.core.messages import (
    Connect,
    Delete,
    Edit,
    Private,
    React,
    Resume,
)


class TestConversation:
    def talk(self) -> tuple[Driver, Client, Client]:
        driver = Driver()
        alice, bob = driver.connect("Alice"), driver.connect("bob")
        alice.send(Private(to="bob", content="psst"))
        return driver, alice, bob

    def test_each_side_sees_its_own_name_of_the_room(self) -> None:
        driver, alice, bob = self.talk()
        for number, command in enumerate(
            (
                Edit(room="@BOB", seq=1, content="shh", id=1),
                React(room="@bob", seq=1, emoji="+", id=1),
                Delete(room="@bob", seq=1, id=1),
            ),
            2,
        ):
            alice.news()
            bob.news()
            ack, own = alice.send(command)
            assert ack == Ack(id=1, seq=number, room="@bob", epoch="boot-2")
            (other,) = bob.news()
            assert isinstance(own, Edited | Reacted | Deleted)
            assert isinstance(other, Edited | Reacted | Deleted)
            assert (own.room, other.room) == ("@bob", "@Alice")
            assert (own.seq, own.of, own.sender) == (other.seq, other.of, other.sender) == (number, 1, "Alice")
        for client, called in ((alice, "@bob"), (bob, "@Alice")):
            entries = shown(client, called)
            assert [getattr(entry, "room", None) for entry in entries] == [called] * 4
        bob.drop()
        alice.send(Private(to="bob", content="2"))
        alice.send(Edit(room="@bob", seq=5, content="two"))
        back = driver.resume(bob)
        (edited,) = back.of(Edited)
        assert edited.room == "@Alice"
        assert [private.content for private in back.of(PrivatePosted)] == ["two"]

    def test_nobody_moderates_the_other(self) -> None:
        _, _, bob = self.talk()
        assert bob.refused(Edit(room="@alice", seq=1, content="x", id=1)).code == "forbidden"
        assert bob.refused(Delete(room="@alice", seq=1, id=1)).code == "forbidden"
        assert bob.done(React(room="@alice", seq=1, emoji="+", id=1)).room == "@Alice"

    def test_while_the_other_is_away(self) -> None:
        driver, alice, bob = self.talk()
        bob.drop()
        start = len(driver.effects)
        assert alice.done(Edit(room="@bob", seq=1, content="x", id=1)).seq == 2
        (delivered,) = [effect for effect in driver.effects[start:] if isinstance(effect, Deliver)]
        assert delivered.conns == (alice.conn,)
        assert [edited.room for edited in driver.resume(bob).of(Edited)] == ["@Alice"]

    def test_ended_before_the_log_answered(self) -> None:
        driver, alice, bob = self.talk()
        driver.held = True
        alice.send(Edit(room="@bob", seq=1, content="x", id=1))
        alice.send(Delete(room="@bob", seq=1, id=2))
        bob.drop(1000)
        alice.news()
        driver.answer(lambda request: Rejected(request, ErrorCode.NO_SUCH_ENTRY))
        driver.release()
        error, ack = alice.news()
        assert isinstance(error, Error)
        assert (error.id, error.code) == (1, "no_such_entry")
        assert isinstance(ack, Ack | Error)
        assert ack.id == 2

    def test_while_one_side_catches_up(self) -> None:
        """Live goes to the other alone; who is behind gets each entry once, in its order, under its own name."""
        driver, alice, bob = self.talk()
        bob.drop()
        alice.send(Private(to="bob", content="2"))
        back = driver.open()
        driver.full.add(back.conn)
        back.send(Connect(resume=Resume(session=bob.session)))
        start = len(driver.effects)
        assert alice.done(Edit(room="@bob", seq=1, content="shh", id=1)).seq == 3
        (delivered,) = [effect for effect in driver.effects[start:] if isinstance(effect, Deliver)]
        assert delivered.conns == (alice.conn,)
        assert back.of(Edited) == []
        driver.drained(back)
        alice.send(React(room="@bob", seq=2, emoji="+"))
        assert [event.seq for event in back.all if isinstance(event, PrivatePosted | Edited | Reacted)] == [2, 3, 4]
        assert [event.room for event in back.all if isinstance(event, Edited | Reacted)] == ["@Alice"] * 2
        assert [event.room for event in alice.all if isinstance(event, Edited | Reacted)] == ["@bob"] * 2
