"""Tokens: which are good, who they say somebody is, and what is told of those that are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auth.keyring import ALGORITHMS, PRIVATE, SECRET, claims, public_pem, token
from trio_chat.auth.keys import Key
from trio_chat.auth.tokens import LEEWAY, MAX_TOKEN, BadTokenError, Tokens
from trio_chat.config import Auth
from trio_chat.core.identity import Identity

NOW = 1_000_000.0
AUTH = Auth(auth="jwt", auth_key="key")
KEYS = {"HS256": Key("HS256", SECRET.encode())} | {name: Key(name, key.public_key()) for name, key in PRIVATE.items()}


def tokens(*algorithms: str, **options: Any) -> Tokens:
    keys = tuple(KEYS[name] for name in algorithms or ("HS256",))
    return Tokens(attrs.evolve(AUTH, **options), keys, lambda: NOW)


def good(**fields: Any) -> str:
    return token(**({"exp": NOW + 60} | fields))


def bad(text: str, *algorithms: str, **options: Any) -> str:
    with pytest.raises(BadTokenError) as caught:
        tokens(*algorithms, **options).identity(text)
    assert "Username" not in str(caught.value)
    return str(caught.value)


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_good(algorithm: str) -> None:
    made = good(algorithm=algorithm, sub="a\nn", preferred_username="Ann", roles=["x", "admin"], rooms=["Den"])
    assert tokens(algorithm).identity(made) == Identity(
        id="sub:a%0An", name="Ann", expires=NOW + 60 + LEEWAY, admin=True, rooms={"Den": "member"}
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_of_no_other_key(algorithm: str) -> None:
    for other in ALGORITHMS:
        if other != algorithm:
            assert bad(good(algorithm=other), algorithm) == "The token's signature is not good"
    assert tokens(*ALGORITHMS).identity(good(algorithm=algorithm)).name == "Ann"


def test_a_public_key_is_no_secret() -> None:
    """The old trick: HS256 with the public key, which everybody has, as the secret."""
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = b64(json.dumps(claims(exp=NOW + 60)).encode())
    signed = f"{head}.{body}".encode()
    mac = b64(hmac.new(public_pem(PRIVATE["RS256"]), signed, hashlib.sha256).digest())
    assert bad(f"{head}.{body}.{mac}", "RS256") == "The token's signature is not good"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS512", "RS512", "", 1, None, ["HS256"]])
def test_a_header_says_nothing(algorithm: object) -> None:
    head, body, mac = good().split(".")
    head = b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    for text in (f"{head}.{body}.{mac}", f"{head}.{body}."):
        assert bad(text, *ALGORITHMS).startswith("The token")


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b.c", "\ud800", "x" * (MAX_TOKEN + 1), f"{b64(b'[' * 3000)}.e30.x", f"{b64(b'[]')}.e30.x"],
)
def test_no_token(text: str) -> None:
    assert bad(text).startswith("The token")


@given(at=st.integers(0, 300), char=st.characters(max_codepoint=127))
def test_a_token_that_was_changed(at: int, char: str) -> None:
    """But for the last character of the signature, of which not all bits count."""
    made = good()
    at %= len(made) - 1
    if made[at] != char:
        assert bad(made[:at] + char + made[at + 1 :]).startswith("The token")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"exp": None}, "The token must have exp, the time when it expires"),
        ({"exp": NOW - LEEWAY}, "The token has expired"),
        ({"exp": "soon"}, "The token's exp must be a number"),
        ({"exp": True}, "The token's exp must be a number"),
        ({"exp": float("nan")}, "The token's exp must be a number"),
        ({"exp": 1e300}, "The token's exp must be a number"),
        ({"exp": 10**400}, "The token's exp must be a number"),
        ({"nbf": NOW + LEEWAY + 1}, "The token is not valid yet"),
        ({"sub": 5, "preferred_username": "Ann"}, "The token's sub must be a string of 1-255 characters"),
        ({"sub": "", "preferred_username": "Ann"}, "The token's sub must be a string of 1-255 characters"),
        ({"sub": "s" * 256, "preferred_username": "Ann"}, "The token's sub must be a string of 1-255 characters"),
        ({"preferred_username": None}, "The token must have preferred_username, the name to be shown"),
        ({"preferred_username": ["a"]}, "The token must have preferred_username"),
        ({"preferred_username": "@a"}, "The token's preferred_username must be 1-32 letters"),
        ({"rooms": 5}, "The token's rooms must be"),
        ({"rooms": [5]}, "The token's rooms must be"),
        ({"rooms": ["#"]}, "The token's rooms must be"),
        ({"rooms": {"den": "king"}}, "The token's rooms must be"),
        ({"rooms": {"den": []}}, "The token's rooms must be"),
    ],
)
def test_a_claim_that_is_not_good(fields: dict[str, Any], told: str) -> None:
    made = _encoded({"exp": NOW + 60} | fields)
    assert bad(made).startswith(told)


def _encoded(fields: dict[str, Any]) -> str:
    """As no library would: any claims."""
    sub = fields.pop("sub", "ann")
    body = claims("ann", **fields) | {"sub": sub}
    head, payload = b64(b'{"alg":"HS256"}'), b64(json.dumps(body).encode())
    return f"{head}.{payload}.{b64(hmac.new(SECRET.encode(), f'{head}.{payload}'.encode(), hashlib.sha256).digest())}"


def test_clocks_differ() -> None:
    assert tokens().identity(good(exp=NOW - LEEWAY + 1, nbf=NOW + LEEWAY)).expires == NOW + 1


@pytest.mark.parametrize(("iss", "aud"), [("them", "chat"), ("us", "mail"), (None, "chat"), ("us", None), ("us", [])])
def test_issuer_and_audience(iss: Any, aud: Any) -> None:
    asked = {"auth_issuer": "us", "auth_audience": "chat"}
    assert tokens(**asked).identity(good(iss="us", aud="chat")).name == "Ann"
    assert tokens(**asked).identity(good(iss="us", aud=["mail", "chat"])).name == "Ann"
    assert tokens().identity(good(iss="anybody", aud="anything")).name == "Ann"
    assert "is not the one that is asked for here" in bad(good(iss=iss, aud=aud), **asked)


def test_rooms_with_roles() -> None:
    assert tokens().identity(good(rooms={"den": "owner", "ａttic": "member"})).rooms == {
        "den": "owner",
        "attic": "member",
    }


@pytest.mark.parametrize("roles", [None, "admin", ["boss"], {"admin": True}])
def test_no_admin(roles: object) -> None:
    assert not tokens().identity(good(roles=roles)).admin


def test_another_claim_has_the_name() -> None:
    assert tokens(name_claim="nick").identity(good(nick="Bea")).name == "Bea"
    assert bad(good(), name_claim="Username") == "The token must have username, the name to be shown"


def test_a_key_of_a_set_is_found_by_its_id() -> None:
    one, two = Key("HS256", SECRET.encode(), "1"), Key("HS256", b"another" * 8, "2")
    ring = Tokens(AUTH, (one, two), lambda: NOW)
    for header in ({"kid": "1"}, None):
        assert ring.identity(good(header=header)).name == "Ann"
    for kid in ("2", "3"):
        with pytest.raises(BadTokenError, match="signature"):
            ring.identity(good(header={"kid": kid}))
    assert Tokens(AUTH, (KEYS["HS256"],), lambda: NOW).identity(good(header={"kid": "any"})).name == "Ann"
