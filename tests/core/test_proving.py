"""Proven users: with a token or an account they come in, have several sessions, live on, and are renewed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.driver import START, Client, Driver
from tests.core.oracle import check_kept, check_sound
from trio_chat.core.effects import Changed, Discard, Failed, Now, Tick
from trio_chat.core.errors import Close, ErrorCode
from trio_chat.core.events import Ack, Error, Posted, PrivatePosted, System, Welcome
from trio_chat.core.identity import Identity
from trio_chat.core.messages import (
    ChangePassword,
    Connect,
    Delete,
    Denied,
    GetHistory,
    Join,
    Leave,
    Login,
    MarkRead,
    Message,
    Private,
    Refresh,
    Register,
    Resume,
    SetTopic,
)

WALL = START.wall


def tokens(**options: Any) -> Driver:
    """Where tokens are asked for."""
    return Driver(auth="jwt", auth_key="key", messages_burst=1000, **options)


def accounts(**options: Any) -> Driver:
    return Driver(auth="accounts", messages_burst=1000, **options)


def who(name: str, sub: str | None = None, **claims: Any) -> Identity:
    return Identity(id=f"sub:{sub or name}", name=name, **({"expires": WALL + 3600} | claims))


def enter(driver: Driver, identity: Identity, **fields: Any) -> Client:
    """A connection with its welcome."""
    client = driver.open(**fields)
    client.send(Connect(token="t"), identity)
    assert isinstance(client.all[0], Welcome), client.all
    return client


def turned_away(driver: Driver, identity: Identity | None, command: Any = None) -> tuple[str, str, Close | None]:
    client = driver.open()
    error = client.refused(command or Connect(token="t", id=1), identity)
    return error.code, error.content, client.closed


def back(driver: Driver, before: Client, identity: Identity | None = None) -> Client:
    client = driver.open()
    client.send(Connect(resume=Resume(session=before.session)), identity)
    return client


def check(driver: Driver) -> None:
    check_kept(driver)
    check_sound(driver)


class TestConnect:
    def test_a_token_names_its_bearer(self) -> None:
        driver = tokens()
        client = driver.open()
        (welcome,) = client.send(Connect(username="ignored", token="t", id=7), who("Ann"))
        assert isinstance(welcome, Welcome)
        assert (welcome.user, welcome.id, welcome.resumed) == ("Ann", 7, False)
        assert welcome.rooms == [{"room": "general", "epoch": "boot-1", "last": 0, "read": 0}]
        check(driver)

    @pytest.mark.parametrize(
        ("driver", "code", "close"),
        [(tokens(), "bad_token", Close.BAD_TOKEN), (accounts(), "bad_credentials", Close.BAD_HANDSHAKE)],
        ids=["jwt", "accounts"],
    )
    def test_guests_are_not_admitted(self, driver: Driver, code: str, close: Close) -> None:
        for command in (Connect(id=1, username="ann"), Connect(id=2, resume=Resume(session="unknown"))):
            assert turned_away(driver, None, command)[::2] == (code, close)
        assert driver.state.chat.people.by_id == {}

    @pytest.mark.parametrize("command", [Login(id=1, username="a", password="p" * 8),
                                         Register(id=1, username="a", password="p" * 8)])  # fmt: skip
    def test_where_there_are_no_accounts(self, command: Login | Register) -> None:
        code, content, close = turned_away(Driver(), None, command)
        assert (code, content, close) == ("forbidden", "There are no accounts here", Close.BAD_HANDSHAKE)

    @pytest.mark.parametrize(
        ("code", "close"),
        [
            (ErrorCode.BAD_TOKEN, Close.BAD_TOKEN),
            (ErrorCode.BAD_CREDENTIALS, Close.BAD_HANDSHAKE),
            (ErrorCode.UNAVAILABLE, Close.UNAVAILABLE),
        ],
    )
    def test_what_proved_nothing(self, code: ErrorCode, close: Close) -> None:
        client = tokens().open()
        error = client.refused(Denied(code=code, content="No", retry_after=2.0, id=1))
        assert (error.code, error.content, error.retry_after, client.closed) == (code.value, "No", 2.0, close)

    def test_what_proves_nothing_later_changes_nothing(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann"))
        for number in range(30):
            error = ann.refused(Denied(code=ErrorCode.BAD_TOKEN, content="The token has expired", id=number))
            assert (error.code, error.content) == ("bad_token", "The token has expired")
        assert ann.closed is None

    def test_a_second_first_frame(self) -> None:
        ann = enter(tokens(), who("Ann"))
        for command in (Connect(id=1, token="t"), Login(id=1, username="a", password="p")):
            assert ann.refused(command, who("Bob")).code == "already_connected"


class TestNames:
    def test_a_name_that_another_has(self) -> None:
        driver = tokens()
        enter(driver, who("Ann")).drop(1000)
        assert turned_away(driver, who("ANN", "2")) == ("username_taken", "Username is already taken", Close.NAME_TAKEN)

    def test_a_new_name(self) -> None:
        driver = tokens()
        first = enter(driver, who("Ann"))
        first.send(Join(room="den"))
        first.drop()
        again = enter(driver, who("Anna", "Ann"))
        assert again.welcome.user == "Anna"
        assert [room["room"] for room in again.welcome.rooms] == ["general", "den"]
        assert "Ann is called Anna now" in [note.text % note.args for note in driver.notes]
        check(driver)
        enter(driver, who("Ann", "2"))  # that is free again
        check(driver)

    def test_a_new_name_that_another_has(self) -> None:
        driver = tokens()
        enter(driver, who("Bob"))
        enter(driver, who("Ann")).drop()
        assert turned_away(driver, who("bob", "Ann"))[0] == "username_taken"
        assert enter(driver, who("Ann")).welcome.user == "Ann"

    def test_a_live_user_keeps_the_name(self) -> None:
        driver = tokens()
        first = enter(driver, who("Ann"))
        assert enter(driver, who("Anna", "Ann")).welcome.user == "Ann"
        first.drop()
        check(driver)

    def test_only_its_case(self) -> None:
        driver = tokens()
        enter(driver, who("ann")).drop()
        assert enter(driver, who("Ann", "ann")).welcome.user == "Ann"
        check(driver)

    def test_one_that_looks_like_the_old_one(self) -> None:
        driver = tokens()
        enter(driver, who("Ian", "1")).drop()
        assert enter(driver, who("lan", "1")).welcome.user == "lan"

    @pytest.mark.parametrize("identity", [who("Аnn", "2"), who("аdmin")], ids=["of a user", "reserved"])
    def test_lookalikes(self, identity: Identity) -> None:
        driver = tokens()
        enter(driver, who("Ann"))
        code, content, close = turned_away(driver, identity)
        assert (code, close) == ("username_taken", Close.NAME_TAKEN)
        assert content.startswith("Username looks like another")
        assert enter(driver, Identity(id="sub:9", name=identity.name, admin=True)).welcome.user == identity.name

    def test_reserved(self) -> None:
        driver = tokens(reserved_names=["boss"], admins=["5\n"])
        assert turned_away(driver, who("Boss")) == ("bad_username", "This name is reserved", Close.BAD_HANDSHAKE)
        assert enter(driver, who("Boss", "5%0A")).welcome.user == "Boss", "an admin by the configuration"

    def test_no_admin_takes_what_is_held(self) -> None:
        driver = tokens()
        enter(driver, who("Ann"))
        assert turned_away(driver, who("ann", "2", admin=True))[0] == "username_taken"

    def test_guests_respect_them_too(self) -> None:
        driver = Driver()
        ann = driver.connect("Ann")
        code, content, close = turned_away(driver, None, Connect(id=1, username="аnn"))
        assert (code, close) == ("username_taken", Close.NAME_TAKEN)
        assert content.startswith("Username ")
        assert turned_away(driver, None, Connect(id=1, username="Admin"))[:2] == (
            "bad_username",
            "This name is reserved",
        )
        ann.drop()
        assert turned_away(driver, None, Connect(id=1, username="аnn"))[0] == "username_taken"
        assert driver.connect("ann").welcome.user == "ann", "a detached guest's own name is taken over"

    def test_what_is_left_of_another_kind(self) -> None:
        """The operator turned tokens on, or off: nobody comes in as what is left, and a guest's name is free."""
        driver = Driver()
        guest, other = driver.connect("Ann"), driver.connect("Bob")
        driver.config = tokens().config
        driver.crash()
        assert turned_away(driver, None, Connect(id=1, resume=Resume(session=guest.session)))[0] == "bad_token"
        ann = enter(driver, who("Ann"))
        assert [user.guest for user in driver.state.chat.people.by_id.values()] == [True, False]
        driver.config = Driver().config
        driver.crash()
        assert turned_away(driver, None, Connect(id=1, username="ann"))[0] == "username_taken"
        assert turned_away(driver, None, Connect(id=1, resume=Resume(session=ann.session)))[0] == "bad_username"
        assert back(driver, other).welcome.resumed
        check(driver)


