"""Forgetting a user: nothing of whoever it is is left in what the core has and keeps."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.core.driver import Client, Died, Driver
from tests.core.oracle import check_sound
from trio_chat.core import orders
from trio_chat.core.effects import Append, Keep
from trio_chat.core.errors import Close
from trio_chat.core.events import Deleted, HistoryPage, Posted, Reacted, RoomList, System
from trio_chat.core.identity import Identity
from trio_chat.core.messages import (
    Ban,
    Block,
    Command,
    Connect,
    GetHistory,
    Join,
    ListRooms,
    Message,
    Mute,
    Private,
    Promote,
    React,
    SetTopic,
)
from trio_chat.core.orders import Done, Failure, Ordered
from trio_chat.core.records import ForgetRecord

ZOE = Identity(id="sub:zoe", name="Zoe", expires=None)


def forgotten(driver: Driver, **who: str) -> Done:
    result = driver.order(orders.ForgetUser(**who))
    assert isinstance(result, Done), result
    return result


def refused(driver: Driver, **who: str) -> str:
    result = driver.order(orders.ForgetUser(**who))
    assert isinstance(result, Failure), result
    return result.code


def traces(driver: Driver, *words: str) -> list[str]:
    """Where in the state and in what is kept one of `words` is, but for the order to forget."""
    chat = driver.state.chat
    kept = [repr(record) for record in driver.kept.values() if not isinstance(record, ForgetRecord)]
    rooms = [repr((room.key, room.owner, room.settings, room.rights, room.changes)) for room in chat.rooms.all()]
    users = [repr((user.id, user.name, user.blocked)) for user in chat.people.by_id.values()]
    all_there_is = [*kept, *rooms, *users, repr(chat.bans.all(driver.now)), repr(chat.accounts)]
    return [one for one in all_there_is if any(word in one.casefold() for word in words)]


def proven(driver: Driver, who: Identity) -> Client:
    client = driver.open()
    client.send(Connect(), who)
    return client


def send(client: Client, *commands: Command) -> None:
    for command in commands:
        client.send(command)


def lively(driver: Driver) -> tuple[Client, Client]:
    """Zoe, who owns a room, and bob; each did to the other what can be done."""
    zoe, bob = driver.connect("Zoe"), driver.connect("bob")
    send(zoe, Join(room="den"), Message(content="zebra", room="den"), SetTopic(room="den", topic="zoo"))
    send(bob, Join(room="den"), Message(content="apple", room="den"), Join(room="bobs"))
    send(zoe, React(room="den", seq=3, emoji="+"), Private(to="bob", content="zigzag"), Join(room="bobs"))
    send(zoe, Promote(room="den", user="bob"), Mute(room="den", user="bob", reason="zany"))
    send(bob, Mute(room="bobs", user="zoe", reason="loud"), Ban(room="bobs", user="zoe"), Block(user="zoe"))
    return zoe, bob


def test_nothing_of_a_guest_is_left() -> None:
    driver = Driver()
    zoe, bob = lively(driver)
    assert traces(driver, "zoe", "zoo", "zany")
    result = forgotten(driver, user="ZOE", reason="asked for it")
    assert (result.connections, zoe.closed, bob.closed) == (1, Close.KICKED, None)
    assert traces(driver, "zoe", "zoo", "zany") == []
    bob.send(ListRooms(mine=True, id=1))
    (listed,) = bob.of(RoomList)
    assert [room["room"] for room in listed.rooms] == ["general", "den", "bobs"]
    den = driver.state.chat.rooms.get("den")
    assert den is not None
    assert den.owner == driver.state.chat.people.by_name["bob"].id
    check_sound(driver)


def test_what_was_said_is_shown_as_deleted_and_by_nobody() -> None:
    driver = Driver()
    _, bob = lively(driver)
    forgotten(driver, user="zoe")
    bob.send(GetHistory(room="den", id=1))
    (page,) = bob.of(HistoryPage)
    kinds = [type(one) for one in page.entries]
    assert kinds == [Deleted, System, Posted, Reacted, System, System]
    assert {getattr(one, "sender", None) or getattr(one, "by", None) for one in page.entries} == {"#forgotten", "bob"}
    posted = page.entries[2]
    assert isinstance(posted, Posted)
    assert (posted.content, posted.reactions) == ("apple", None)
    assert not any(word in repr(page.entries).casefold() for word in ("zoe", "zebra", "zoo", "zany"))


def test_whoever_takes_the_name_next_is_somebody_new() -> None:
    driver = Driver()
    lively(driver)
    forgotten(driver, user="zoe")
    driver.advance(1)
    again = driver.connect("zoe")
    send(again, Join(room="bobs"), Message(content="here again", room="bobs"))
    assert again.contents == ["here again"]


def test_a_guest_who_is_gone() -> None:
    driver = Driver()
    zoe, bob = lively(driver)
    zoe.drop()
    driver.advance(700)
    assert "zoe" not in driver.state.chat.people.by_name
    assert traces(driver, "zoe")
    assert forgotten(driver, user="zoe").connections == 0
    assert traces(driver, "zoe", "zoo") == []
    assert bob.closed is None


def test_a_proven_user_by_name_or_id() -> None:
    for who in ({"user": "zoe"}, {"id": "sub:zoe"}):
        driver = Driver(auth="jwt", auth_key="x")
        zoe = proven(driver, ZOE)
        bob = proven(driver, Identity(id="sub:bob", name="bob"))
        send(zoe, Join(room="den"), SetTopic(room="den", topic="zoo"), Private(to="bob", content="zigzag"))
        bob.send(Block(user="zoe"))
        driver.order(orders.BanUser(id="sub:zoe"))
        assert traces(driver, "zoe")
        assert forgotten(driver, **who).connections == 0  # banned already
        assert traces(driver, "zoe", "zoo") == []
        back = proven(driver, ZOE)
        assert back.closed is None


def test_a_user_who_was_called_otherwise_before() -> None:
    """The names before are the user's, too: also where nobody has asked since the last start."""
    driver = Driver(auth="jwt", auth_key="x")
    bob = proven(driver, Identity(id="sub:bob", name="bob"))
    zoe = proven(driver, ZOE)
    send(zoe, Join(room="den"))
    send(bob, Join(room="den"))
    zoe.send(Mute(room="den", user="bob", reason="zany"))
    zoe.drop()
    proven(driver, Identity(id="sub:zoe", name="Zelda")).drop()
    proven(driver, Identity(id="sub:zoe", name="zoe")).drop()
    proven(driver, Identity(id="sub:zoe", name="Yara")).drop()
    driver.crash()
    assert traces(driver, "zoe", "zelda", "zany")
    assert forgotten(driver, user="yara").known
    record = driver.kept["forget", "sub:zoe"]
    assert isinstance(record, ForgetRecord)
    assert (record.name_key, record.earlier) == ("yara", ("zelda", "zoe"))
    assert traces(driver, "zoe", "zelda", "yara", "zany") == []


