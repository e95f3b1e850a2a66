"""The admin API of a real process: who may use it, what it does, and what outlives the process."""

from __future__ import annotations

import http.client
import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trio_chat.server.routes import DESCRIPTION, ROUTES, Route

from .client import SECONDS, join
from .process import Server
from .web import refused

TOKEN = "correct-horse-battery-staple"
ADMIN = ("--admin-port", "0", "--admin-token", TOKEN)


class Api:
    """The admin API of a server."""

    def __init__(self, server: Server, token: str | None = TOKEN) -> None:
        found = re.search(r"admin API on http://127\.0\.0\.1:(\d+), token: (\S+)", server.wait_for("admin API on"))
        assert found is not None
        self.port, self.said, self.token = int(found[1]), found[2], token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, http.client.HTTPMessage]:
        """The status, the JSON and the headers of an answer; a body of bytes is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.token is not None and "Authorization" not in given:
                given["Authorization"] = f"Bearer {self.token}"
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, data, given)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null"), response.headers
        finally:
            connection.close()

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a request that must be granted."""
        status, shown, _ = self.ask(method, path, body)
        assert status == 200, shown
        return shown


@pytest.fixture
def admin(start: Callable[..., Server]) -> tuple[Server, Api]:
    server = start(*ADMIN)
    return server, Api(server)


def path_of(route: Route) -> str:
    return re.sub(r"{\w+}", "x", route.path)


EVERY = [(route.method, path_of(route)) for route in ROUTES] + [("GET", DESCRIPTION), ("GET", "/nowhere")]


def test_nothing_is_told_without_the_token_or_to_a_web_page(admin: tuple[Server, Api]) -> None:
    _, api = admin
    for method, path in EVERY:
        assert api.ask(method, path, Authorization="Bearer wrong-wrong-wrong")[0] == 401
        assert api.ask(method, path, Authorization="")[0] == 401
        assert api.ask(method, path, Authorization=f"Basic {TOKEN}")[0] == 401
        assert api.ask(method, path, Host="evil.example")[0] == 403
        assert api.ask(method, path, Host=f"127.0.0.1.evil.example:{api.port}")[0] == 403
        assert api.ask(method, path, Origin="https://evil.example")[0] == 403
        assert api.ask(method, path, Origin="null")[0] == 403
    for host in ("localhost", f"localhost:{api.port}", f"[::1]:{api.port}", f"127.0.0.1:{api.port}"):
        assert api.ask("GET", "/v1/info", Host=host)[0] == 200
    assert api.done("GET", "/v1/audit")["entries"] == []


def test_who_has_no_token_writes_no_long_lines_into_the_log(admin: tuple[Server, Api]) -> None:
    server, api = admin
    for method, path in (("POST", "/v1/bans/" + "a" * 15_000), ("A" * 15_000, "/v1/bans")):
        assert api.ask(method, path, Authorization="")[0] == 401
        line = server.wait_for(f"{method} {path}"[:90])
        assert len(line) < 250


def test_wrong_tokens_are_limited_but_a_stale_one_counts_once(admin: tuple[Server, Api]) -> None:
    _, api = admin
    for _ in range(30):
        assert api.ask("GET", "/v1/info", Authorization="Bearer stale-stale-stale")[0] == 401
    assert api.ask("GET", "/v1/info")[0] == 200
    for number in range(9):
        assert api.ask("GET", "/v1/info", Authorization=f"Bearer guess-{number}")[0] == 401
    status, _, headers = api.ask("GET", "/v1/info", Authorization="Bearer guess-10")
    assert (status, 0 < int(headers["Retry-After"]) <= 61) == (429, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"),
        (b'{"a":' + b"[" * 50_000, "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "object"),
        ({"user": 1}, "user: Expected str | null, got int"),
        ({"user": "x", "colour": "red"}, "colour"),
        ({"user": "x", "duration": 0}, "duration: Expected float > 0.0"),
        ({"user": "x", "duration": "10"}, "duration: "),
        ({"user": "x", "reason": "r" * 251}, "reason: "),
        ({"user": "x", "reason": "red \x1b[31m"}, "without control characters"),
        ({"net": "10.9.0.1/16"}, "a network such as 10.0.0.0/8 (did you mean 10.9.0.0/16?)"),
        ({"net": "0.0.0.0/0"}, "not of all addresses"),
        ({}, "One of user, id and net"),
    ],
)
def test_bad_bodies_are_told_what_is_wrong(shared_admin: Api, body: Any, words: str) -> None:
    status, shown, _ = shared_admin.ask("POST", "/v1/bans", body)
    assert (status, shown["code"]) == (400, "bad_message")
    assert words in shown["message"]
    assert "\n" not in shown["message"]


