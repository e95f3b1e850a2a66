"""HTTP on the same port: every status, HEAD, keep-alive, pipelines and bodies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import h11
import pytest
import trio
from trio.testing import MockClock

from trio_chat.server import doors, http, listener
from trio_chat.server.http import HttpConnection
from trio_chat.server.wire import SocketWire

from .harness import House, Peer, Response, house, request, upgrade


async def ask(server: House, data: bytes, *, body: bool = True) -> Response:
    """The answer to one request, after which the connection must be closed by somebody."""
    peer = server.knock()
    await peer.send(data)
    response = await peer.response(body=body)
    await peer.drop()
    return response


@pytest.mark.parametrize(
    ("data", "status", "header"),
    [
        (b"garbage\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\n\r\n", 400, None),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, None),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400, None),
        (b"GET / HTTP/0.9\r\n\r\n", 400, None),
        (upgrade(sec_websocket_key="short"), 400, None),
        (upgrade(sec_websocket_key="\N{SNOWMAN}"), 400, None),
        (upgrade(sec_websocket_key=None), 400, None),
        (upgrade(content_length="5"), 400, None),
        (upgrade(transfer_encoding="chunked"), 400, None),
        (upgrade(subprotocol="mqtt, stomp"), 400, None),
        (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), 400, None),
        (request("GET", "/nowhere"), 404, None),
        (request("POST", "/nowhere", content_length="0"), 404, None),
        (request("CONNECT", "example.org:80"), 404, None),
        (request("POST", "/", content_length="0"), 405, ("allow", "GET, HEAD")),
        (request("DELETE", "/healthz"), 405, ("allow", "GET, HEAD")),
        (request("POST", "/ws", content_length="0"), 405, ("allow", "GET")),
        (request("GET", "/ws"), 426, ("upgrade", "websocket")),
        (upgrade(upgrade="h2c"), 426, ("upgrade", "websocket")),
        (upgrade(connection="keep-alive"), 426, ("upgrade", "websocket")),
        (upgrade(sec_websocket_version="8"), 426, ("sec-websocket-version", "13")),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000, 431, None),
        (request("GET", "/" + "x" * 17_000), 431, None),
        (request("GET", "/"), 200, ("content-type", "text/html; charset=utf-8")),
        (request("GET", "/?q=1"), 200, ("x-content-type-options", "nosniff")),
        (request("GET", "/healthz"), 200, ("cache-control", "no-store")),
        (request("GET", "/readyz"), 200, ("cache-control", "no-store")),
        (b"GET / HTTP/1.0\r\n\r\n", 200, ("connection", "close")),
    ],
)
async def test_every_request_has_its_answer(
    data: bytes, status: int, header: tuple[str, str] | None, autojump_clock: MockClock
) -> None:
    async with house() as server:
        response = await ask(server, data)
        assert response.status == status
        if header is not None:
            assert response.headers[header[0]] == header[1]
        if status >= 400:
            assert response.headers["content-type"].startswith("text/plain")
            assert 5 < len(response.body) < 100
            assert response.headers["connection"] == "close"


MARKS = ("M4RK", "m4rk")
MARKED = [
    b"M4RK\r\n\r\n",
    b"GET /M4RK HTTP/9.9\r\nHost: M4RK\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"M4RK" * 5000,
    request("GET", "/M4RK?M4RK=M4RK", referer="https://M4RK/", cookie="M4RK=M4RK", user_agent="<script>M4RK"),
    request("M4RK", "/", content_length="0"),
    request("POST", "/ws", b"M4RK", content_length="4"),
    request("GET", "/", host="M4RK", x_forwarded_for="M4RK", x_forwarded_proto="M4RK"),
    request("GET", "/healthz?M4RK", accept="M4RK"),
    request("HEAD", "/M4RK"),
    request("GET", "/ws?ticket=M4RK"),
    upgrade("/ws?ticket=M4RK", origin="https://M4RK.example", sec_websocket_extensions="M4RK"),
    upgrade(subprotocol="M4RK"),
    upgrade(sec_websocket_key="M4RK"),
    upgrade(sec_websocket_version="M4RK"),
]


@pytest.mark.parametrize("data", MARKED)
async def test_an_answer_says_nothing_of_its_request(data: bytes, autojump_clock: MockClock) -> None:
    """Neither in its head nor in its body: so nothing can be injected. It sets no cookie, and has the whole hygiene."""
    async with house(environment="production") as server:
        peer = await server.plug()
        await peer.send(data)
        response = await peer.response(body=not data.startswith(b"HEAD"))
        assert not any(mark in f"{response.headers}{response.body!r}" for mark in MARKS)
        assert "set-cookie" not in response.headers
        for name, value in http.HYGIENE:
            assert response.headers[name.lower()] == value
        assert response.headers["cache-control"] in ("no-store", "no-cache")
        await peer.drop()


@pytest.mark.parametrize("made", [listener.FULL, listener.BARRED, doors.CROWDED, doors.IN_THE_CLEAR])
def test_what_is_answered_before_any_request_has_the_hygiene_too(made: bytes) -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(made)
    head, body, end = client.next_event(), client.next_event(), client.next_event()
    assert isinstance(head, h11.Response)
    assert isinstance(body, h11.Data)
    assert isinstance(end, h11.EndOfMessage)
    assert 5 < len(body.data) < 100
    headers = {name.decode(): value.decode() for name, value in head.headers}
    assert {name.lower(): value for name, value in http.HYGIENE}.items() <= headers.items()
    assert headers["connection"] == "close"
    assert client.trailing_data == (b"", False)


def test_a_page_may_load_from_here_and_connect_to_here_and_no_more() -> None:
    rules = dict(rule.split(" ", 1) for rule in http.CSP.split("; "))
    own = {"script-src", "style-src", "img-src", "connect-src"}
    assert {name for name, value in rules.items() if value == "'self'"} == own
    assert rules.pop("require-trusted-types-for") == "'script'"  # and no text ever becomes markup
    assert {value for name, value in rules.items() if name not in own} == {"'none'"}
    assert {"default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"} == rules.keys() - own


async def test_connection_and_upgrade_are_lists_of_words(autojump_clock: MockClock) -> None:
    async with house() as server:
        head = upgrade(connection="keep-alive, UPGRADE", upgrade="foo, WebSocket")
        assert (await ask(server, head)).status == 101


@pytest.mark.parametrize(("offer", "got"), [("chat", "chat"), (None, None), ("x, chat,y", "chat"), ("", None)])
async def test_who_offers_chat_gets_chat_and_who_offers_none_gets_none(
    offer: str | None, got: str | None, autojump_clock: MockClock
) -> None:
    async with house() as server:
        response = await ask(server, upgrade(subprotocol=offer))
        assert (response.status, response.headers.get("sec-websocket-protocol")) == (101, got)
        assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_head_has_the_lengths_and_no_body(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("HEAD", "/"), request("GET", "/healthz"))
        response = await peer.response(body=False)
        assert (response.status, int(response.headers["content-length"]) > 500) == (200, True)
        assert (await peer.response()).body == b"ok\n"
        await peer.drop()


async def test_an_error_behind_a_head_request_has_its_body_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("HEAD", "/"))
        await peer.response(body=False)
        await peer.send(b"garbage\r\n\r\n")
        assert (await peer.response()).body == b"This is no HTTP request\n"
        assert "bug" not in caplog.text


async def test_a_connection_is_kept_and_requests_may_wait_in_line(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("GET", "/healthz") * 3, request("POST", "/healthz", b"12345", content_length="5"))
        assert [(await peer.response()).status for _ in range(4)] == [200, 200, 200, 405]
        await peer.ended()


async def test_a_page_and_then_an_upgrade_on_one_connection(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("GET", "/"), upgrade())
        assert [(await peer.response()).status for _ in range(2)] == [200, 101]


async def test_a_body_of_two_lengths_is_the_last_of_its_connection(autojump_clock: MockClock) -> None:
    """RFC 9112 section 6.1: what follows may have been meant for somebody else."""
    async with house() as server:
        peer = server.knock()
        both = request("GET", "/", content_length="5", transfer_encoding="chunked") + b"0\r\n\r\n"
        await peer.send(both, request("GET", "/healthz"))
        assert dict((await peer.response()).headers)["connection"] == "close"
        await peer.ended()


async def test_who_asks_for_it_is_closed(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("GET", "/", connection="close"))
        assert (await peer.response()).headers["connection"] == "close"
        await peer.ended()


@pytest.mark.parametrize(
    ("body", "headers", "kept"),
    [
        (b"x" * 60_000, {"content_length": "60000"}, True),
        (b"x" * 70_000, {"content_length": "70000"}, False),
        (b"5\r\nhello\r\n0\r\n\r\n", {"transfer_encoding": "chunked"}, True),
        (b"zz\r\n", {"transfer_encoding": "chunked"}, False),
        (b"x", {"content_length": "2"}, False),
    ],
)
async def test_a_body_is_read_and_thrown_away_up_to_a_limit(
    body: bytes, headers: dict[str, str], kept: bool, autojump_clock: MockClock
) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("GET", "/healthz", body, **headers))
        response = await peer.response()
        assert (response.status, "connection" not in response.headers) == (200, kept)
        if kept:
            await peer.send(request("GET", "/healthz"))
            assert (await peer.response()).status == 200
        else:
            await peer.ended()
        assert trio.current_time() <= 6
        await peer.drop()


async def test_a_long_body_is_not_read_byte_by_byte(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as server:
        peer = await server.plug()
        sizes = []
        receive = SocketWire.receive

        async def counted(self: SocketWire, max_bytes: int = 65_536) -> bytes:
            data = await receive(self, max_bytes)
            sizes.append(len(data))
            return data

        monkeypatch.setattr(SocketWire, "receive", counted)
        await peer.send(request("GET", "/healthz", b"x" * 60_000, content_length="60000"))
        assert (await peer.response()).status == 200
        assert len(sizes) < 60
        await peer.drop()


async def test_requests_that_are_all_there_are_answered_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends hundreds at once costs the others one request at a time."""
    async with house() as server:
        peers = [await server.plug(), await server.plug()]
        answered = []
        respond = HttpConnection.respond

        async def noted(self: HttpConnection, *answer: Any, **how: Any) -> bool:
            answered.append(self)
            return await respond(self, *answer, **how)

        monkeypatch.setattr(HttpConnection, "respond", noted)
        for peer in peers:
            await peer.send(request("GET", "/healthz") * 50)
        for peer in peers:
            for _ in range(50):
                assert (await peer.response()).status == 200
        turns = sum(one is not other for one, other in pairwise(answered))
        assert turns > 50
        for peer in peers:
            await peer.drop()


