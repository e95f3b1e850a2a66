"""Operators: what they ask of the whole server is in the audit first, and takes effect when that is committed."""

from __future__ import annotations

from typing import Any

import pytest

from trio_chat.core import orders
from trio_chat.core.effects import Failed, Refused, Stale
from trio_chat.core.errors import Close
from trio_chat.core.events import Error, Posted
from trio_chat.core.identity import Identity
from trio_chat.core.messages import Connect, Join, Login, Message, Private, Resume, SetTopic
from trio_chat.core.orders import Act, Done, Failure, Look, Result

from .driver import Client, Driver


def done(driver: Driver, order: Act) -> Done:
    result = driver.order(order)
    assert isinstance(result, Done), result
    return result


def failed(driver: Driver, order: Act | Look) -> str:
    result = driver.order(order)
    assert isinstance(result, Failure), result
    return result.code


def audit(driver: Driver, **how: Any) -> orders.AuditPage:
    page = driver.order(orders.ShowAudit(**how))
    assert isinstance(page, orders.AuditPage)
    return page


def turned_away(client: Client, command: Connect) -> Error:
    client.send(command)
    (error,) = client.of(Error)
    return error


def test_kick_closes_and_ends_but_the_name_may_come_back() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    session = alice.session
    result = done(driver, orders.KickUser(user="Alice", reason="calm down"))
    assert (result.audit, result.connections) == (1, 1)
    assert alice.closed is Close.KICKED
    again = driver.open()
    again.send(Connect(username="alice", resume=Resume(session=session)))
    assert not again.welcome.resumed


def test_kick_ends_a_detached_session_too() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    alice.drop()
    assert done(driver, orders.KickUser(user="alice")).connections == 0
    assert failed(driver, orders.KickUser(user="alice")) == "no_such_user"


def test_a_banned_user_is_cut_and_neither_connects_nor_resumes() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice"), driver.connect("bob")
    result = done(driver, orders.BanUser(user="alice", duration=60, reason="spam"))
    assert (result.subject, result.until) == ("name:alice", "2026-01-01T00:01:00.000Z")
    assert alice.closed is Close.BANNED
    assert bob.closed is None
    for command in (Connect(username="ALICE"), Connect(username="alice", resume=Resume(session=alice.session))):
        client = driver.open()
        error = turned_away(client, command)
        assert (error.code, error.content, error.retry_after) == ("banned", "You are banned: spam", 60.0)
        assert client.closed is Close.BANNED
    driver.advance(60)
    assert driver.connect("alice").closed is None


def test_a_ban_by_something_that_is_no_id() -> None:
    result = Driver().order(orders.BanUser(id="2"))
    assert isinstance(result, Failure)
    assert result.message == "id must begin with guest:, sub:, account:, as the ids of users do"


def test_a_ban_without_a_reason_or_an_end() -> None:
    driver = Driver()
    done(driver, orders.BanUser(user="alice"))
    error = turned_away(driver.open(), Connect(username="alice"))
    assert (error.content, error.retry_after) == ("You are banned", None)
    assert driver.open().send(Connect(username="@"))
    assert driver.open().send(Connect())


def test_a_ban_is_found_by_the_session_that_would_be_resumed() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    user = driver.state.chat.people.by_name["alice"]
    alice.drop()
    driver.held = True
    driver.apply(orders.Ordered(7, "admin", orders.BanUser(id=user.id)))
    assert driver.answers == {}, "nothing changes before it is committed"
    driver.release()
    assert isinstance(driver.answers[7], Done)
    client = driver.resume(alice)
    assert client.of(Error)[0].code != "banned", "the session ended with the ban"


def test_a_session_of_a_banned_name_cannot_be_resumed() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    alice.drop()
    done(driver, orders.BanUser(user="bob"))
    assert driver.resume(alice).welcome.resumed


def test_who_waits_for_the_banned_name_is_turned_away() -> None:
    driver = Driver()
    driver.connect("alice")
    asker = driver.open()
    asker.send(Connect(username="alice"))
    done(driver, orders.BanUser(user="alice"))
    assert asker.closed is Close.BANNED