class TestSessions:
    def test_all_get_everything(self) -> None:
        driver = tokens()
        one, bob = enter(driver, who("Ann")), enter(driver, who("Bob"))
        one.send(Join(room="den"))
        bob.send(Join(room="den"))
        two = enter(driver, who("Ann"))
        assert {room["room"] for room in two.welcome.rooms} == {"general", "den"}
        bob.send(Message(room="den", content="hi"))
        bob.send(Private(to="ann", content="psst"))
        for client in (one, two):
            assert client.contents == ["hi"]
            assert [event.content for event in client.of(PrivatePosted)] == ["psst"]
        one.drop(1000)
        driver.advance(1)
        assert bob.events("left") == []
        bob.send(Message(room="den", content="ho"))
        assert two.contents == ["hi", "ho"]
        two.drop(1000)
        driver.advance(1)
        assert [event.users for event in bob.events("left")] == [["Ann"], ["Ann"]]
        check(driver)

    def test_presence_is_by_live_connection(self) -> None:
        driver = tokens()
        bob = enter(driver, who("Bob"))
        driver.advance(1)
        ann = enter(driver, who("Ann"))
        driver.advance(1)
        ann.drop(1000)
        driver.advance(1)
        enter(driver, who("Ann"))
        driver.advance(1)
        told = [(event.event, event.users) for event in bob.of(System) if event.event in ("joined", "left")]
        assert told == [("joined", ["Ann"]), ("left", ["Ann"]), ("joined", ["Ann"])]

    def test_too_many_connections(self) -> None:
        driver = tokens(sessions_per_user=2)
        first = enter(driver, who("Ann"))
        second = enter(driver, who("Ann"))
        assert turned_away(driver, who("Ann"))[::2] == ("forbidden", Close.TOO_MANY_SESSIONS)
        second.drop()
        third = enter(driver, who("Ann"))
        assert third.closed is None
        assert not back(driver, second, who("Ann")).of(Welcome), "it made room"
        first.drop()
        fourth = enter(driver, who("Ann"))
        fifth = back(driver, third)
        assert fifth.welcome.resumed
        assert third.closed is Close.REPLACED
        third.drop()
        assert len(driver.state.chat.people.by_id["sub:Ann"].sessions) == 2
        fourth.drop()
        check(driver)

    def test_too_many_to_resume_one_more(self) -> None:
        driver = tokens(sessions_per_user=3)
        first = enter(driver, who("Ann"))
        first.drop()
        enter(driver, who("Ann"))
        enter(driver, who("Ann"))
        driver.state.chat.sessions_per_user = 2
        again = driver.open()
        assert again.refused(Connect(resume=Resume(session=first.session), id=1)).code == "forbidden"
        assert again.closed is Close.TOO_MANY_SESSIONS

    def test_the_longest_detached_makes_room(self) -> None:
        driver = tokens(sessions_per_user=2)
        one, two = enter(driver, who("Ann")), enter(driver, who("Ann"))
        two.drop()
        driver.advance(1)
        one.drop()
        enter(driver, who("Ann")).drop()
        assert back(driver, one).welcome.resumed
        assert not driver.state.chat.people.find(two.session)
        check(driver)