async def test_a_body_cut_short_by_its_peer_is_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as server:
        peer = server.knock()
        await peer.send(request("GET", "/", b"x", content_length="2"))
        await peer.drop()
        await server.empty()
        assert caplog.text == ""


async def test_a_kept_connection_that_asks_nothing_more_is_closed_quietly(autojump_clock: MockClock) -> None:
    async with house(connect_timeout=15) as server:
        peer = server.knock()
        await peer.send(request("GET", "/healthz"))
        await peer.response()
        await peer.ended()
        assert trio.current_time() == pytest.approx(15)
        assert not server.state.chat.gate._attempts


async def test_a_response_that_is_not_taken_is_given_up(autojump_clock: MockClock) -> None:
    async with house() as server:
        peer = await server.plug(2048)
        await peer.send(request("GET", "/") * 100)
        await trio.sleep(20)
        await server.empty()  # though its peer is there still
        await peer.drop()


async def test_a_ready_check_says_when_the_server_drains(autojump_clock: MockClock) -> None:
    async with house() as server:
        alice: Peer = await server.join("alice")
        server.broker.drain(100)
        ready = await ask(server, request("GET", "/readyz"))
        assert (ready.status, ready.headers["retry-after"], ready.body) == (503, "5", b"draining\n")
        assert (await ask(server, request("GET", "/healthz"))).status == 200
        refused = await ask(server, upgrade())
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        await alice.drop()
