"""Verdicts of moderators: who may pass them on whom, what they do, and when."""

from __future__ import annotations

import pytest

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept, check_sound
from tests.core.scenes import crash, den, nothing_happened, own, shown
from trio_chat.core.effects import Append, Discard, Failed, Keep
from trio_chat.core.errors import ErrorCode
from trio_chat.core.events import Ack, Deleted, Error, Posted, Reacted, ReadShown, RoomList, System, TypingShown
from trio_chat.core.identity import Identity
from trio_chat.core.messages import (
    Ban,
    Block,
    Command,
    Connect,
    Delete,
    Demote,
    Edit,
    Invite,
    Join,
    Judge,
    Kick,
    Leave,
    ListRooms,
    ListUsers,
    MarkRead,
    Message,
    Mute,
    Position,
    Promote,
    React,
    SetRoom,
    SetTopic,
    Typing,
    Unban,
    Unblock,
    Unmute,
)
from trio_chat.core.rights import MAX_RIGHTS

UNTIL = "2026-01-01T00:01:00.000Z"  # a minute after a driver begins


def moderated() -> tuple[Driver, Client, Client, Client]:
    """Alice owns the den, bob moderates it, cy is a member."""
    driver, alice, bob = den()
    cy = driver.connect("cy")
    cy.send(Join(room="den"))
    alice.done(Promote(room="den", user="bob", id=1))
    for client in (alice, bob, cy):
        client.news()
    return driver, alice, bob, cy


def admin(driver: Driver) -> Client:
    """An admin of the server, in no room but `general`."""
    root = driver.connect("chief")
    driver.state.chat.people.by_name["chief"].admin = True
    return root


