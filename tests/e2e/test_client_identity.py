"""Our own client, with tokens and with an account."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.auth.keyring import key_file, token
from trio_chat.client import ConnectionEnded, Disconnected, Private, Refused, System, Welcomed, open_chat_client

from .process import Server

Start = Callable[..., Server]
PASSWORD = "correct horse"


@pytest.fixture
def tokens(start: Start, tmp_path: Path) -> Server:
    return start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256")))


@pytest.fixture
def accounts(start: Start) -> Server:
    return start("--auth", "accounts")


async def test_a_token_is_renewed_on_the_connection(tokens: Server) -> None:
    """The first lasts four seconds more; each time a new one is asked for."""
    asked = 0

    def provider() -> str:
        nonlocal asked
        asked += 1
        return token(exp=time.time() - (6 if asked == 1 else -600))

    with trio.fail_after(20):
        async with open_chat_client(tokens.url, token=provider) as client:
            async for event in client:
                assert not isinstance(event, Disconnected)
                if isinstance(event, System) and event.event == "token_expiring":
                    break
            while asked < 2:
                await client.ping()
            await client.send_message("hello")
    assert asked == 2


async def test_an_expired_one_is_replaced_by_a_new_connection(tokens: Server) -> None:
    """A provider that gives the old one too long: closed with 4002, it comes back with another, and resumes."""
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        return token(exp=time.time() - 8) if asked == 1 else "nonsense" if asked == 2 else token()

    with trio.fail_after(20):
        async with open_chat_client(tokens.url, token=provider) as client:
            events = []
            async for event in client:
                events.append(event)
                if len([one for one in events if isinstance(one, Welcomed)]) == 2:
                    break
    (lost,) = [event for event in events if isinstance(event, Disconnected)]
    assert lost.code == 4002
    assert isinstance(events[-1], Welcomed)
    assert events[-1].resumed


async def test_privates_of_the_time_away_come(tokens: Server) -> None:
    with trio.fail_after(10):
        async with open_chat_client(tokens.url, token=token(sub="bob")) as bob:
            async with open_chat_client(tokens.url, token=token()):
                pass
            await bob.send_private("Ann", "one")
            await bob.send_private("Ann", "two")
            async with open_chat_client(tokens.url, token=token()) as ann:
                heard = []
                async for event in ann:
                    if isinstance(event, Private):
                        heard.append(event.content)
                    if len(heard) == 2:
                        break
    assert heard == ["one", "two"]


async def test_an_account(accounts: Server) -> None:
    with trio.fail_after(20):
        async with open_chat_client(accounts.url, "Ann", password=PASSWORD, register=True) as ann:
            await ann.change_password(PASSWORD, "another horse")
            with pytest.raises(Refused) as refused:
                await ann.change_password(PASSWORD, "third horse")
            assert refused.value.code == "bad_credentials"
        with pytest.raises(ConnectionEnded) as ended:
            async with open_chat_client(accounts.url, "Ann", password=PASSWORD):
                pass
        assert (ended.value.code, ended.value.reason) == (4501, "The name or the password is wrong")
        async with open_chat_client(accounts.url, "Ann", password="another horse") as ann:
            assert ann.user == "Ann"


async def test_an_account_whose_session_is_gone_logs_in_again(start: Start) -> None:
    server = start("--auth", "accounts", "--resume-window", "0")
    with trio.fail_after(20):
        async with open_chat_client(server.url, "Ann", password=PASSWORD, register=True) as ann:
            stream = ann._driver
            await ann.send_message("before")
            stream._detached = True  # as when it catches up: the next connection finds its session gone
            stream.session.skim()
            stream.inbox.stir()
            welcomed = 0
            async for event in ann:
                welcomed += isinstance(event, Welcomed)
                if welcomed == 2:
                    assert isinstance(event, Welcomed)
                    assert not event.resumed
                    break
            await ann.send_message("after")


async def test_a_password_needs_a_name() -> None:
    with pytest.raises(ValueError, match="a password needs a username"):
        async with open_chat_client("ws://localhost", password=PASSWORD):
            pass
