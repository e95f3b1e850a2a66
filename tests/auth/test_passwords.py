"""Passwords and attempts, and the commands that bring them. The hashes are as cheap as Argon2 allows."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from tests.auth.keyring import SECRET, token
from trio_chat.auth.attempts import Attempts
from trio_chat.auth.keys import Key
from trio_chat.auth.passwords import AT_ONCE, QUEUE, BusyError, Passwords
from trio_chat.auth.prover import ADDRESS_FAILURES, NAME_FAILURES, REGISTRATIONS, Asker, Prover
from trio_chat.config import Auth
from trio_chat.core.effects import Received
from trio_chat.core.identity import Identity
from trio_chat.core.messages import ChangePassword, Command, Connect, Denied, Login, Ping, Refresh, Register

CHEAP: dict[str, Any] = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
GOOD = "correct horse"


class Counting(PasswordHasher):
    """Counts what it verifies."""

    def __init__(self, **cost: int) -> None:
        super().__init__(**(CHEAP | cost))
        self.verified = 0

    def verify(self, *given: Any) -> Any:
        self.verified += 1
        return super().verify(*given)


@attrs.define
class Setting:
    hasher: Counting
    accounts: dict[str, str]
    prover: Prover

    async def prove(self, command: Command, address: str = "10.0.0.1", account: str | None = None) -> Received:
        return await self.prover.prove(Received(1, command, "fresh"), Asker(address, account))

    async def denied(self, command: Command, address: str = "10.0.0.1", account: str | None = None) -> Denied:
        given = await self.prove(command, address, account)
        assert isinstance(given.command, Denied)
        assert given.identity is None
        assert given.command.id == command.id
        return given.command

    async def proven(self, command: Command, account: str | None = None) -> Identity:
        given = await self.prove(command, account=account)
        assert given.identity is not None, given.command
        assert given.command is command
        return given.identity


def setting(**cost: int) -> Setting:
    hasher = Counting(**cost)
    accounts = {"account:ann": PasswordHasher(**CHEAP).hash(GOOD)}
    prover = Prover(Auth(auth="accounts"), (), accounts, lambda: 0.0, Passwords(hasher))
    return Setting(hasher, accounts, prover)


def login(username: str = "Ann", password: str = GOOD) -> Login:
    return Login(username=username, password=password, id=5)


async def test_login() -> None:
    here = setting()
    identity = await here.proven(login())
    assert identity == Identity(id="account:ann", proof=here.accounts["account:ann"])


async def test_the_same_characters_are_the_same_password() -> None:
    passwords = Passwords(PasswordHasher(**CHEAP))
    kept = await passwords.hash("cafe\u0301 au lait")
    assert await passwords.verify(kept, "caf\u00e9 au lait") == ""
    assert await passwords.verify(kept, "cafe au lait") is None
    assert await passwords.verify("no hash at all", "cafe au lait") is None


async def test_older_hashes_are_made_anew() -> None:
    here = setting(time_cost=2)
    identity = await here.proven(login())
    assert "t=2" in identity.hash
    assert await Passwords(here.hasher).verify(identity.hash, GOOD) == ""


@pytest.mark.parametrize("username", ["Ann", "Bob", "@nobody", ""])
async def test_whoever_is_wrong_gets_the_same_answer_for_the_same_work(username: str) -> None:
    here = setting()
    denied = await here.denied(login(username, "wrong horse"))
    assert (denied.code, denied.content) == ("bad_credentials", "The name or the password is wrong")
    assert here.hasher.verified == 1


@pytest.mark.parametrize("username", ["Ann", "Bob", "@nobody"])
async def test_failures_of_a_name_are_limited(username: str, autojump_clock: object) -> None:
    here = setting()
    for number in range(NAME_FAILURES):
        assert (await here.denied(login(username, "wrong"), f"10.0.0.{number}")).code == "bad_credentials"
        await trio.sleep(1)
    verified = here.hasher.verified
    denied = await here.denied(login(username, GOOD))
    assert denied.code == "rate_limited"
    assert denied.retry_after == pytest.approx(290)
    assert here.hasher.verified == verified, "before any hashing"
    await trio.sleep(290)
    assert (await here.prove(login())).identity is not None


async def test_failures_of_an_address_are_limited(autojump_clock: object) -> None:
    here = setting()
    for number in range(ADDRESS_FAILURES):
        assert (await here.denied(login(f"user {number}", "wrong"))).code == "bad_credentials"
    assert (await here.denied(login())).code == "rate_limited"
    assert (await here.prove(login(), "10.0.0.2")).identity is not None
    for number in range(ADDRESS_FAILURES + 1):
        assert (await here.denied(login(f"user {number}", "wrong"), "")).code == "bad_credentials", "a trusted one"


async def test_successes_do_not_count(autojump_clock: object) -> None:
    here = setting()
    proven = [await here.proven(login()) for _ in range(ADDRESS_FAILURES + 1)]
    assert len({identity.id for identity in proven}) == 1


async def test_many_at_once_are_many(autojump_clock: object) -> None:
    here, codes = setting(), list[str]()

    async def one(number: int) -> None:
        codes.append((await here.denied(login("Ann", "wrong"), f"10.0.0.{number}")).code)

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(one, number)
    assert codes.count("bad_credentials") == NAME_FAILURES


async def test_who_is_too_many_is_told_to_come_back() -> None:
    passwords = Passwords(Counting())
    passwords._limiter.total_tokens = 1
    refused = 0

    async def one() -> None:
        nonlocal refused
        try:
            await passwords.hash(GOOD)
        except BusyError:
            refused += 1

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE + QUEUE + 3):
            nursery.start_soon(one)
    assert refused == 3
    assert passwords._asking == 0


async def test_a_full_queue_is_nobodys_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    here = setting()
    passwords = here.prover._passwords
    assert passwords is not None
    monkeypatch.setattr(passwords, "_asking", AT_ONCE + QUEUE)
    for command in (login(), Register(username="new", password=GOOD), ChangePassword(password=GOOD, new_password=GOOD)):
        denied = await here.denied(command, account="account:ann")
        assert (denied.code, denied.retry_after) == ("unavailable", 1.0)
    assert len(here.prover._of_name) == len(here.prover._of_address) == 0


async def test_cancelled_it_leaks_nothing_and_counts() -> None:
    here = setting(time_cost=1)
    passwords = here.prover._passwords
    assert passwords is not None
    with trio.CancelScope() as scope:
        scope.cancel()
        await here.prove(login())
    assert passwords._limiter.borrowed_tokens == passwords._asking == 0
    assert len(here.prover._of_name) == 1


async def test_register(autojump_clock: object) -> None:
    here = setting()
    identity = await here.proven(Register(username="ＢＯＢ", password=GOOD))
    assert (identity.id, identity.name, identity.proof) == ("account:bob", "BOB", "")
    assert await Passwords(here.hasher).verify(identity.hash, GOOD) == ""
    assert (await here.denied(Register(username="@", password=GOOD))).code == "bad_username"
    for number in range(REGISTRATIONS - 1):
        await here.proven(Register(username=f"user {number}", password=GOOD))
    denied = await here.denied(Register(username="one more", password=GOOD))
    assert denied.code == "rate_limited"
    assert denied.retry_after == pytest.approx(3600)
    await here.prove(Register(username="one more", password=GOOD), "10.0.0.2")


async def test_change_password(autojump_clock: object) -> None:
    here = setting()
    command = ChangePassword(password=GOOD, new_password="another horse")
    assert (await here.denied(command)).code == "not_connected"
    identity = await here.proven(command, "account:ann")
    assert (identity.id, identity.proof) == ("account:ann", here.accounts["account:ann"])
    assert await Passwords(here.hasher).verify(identity.hash, "another horse") == ""
    wrong = ChangePassword(password="wrong", new_password="another horse")
    for _ in range(NAME_FAILURES - 1):
        assert (await here.denied(wrong, account="account:ann")).code == "bad_credentials"
    assert (await here.denied(command, account="account:ann")).code == "rate_limited"


async def test_tokens_are_looked_at() -> None:
    prover = Prover(Auth(auth="jwt", auth_key="k"), (Key("HS256", SECRET.encode()),), {}, lambda: 0.0)
    for command in (Connect(token=token()), Refresh(token=token())):
        given = await prover.prove(Received(1, command), Asker())
        assert given.identity is not None
        assert given.identity.id == "sub:ann"
    given = await prover.prove(Received(1, Refresh(token="x", id=1)), Asker())
    assert given.command == Denied(code=given.command.code, content="The token cannot be read", id=1)  # type: ignore[attr-defined]
    ping = Received(1, Ping())
    assert await prover.prove(ping, Asker()) is ping


def test_what_concerns_it() -> None:
    made = {
        "connect": Connect(token="t"), "plain": Connect(username="a"), "login": login(), "refresh": Refresh(token="t"),
        "register": Register(username="a", password=GOOD), "ping": Ping(),
        "password": ChangePassword(password=GOOD, new_password=GOOD),
    }  # fmt: skip

    def concerned(prover: Prover, *, first: bool) -> list[str]:
        return [name for name, command in made.items() if prover.concerns(command, first=first)]

    jwt = Prover(Auth(auth="jwt", auth_key="k"), (), {}, lambda: 0.0)
    accounts = setting().prover
    guests = Prover(Auth(), (), {}, lambda: 0.0)
    assert [concerned(jwt, first=True), concerned(jwt, first=False)] == [["connect"], ["refresh"]]
    assert [concerned(accounts, first=True), concerned(accounts, first=False)] == [["login", "register"], ["password"]]
    assert concerned(guests, first=True) == concerned(guests, first=False) == []


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from(["begin", "begin", "back"]), st.floats(0, 3)), max_size=60
    )
)
def test_attempts_against_lists(steps: list[tuple[str, str, float]]) -> None:
    now, attempts, model = 0.0, Attempts(2, 5.0), dict[str, list[float]]()
    for key, action, step in steps:
        now += step
        begun = model.setdefault(key, [])
        begun[:] = [at for at in begun if at + 5.0 > now]
        wait = attempts.wait(key, now)
        assert wait == (begun[0] + 5.0 - now if len(begun) >= 2 else 0.0)
        if action == "back":
            attempts.take_back(key)
            del begun[-1:]
        elif not wait:
            attempts.begin(key, now)
            begun.append(now)


def test_attempts_are_bounded() -> None:
    attempts = Attempts(1, 5.0, most=3)
    for number in range(10):
        attempts.begin(str(number), 0.0)
    assert len(attempts) == 3
    assert [key for key in map(str, range(10)) if attempts.wait(key, 0.0)] == ["7", "8", "9"]