class TestVerdicts:
    def test_all_hear_a_kick_and_the_kicked_nothing_more(self) -> None:
        driver, alice, bob, cy = moderated()
        told = System(
            event="moderation", content="bob kicked cy: spam", timestamp="2026-01-01T00:00:00.000Z", room="den", seq=4,
            by="bob", action="kick", user="cy", reason="spam",
        )  # fmt: skip
        assert bob.send(Kick(room="den", user="Cy", reason="spam", id=1)) == [
            Ack(id=1, seq=4, room="den", epoch="boot-2"), told,
        ]  # fmt: skip
        assert cy.news() == alice.news() == [told]
        alice.send(Message(room="den", content="gone"))
        assert cy.news() == []
        assert "den" not in own(cy)
        assert cy.refused(MarkRead(room="den", seq=1, id=1)).code == "not_in_room"
        assert shown(alice)[-2] == told
        check_kept(driver)
        check_sound(driver)
        cy.done(Join(room="den", id=2))

    def test_a_ban_keeps_out_until_it_is_over(self) -> None:
        driver, _alice, bob, cy = moderated()
        bob.done(Ban(room="den", user="cy", duration=60, reason="spam", id=1))
        told = cy.of(System)[-1]
        assert (told.action, told.until, told.reason) == ("ban", UNTIL, "spam")
        assert told.content == f"bob banned cy until {UNTIL}: spam"
        driver.advance(15)
        for command in (Join(room="den", id=2), Message(room="den", content="let me in", id=3)):
            error = cy.refused(command)
            assert (error.code, error.retry_after) == ("banned", 45.0)
        check_kept(driver)
        driver.advance(45)
        cy.done(Join(room="den", id=4))

    def test_a_ban_without_end_is_lifted_by_hand(self) -> None:
        driver, alice, bob, cy = moderated()
        alice.done(Ban(room="den", user="cy", id=1))
        assert cy.refused(Join(room="den", id=2)).retry_after is None
        bob.done(Unban(room="den", user="CY", id=3))
        assert alice.of(System)[-1].content == "bob unbanned cy"
        cy.done(Join(room="den", id=4))
        assert alice.refused(Unban(room="den", user="cy", id=5)).content == "No user of this name is banned here"
        check_kept(driver)

    def test_a_guest_who_comes_back_as_another_is_banned_still(self) -> None:
        driver, _alice, bob, cy = moderated()
        bob.send(Ban(room="den", user="cy"))
        cy.drop(1000)
        assert driver.connect("cy").refused(Join(room="den", id=1)).code == "banned"
        other = driver.connect("other")
        other.done(Join(room="den", id=1))
        bob.done(Unban(room="den", user="cy", id=2))

    def test_who_is_gone_can_be_unbanned(self) -> None:
        driver, _alice, bob, cy = moderated()
        bob.send(Ban(room="den", user="cy"))
        cy.drop(1000)
        bob.done(Unban(room="den", user="cy", id=1))
        assert driver.connect("cy").done(Join(room="den", id=1)).room == "den"

    def test_who_is_muted_says_nothing_in_that_room(self) -> None:
        driver, _alice, bob, cy = moderated()
        cy.send(Message(room="den", content="mine"))
        bob.done(Mute(room="den", user="cy", duration=60, id=1))
        muted: list[Command] = [
            Message(room="den", content="hey", id=2),
            Edit(room="den", seq=4, content="hey", id=3),
            React(room="den", seq=1, emoji="+", id=4),
            Typing(room="den", id=5),
        ]
        for command in muted:
            error = cy.refused(command)
            assert (error.code, error.retry_after) == ("muted", 60.0), command
        cy.done(Delete(room="den", seq=4, id=6))
        cy.done(Message(content="elsewhere", id=7))
        cy.done(Leave(room="den", id=8))
        cy.done(Join(room="den", id=9))
        assert cy.refused(muted[0]).code == "muted"
        bob.done(Unmute(room="den", user="cy", id=8))
        cy.done(Message(room="den", content="hey", id=10))
        check_kept(driver)

    def test_a_mute_that_is_over_is_over(self) -> None:
        driver, _alice, bob, cy = moderated()
        bob.send(Mute(room="den", user="cy", duration=60))
        driver.advance(60)
        cy.done(Message(room="den", content="hey", id=1))
        assert bob.refused(Unmute(room="den", user="cy", id=2)).code == "no_such_user"

    def test_moderators_are_made_and_made_no_more(self) -> None:
        driver, alice, bob, cy = moderated()
        bob.done(Promote(room="den", user="cy", id=1))
        assert alice.of(System)[-1].content == "bob made cy a moderator"
        assert bob.refused(Demote(room="den", user="cy", id=2)).code == "forbidden"
        cy.done(SetTopic(room="den", topic="tea", id=2))
        check_kept(driver)
        alice.done(Demote(room="den", user="cy", id=3))
        assert cy.refused(SetTopic(room="den", topic="no tea", id=3)).code == "forbidden"
        bob.done(Demote(room="den", user="bob", id=4))
        assert bob.of(System)[-1].content == "bob made bob a moderator no longer"
        assert bob.refused(SetTopic(room="den", topic="no tea", id=3)).code == "forbidden"
        check_kept(driver)

    def test_what_is_so_already_is_acked_and_told_to_nobody(self) -> None:
        driver, alice, bob, _cy = moderated()
        start = len(driver.effects)
        assert bob.send(Promote(room="den", user="bob", id=0))[0] == Error(
            id=0, code="forbidden", content=ErrorCode.FORBIDDEN.text
        )
        for number, command in enumerate((Promote(room="den", user="bob", id=1), Demote(room="den", user="cy", id=2))):
            assert alice.send(command) == [Ack(id=number + 1, room="den")]
        assert nothing_happened(driver, start)

    def test_a_moderator_edits_and_deletes_what_others_wrote(self) -> None:
        _driver, _alice, bob, cy = moderated()
        bob.done(Delete(room="den", seq=1, id=1))
        assert isinstance(shown(cy)[0], Deleted)
        assert cy.refused(Delete(room="den", seq=2, id=2)).code == "forbidden"

    def test_who_leaves_moderates_no_more(self) -> None:
        driver, _alice, bob, _cy = moderated()
        bob.send(Leave(room="den"))
        check_kept(driver)
        bob.send(Join(room="den"))
        assert bob.refused(Kick(room="den", user="cy", id=1)).code == "forbidden"

    def test_the_longest_moderator_succeeds_an_owner(self) -> None:
        driver, alice, bob, cy = moderated()
        alice.send(Promote(room="den", user="cy"))
        alice.send(Leave(room="den"))
        bob.done(SetRoom(room="den", receipts=True, id=1))
        assert cy.refused(SetRoom(room="den", receipts=False, id=2)).code == "forbidden"
        check_kept(driver)

    @pytest.mark.parametrize("judge", [Kick, Mute, Ban, Promote, Demote])
    def test_only_on_those_below(self, judge: type[Judge]) -> None:
        driver, alice, bob, cy = moderated()
        root = admin(driver)
        root.send(Join(room="den"))
        for client, targets in (
            (cy, "alice bob cy chief"),
            (bob, "alice chief"),
            (alice, "alice chief"),
            (root, "chief"),
        ):
            for target in targets.split():
                if judge is Demote and client.welcome.user == target != "cy":
                    continue  # oneself
                start = len(driver.effects)
                assert client.refused(judge(room="den", user=target, id=1)).code == "forbidden", (client, target)
                assert nothing_happened(driver, start)

    def test_an_admin_need_not_be_in_the_room(self) -> None:
        driver, alice, bob, _cy = moderated()
        root = admin(driver)
        root.done(Ban(room="den", user="alice", id=1))
        assert "den" not in own(alice)
        root.done(Mute(room="general", user="cy", id=2))
        assert root.refused(Kick(room="nowhere", user="cy", id=3)).code == "no_such_room"
        assert root.refused(Kick(room="#", user="cy", id=4)).code == "bad_room"
        bob.done(SetRoom(room="den", slow_mode=1, id=3))  # who succeeded her
        check_kept(driver)

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (Kick(room="den", user="nobody", id=1), "no_such_user"),
            (Kick(room="den", user="dora", id=1), "no_such_user"),
            (Promote(room="den", user="dora", id=1), "no_such_user"),
            (Unmute(room="den", user="cy", id=1), "no_such_user"),
            (Unban(room="den", user="#", id=1), "no_such_user"),
            (Kick(room="general", user="cy", id=1), "forbidden"),
            (Kick(room="@cy", user="cy", id=1), "bad_room"),
            (Kick(room="attic", user="cy", id=1), "not_in_room"),
            (Kick(room="nowhere", user="cy", id=1), "no_such_room"),
            (SetRoom(room="@cy", kind="private", id=1), "bad_room"),
            (Invite(room="den", user="dora", id=1), "bad_room"),
        ],
    )
    def test_refusals(self, command: Command, code: str) -> None:
        driver, alice, _bob, _cy = moderated()
        dora = driver.connect("dora")
        dora.send(Join(room="attic"))
        start = len(driver.effects)
        assert alice.refused(command).code == code
        assert nothing_happened(driver, start)

    def test_everyone_is_in_general(self) -> None:
        driver, _alice, _bob, cy = moderated()
        root = admin(driver)
        for command in (
            Kick(room="general", user="cy", id=1),
            Ban(room="general", user="cy", id=1),
            SetRoom(room="general", kind="private", id=1),
        ):
            assert root.refused(command).code == "bad_room"
        root.done(SetRoom(room="general", kind="readonly", id=2))
        assert cy.refused(Message(content="hey", id=1)).code == "forbidden"
        check_kept(driver)

    def test_takes_effect_where_it_stands_in_the_log(self) -> None:
        driver, _alice, bob, cy = moderated()
        driver.held = True
        bob.send(Ban(room="den", user="cy", id=1))
        cy.send(Message(room="den", content="last words", id=2))
        assert "den" in own(cy)
        driver.release()
        assert cy.of(Ack)[-1].seq == 5
        assert "last words" not in cy.contents  # it was out when that came
        assert [event.content for event in bob.of(Posted)][-1] == "last words"
        check_kept(driver)

    def test_one_that_the_log_refuses_does_nothing(self) -> None:
        driver, _alice, bob, cy = moderated()
        driver.held = True
        bob.send(Ban(room="den", user="cy", id=1))
        driver.answer(Failed)
        driver.release()
        assert bob.of(Error)[-1].code == "unavailable"
        cy.done(Message(room="den", content="still here", id=1))
        check_kept(driver)

    def test_on_who_is_gone_when_it_is_committed(self) -> None:
        driver, _alice, bob, cy = moderated()
        driver.held = True
        bob.send(Ban(room="den", user="cy", id=1))
        bob.send(Kick(room="den", user="alice", id=2))
        cy.drop(1000)
        driver.release()
        assert driver.connect("cy").refused(Join(room="den", id=1)).code == "banned"
        check_kept(driver)

    def test_a_verdict_is_kept_with_its_entry(self) -> None:
        driver, _alice, bob, _cy = moderated()
        bob.send(Ban(room="den", user="cy", duration=60, reason="spam"))
        (append,) = [effect for effect in driver.effects if isinstance(effect, Append) and effect.draft.kind == "ban"]
        kept, gone = append.keep
        assert isinstance(kept, Keep)
        assert isinstance(gone, Discard)
        assert gone.kind == "member"
        assert append.draft.content == "spam"

    def test_no_room_has_more_than_so_many(self) -> None:
        driver, _alice, bob, _cy = moderated()
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        bob.done(Mute(room="den", user="cy", duration=60, id=1))
        (right,) = [right for (what, _), right in room.rights.items() if what == "muted"]
        for number in range(1, MAX_RIGHTS):
            room.rights["muted", f"name:{number}"] = right
        dora = driver.connect("dora")
        dora.send(Join(room="den"))
        assert "1000" in bob.refused(Mute(room="den", user="dora", id=2)).content
        bob.done(Mute(room="den", user="cy", duration=60, id=3))
        driver.advance(61)
        bob.done(Mute(room="den", user="dora", id=4))
        assert dora.refused(Message(room="den", content="hey", id=1)).code == "muted"