@pytest.fixture(scope="module")
def _admin_server() -> Any:
    server = Server(*ADMIN, "--drain-seconds", "0").ready()
    yield server
    code = server.stop()
    server.check_log()
    assert code == 0


@pytest.fixture
def shared_admin(_admin_server: Server) -> Api:
    return Api(_admin_server)


def test_requests_that_fit_nothing(shared_admin: Api) -> None:
    assert shared_admin.ask("GET", "/nowhere")[0] == 404
    status, _, headers = shared_admin.ask("PUT", "/v1/bans")
    assert (status, headers["Allow"]) == (405, "GET, POST")
    assert shared_admin.ask("POST", "/v1/bans", b"x" * 65_537)[0] == 413
    assert shared_admin.ask("GET", "/v1/users?limit=0")[0] == 400
    assert shared_admin.ask("GET", "/v1/users?limit=many")[0] == 400
    assert shared_admin.ask("GET", "/v1/users?colour=red")[0] == 400
    assert shared_admin.ask("GET", "/v1/users?x")[0] == 400
    assert shared_admin.ask("POST", "/v1/rooms/general/messages", {"room": "den", "content": "x"})[0] == 400
    assert shared_admin.ask("GET", "/v1/users/nobody")[0] == 404
    assert shared_admin.ask("DELETE", "/v1/bans/name:nobody")[0] == 404


def test_the_document_describes_every_route(shared_admin: Api) -> None:
    from openapi_spec_validator import validate

    document = shared_admin.done("GET", DESCRIPTION)
    validate(document)
    described = {(method.upper(), path) for path, of in document["paths"].items() for method in of}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_what_operators_do_reaches_clients_and_the_audit(admin: tuple[Server, Api]) -> None:
    server, api = admin
    with join(server, "alice") as alice, join(server, "bob") as bob:
        server.said += ["tea is ready", "the door closes"]
        api.done("POST", "/v1/announcements", {"content": "tea is ready"})
        assert alice.until("system", event="announcement")["content"] == "tea is ready"
        posted = api.done("POST", "/v1/rooms/general/messages", {"content": "the door closes"})
        frame = bob.until("message")
        assert (frame["sender"], frame["content"], frame["seq"]) == ("#server", "the door closes", posted["seq"])
        assert [user["name"] for user in api.done("GET", "/v1/users")["users"]] == ["alice", "bob"]
        assert api.done("GET", "/v1/users/alice")["connections"][0]["address"] == "127.0.0.1"
        assert api.done("GET", "/v1/rooms/general")["members"] == ["alice", "bob"]
        assert len(api.done("GET", "/v1/connections")["connections"]) == 2
        api.done("POST", "/v1/users/bob/kick", {"reason": "calm down"})
        assert bob.closed() == 4504
        api.done("POST", "/v1/bans", {"user": "alice", "duration": 3600})
        assert alice.closed() == 4505
        info = api.done("GET", "/v1/info")
        assert (info["bans"], info["draining"], info["trouble"]) == (1, False, None)
    entries = api.done("GET", "/v1/audit")["entries"]
    assert [entry["action"] for entry in entries] == ["ban", "kick", "publish", "announce"]


