"""The admin API by those who are no operators: every route of its own OpenAPI document."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import re
from collections import Counter
from typing import Any

import attrs

from ..scene import Outcome, Scene, attack
from ..target import ADMIN_TOKEN
from ..vitals import Bounds
from ..wire import SECONDS, Broken, dial

SOURCES = itertools.count(1)  # of guesses: after ten different ones an address has to wait
# What the fields of any operation are filled with, that would be good, and would be seen.
FILLING = {"user": "victim of operators", "room": "general", "subject": "name:nobody", "content": "forged"}
TOLD = (400, 401, 403, 429)  # what nobody who is no operator is told more than


@attrs.frozen
class Request:
    """One request of an operator: as its description has it."""

    method: str
    path: str
    body: bytes | None = None


def ask(port: int, request: Request, headers: list[tuple[str, str]], source: str) -> tuple[int, bytes]:
    """The status of the answer, and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS, source_address=(source, 0))
    try:
        connection.putrequest(request.method, request.path, skip_host=any(name == "Host" for name, _ in headers))
        for name, value in headers:
            connection.putheader(name, value)
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def operator(port: int, method: str, path: str, body: Any = None) -> Any:
    """What an operator is answered. Raises Broken where that is no 200."""
    data = None if body is None else json.dumps(body).encode()
    true = [("Authorization", f"Bearer {ADMIN_TOKEN}")]
    status, answer = ask(port, Request(method, path, data), true, "127.0.0.1")
    if status != 200:
        raise Broken(f"an operator's {method} {path} was answered {status}, {answer!r}")
    return json.loads(answer)


def routes(document: dict[str, Any]) -> list[Request]:
    """Every operation of an OpenAPI document, filled in; an act with a body gets one that would be good."""
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            filled = re.sub(r"{(\w+)}", lambda field: FILLING[field[1]].replace(" ", "%20"), path)
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            named = [name for name in content.get("schema", {}).get("properties", {}) if name in FILLING]
            body = json.dumps({name: FILLING[name] for name in named}).encode() if content else None
            found.append(Request(method.upper(), filled, body))
    return found


def guises(guess: str) -> list[list[tuple[str, str]]]:
    """Headers of who has no token, or a wrong one, or the true one for a web page."""
    true, wrong = f"Bearer {ADMIN_TOKEN}", f"Bearer {guess}"
    basic = base64.b64encode(f"admin:{ADMIN_TOKEN}".encode()).decode()
    return [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer  ")],
        [("Authorization", wrong)],
        [("Authorization", true[:-1])],
        [("Authorization", true + "x")],
        [("Authorization", f"Bearer {ADMIN_TOKEN.upper()}")],
        [("Authorization", f"Bearer {ADMIN_TOKEN},{guess}")],
        [("Authorization", f"Basic {basic}")],
        [("Authorization", ADMIN_TOKEN)],
        [("Cookie", f"token={ADMIN_TOKEN}; Authorization={ADMIN_TOKEN}")],
        [("X-Authorization", true), ("Proxy-Authorization", true)],
        [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("X-Original-URL", "/v1/info")],
        [("X-HTTP-Method-Override", "GET"), ("Authorization", wrong)],
        [("Authorization", true), ("Origin", "https://evil.example")],
        [("Authorization", true), ("Origin", "null")],
        [("Authorization", true), ("Host", "evil.example")],
        [("Authorization", true), ("Host", "127.0.0.1.evil.example")],
    ]


@attack("every route of operators, without their token", setting="tokens", bounds=Bounds(lines=2))
def without_token(scene: Scene) -> Outcome:
    """Each operation of the OpenAPI document by who has no token, a wrong one, or is a web page: nothing is done."""
    port = scene.target.admin_port
    requests = routes(operator(port, "GET", "/v1/openapi.json"))
    requests.append(Request("GET", "/v1/openapi.json"))
    statuses: Counter[int] = Counter()
    with scene.entrance.enter(FILLING["user"]) as victim:
        before = _seen(port)
        for turn in range(scene.count(10, 1)):
            for request in requests:
                source = f"127.7.{turn}.{next(SOURCES) % 250 + 1}"
                for headers in guises(f"guess-{scene.rng.randrange(10**12)}"):
                    status, body = ask(port, request, headers, source)
                    statuses[status] += 1
                    if status not in TOLD or b"paths" in body or ADMIN_TOKEN.encode() in body:
                        raise Broken(f"{request} with {headers} was answered {status}, {body[:200]!r}")
        if (after := _seen(port)) != before:
            raise Broken(f"who is no operator did something: {before}, and now {after}")
        if victim.ask("ping")["type"] != "pong":
            raise Broken("who is no operator did something to a user")
        victim.leave()
    told = ", ".join(f"{count} told {status}" for status, count in sorted(statuses.items()))
    return Outcome(statuses.total(), f"{len(requests)} operations; {told}")


def _seen(port: int) -> tuple[Any, ...]:
    """What an operator sees that an act would change."""
    info = operator(port, "GET", "/v1/info")
    bans, audit = operator(port, "GET", "/v1/bans"), operator(port, "GET", "/v1/audit")
    general = operator(port, "GET", "/v1/rooms/general")["room"]
    return info["draining"], bans, audit, general["last"]


@attack("tokens of operators are guessed", setting="tokens", bounds=Bounds(lines=1.2))
def guessed(scene: Scene) -> int:
    """2,000 different tokens from one address: ten a minute are looked at, the rest get 429; operators go on."""
    port, count = scene.target.admin_port, scene.count(2000, 300)
    source = f"127.8.{scene.rng.randrange(250)}.{next(SOURCES) % 250 + 1}"
    statuses = Counter(
        ask(port, Request("GET", "/v1/info"), [("Authorization", f"Bearer guess-{n}-{scene.rng.random()}")], source)[0]
        for n in range(count)
    )
    if set(statuses) != {401, 429} or statuses[401] > 20:
        raise Broken(f"guesses were answered {dict(statuses)}")
    true = [("Authorization", f"Bearer {ADMIN_TOKEN}")]
    if (status := ask(port, Request("GET", "/v1/info"), true, source)[0]) != 429:
        raise Broken(f"among guesses, the true token was answered {status}")
    operator(port, "GET", "/v1/info")
    return count


@attack("lines of the log by requests for operators", setting="tokens", bounds=Bounds(lines=1.2))
def long_paths(scene: Scene) -> int:
    """Requests without a token whose path or method has 15 KB, or what terminals obey: a short line in the log."""
    asked = [
        f"POST {path}" for path in ("/v1/bans/" + "a" * 15_000, "/v1/%0d%0a%1b[2J", "/\x85\xa0", "/" + "%25" * 4000)
    ]
    asked += ["A" * 15_000 + " /v1/drain", "\x1b[2J /v1/drain"]
    port, count = scene.target.admin_port, scene.count(50, 10)
    for line in asked:
        for _ in range(count):
            request = f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            _say(port, request.encode("latin-1"))
    return count * len(asked)


def _say(port: int, request: bytes) -> None:
    """Send a request that no library would; it is answered."""
    with dial(port) as sock:
        sock.sendall(request)
        answer = sock.recv(65_536)
    if not answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")):
        raise Broken(f"{request[:60]!r} was answered {answer[:60]!r}")
