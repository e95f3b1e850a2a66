"""Proven users who come, go, come back and are renewed at random: what holds of any such run."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.core.driver import Client, Driver
from tests.core.oracle import check_kept, check_sound
from trio_chat.core.errors import Close
from trio_chat.core.events import Error, PrivatePosted, Welcome
from trio_chat.core.identity import Identity
from trio_chat.core.messages import Connect, Join, Private, Refresh, Resume

USERS = st.sampled_from(["ann", "bob"])
NAMES = st.sampled_from(["Ann", "Bob", "Anna", "Аnn"])
PICK = st.integers(0, 9)
LIMIT = 2


class Users(RuleBasedStateMachine):
    """Each user's connections, and what was written to each of them in private."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(
            auth="jwt",
            auth_key="k",
            sessions_per_user=LIMIT,
            resume_window=100,
            messages_burst=10_000,
            max_attempts=9999,
        )
        self.live: list[tuple[str, Client]] = []
        self.gone: list[tuple[str, str]] = []  # user, session
        self.sent = {"ann": list[str](), "bob": list[str]()}
        self.heard = {"ann": 0, "bob": 0}  # how many of those it was certainly sent
        self.count = 0

    def identity(self, user: str, name: str, ttl: float) -> Identity:
        return Identity(id=f"sub:{user}", name=name, expires=self.driver.now.wall + ttl)

    def forget_cut(self) -> None:
        for user, client in list(self.live):
            if client.closed is not None:
                self.live.remove((user, client))
                client.drop()
                self.gone.append((user, client.session))

    def hears(self, client: Client) -> list[str]:
        return [event.content for event in client.of(PrivatePosted) if event.sender != client.welcome.user]

    def take(self, user: str, client: Client) -> None:
        if not isinstance(client.all[0], Welcome):
            assert isinstance(client.all[0], Error)
            client.drop()
            return
        self.live.append((user, client))
        self.forget_cut()

    @rule(user=USERS, name=NAMES, ttl=st.sampled_from([5.0, 50.0, 5000.0]))
    def connect(self, user: str, name: str, ttl: float) -> None:
        """Nobody connected: then what was written meanwhile comes, once and in order."""
        away = not any(who == user for who, _ in self.live)
        client = self.driver.open()
        client.send(Connect(token="t"), self.identity(user, name, ttl))
        if isinstance(client.all[0], Welcome) and away:
            assert self.hears(client) == self.sent[user][self.heard[user] :]
        self.take(user, client)

    @precondition(lambda self: self.gone)
    @rule(pick=PICK, user=st.none() | USERS)
    def resume(self, pick: int, user: str | None) -> None:
        """With a token of one's own, or without: of another it never carries on."""
        owner, session = self.gone[pick % len(self.gone)]
        client = self.driver.open()
        identity = None if user is None else self.identity(user, user.title(), 5000)
        found = self.driver.state.chat.people.find(session)
        client.send(Connect(resume=Resume(session=session), token=user and "t"), identity)
        first = client.all[0]
        if found is not None and user not in (None, owner):
            assert isinstance(first, Error)
            assert (first.code, client.closed) == ("bad_token", Close.BAD_TOKEN)
        if isinstance(first, Welcome) and first.resumed:
            self.gone.remove((owner, session))
        self.take(owner if found is not None else user or owner, client)

    @precondition(lambda self: self.live)
    @rule(pick=PICK, code=st.sampled_from([None, 1000]))
    def drop(self, pick: int, code: int | None) -> None:
        user, client = self.live.pop(pick % len(self.live))
        client.drop(code)
        self.gone.append((user, client.session))

    @precondition(lambda self: self.live)
    @rule(pick=PICK, user=USERS, ttl=st.sampled_from([5.0, 5000.0]))
    def refresh(self, pick: int, user: str, ttl: float) -> None:
        owner, client = self.live[pick % len(self.live)]
        if user == owner:
            client.done(Refresh(token="t", id=1), self.identity(user, "Other", ttl))
        else:
            assert client.refused(Refresh(token="t", id=1), self.identity(user, "Other", ttl)).code == "bad_token"

    @precondition(lambda self: self.live)
    @rule(pick=PICK)
    def private(self, pick: int) -> None:
        user, client = self.live[pick % len(self.live)]
        other = "bob" if user == "ann" else "ann"
        target = self.driver.state.chat.people.by_id.get(f"sub:{other}")
        if target is not None:
            self.count += 1
            client.done(Private(to=target.name.text, content=str(self.count), id=1))
            self.sent[other].append(str(self.count))

    @precondition(lambda self: self.live)
    @rule(pick=PICK, room=st.sampled_from(["den", "attic"]))
    def join(self, pick: int, room: str) -> None:
        self.live[pick % len(self.live)][1].done(Join(room=room, id=1))

    @rule(seconds=st.sampled_from([1.0, 4.0, 30.0, 150.0]))
    def wait(self, seconds: float) -> None:
        self.driver.advance(seconds)
        self.forget_cut()

    @invariant()
    def whoever_is_live_heard_all(self) -> None:
        for user, client in self.live:
            heard = self.hears(client)
            assert heard == self.sent[user][len(self.sent[user]) - len(heard) :]
            self.heard[user] = len(self.sent[user])

    @invariant()
    def connections_rooms_and_presence_agree(self) -> None:
        chat = self.driver.state.chat
        for user in chat.people.by_id.values():
            assert len(user.sessions) <= LIMIT
            for room in user.everywhere():
                assert set(user.conns) == {conn for conn, session in room.conns.items() if session.user is user}
        for room in chat.rooms.all():
            if room.between is None:
                present = room.present.page(0, 99)
                assert {one.id for one in present} == {one.id for one in room.members.values() if one.conns}

    @invariant()
    def no_token_is_used_for_longer_than_it_lasts(self) -> None:
        for _, client in self.live:
            session = self.driver.state.chat.conns[client.conn].session
            assert session is not None
            assert session.expires is not None
            assert session.expires > self.driver.now.wall
            assert client.conn in self.driver.state.chat.expiring

    @invariant()
    def another_process_would_know(self) -> None:
        check_kept(self.driver)
        check_sound(self.driver)


Users.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, derandomize=True)
TestUsers = Users.TestCase
