"""What a process takes over where the one before died in the midst of it, or lost records."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.driver import Client, Died, Driver
from tests.core.oracle import check_kept, check_sound
from tests.core.scenes import crash, crowd, own, say
from trio_chat.core.chat import DAY
from trio_chat.core.effects import Forget
from trio_chat.core.errors import Close
from trio_chat.core.messages import (
    Edit,
    Join,
    Leave,
    MarkRead,
    Message,
    Private,
    SetTopic,
)
from trio_chat.core.records import MemberRecord, Restored, SessionRecord, UserRecord
from trio_chat.core.sessions import digest


class TestLostRecords:
    """What refers to nothing is dropped, and what is left is sound."""

    @pytest.mark.parametrize("kind", ["room", "user", "member", "session"])
    def test_all_of_a_kind(self, kind: str) -> None:
        driver, alice, bob = crowd()
        alice.send(Private(to="bob", content="psst"))
        crash(driver, drop=(kind,))
        chat = driver.state.chat
        back = driver.resume(alice)
        if kind in ("user", "session"):
            assert back.closed is Close.BAD_HANDSHAKE
            assert {name for name, _ in driver.kept} <= {"room"}
            assert chat.people.by_name == {}
        else:
            talk = ["@bob"] if kind == "member" else []
            assert [room["room"] for room in back.welcome.rooms] == ["general", *talk]
            assert back.contents == []
        driver.resume(bob)
        driver.advance(1000)
        check_kept(driver)

    def test_of_two_with_one_name_the_older_stays(self) -> None:
        given = Restored(
            records=(
                UserRecord(key="b", number=2, name="Alice"),
                UserRecord(key="a", number=1, name="alice"),
                SessionRecord(key="k", number=2, user="b", bucket_of="x"),
                SessionRecord(key="l", number=1, user="a", bucket_of="x"),
                MemberRecord(user="b", room="general", number=1),
            )
        )
        driver = Driver()
        driver.kept = {(record.kind, record.key): record for record in given.records}
        crash(driver)
        assert driver.state.chat.people.by_name["alice"].id == "a"
        assert {name for name in driver.kept if name[0] != "room"} == {
            ("user", "a"),
            ("session", "l"),
            ("member", "a\ngeneral"),
        }

    def test_member_of_a_conversation_of_others_is_none(self) -> None:
        driver, alice, bob = crowd()
        carol = driver.connect("carol")
        alice.send(Private(to="bob", content="psst"))
        (talk,) = [room for room in driver.state.chat.rooms.all() if room.between]
        intruder = driver.state.chat.people.by_name["carol"].id
        record = MemberRecord(user=intruder, room=talk.key, number=99)
        driver.kept[record.kind, record.key] = record
        crash(driver)
        assert [room["room"] for room in driver.resume(carol).welcome.rooms] == ["general"]
        assert own(driver.resume(bob)).keys() == {"general", "den", "@alice"}

    def test_entries_of_a_room_that_is_gone_are_forgotten(self) -> None:
        driver, alice, _ = crowd()
        effects = driver.crash(lost=[("room", "den")])
        assert Forget("den", "boot-2") in effects
        alice = driver.resume(alice)
        say(alice, "new")
        assert alice.contents == ["new"]

    @given(st.data())
    def test_single_records_at_random(self, data: st.DataObject) -> None:
        driver, alice, bob = crowd(history_days=1, resume_window=100)
        carol = driver.connect("carol")
        alice.send(Private(to="bob", content="psst"))
        carol.send(Private(to="bob", content="psst"))
        alice.send(Join(room="empty"))
        carol.send(Join(room="den"))
        say(carol, "1", room="attic")
        carol.send(Leave(room="attic"))
        alice.send(SetTopic(room="den", topic="tea"))
        bob.drop()
        for _ in range(2):
            lost = data.draw(st.sets(st.sampled_from(sorted(driver.kept))))
            trusted = data.draw(st.booleans())
            before = driver.kept | {}
            driver.crash(lost=lost, trusted=trusted)
            check_kept(driver)
            check_sound(driver)
            assert set(driver.kept) - {("room", "general")} <= {
                name for name in before if name not in lost or name[0] == "member"
            }
        for name, client in (("alice", alice), ("bob", bob), ("carol", carol)):
            back = driver.resume(client)
            if back.closed is not None:
                back = driver.connect(name)
            say(back, "still there", room="den")
            assert back.contents[-1] == "still there"
            check_kept(driver)
        driver.advance(DAY * 2)
        check_kept(driver)
        check_sound(driver)


def life(driver: Driver) -> None:
    """Something of everything that keeps records."""
    alice, bob = driver.connect("alice"), driver.connect("bob")
    alice.send(Message(content="1", room="den", key="k"))
    bob.send(Join(room="den"))
    bob.drop()
    alice.send(Private(to="bob", content="psst"))
    bob = driver.resume(bob)
    alice.send(SetTopic(room="den", topic="tea"))
    bob.send(MarkRead(room="den", seq=1))
    bob.send(Join(room="attic"))
    bob.send(Leave(room="attic"))
    alice.send(Leave(room="den"))
    bob.send(Edit(room="den", seq=1, content="one"))
    bob.send(SetTopic(room="den", topic="coffee"))
    alice.drop()
    rival = driver.connect("alice")
    rival.send(Private(to="bob", content="pssst"))
    rival.send(Join(room="den"))
    bob.drop(1000)
    driver.advance(3)
    rival.drop(unsent=[("general", 1)])


def test_crash_between_any_two_effects() -> None:
    """Of what was done, acked and told before, all is there; and who had a `welcome` comes back."""
    for lifetime in count(1):
        driver = Driver()
        driver.lifetime = lifetime
        try:
            life(driver)
        except Died:
            pass
        else:
            break
        sessions = dict[str, Client]()
        for conn, inbox in driver.inboxes.items():
            if any(getattr(event, "event", None) == "welcome" for event in inbox):
                client = Client(driver, conn)
                sessions[client.session] = client
        held = {name: room.last for name, room in driver.log._rooms.items()}
        topics = [told.topic for conn in driver.inboxes for told in Client(driver, conn).events("topic")]
        known = {
            record.key
            for record in driver.kept.values()
            if isinstance(record, SessionRecord) and ("user", record.user) in driver.kept
        }
        crash(driver)
        for token, client in sessions.items():
            if digest(token) in known:
                assert driver.resume(client).welcome.resumed
                check_kept(driver)
        den = driver.state.chat.rooms.get("den")
        if den is not None:
            assert den.last == held.get("den", 0)
            if topics:
                assert den.settings.topic in (topics[-1], "coffee")
        driver.advance(2000)
        check_kept(driver)
        check_sound(driver)
    assert lifetime > 60