def test_a_topic_that_the_log_has_not_answered_yet() -> None:
    driver = Driver()
    zoe, bob = lively(driver)
    send(zoe, Join(room="attic"), Join(room="cellar"))
    driver.connect("eve")
    driver.held = True
    driver.apply(Ordered(1, "admin", orders.ForgetUser(user="zoe")))
    zoe.send(SetTopic(room="attic", topic="zebras"))
    zoe.send(SetTopic(room="den", topic="zebras"))
    driver.release()
    assert traces(driver, "zoe", "zoo", "zebra") == []
    assert bob.closed is None


def test_no_admin_by_name_is_forgotten_while_the_configuration_names_one() -> None:
    """Else whoever registers the name next would be an admin."""
    driver = Driver(auth="accounts", admins=["zoe"])
    assert refused(driver, id="account:zoe") == "forbidden"
    assert forgotten(driver, id="account:ann").audit == 1


def test_a_network_that_is_banned_is_no_name() -> None:
    driver = Driver()
    driver.connect("10.0.0.1")
    driver.order(orders.BanUser(net="10.0.0.1/32"))
    driver.order(orders.BanUser(user="10.0.0.1"))
    forgotten(driver, user="10.0.0.1")
    assert [ban.key for ban in driver.state.chat.bans.all(driver.now)] == ["net:10.0.0.1/32"]


def test_who_cannot_be_forgotten() -> None:
    driver = Driver()
    assert refused(driver) == "bad_message"
    assert refused(driver, user="zoe", id="sub:zoe") == "bad_message"
    assert refused(driver, user="@") == "no_such_user"
    assert refused(driver, id="#server") == "no_such_user"
    assert refused(driver, id="guest:boot:9") == "no_such_user"
    driver = Driver(auth="jwt", auth_key="x")
    assert refused(driver, user="nobody") == "no_such_user"
    assert forgotten(driver, id="sub:nobody").known is False
    driver = Driver(auth="accounts")
    record = next(keep.record for keep in order_of(driver, "account:zoe") if isinstance(keep, Keep))
    assert isinstance(record, ForgetRecord)
    assert (record.key, record.name_key, record.settled) == ("account:zoe", "zoe", False)


def order_of(driver: Driver, id: str) -> tuple[object, ...]:
    forgotten(driver, id=id)
    return next(effect.keep for effect in driver.effects if isinstance(effect, Append))


def test_the_audit_says_that_somebody_was_forgotten_and_not_who() -> None:
    driver = Driver()
    lively(driver)
    driver.order(orders.KickUser(user="zoe", reason="zest"))
    forgotten(driver, user="zoe", reason="letter 12")
    page = driver.order(orders.ShowAudit())
    assert isinstance(page, orders.AuditPage)
    told = [(entry.action, entry.target, entry.reason) for entry in page.entries]
    assert told == [("forget", "#forgotten", "letter 12"), ("kick", "#forgotten", "")]


@pytest.mark.parametrize("lifetime", range(12))
def test_a_process_that_dies_before_it_has_forgotten(lifetime: int) -> None:
    """What is committed with the entry of the audit is done by the next."""
    driver = Driver()
    lively(driver)
    driver.held = True
    driver.apply(Ordered(1, "admin", orders.ForgetUser(user="zoe")))
    driver.lifetime = lifetime
    with suppress(Died):
        driver.release()
    driver.crash()
    record = driver.kept["forget", "name:zoe"]
    assert isinstance(record, ForgetRecord)
    assert record.settled
    assert traces(driver, "zoe", "zoo") == []


def test_a_record_that_is_settled_concerns_nobody_new() -> None:
    driver = Driver()
    zoe = driver.connect("zoe")
    at = driver.now.wall
    driver.kept["forget", "name:zoe"] = ForgetRecord(key="name:zoe", name_key="zoe", at=at - 5, settled=True)
    driver.crash()
    assert driver.resume(zoe).welcome.resumed
    driver.kept["forget", "name:zoe"] = ForgetRecord(key="name:zoe", name_key="zoe", at=at - 5)
    driver.crash()
    assert "zoe" not in driver.state.chat.people.by_name