def test_a_banned_network_is_cut_and_refused_before_the_upgrade() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice", address="192.0.2.7"), driver.connect("bob", address="198.51.100.1")
    waiting = driver.open(address="192.0.2.8")
    result = done(driver, orders.BanUser(net="192.0.2.0/24", duration=30))
    assert (result.subject, result.connections) == ("net:192.0.2.0/24", 2)
    assert (alice.closed, bob.closed, waiting.closed) == (Close.BANNED, None, Close.BANNED)
    for trusted in (True, False):
        _, verdict = driver.admit(address="192.0.2.99", trusted=trusted)
        assert isinstance(verdict, Refused)
        assert (verdict.status, verdict.retry_after) == (403, 30.0)
    driver.open(address="memory")
    driver.open(address="2001:db8::/64")
    driver.advance(30)
    driver.open(address="192.0.2.7")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("192.0.2.1", "net:192.0.2.1/32"),
        ("192.0.2.0/24", "net:192.0.2.0/24"),
        ("2001:db8::1", "net:2001:db8::/64"),
        ("2001:db8::/32", "net:2001:db8::/32"),
        ("::ffff:192.0.2.1", "net:192.0.2.1/32"),
    ],
)
def test_networks_are_kept_as_addresses_are_counted(written: str, kept: str) -> None:
    driver = Driver()
    assert done(driver, orders.BanUser(net=written)).subject == kept


@pytest.mark.parametrize(
    "order",
    [
        orders.BanUser(),
        orders.BanUser(user="a", net="192.0.2.1"),
        orders.BanUser(net="nowhere"),
        orders.BanUser(net="192.0.2.1/24"),
        orders.BanUser(net="0.0.0.0/0"),
        orders.BanUser(net="::/0"),
        orders.BanUser(net="::ffff:0.0.0.0/96"),
        orders.BanUser(user="@"),
    ],
)
def test_a_ban_of_nothing(order: orders.BanUser) -> None:
    assert failed(Driver(), order) == "bad_message"


def test_bans_are_bounded_and_those_that_are_over_make_way() -> None:
    driver = Driver(max_bans=2)
    done(driver, orders.BanUser(net="192.0.2.1", duration=10))
    done(driver, orders.BanUser(net="192.0.2.2"))
    assert failed(driver, orders.BanUser(user="alice")) == "too_many_bans"
    done(driver, orders.BanUser(net="192.0.2.2", duration=99))
    driver.advance(10)
    done(driver, orders.BanUser(user="alice"))
    assert [key for kind, key in driver.kept if kind == "server_ban"] == ["net:192.0.2.2/32", "name:alice"]


def test_unban() -> None:
    driver = Driver()
    done(driver, orders.BanUser(user="alice"))
    done(driver, orders.BanUser(net="192.0.2.1"))
    done(driver, orders.BanUser(net="192.0.2.2"))
    for subject in ("name:alice", "net:192.0.2.1/32", "net:192.0.2.2/32"):
        assert done(driver, orders.Unban(subject=subject)).subject == subject
    assert failed(driver, orders.Unban(subject="name:alice")) == "no_such_ban"
    assert driver.connect("alice", address="192.0.2.1").closed is None
    assert len(driver.state.chat.bans) == 0


def test_bans_and_the_audit_outlive_the_process() -> None:
    driver = Driver()
    driver.connect("bob", address="192.0.2.9")
    done(driver, orders.BanUser(user="alice"))
    done(driver, orders.BanUser(net="192.0.2.0/24"))
    done(driver, orders.BanUser(user="carol", duration=5))
    driver.advance(5)
    driver.crash()
    assert turned_away(driver.open(), Connect(username="alice")).code == "banned"
    assert isinstance(driver.admit(address="192.0.2.9")[1], Refused)
    assert driver.connect("carol").closed is None
    assert ("server_ban", "name:carol") not in driver.kept
    assert [entry.target for entry in audit(driver).entries] == ["carol", "192.0.2.0/24", "alice"]
    assert done(driver, orders.Announce(content="hello")).audit == 4