class TestAway:
    def test_memberships_and_markers_live_on(self) -> None:
        driver = tokens()
        ann, bob = enter(driver, who("Ann")), enter(driver, who("Bob"))
        ann.send(Join(room="den"))
        bob.send(Message(room="den", content="1"))
        ann.send(MarkRead(room="den", seq=1))
        bob.send(Leave(room="den"))
        ann.drop(1000)
        driver.advance(10_000)
        driver.crash()
        assert driver.state.chat.people.by_id["sub:Ann"].sessions == []
        check(driver)
        again = enter(driver, who("Ann"))
        assert again.welcome.rooms[1] == {"room": "den", "epoch": "boot-2", "last": 1, "read": 1}
        assert again.contents == []
        again.done(SetTopic(room="den", topic="mine still", id=1))
        check(driver)

    @pytest.mark.parametrize("crash", [False, True])
    @pytest.mark.parametrize("ended", [False, True])
    def test_privates_are_replayed(self, crash: bool, ended: bool) -> None:
        """Whether the last session has ended or may still be resumed: the next one brings them."""
        driver = tokens()
        ann, bob = enter(driver, who("Ann")), enter(driver, who("Bob"))
        bob.send(Private(to="Ann", content="heard"))
        ann.drop(1000 if ended else None)
        bob.send(Private(to="Ann", content="missed"))
        if crash:
            driver.crash()
        again = enter(driver, who("Ann"))
        assert [event.content for event in again.of(PrivatePosted)] == ["missed"]
        assert again.welcome.rooms[1]["after"] == 1
        other = enter(driver, who("Ann"))
        assert "after" not in other.welcome.rooms[1]
        assert other.of(PrivatePosted) == []
        check(driver)
        other.drop(1000)
        again.drop(1000)
        assert enter(driver, who("Ann")).of(PrivatePosted) == []

    def test_a_conversation_that_begins_meanwhile(self) -> None:
        driver = tokens()
        enter(driver, who("Ann")).drop(1000)
        bob = enter(driver, who("Bob"))
        bob.send(Private(to="Ann", content="hello?"))
        again = enter(driver, who("Ann"))
        assert [event.content for event in again.of(PrivatePosted)] == ["hello?"]
        check(driver)

    def test_where_nobody_knows_what_was_sent(self) -> None:
        """The log has another epoch: then there is a gap, and all that is held."""
        driver = tokens()
        ann, bob = enter(driver, who("Ann")), enter(driver, who("Bob"))
        bob.send(Private(to="Ann", content="heard"))
        ann.drop(1000)
        driver.crash(trusted=False)
        check(driver)
        again = enter(driver, who("Ann"))
        assert [event.event for event in again.of(System)] == ["lagged"]
        assert again.welcome.rooms[1]["after"] == 0
        assert [event.content for event in again.of(PrivatePosted)] == ["heard"]

    def test_of_two_that_ended_the_one_that_heard_more_counts(self) -> None:
        driver = tokens(resume_window=10)
        early, late, bob = enter(driver, who("Ann")), enter(driver, who("Ann")), enter(driver, who("Bob"))
        bob.send(Private(to="Ann", content="1"))
        early.drop()
        bob.send(Private(to="Ann", content="2"))
        late.drop(1000)
        driver.advance(11)
        assert enter(driver, who("Ann")).of(PrivatePosted) == []


