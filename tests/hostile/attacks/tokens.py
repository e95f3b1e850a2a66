"""Tokens that nobody signed, or that are for somebody else, elsewhere or another time; and sessions of proven users."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import json
import math
import time
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.auth.keyring import ALGORITHMS, PRIVATE, SECRET, claims, jwk, public_pem

from ..entrance import bearer
from ..material import AUDIENCE, ISSUER, KEYS
from ..scene import Scene, attack
from ..swarm import Dial, Swarm
from ..vitals import Bounds
from ..wire import Broken, Frame, text, upgrade
from .frames import LOGGED
from .identity import ALPHABET, forgeries
from .operators import operator

NUMBERS = itertools.count(1)
MANY = [f"room {n}" for n in range(1001)]  # one more than a token may claim
BAD_TOKEN, TOKEN_EXPIRED, BANNED = (code.to_bytes(2, "big") for code in (4503, 4002, 4505))
OTHERS: dict[str, Any] = {  # keys of the same kinds, that the server does not know
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "HS256": "another secret of more than thirty-two bytes",
}


def part(value: object) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def good(name: str, **fields: Any) -> dict[str, Any]:
    """Claims that would be good, if they were signed."""
    return claims(name, preferred_username=name, iss=ISSUER, aud=AUDIENCE, roles=["admin"]) | fields


def unsigned(name: str) -> Iterator[str]:
    """Tokens without a signature, or with one that is none."""
    body = part(good(name))
    for algorithm in ("none", "None", "NONE", "nOnE", "", "null", None, 0, False, [], ["none"], {"none": 1}):
        for kid in (None, *KEYS.values()):
            head = part({"alg": algorithm, "typ": "JWT"} | ({} if kid is None else {"kid": kid}))
            yield from (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{part(b'x' * 32)}")
    for algorithm, kid in KEYS.items():
        head = part({"alg": algorithm, "kid": kid})
        for size in (0, 1, 32, 64, 256):
            yield f"{head}.{body}.{part(bytes(size))}"  # r = s = 0 of ES256 among them
    yield from ("", ".", "..", "...", "....", body, f"{body}.{body}.{body}", f".{body}.", "null", "é" * 100)


def confused(name: str) -> Iterator[str]:
    """HS256, and others of its kind, with a secret that everybody has: a public key in any form, or nothing."""
    secrets = [b"", b"\0", b"secret", b"null"]
    for key in PRIVATE.values():
        pem, public = public_pem(key), key.public_key()
        secrets += [pem, pem.strip(), pem.replace(b"\n", b""), pem + b"\n"]
        secrets.append(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    secrets.append(PRIVATE["RS256"].public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1))
    secrets.append(PRIVATE["EdDSA"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    secrets += [json.dumps(jwk(one, kid=KEYS[one])).encode() for one in PRIVATE]
    hashes = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    for secret, (algorithm, digest) in itertools.product(secrets, hashes.items()):
        for kid in (None, *KEYS.values(), "unknown"):
            signed = f"{part({'alg': algorithm} | ({} if kid is None else {'kid': kid}))}.{part(good(name))}"
            yield f"{signed}.{part(hmac.new(secret, signed.encode(), digest).digest())}"


def misdirected(name: str) -> Iterator[str]:
    """Signed by nobody whom we know, with all that a header may say of where to find the key."""
    kids = (*KEYS.values(), "", "../../../dev/null", "/proc/self/environ", "' OR '1'='1", "keys.json", "*", "\0", "\n")
    for algorithm, key in OTHERS.items():
        public = jwt.get_algorithm_by_name(algorithm).to_jwk(
            key if algorithm == "HS256" else key.public_key(), as_dict=True
        )
        for kid in kids:
            yield jwt.encode(good(name), key, algorithm, {"kid": kid})
        more = {"jwk": public, "jku": "https://evil.example/keys", "x5u": "https://evil.example/c", "x5c": ["MII="]}
        yield jwt.encode(good(name), key, algorithm, {"kid": KEYS[algorithm], **more})
    for algorithm, other in itertools.permutations(ALGORITHMS, 2):
        known = SECRET if algorithm == "HS256" else PRIVATE[algorithm]
        yield jwt.encode(good(name), known, algorithm, {"kid": KEYS[other]})
    for wrong in (5, True, ["rsa"], {"rsa": 1}, 1.5):
        signed = f"{part({'alg': 'HS256', 'kid': wrong})}.{part(good(name))}"
        yield f"{signed}.{part(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest())}"


def untimely(name: str) -> Iterator[str]:
    """Truly signed, and for another time, place or service, or with claims that are none."""
    now, soon = time.time(), time.time() + 3600
    odd: dict[str, tuple[Any, ...]] = {
        "exp": (None, now - 60, 0, -1, "never", str(soon), True, [soon], {}, 1e300, math.inf, math.nan, 10**400),
        "nbf": (soon, "later", math.inf, [], True, 1e300),
        "iss": (None, "", "https://evil.example", ISSUER + "/", [ISSUER], {ISSUER: 1}),
        "aud": (None, "", "mail", [], ["mail"], [[AUDIENCE]], {AUDIENCE: 1}, AUDIENCE.upper()),
        "sub": (None, "", 5, ["ann"], {}, "s" * 256, True),
        "preferred_username": (None, "", "@ann", "a" * 33, 5, ["ann"], "an\u202en", "a\0"),
        "rooms": (
            5,
            "den",
            [5],
            {"den": "king"},
            {"den": 5},
            {"@ann": "member"},
            {f"r{n}": "owner" for n in range(1001)},
        ),
        "padding": ("x" * 9000,),
    }
    for claim, values in odd.items():
        for value in values:
            given = {key: value for key, value in (good(name) | {claim: value}).items() if value is not None}
            yield signed(json.dumps(given).encode())
    bodies = (b"[" * 4000, b"[]", b"null", b'"sub"', b"{", b"\xff", b'{"exp": 1e999}', b'{"sub": "\\ud800"}')
    yield from map(signed, bodies)


def signed(body: bytes) -> str:
    """A token of that body, which need be none, truly signed."""
    return jwt.PyJWS().encode(body, PRIVATE["EdDSA"], "EdDSA", {"kid": KEYS["EdDSA"]})


def mutated(name: str, rng: Random, count: int) -> Iterator[str]:
    """Good tokens with a few characters changed, left out or added, or of parts of two of them."""
    true = {one: bearer(name, one) for one in ALGORITHMS}
    for n in range(count):
        token = true[ALGORITHMS[n % len(ALGORITHMS)]]
        if n % 10 == 0:
            parts, others = token.split("."), bearer(f"{name} {n}", rng.choice(ALGORITHMS)).split(".")
            at = rng.randrange(3)
            made = ".".join(others[k] if k == at else parts[k] for k in range(3))
        else:
            at = rng.randrange(len(token))
            added = "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(3)))
            made = token[:at] + added + token[at + rng.randrange(1, 3) :]
        if not same(made, token):
            yield made


def same(one: str, other: str) -> bool:
    """Whether two tokens say the same with the same signature: the last character of one has bits to spare."""
    head, _, signature = one.rpartition(".")
    true, _, mac = other.rpartition(".")
    try:
        return head == true and base64.urlsafe_b64decode(signature + "==") == base64.urlsafe_b64decode(mac + "==")
    except (binascii.Error, ValueError):
        return False


def no_good(scene: Scene, tokens: Iterator[str]) -> int:
    """All of them are turned away as bad tokens: nobody comes in. Raises Broken."""
    dials = [(one, Dial(upgrade() + text(type="connect", token=one, username="thief", id=7))) for one in tokens]
    for (token, _), one in zip(dials, Swarm(scene.port).run(dial for _, dial in dials), strict=True):
        if one.status != 101 or b'"code":"bad_token"' not in one.received or not closes(one, BAD_TOKEN):
            raise Broken(f"the token {token[:300]!r} was answered {one.received[150:700]!r}, {one.end}")
        if b"welcome" in one.received:
            raise Broken(f"with the token {token[:300]!r} somebody came in")
    return len(dials)


def closes(one: Dial, code: bytes) -> bool:
    """Whether the last frame is a close with that code."""
    at = one.received.rfind(b"\x88")
    return at >= 0 and one.received[at + 2 : at + 4] == code


@attack("forged tokens", setting="tokens", bounds=Bounds(lines=LOGGED))
def forged(scene: Scene) -> int:
    """`alg` none, HS256 with public keys, foreign keys and `kid`s that point elsewhere: `bad_token`, and 4503."""
    count = 0
    for _ in range(scene.count(5, 1)):
        for kind in (unsigned, confused, misdirected):
            count += no_good(scene, kind(f"nobody {next(NUMBERS)}"))
    return count


@attack("tokens of another time or place", setting="tokens", bounds=Bounds(lines=LOGGED))
def elsewhere(scene: Scene) -> int:
    """Truly signed, but expired, not valid yet, without `exp`, of another `iss` or `aud`, with huge or odd claims."""
    return sum(no_good(scene, untimely(f"nobody {next(NUMBERS)}")) for _ in range(scene.count(20, 2)))


@attack("mutated tokens", setting="tokens", bounds=Bounds(lines=LOGGED, memory=32))
def mutations(scene: Scene) -> int:
    """10,000 good tokens with a character or two changed, or of parts of two: none is good any more."""
    name = f"model {next(NUMBERS)}"
    with scene.entrance.enter(name) as model:
        count = no_good(scene, mutated(name, scene.rng, scene.count(10_000, 1000)))
        if model.ask("ping")["type"] != "pong":
            raise Broken("who owns the token lost its connection")
        model.leave()
    return count


@attack("one token, again and again", setting="tokens", bounds=Bounds(lines=LOGGED))
def replayed(scene: Scene) -> int:
    """A good token replayed by 200 at once: 20 connections of its user, the rest 4507; when it is over, nobody."""
    name = f"replayed {next(NUMBERS)}"
    count = scene.count(200, 60)
    token = bearer(name, ttl=-6)  # good for four seconds more, as clocks may differ by ten
    first = Dial(upgrade() + text(type="connect", token=token))
    others = (Dial(upgrade() + text(type="connect", token=token)) for _ in range(count - 1))
    done = Swarm(scene.port, at_once=count).run((first, *others))
    welcome = [one for one in done if b'"event":"welcome"' in one.received]
    if len(welcome) != 20 or not all(closes(one, TOKEN_EXPIRED) for one in welcome):
        raise Broken(f"one token opened {len(welcome)} connections, or one outlived it")
    if any(not closes(one, (4507).to_bytes(2, "big")) for one in done if one not in welcome):
        raise Broken("who was one too many was not told 4507")
    return count + no_good(scene, iter([token] * 50))


def turned_away(answer: tuple[Frame, int], *, code: str, close: int) -> None:
    """A first frame was refused so. Raises Broken."""
    if (answer[0]["code"], answer[1]) != (code, close):
        raise Broken(f"answered {answer}, instead of {code} and {close}")


@attack("sessions and tickets of others, with tokens", setting="tokens", bounds=Bounds(lines=LOGGED, memory=32))
def sessions(scene: Scene) -> int:
    """Resume tokens that are forged, another's, over or replayed, and another's ticket: nobody is somebody else."""
    entrance, count = scene.entrance, 0
    victim, thief = f"victim {next(NUMBERS)}", f"thief {next(NUMBERS)}"
    with entrance.enter(victim) as raw:
        true, ticket = raw.welcome["session"], raw.welcome["ticket"]
        for forged in (
            forgeries(true, scene.rng) if not scene.short else itertools.islice(forgeries(true, scene.rng), 40)
        ):
            resume = {"session": forged, "rooms": {}}
            with entrance.greet({"type": "connect", "token": bearer(thief), "resume": resume}) as other:
                if other.welcome["resumed"] is not False or other.welcome["user"] != thief:
                    raise Broken(f"{forged!r} of {true!r} was answered {other.welcome}")
                other.leave()
            turned_away(entrance.refused({"type": "connect", "resume": resume}), code="bad_token", close=4503)
            count += 2
        stolen = {"type": "connect", "token": bearer(thief), "resume": {"session": true, "rooms": {}}}
        for _ in range(20):
            turned_away(entrance.refused(stolen), code="bad_token", close=4503)
            turned_away(
                entrance.refused({"type": "connect", "username": victim}, query=f"?ticket={quote(ticket)}"),
                code="bad_token",
                close=4503,
            )
            with entrance.greet(entrance.first(thief), query=f"?ticket={quote(ticket)}") as other:
                if other.welcome["user"] != thief:
                    raise Broken(f"with another's ticket, {thief} is {other.welcome['user']}")
                other.leave()
            count += 3
        if raw.ask("ping")["type"] != "pong":
            raise Broken("the victim lost its session")
        raw.leave()
    over = {"type": "connect", "resume": {"session": true, "rooms": {}}}
    turned_away(entrance.refused(over), code="bad_token", close=4503)
    with entrance.greet(over | {"token": bearer(thief)}) as other:
        if other.welcome["resumed"] or other.welcome["user"] != thief:
            raise Broken(f"a session that is over was resumed: {other.welcome}")
        other.leave()
    return count + 2


@attack("the banned come back", setting="tokens", bounds=Bounds(lines=LOGGED, more_lines=30))
def banned(scene: Scene) -> int:
    """A user whom an operator banned, with its session, its ticket, its token, under other names: 4505, until unban."""
    entrance, port = scene.entrance, scene.target.admin_port
    times = scene.count(20, 3)
    for _ in range(times):
        name = f"banned {next(NUMBERS)}"
        with entrance.enter(name) as raw:
            resume = {"session": raw.welcome["session"], "rooms": {}}
            query = f"?ticket={quote(raw.welcome['ticket'])}"
            operator(port, "POST", "/v1/bans", {"user": name})
            if (code := raw.to_the_end()[1]) != 4505:
                raise Broken(f"who was banned was closed with {code}")
        token, other = bearer(name), bearer(name, preferred_username=f"not {name}")
        for first in (
            {"token": token},
            {"token": other},
            {"token": token, "resume": resume},
            {"token": other, "resume": resume},
        ):
            answer = entrance.refused({"type": "connect", **first}, query=query)
            turned_away(answer, code="banned", close=4505)
        ended = entrance.refused({"type": "connect", "resume": resume}, query=query)  # with the ban the session is over
        turned_away(ended, code="bad_token", close=4503)
        for ban in operator(port, "GET", "/v1/bans?limit=1000")["bans"]:
            operator(port, "DELETE", f"/v1/bans/{quote(ban['subject'], safe='')}")
        entrance.enter(name).leave()
    return 5 * times