class TestAfterACrash:
    @pytest.mark.parametrize("trusted", [True, False])
    def test_what_was_decided_holds(self, trusted: bool) -> None:
        driver, alice, bob, cy = moderated()
        dora = driver.connect("dora")
        dora.send(Join(room="den"))
        alice.send(Ban(room="den", user="cy", duration=60))
        alice.send(Mute(room="den", user="dora"))
        alice.send(SetRoom(room="den", kind="readonly", slow_mode=5, receipts=True))
        crash(driver, trusted=trusted)
        assert driver.resume(cy).refused(Join(room="den", id=1)).code == "banned"
        assert driver.resume(dora).refused(Message(room="den", content="hey", id=1)).code == "muted"
        back = driver.resume(bob)
        back.done(Kick(room="den", user="dora", id=1))
        assert own(back)["den"]["kind"] == "readonly"
        driver.advance(60)
        crash(driver)
        assert ("right", "banned\nden\nname:cy") not in driver.kept

    def test_a_moderator_who_is_no_member_is_none(self) -> None:
        driver, _alice, _bob, _cy = moderated()
        driver.crash(lost=[name for name in driver.kept if name[0] == "member" and name[1].endswith("\nden")])
        check_kept(driver)
        assert not any(kind == "right" for kind, _ in driver.kept)

    def test_rights_of_a_room_that_is_gone_are_dropped(self) -> None:
        driver, _alice, bob, _cy = moderated()
        bob.send(Ban(room="den", user="cy"))
        driver.crash(lost=[("room", "den")])
        check_kept(driver)
        assert not any(kind == "right" for kind, _ in driver.kept)


