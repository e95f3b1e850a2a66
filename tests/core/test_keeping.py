"""What the next process is to know: noted in time, in front of what follows from it, and once."""

from __future__ import annotations

import attrs

from tests.core.driver import Driver
from tests.core.oracle import check_kept
from trio_chat.core.effects import Append, Discard, Effect, Ending, Failed, Keep
from trio_chat.core.errors import Close
from trio_chat.core.messages import Connect, Join, Leave, MarkRead, Message, Private, SetTopic
from trio_chat.core.records import MemberRecord, RoomRecord, SessionRecord, UserRecord
from trio_chat.core.sessions import digest


def changes(effects: list[Effect]) -> list[tuple[str, str]]:
    """Of each record, whether it was kept or discarded; all must come before any other effect of the same input."""
    return [
        (type(effect).__name__, effect.record.kind if isinstance(effect, Keep) else effect.kind)
        for effect in effects
        if isinstance(effect, Keep | Discard)
    ]


def test_general_is_kept_from_the_beginning() -> None:
    driver = Driver()
    assert driver.effects == [Keep(RoomRecord(key="general", name="general", number=1, epoch="boot-1"))]


def test_membership_is_kept_before_the_first_message_that_it_allows() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    start = len(driver.effects)
    alice.send(Message(content="hi", room="Den"))
    made = driver.effects[start:]
    place = next(at for at, effect in enumerate(made) if isinstance(effect, Append))
    user = next(iter(driver.state.chat.people.by_id))
    assert made[:2] == [
        Keep(RoomRecord(key="den", name="Den", number=2, epoch="boot-2", owner=user)),
        Keep(MemberRecord(user=user, room="den", number=2)),
    ]
    assert place > 1
    assert changes(made[2:]) == []


def test_who_connects_is_kept_before_the_welcome_and_the_token_is_nowhere() -> None:
    driver = Driver()
    alice = driver.connect("Alice")
    user = driver.state.chat.people.by_name["alice"].id
    assert driver.kept["user", user] == UserRecord(key=user, number=1, name="Alice")
    assert driver.kept["session", digest(alice.session)] == SessionRecord(
        key=digest(alice.session), number=1, user=user, bucket_of="session 1"
    )
    assert alice.session not in repr(driver.kept)
    assert changes(driver.effects[1:]) == [("Keep", "user"), ("Keep", "member"), ("Keep", "session")]
    assert changes(driver.effects[5:]) == []


def test_what_is_said_keeps_nothing() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Private(to="bob", content="hi"))
    start = len(driver.effects)
    alice.send(Message(content="hi"))
    bob.send(Private(to="alice", content="hi"))
    alice.refused(MarkRead(room="general", seq=9, id=1))
    alice.refused(Join(room="@bob", id=2))
    driver.advance(10)
    assert changes(driver.effects[start:]) == []


def test_detached_session_is_kept_with_its_positions_when_they_are_sure() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    name = "session", digest(alice.session)
    for content in "123":
        bob.send(Message(content=content))
    driver.apply(Ending(alice.conn, cut=Close.TOO_SLOW))
    ending = driver.kept[name]
    assert isinstance(ending, SessionRecord)
    assert (ending.detached_at, ending.positions, ending.cut) == (driver.now.wall, None, 4003)
    check_kept(driver)
    driver.advance(5)
    alice.drop(cut=Close.TOO_SLOW, unsent=[("general", 2)])
    gone = driver.kept[name]
    assert isinstance(gone, SessionRecord)
    assert (gone.detached_at, gone.positions, gone.cut) == (driver.now.wall - 5, {"general": 1}, 4003)
    driver.resume(alice)
    back = driver.kept[name]
    assert isinstance(back, SessionRecord)
    assert (back.detached_at, back.positions, back.cut) == (None, None, None)
    check_kept(driver)


def test_conversation_is_kept_whole_and_ends_whole() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    bob.drop()
    alice.send(Private(to="bob", content="hi"))
    talk = next(room for room in driver.state.chat.rooms.all() if room.between)
    away = driver.kept["session", digest(bob.session)]
    assert isinstance(away, SessionRecord)
    assert away.positions == {"general": 0, talk.key: 0}
    assert len([record for record in driver.kept.values() if isinstance(record, MemberRecord)]) == 4
    check_kept(driver)
    alice.drop(1000)
    assert {name for name in driver.kept if name[0] in ("room", "user")} == {
        ("room", "general"),
        ("user", driver.state.chat.people.by_name["bob"].id),
    }
    assert [record.room for record in driver.kept.values() if isinstance(record, MemberRecord)] == ["general"]
    check_kept(driver)


def test_of_several_changes_of_a_record_the_last_is_kept() -> None:
    """A name is taken over, and what waited behind the `connect` makes the room anew that the other's end closed."""
    driver = Driver()
    alice = driver.connect("alice")
    alice.send(Join(room="den"))
    rival = driver.open()
    rival.send(Connect(username="alice"))
    rival.send(Join(room="den"))
    start = len(driver.effects)
    driver.advance(2)
    made = [effect for effect in driver.effects[start:] if isinstance(effect, Keep | Discard)]
    rooms = [effect for effect in made if changes([effect])[0][1] == "room"]
    (kept,) = rooms
    assert isinstance(kept, Keep)
    assert isinstance(kept.record, RoomRecord)
    assert (kept.record.epoch, kept.record.owner) == ("boot-3", driver.state.chat.people.by_name["alice"].id)
    check_kept(driver)


class TestTopic:
    def test_is_kept_with_its_entry(self) -> None:
        driver = Driver()
        alice = driver.connect("alice")
        alice.send(Join(room="den"))
        before = driver.kept["room", "den"]
        driver.held = True
        alice.send(SetTopic(room="den", topic="tea"))
        (append,) = [effect for effect in driver.effects if isinstance(effect, Append)]
        assert isinstance(before, RoomRecord)
        assert append.keep == (Keep(attrs.evolve(before, topic="tea", topic_by="name:alice")),)
        assert driver.kept["room", "den"] == before
        driver.answer(Failed)
        assert driver.kept["room", "den"] == before
        check_kept(driver)

    def test_of_an_owner_who_left_meanwhile(self) -> None:
        """The record that came with the entry names the old owner: it is kept again."""
        driver = Driver()
        alice, bob = driver.connect("alice"), driver.connect("bob")
        for client in (alice, bob):
            client.send(Join(room="den"))
        driver.held = True
        alice.send(SetTopic(room="den", topic="tea"))
        alice.send(Leave(room="den"))
        driver.release()
        kept = driver.kept["room", "den"]
        assert isinstance(kept, RoomRecord)
        assert (kept.topic, kept.owner) == ("tea", driver.state.chat.people.by_name["bob"].id)
        assert any(isinstance(effect, Keep) and effect.record == kept for effect in driver.effects)
        check_kept(driver)
