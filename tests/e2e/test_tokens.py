"""Who comes with a token: over sockets, with each kind of key."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.auth.keyring import ALGORITHMS, PRIVATE, SECRET, claims, jwk, key_file, key_set, public_pem, token

from .client import Client, Frame, contents, dial
from .process import ROOT, Server

Start = Callable[..., Server]


def enter(server: Server, bearer: str, **fields: Any) -> Client:
    """A client with its welcome."""
    client = Client(server, dial(server))
    client.send("connect", token=bearer, **fields)
    client.welcome = client.receive()
    assert client.welcome.get("event") == "welcome", client.welcome
    return client


def refused(server: Server, **fields: Any) -> tuple[Frame, int]:
    """The error that answers a `connect`, and the close code."""
    with Client(server, dial(server)) as client:
        client.send("connect", id=1, **fields)
        error = client.receive()
        assert (error["type"], error["id"]) == ("error", 1)
        return error, client.closed()


@pytest.fixture
def server(start: Start, tmp_path: Path) -> Server:
    """With the secret of HS256."""
    return start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256")), "--auth-audience", "chat")


def bearer(**fields: Any) -> str:
    return token(**({"aud": "chat"} | fields))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm(algorithm: str, start: Start, tmp_path: Path) -> None:
    server = start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, algorithm)))
    with enter(server, token(algorithm)) as ann:
        assert ann.name == "Ann"
    for other in ALGORITHMS:
        if other != algorithm:
            error, code = refused(server, token=token(other))
            assert (error["code"], code) == ("bad_token", 4503)


def test_a_set_of_keys(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk("ES256", kid="old"), jwk("EdDSA", kid="new")))
    server = start("--auth", "jwt", "--auth-jwks", str(path))
    with enter(server, token("EdDSA", {"kid": "new"})), enter(server, token("ES256", {"kid": "old"}, sub="bob")):
        assert refused(server, token=token("EdDSA", {"kid": "old"}))[1] == 4503
        assert refused(server, token=token("RS256"))[1] == 4503


def test_what_is_no_good_token(server: Server) -> None:
    """No key is used with an algorithm that a token names, and none of this brings anybody in."""
    head, body, mac = bearer().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for text in (
        f"{none}.{body}.", f"{none}.{body}.{mac}", f"{head}.{body}.", "", "x" * 100_000,
        bearer(exp=time.time() - 60), bearer(aud="mail"), bearer(sub="s" * 256, preferred_username="Ann"),
        bearer(preferred_username="@ann"), bearer(nbf=time.time() + 60), token(), bearer(exp=None),
    ):  # fmt: skip
        error, code = refused(server, token=text)
        assert (error["code"], code) == ("bad_token", 4503)
    error, code = refused(server, username="ann")
    assert (error["content"], code) == ("A token must be given", 4503)
    assert SECRET not in server.log
    assert body not in server.log


def test_a_public_key_is_no_secret(start: Start, tmp_path: Path) -> None:
    import hashlib
    import hmac

    server = start("--auth", "jwt", "--auth-key", str(key_file(tmp_path, "RS256")))
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, claims())]
    signed = b".".join(parts)
    mac = hmac.new(public_pem(PRIVATE["RS256"]), signed, hashlib.sha256).digest()
    forged = signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")
    assert refused(server, token=forged.decode())[0]["code"] == "bad_token"


def test_a_user_has_several_connections_and_lives_on(server: Server) -> None:
    with enter(server, bearer(sub="bob")) as bob:
        with enter(server, bearer(rooms={"den": "owner"})) as one, enter(server, bearer()) as two:
            assert [room["room"] for room in two.welcome["rooms"]] == ["general", "den"]
            bob.ask("message", room="den", content="to all of you")
            for client in (one, two):
                assert contents(client.so_far("message")) == ["to all of you"]
            one.ask("read", room="den", seq=1)
            assert two.until("read")["seq"] == 1
        bob.ask("private", to="Ann", content="are you there?")
        with enter(server, bearer()) as again:
            assert again.until("private")["content"] == "are you there?"
            assert [room["read"] for room in again.welcome["rooms"]] == [0, 1, 0]


def test_a_token_expires_on_a_live_connection(server: Server) -> None:
    """Ten seconds of leeway: then it is over, told before, and a new token carries on."""
    exp = time.time() - 6
    with enter(server, bearer(exp=exp)) as ann:
        told = ann.until("system", event="token_expiring")
        assert told["expires"].endswith("Z")
        assert ann.closed() == 4002
        resume = {"session": ann.welcome["session"]}
        error, code = refused(server, resume=resume)
        assert (error["code"], code) == ("bad_token", 4002)
        with enter(server, bearer(), resume=resume) as again:
            assert again.welcome["resumed"]
            assert again.until("system", event="closed_before")["code"] == 4002


def test_refresh(server: Server) -> None:
    with enter(server, bearer(exp=time.time() - 6)) as ann:
        for other in (bearer(sub="bob"), "nonsense", bearer(exp=time.time() - 60)):
            assert ann.ask("refresh", token=other)["code"] == "bad_token"
        first = ann.until("system", event="token_expiring")["expires"]
        assert ann.ask("refresh", token=bearer(exp=time.time() - 1))["type"] == "ack"
        second = ann.until("system", event="token_expiring")
        assert second["timestamp"] > first, "it outlived its first token"
        assert ann.closed() == 4002


def test_nobody_resumes_anothers_session(server: Server) -> None:
    with enter(server, bearer()) as ann:
        resume = {"session": ann.welcome["session"]}
        error, code = refused(server, token=bearer(sub="bob"), resume=resume)
        assert (error["code"], code) == ("bad_token", 4503)
        assert ann.ask("ping")["type"] == "pong"
        ann.vanish()
        with enter(server, bearer(), resume=resume) as again:
            assert again.welcome["resumed"]


def test_names(server: Server) -> None:
    with enter(server, bearer()):
        for fields, code in (
            ({"sub": "2", "preferred_username": "ANN"}, 4502),
            ({"sub": "3", "preferred_username": "Аnn"}, 4502),  # a Cyrillic A
            ({"sub": "4", "preferred_username": "admin"}, 4501),
        ):
            error, closed = refused(server, token=bearer(**fields))
            assert closed == code
            assert error["content"].startswith("Username") is (code == 4502)
        with enter(server, bearer(sub="5", preferred_username="Admin", roles=["admin"])) as admin:
            assert admin.ask("topic", room="general", topic="Be kind")["type"] == "ack"


def test_wrong_keys_stop_the_start(tmp_path: Path) -> None:
    weak = tmp_path / "weak"
    weak.write_text("too short\n")
    for flags, told in (
        (["--auth-key", str(tmp_path / "none")], "--auth-key: "),
        (["--auth-key", str(weak)], "must be a file with a secret of at least 32 bytes"),
        (["--auth-jwks", str(weak)], "--auth-jwks: "),
        ([], "--auth: 'jwt' must be together with auth_key or auth_jwks"),
    ):
        command = [sys.executable, "-m", "trio_chat", "--log", "memory", "--port", "0", "--auth", "jwt", *flags]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 2
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert "too short" not in done.stderr


def test_a_newcomer_tries_it_in_two_commands(start: Start, tmp_path: Path) -> None:
    key = tmp_path / "chat.key"
    command = [sys.executable, "-m", "trio_chat", "token", "--key", str(key), "--make-key"]
    made = [
        subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
        for more in (
            ["--sub", "1", "--name", "Ann", "--room", "dev=moderator", "--role", "admin"],
            ["--sub", "2", "--name", "Bob", "--room", "dev"],
        )
    ]
    assert key.stat().st_mode & 0o077 == 0
    server = start("--auth", "jwt", "--auth-key", str(key))
    with enter(server, made[0].strip()) as ann, enter(server, made[1].strip()) as bob:
        assert [room["room"] for room in bob.welcome["rooms"]] == ["general", "dev"]
        assert ann.ask("topic", room="general", topic="Be kind")["type"] == "ack"


def test_it_outlives_a_crash(tmp_path: Path) -> None:
    """A session, its expiry, and a user without any."""
    flags = ["--auth", "jwt", "--auth-key", str(key_file(tmp_path, "HS256")), "--log", f"sqlite:{tmp_path}/chat.db"]
    server = Server(*flags).ready()
    try:
        with enter(server, token(sub="bob")) as bob, enter(server, token(exp=time.time() + 3600)) as ann:
            bob.ask("join", room="den")
            bob.ws.close()
            assert ann.ask("private", to="Bob", content="later")["type"] == "ack"
            server.signal(signal.SIGKILL)
            server.wait()
            again = Server(*flags).ready()
            try:
                with enter(again, token(sub="bob")) as other:
                    assert {room["room"] for room in other.welcome["rooms"]} == {"general", "den", "@Ann"}
                    assert other.until("private")["content"] == "later"
                error, code = refused(again, token=token(sub="eve"), resume={"session": ann.welcome["session"]})
                assert (error["code"], code) == ("bad_token", 4503)
            finally:
                assert again.stop() == 0
                again.check_log()
    finally:
        server.kill()