def test_bans_survive_a_kill_and_keep_out_who_resumes(start: Callable[..., Server], tmp_path: Path) -> None:
    flags = (*ADMIN, "--log", f"sqlite:{tmp_path}/chat.db")
    server = Server(*flags, "--drain-seconds", "0").ready()
    api = Api(server)
    with join(server, "alice") as alice:
        session = alice.welcome["session"]
        api.done("POST", "/v1/bans", {"user": "alice", "reason": "spam"})
        assert alice.closed() == 4505
    server.process.send_signal(signal.SIGKILL)
    server.kill()
    again = start(*flags)
    api = Api(again)
    for fields in ({}, {"resume": {"session": session, "rooms": {}}}):
        client = _refused(again, **fields)
        assert (client[0]["code"], client[1]) == ("banned", 4505)
    api.done("POST", "/v1/bans", {"net": "127.0.0.0/8", "duration": 600})
    status, after = refused(again)
    assert (status, after is not None and 590 < after <= 600) == (403, True)
    api.done("DELETE", "/v1/bans/net:127.0.0.0%2F8")
    api.done("DELETE", "/v1/bans/name:alice")
    join(again, "alice").ws.close()


def _refused(server: Server, **fields: Any) -> tuple[dict[str, Any], int]:
    from .client import Client, dial

    with Client(server, dial(server)) as client:
        client.send("connect", username="alice", **fields)
        frames, code = client.to_the_end()
        return frames[0], code


def test_a_thousand_bans(admin: tuple[Server, Api]) -> None:
    server, api = admin
    failed: list[int] = []

    def ban(start: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=SECONDS)
        for number in range(start, start + 250):
            body = json.dumps({"net": f"10.{number // 256}.{number % 256}.0/24"})
            connection.request("POST", "/v1/bans", body, {"Authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failed.append(response.status)
        connection.close()

    threads = [threading.Thread(target=ban, args=(start,)) for start in range(0, 1000, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    page, seen = api.done("GET", "/v1/bans?limit=600"), 0
    seen = len(page["bans"]) + len(api.done("GET", f"/v1/bans?after={page['next']}&limit=600")["bans"])
    assert seen == 1000
    join(server, "alice").ws.close()


def test_drain(start: Callable[..., Server]) -> None:
    server = start(*ADMIN, "--drain-seconds", "3")
    with join(server, "alice") as alice:
        Api(server).done("POST", "/v1/drain")
        assert alice.until("system", event="draining")
        assert alice.closed() == 4001
    assert server.wait() == 0


def test_a_token_is_made_and_kept_where_it_is_asked_for(start: Callable[..., Server], tmp_path: Path) -> None:
    made = Api(start("--admin-port", "0"), None)
    made.token = made.said
    assert made.done("GET", "/v1/info")["users"] == 0
    path = tmp_path / "token"
    for _ in range(2):
        server = start("--admin-port", "0", "--admin-token-file", str(path))
        assert Api(server, path.read_text().strip()).done("GET", "/v1/info")
        assert path.read_text().strip() not in server.log
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_taken_port_and_a_bad_token_file_are_one_line(admin: tuple[Server, Api], tmp_path: Path) -> None:
    _, api = admin
    empty = tmp_path / "empty"
    empty.touch()
    for flags, words in (
        (("--admin-port", str(api.port)), f"--admin-port: {api.port} must be a free port"),
        (("--admin-port", "0", "--admin-token-file", str(empty)), "--admin-token-file: "),
        (("--admin-port", "0", "--admin-token-file", str(tmp_path / "no" / "t")), "--admin-token-file: "),
        (("--admin-token", "short"), "--admin-token: 'short' must be at least 16"),
    ):
        server = Server(*flags)
        assert server.wait() == 2
        assert words in server.log.splitlines()[-1]
        assert "Traceback" not in server.log
        server.kill()