def test_with_a_room_its_rights_are_gone() -> None:
    driver, alice, bob, cy = moderated()
    bob.send(Mute(room="den", user="cy"))
    for client in (cy, bob, alice):
        client.send(Leave(room="den"))
    driver.advance(30 * 86_400)
    check_kept(driver)
    assert not any(kind == "right" for kind, _ in driver.kept)


class TestKinds:
    def test_a_private_room_is_not_there_for_others(self) -> None:
        driver, alice, _bob, cy = moderated()
        alice.send(SetRoom(room="den", kind="private", id=1))
        assert alice.of(System)[-1].content == "alice made the room private"
        dora = driver.connect("dora")
        outside: list[Command] = [
            Join(room="den", id=1),
            Message(room="den", content="hey", id=2),
            Message(room="den", content="hey", reply_to=1, id=2),
            Message(room="den", content="hey", reply_to=99, id=2),
            ListUsers(room="den", id=3),
            Leave(room="den", id=4),
            Invite(room="den", user="dora", id=5),
            Kick(room="den", user="bob", id=6),
        ]
        for command in outside:
            assert dora.refused(command).code == "no_such_room", command
        for client, sees in ((dora, False), (cy, True)):
            listed = client.send(ListRooms(id=9))[-1]
            assert isinstance(listed, RoomList)
            assert ("den" in {room["room"] for room in listed.rooms}) == sees
        assert own(cy)["den"]["kind"] == "private"
        check_kept(driver)

    def test_an_invitation_is_for_one_join(self) -> None:
        driver, alice, bob, cy = moderated()
        alice.send(SetRoom(room="den", kind="private"))
        dora = driver.connect("dora")
        assert cy.refused(Invite(room="den", user="dora", id=1)).code == "forbidden"
        assert bob.refused(Invite(room="den", user="nobody", id=1)).code == "no_such_user"
        bob.done(Invite(room="den", user="dora", id=2))
        check_kept(driver)
        told = dora.of(System)[-1]
        assert (told.event, told.room, told.by, told.content) == ("invited", "den", "bob", "bob invites you to den")
        dora.done(Join(room="den", id=1))
        dora.done(Leave(room="den", id=2))
        assert dora.refused(Join(room="den", id=3)).code == "no_such_room"
        check_kept(driver)

    def test_an_invitation_ends(self) -> None:
        driver, alice, bob, _cy = moderated()
        alice.send(SetRoom(room="den", kind="private"))
        dora = driver.connect("dora")
        bob.done(Invite(room="den", user="dora", id=2))
        bob.done(Invite(room="den", user="cy", id=3))  # who is in
        driver.advance(7 * 86_400)
        assert dora.refused(Join(room="den", id=3)).code == "no_such_room"

    def test_who_is_detached_or_banned_is_invited_otherwise(self) -> None:
        driver, alice, bob, _cy = moderated()
        alice.send(SetRoom(room="den", kind="private"))
        bob.send(Ban(room="den", user="cy"))
        start = len(driver.effects)
        assert bob.refused(Invite(room="den", user="cy", id=1)).code == "banned"
        assert nothing_happened(driver, start)
        dora = driver.connect("dora")
        dora.drop()
        bob.done(Invite(room="den", user="dora", id=2))
        driver.resume(dora).done(Join(room="den", id=3))

    def test_only_so_many_are_invited(self) -> None:
        driver, alice, bob, _cy = moderated()
        alice.send(SetRoom(room="den", kind="private"))
        driver.connect("dora")
        driver.connect("eve")
        bob.done(Invite(room="den", user="dora", id=2))
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        (right,) = [right for (what, _), right in room.rights.items() if what == "invited"]
        for number in range(1, MAX_RIGHTS):
            room.rights["invited", f"guest:{number}"] = right
        assert bob.refused(Invite(room="den", user="eve", id=3)).code == "forbidden"

    def test_an_admin_comes_in_anywhere(self) -> None:
        driver, alice, _bob, _cy = moderated()
        alice.send(SetRoom(room="den", kind="private"))
        assert admin(driver).done(Join(room="den", id=1)).room == "den"

    def test_in_a_readonly_room_moderators_speak(self) -> None:
        driver, alice, bob, cy = moderated()
        cy.send(Message(room="den", content="mine"))
        alice.send(SetRoom(room="den", kind="readonly"))
        assert alice.of(System)[-1].content == "alice made the room read-only"
        bob.done(Message(room="den", content="hear, hear", id=1))
        for command in (Message(room="den", content="hey", id=1), Edit(room="den", seq=4, content="hey", id=2)):
            assert cy.refused(command).code == "forbidden"
        cy.done(React(room="den", seq=1, emoji="+", id=3))
        assert isinstance(shown(cy)[-1], Reacted)
        start = len(driver.effects)
        assert driver.connect("dora").refused(Message(room="den", content="hey", id=1)).code == "forbidden"
        assert not any(
            isinstance(effect, Keep) and effect.record.key.endswith("\nden") for effect in driver.effects[start:]
        )

    def test_slow_mode(self) -> None:
        driver, alice, bob, cy = moderated()
        alice.send(SetRoom(room="den", slow_mode=10))
        assert alice.of(System)[-1].content == "alice made the room slow: one message in 10 s"
        cy.done(Message(room="den", content="1", id=1))
        driver.advance(4)
        error = cy.refused(Message(room="den", content="2", id=2))
        assert (error.code, error.retry_after) == ("slow_mode", 6.0)
        bob.done(Message(room="den", content="a", id=1))
        bob.done(Message(room="den", content="b", id=2))
        dora = driver.connect("dora")
        dora.done(Message(room="den", content="c", id=1))
        driver.advance(6)
        cy.done(Message(room="den", content="2", id=3))
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert len(room.spoken) == 2
        driver.advance(10)
        dora.done(Message(room="den", content="d", id=2))
        assert len(room.spoken) == 1
        alice.send(SetRoom(room="den", slow_mode=0))
        assert alice.of(System)[-1].content == "alice made the room no longer slow"
        dora.done(Message(room="den", content="e", id=3))

    def test_receipts_are_told_to_the_room(self) -> None:
        _driver, alice, bob, cy = moderated()
        cy.send(MarkRead(room="den", seq=1, id=1))
        assert not bob.of(ReadShown)
        alice.send(SetRoom(room="den", receipts=True))
        assert alice.of(System)[-1].content == "alice made the room one that tells who has read"
        cy.done(MarkRead(room="den", seq=2, id=2))
        (shown_,) = bob.of(ReadShown)
        assert (shown_.sender, shown_.room, shown_.seq) == ("cy", "den", 2)
        assert not cy.of(ReadShown)
        alice.send(SetRoom(room="den", receipts=False))
        assert alice.of(System)[-1].content == "alice made the room one that does not tell who has read"

    def test_settings_and_topic_that_wait_together(self) -> None:
        driver, alice, _bob, _cy = moderated()
        driver.held = True
        alice.send(SetRoom(room="den", kind="private", id=1))
        alice.send(SetTopic(room="den", topic="tea", id=2))
        alice.send(SetRoom(room="den", slow_mode=3, id=3))
        driver.answer(Failed)
        driver.release()
        room = driver.state.chat.rooms.get("den")
        assert room is not None
        assert (room.settings.access, room.settings.topic, room.settings.slow_mode) == ("public", "tea", 3)
        check_kept(driver)

    def test_settings_are_the_owners(self) -> None:
        _driver, alice, bob, cy = moderated()
        for client in (bob, cy):
            assert client.refused(SetRoom(room="den", kind="private", id=1)).code == "forbidden"
        alice.send(SetRoom(room="den", kind="private", slow_mode=2, receipts=True))
        told = bob.of(System)[-1]
        assert (told.action, told.kind, told.slow_mode, told.receipts) == ("room", "private", 2, True)

    def test_a_replay_shows_verdicts_as_they_were_told(self) -> None:
        driver, alice, bob, cy = moderated()
        cy.drop()
        alice.send(SetRoom(room="den", slow_mode=2))
        bob.send(Mute(room="den", user="cy", duration=60, reason="noise"))
        back = driver.resume(cy, {"den": Position(epoch="boot-2", seq=3)})
        assert list(back.events("moderation")) == alice.events("moderation")[-2:]

    def test_typing_of_who_may_not_speak_is_refused(self) -> None:
        _driver, alice, bob, cy = moderated()
        alice.send(SetRoom(room="den", kind="readonly"))
        assert cy.refused(Typing(room="den", id=1)).code == "forbidden"
        bob.done(Typing(room="den", id=1))
        assert cy.of(TypingShown)


def test_of_a_proven_user_a_verdict_holds_under_any_name() -> None:
    driver = Driver(auth="jwt", auth_key="key", messages_burst=1000)

    def come(sub: str, name: str) -> Client:
        client = driver.open()
        client.send(Connect(token="t"), Identity(id=f"sub:{sub}", name=name))
        return client

    alice, bob = come("1", "alice"), come("2", "bob")
    alice.send(Join(room="den"))
    alice.done(Ban(room="den", user="bob", id=1))
    alice.done(Block(user="bob", id=2))
    bob.drop(1000)
    again = come("2", "robert")
    assert again.refused(Join(room="den", id=1)).code == "banned"
    alice.done(Unban(room="den", user="robert", id=3))
    alice.done(Unblock(user="robert", id=4))
    again.done(Join(room="den", id=2))
    alice.done(Ban(room="den", user="robert", id=5))
    again.drop(1000)
    come("2", "rob")
    come("3", "robert")
    alice.done(Unban(room="den", user="robert", id=6))  # as it was called
    check_kept(driver)