class TestExpiry:
    def test_it_is_told_and_then_enforced(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann", expires=WALL + 200))
        driver.advance(139.9)
        assert ann.events("token_expiring") == []
        driver.advance(0.1)
        (told,) = ann.events("token_expiring")
        assert told.expires == "2026-01-01T00:03:20.000Z"
        driver.advance(59.9)
        assert ann.closed is None
        driver.advance(0.1)
        assert ann.closed is Close.TOKEN_EXPIRED
        assert len(ann.events("token_expiring")) == 1
        again = driver.open()
        error = again.refused(Connect(resume=Resume(session=ann.session), id=1))
        assert (error.code, again.closed) == ("bad_token", Close.TOKEN_EXPIRED)
        renewed = back(driver, ann, who("Ann"))
        assert renewed.welcome.resumed
        assert renewed.events("closed_before")[0].code == 4002
        check(driver)

    def test_of_a_short_one_half_is_left(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann", expires=WALL + 10))
        driver.advance(5)
        assert len(ann.events("token_expiring")) == 1
        driver.advance(5)
        assert ann.closed is Close.TOKEN_EXPIRED

    def test_a_resume_lasts_no_longer_than_the_token(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann", expires=WALL + 100))
        ann.drop()
        driver.advance(50)
        again = back(driver, ann)
        assert again.welcome.resumed
        driver.crash()
        driver.advance(49)
        third = back(driver, again)
        assert third.welcome.resumed
        driver.advance(1)
        assert third.closed is Close.TOKEN_EXPIRED

    def test_the_clock_is_set_anew(self) -> None:
        """It is the wall clock that counts: set back, nothing is due yet; set forward, it is at the next look."""
        driver = tokens()
        ann = enter(driver, who("Ann", expires=WALL + 100))
        driver.now = Now(START.mono + 40, WALL - 1000)
        driver.apply(Tick())
        assert ann.events("token_expiring") == []
        driver.now = Now(START.mono + 50, WALL - 1000)
        driver.apply(Tick())
        assert ann.events("token_expiring") == []
        assert driver.state.next_due() == pytest.approx(START.mono + 50 + 1050)
        driver.now = Now(START.mono + 1100, WALL + 5000)
        driver.apply(Tick())
        assert ann.closed is Close.TOKEN_EXPIRED

    def test_nothing_is_due_for_who_is_gone(self) -> None:
        driver = tokens()
        enter(driver, who("Ann", expires=WALL + 100)).drop(1000)
        driver.advance(15)
        assert driver.state.next_due() is None

    def test_refresh(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann", expires=WALL + 100))
        driver.advance(50)
        ann.done(Refresh(token="t", id=1), who("Other", "Ann", expires=WALL + 200, rooms={"den": "member"}))
        assert "den" in driver.state.chat.people.by_name["ann"].rooms, "the name stays, the rest counts"
        driver.advance(89)
        assert len(ann.events("token_expiring")) == 1
        driver.advance(1)
        assert len(ann.events("token_expiring")) == 2
        check(driver)
        driver.advance(60)
        assert ann.closed is Close.TOKEN_EXPIRED

    def test_refresh_by_another(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann", expires=WALL + 100))
        error = ann.refused(Refresh(token="t", id=1), who("Bob"))
        assert (error.code, error.content) == ("bad_token", "The token is another user's")
        driver.advance(100)
        assert ann.closed is Close.TOKEN_EXPIRED

    def test_refresh_where_there_are_no_tokens(self) -> None:
        error = Driver().connect("Ann").refused(Refresh(token="t", id=1))
        assert (error.code, error.content) == ("forbidden", "There are no tokens here")


class TestResume:
    def test_another_user_cannot(self) -> None:
        driver = tokens()
        ann = enter(driver, who("Ann"))
        ann.drop()
        client = driver.open()
        error = client.refused(Connect(resume=Resume(session=ann.session), id=1), who("Bob"))
        assert (error.code, error.content, client.closed) == (
            "bad_token",
            "The token is another user's",
            Close.BAD_TOKEN,
        )
        assert back(driver, ann).welcome.resumed

    def test_an_unknown_session_with_a_token_is_a_connect(self) -> None:
        driver = tokens()
        client = driver.open()
        client.send(Connect(resume=Resume(session="gone"), token="t"), who("Ann"))
        assert (client.welcome.resumed, client.welcome.user) == (False, "Ann")


class TestClaims:
    def test_rooms_are_joined(self) -> None:
        driver = tokens()
        bob = enter(driver, who("Bob", rooms={"den": "owner"}))
        ann = enter(driver, who("Ann", rooms={"den": "moderator", "Attic": "member"}))
        assert [room["room"] for room in ann.welcome.rooms] == ["general", "den", "Attic"]
        driver.advance(1)
        bob.send(Message(room="den", content="hi"))
        assert ann.contents == ["hi"]
        den = driver.state.chat.rooms.get("den")
        assert den is not None
        assert den.owner == "sub:Bob"
        ann.done(Refresh(token="t", id=3), who("Ann", rooms={"den": "moderator"}))  # where one is already
        ann.done(SetTopic(room="den", topic="by a moderator", id=1))
        ann.done(Leave(room="den", id=2))
        ann.drop(1000)
        enter(driver, who("Ann"))
        assert "den" not in driver.state.chat.people.by_id["sub:Ann"].rooms
        check(driver)

    def test_a_later_owner_is_a_moderator(self) -> None:
        driver = tokens()
        enter(driver, who("Bob", rooms={"den": "member"}))
        ann = enter(driver, who("Ann", rooms={"den": "owner"}))
        ann.done(SetTopic(room="den", topic="tea", id=1))
        check(driver)

    def test_within_the_limits(self) -> None:
        driver = tokens(rooms_per_user=2, max_rooms=2, outbox_frames=1024)
        ann = enter(driver, who("Ann", rooms={"one": "member", "two": "member"}))
        assert [room["room"] for room in ann.welcome.rooms] == ["general", "one"]
        bob = enter(driver, who("Bob", rooms={"three": "member"}))
        assert [room["room"] for room in bob.welcome.rooms] == ["general"]
        assert sum("cannot join" in note.text for note in driver.notes) == 2

    def test_a_ban_stands(self) -> None:
        from trio_chat.core.messages import Ban

        driver = tokens()
        ann, bob = enter(driver, who("Ann", rooms={"den": "owner"})), enter(driver, who("Bob", rooms={"den": "member"}))
        ann.done(Ban(room="den", user="Bob", id=1))
        bob.drop(1000)
        assert [room["room"] for room in enter(driver, who("Bob", rooms={"den": "owner"})).welcome.rooms] == ["general"]

    def test_admins_have_general(self) -> None:
        driver = tokens(admins=["Boss"])
        ann, bob, boss = (enter(driver, who(name)) for name in ("Ann", "Bob", "Boss"))
        bob.send(Message(content="rude"))
        assert ann.refused(SetTopic(room="general", topic="tea", id=1)).code == "forbidden"
        boss.done(SetTopic(room="general", topic="tea", id=1))
        boss.done(Delete(room="general", seq=1, id=2))
        ann.done(Refresh(token="t", id=3), who("Ann", admin=True))
        ann.done(SetTopic(room="general", topic="milk", id=4))
        check(driver)
        driver.crash()
        again = back(driver, ann)
        again.done(SetTopic(room="general", topic="oak", id=5))
        again.done(Refresh(token="t", id=6), who("Ann"))
        assert again.refused(SetTopic(room="general", topic="tea", id=7)).code == "forbidden"
        check(driver)


HASHES = {"old": "$argon2id$old", "new": "$argon2id$new"}


def registered(driver: Driver, name: str = "Ann") -> Client:
    client = driver.open()
    command = Register(username=name, password="p" * 8)
    client.send(command, Identity(id=f"account:{name.lower()}", name=name, hash=HASHES["old"]))
    return client


def login(driver: Driver, proof: str = HASHES["old"], hash: str = "") -> Client:
    client = driver.open()
    client.send(Login(username="ann", password="p", id=1), Identity(id="account:ann", proof=proof, hash=hash))
    return client


class TestAccounts:
    def test_register_and_login(self) -> None:
        driver = accounts()
        ann = registered(driver)
        assert ann.welcome.user == "Ann"
        assert driver.state.chat.account_of(ann.conn) == "account:ann"
        assert driver.state.chat.account_of(99) is None
        assert driver.state.chat.account_of(driver.open().conn) is None
        check(driver)
        ann.drop(1000)
        driver.crash()
        check(driver)
        assert driver.state.chat.accounts == {"account:ann": HASHES["old"]}
        assert login(driver).welcome.user == "Ann"
        driver.advance(10_000)
        assert back(driver, login(driver)).welcome.resumed

    def test_a_name_is_registered_once(self) -> None:
        driver = accounts()
        registered(driver)
        again = registered(driver, "ANN")
        (error,) = again.all
        assert isinstance(error, Error)
        assert (error.code, again.closed) == ("username_taken", Close.NAME_TAKEN)
        assert driver.state.chat.accounts["account:ann"] == HASHES["old"]

    def test_reserved_names_are_nobodys(self) -> None:
        driver = accounts(admins=["admin", "#"])
        client = registered(driver, "admin")
        assert client.closed is Close.BAD_HANDSHAKE
        assert driver.state.chat.accounts == {}

    def test_admins_by_name(self) -> None:
        driver = accounts(admins=["ANN"])
        assert registered(driver).done(SetTopic(room="general", topic="tea", id=1)).seq == 1

    def test_a_password_that_was_changed_meanwhile(self) -> None:
        driver = accounts()
        registered(driver)
        client = login(driver, proof="$argon2id$older")
        (error,) = client.all
        assert isinstance(error, Error)
        assert (error.code, client.closed) == ("bad_credentials", Close.BAD_HANDSHAKE)

    def test_a_newer_hash_is_kept(self) -> None:
        driver = accounts()
        registered(driver)
        login(driver, hash=HASHES["new"])
        assert driver.state.chat.accounts["account:ann"] == HASHES["new"]
        check(driver)

    def test_change_password(self) -> None:
        driver = accounts()
        ann = registered(driver)
        live, detached = login(driver), login(driver)
        detached.drop()
        command = ChangePassword(password="p", new_password="q" * 8, id=1)
        for wrong in (Identity(id="account:ann", proof="x"), Identity(id="account:bob", proof=HASHES["old"])):
            assert ann.refused(command, wrong).code == "bad_credentials"
        ann.done(command, Identity(id="account:ann", proof=HASHES["old"], hash=HASHES["new"]))
        assert driver.state.chat.accounts["account:ann"] == HASHES["new"]
        assert (ann.closed, live.closed) == (None, Close.BAD_TOKEN)
        assert not driver.state.chat.people.find(detached.session)
        live.drop()
        check(driver)
        assert HASHES["new"] not in repr(driver.notes) + repr(driver.kept)

    def test_a_password_is_changed_when_that_is_committed(self) -> None:
        """Until then the old one is good, and what says so was not acked: else a crash could bring the old one back."""
        driver = accounts()
        ann, other = registered(driver), login(driver)
        driver.held = True
        command = ChangePassword(password="p", new_password="q" * 8, id=1)
        assert ann.send(command, Identity(id="account:ann", proof=HASHES["old"], hash=HASHES["new"])) == []
        assert (driver.state.chat.accounts["account:ann"], other.closed) == (HASHES["old"], None)
        driver.release()
        assert isinstance(ann.news()[0], Ack)
        assert (driver.state.chat.accounts["account:ann"], other.closed) == (HASHES["new"], Close.BAD_TOKEN)

    def test_a_password_that_cannot_be_kept_is_not_changed(self) -> None:
        driver = accounts()
        ann, other = registered(driver), login(driver)
        driver.held = True
        identity = Identity(id="account:ann", proof=HASHES["old"], hash=HASHES["new"])
        ann.send(ChangePassword(password="p", new_password="q" * 8, id=1), identity)
        driver.answer(Failed)
        (error,) = ann.news()
        assert isinstance(error, Error)
        assert (error.code, error.id, error.retry_after) == ("unavailable", 1, 1.0)
        assert (driver.state.chat.accounts["account:ann"], other.closed) == (HASHES["old"], None)

    @pytest.mark.parametrize("kept", [True, False])
    def test_who_asked_is_gone_when_the_password_is_kept_or_not(self, kept: bool) -> None:
        driver = accounts()
        ann, other = registered(driver), login(driver)
        driver.held = True
        identity = Identity(id="account:ann", proof=HASHES["old"], hash=HASHES["new"])
        ann.send(ChangePassword(password="p", new_password="q" * 8, id=1), identity)
        ann.drop()
        driver.answer(Changed if kept else Failed)
        assert driver.state.chat.accounts["account:ann"] == HASHES["new" if kept else "old"]
        assert other.closed == (Close.BAD_TOKEN if kept else None)
        assert driver.state.chat.people.find(ann.session)

    def test_nothing_is_kept_of_who_was_forgotten_meanwhile(self) -> None:
        driver = accounts()
        ann = registered(driver)
        driver.held = True
        identity = Identity(id="account:ann", proof=HASHES["old"], hash=HASHES["new"])
        ann.send(ChangePassword(password="p", new_password="q" * 8, id=1), identity)
        del driver.state.chat.accounts["account:ann"]
        assert driver.answer(Changed) == [Discard("account", "account:ann")]
        assert driver.state.chat.accounts == {}

    def test_where_there_are_no_accounts(self) -> None:
        error = Driver().connect("Ann").refused(ChangePassword(password="p", new_password="q" * 8, id=1))
        assert (error.code, error.content) == ("forbidden", "There are no accounts here")

    def test_an_account_without_its_user_is_dropped(self) -> None:
        driver = accounts()
        registered(driver)
        driver.crash(drop=["user"])
        assert driver.state.chat.accounts == {}
        check(driver)

    def test_forgotten(self) -> None:
        from trio_chat.core.connecting import end_user

        driver = accounts()
        ann = registered(driver)
        ann.drop(1000)
        chat = driver.state.chat
        end_user(chat, chat.people.by_name["ann"], driver.now)
        driver.apply(Tick())
        assert driver.kept.keys() & {("account", "account:ann"), ("user", "account:ann")} == set()
        check(driver)


def test_history_of_a_proven_user_is_of_the_same_author() -> None:
    """What one wrote in an earlier session is one's own to edit or delete."""
    driver = tokens()
    enter(driver, who("Ann")).send(Message(content="typo"))
    driver.state.chat.conns[1]
    again = enter(driver, who("Ann"))
    again.done(Delete(room="general", seq=1, id=1))
    assert not any(isinstance(event, Posted) for event in again.send(GetHistory(room="general"))[-1:])