def test_nobody_finds_the_audit() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    done(driver, orders.Announce(content="hello"))
    assert alice.refused(Join(room="#server", id=1)).code == "bad_room"
    assert alice.refused(Message(content="x", room="#server", id=2)).code == "bad_room"


def test_announcements_reach_everybody_who_is_in() -> None:
    driver = Driver()
    done(driver, orders.Announce(content="nobody hears"))
    alice = driver.connect("alice")
    driver.open()
    done(driver, orders.Announce(content="tea is ready"))
    assert [event.content for event in alice.events("announcement")] == ["tea is ready"]


def test_what_is_published_is_an_entry_of_the_room() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    alice.send(Join(room="den"))
    result = done(driver, orders.Publish(room="Den", content="closing soon"))
    (posted,) = alice.of(Posted)
    assert (posted.sender, posted.content, posted.seq) == ("#server", "closing soon", result.seq)
    assert failed(driver, orders.Publish(room="nowhere", content="x")) == "no_such_room"
    assert failed(driver, orders.Publish(room="@", content="x")) == "no_such_room"


def test_what_is_published_must_fit_a_frame() -> None:
    driver = Driver(max_message_bytes=8192, outbox_bytes=1024 * 1024)
    assert failed(driver, orders.Publish(room="general", content="x" * 8000)) == "too_large"


def test_a_room_that_closes_before_the_message_is_published() -> None:
    driver = Driver()
    alice = driver.connect("alice")
    alice.send(Join(room="den"))
    driver.held = True
    driver.apply(orders.Ordered(9, "admin", orders.Publish(room="den", content="x")))
    alice.drop(1000)
    driver.release()
    assert isinstance(driver.answers[9], Failure)


def test_the_audit_has_every_act_without_what_was_said() -> None:
    driver = Driver()
    driver.connect("alice")
    done(driver, orders.KickUser(user="alice", reason="one"))
    done(driver, orders.BanUser(user="alice", duration=5, reason="two"))
    done(driver, orders.Unban(subject="name:alice", reason="three"))
    done(driver, orders.Announce(content="a secret"))
    done(driver, orders.Publish(room="general", content="a secret"))
    done(driver, orders.StartDrain(reason="six"))
    shown = [(entry.by, entry.action, entry.target, entry.reason) for entry in audit(driver).entries]
    assert shown == [
        ("admin", "drain", "", "six"),
        ("admin", "publish", "general", ""),
        ("admin", "announce", "", ""),
        ("admin", "unban", "alice", "three"),
        ("admin", "ban", "alice", "two"),
        ("admin", "kick", "alice", "one"),
    ]
    page = audit(driver, limit=2)
    assert page.next == 5
    assert [entry.number for entry in audit(driver, before=5, limit=9).entries] == [4, 3, 2, 1]
    assert audit(driver, before=5).next is None


@pytest.mark.parametrize("answer", [Failed, Stale])
def test_what_is_not_committed_is_not_done(answer: Any) -> None:
    driver = Driver()
    alice = driver.connect("alice")
    driver.held = True
    asked: tuple[Act | Look, ...] = (orders.BanUser(user="alice"), orders.ShowAudit())
    for number, order in enumerate(asked, 5):
        driver.apply(orders.Ordered(number, "admin", order))
        driver.answer(answer)
        result = driver.answers[number]
        assert isinstance(result, Failure)
        assert result.code == "unavailable"
    assert alice.closed is None
    assert len(driver.state.chat.bans) == 0


def test_a_message_that_is_not_committed_is_told() -> None:
    driver = Driver()
    driver.held = True
    driver.apply(orders.Ordered(5, "admin", orders.Publish(room="general", content="x")))
    driver.answer(lambda request: driver.log.submit(request, driver.now))
    driver.answer(Failed)
    assert isinstance(driver.answers[5], Failure)


def looked(driver: Driver, order: Look) -> Any:
    result: Result = driver.order(order)
    assert not isinstance(result, Failure), result
    return result


def test_looks() -> None:
    driver = Driver()
    alice, bob = driver.connect("alice", address="192.0.2.1"), driver.connect("bob")
    driver.open()
    alice.send(Join(room="den"))
    alice.send(SetTopic(room="den", topic="tea"))
    alice.send(Private(to="bob", content="psst"))
    bob.drop()
    info = looked(driver, orders.ShowInfo())
    assert (info.users, info.sessions, info.connections, info.rooms, info.conversations) == (2, 2, 2, 2, 1)
    assert [user.name for user in looked(driver, orders.ListUsers()).users] == ["alice", "bob"]
    page = looked(driver, orders.ListUsers(limit=1))
    assert [user.name for user in looked(driver, orders.ListUsers(after=page.next)).users] == ["bob"]
    detail = looked(driver, orders.ShowUser(user="Alice"))
    assert (detail.rooms, detail.conversations) == (["general", "den"], 1)
    assert [one.address for one in detail.connections] == ["192.0.2.1"]
    rooms = looked(driver, orders.ListRooms(limit=1))
    assert [room.name for room in looked(driver, orders.ListRooms(after=rooms.next)).rooms] == ["den"]
    den = looked(driver, orders.ShowRoom(room="den"))
    assert (den.topic, den.owner, den.members, den.rights) == ("tea", "alice", ["alice"], [])
    assert looked(driver, orders.ShowRoom(room="general")).owner is None
    connections = looked(driver, orders.ListConnections())
    assert [one.user for one in connections.connections] == ["alice", None]
    assert looked(driver, orders.ListConnections(limit=1)).next == 1
    assert failed(driver, orders.ShowUser(user="carol")) == "no_such_user"
    assert failed(driver, orders.ShowRoom(room="cellar")) == "no_such_room"
    assert failed(driver, orders.ShowRoom(room="@")) == "no_such_room"


def test_the_list_of_bans() -> None:
    driver = Driver()
    for user in ("alice", "bob", "carol"):
        done(driver, orders.BanUser(user=user, duration=5 if user == "bob" else None))
    page = looked(driver, orders.ListBans(limit=2))
    assert [(ban.name, ban.until is None) for ban in page.bans] == [("alice", True), ("bob", False)]
    assert [ban.name for ban in looked(driver, orders.ListBans(after=page.next)).bans] == ["carol"]


@pytest.mark.parametrize("ban", [orders.BanUser(user="ann"), orders.BanUser(id="sub:1")])
def test_a_proven_user_is_banned_under_whatever_name(ban: orders.BanUser) -> None:
    driver = Driver(auth="jwt", auth_key="key")
    ann = driver.open()
    ann.send(Connect(token="t"), Identity(id="sub:1", name="ann"))
    result = done(driver, ban)
    assert (result.subject, result.connections, ann.closed) == ("sub:1", 1, Close.BANNED)
    for identity in (Identity(id="sub:1", name="ann"), Identity(id="sub:1", name="bea"), Identity(id="sub:1")):
        again = driver.open()
        again.send(Connect(token="t"), identity)
        assert (again.of(Error)[0].code, again.closed) == ("banned", Close.BANNED)
    other = driver.open()
    other.send(Connect(token="t"), Identity(id="sub:2", name="cleo"))
    assert other.closed is None


def test_whoever_comes_under_a_banned_name_is_banned_proven_or_not() -> None:
    driver = Driver(auth="jwt", auth_key="key")
    done(driver, orders.BanUser(user="ann"))
    client = driver.open()
    client.send(Connect(token="t"), Identity(id="sub:1", name="Ann"))
    assert client.closed is Close.BANNED


def test_the_account_of_a_banned_name_cannot_log_in() -> None:
    driver = Driver(auth="accounts")
    done(driver, orders.BanUser(id="account:ann"))
    for identity, code in ((Identity(id="account:ann", name="ann"), "banned"), (None, "bad_credentials")):
        client = driver.open()
        client.send(Login(username="ann", password="p"), identity)
        assert client.of(Error)[0].code == code
