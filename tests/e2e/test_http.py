"""The few pages on the same port, by the standard library's client."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from .client import SECONDS
from .process import Server
from .raw import answer_to


@pytest.fixture
def web(shared: Server) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept."""
    connection = http.client.HTTPConnection(shared.host, shared.port, timeout=SECONDS)
    yield connection
    connection.close()


def ask(web: http.client.HTTPConnection, method: str, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer to one request, with its body."""
    web.request(method, path)
    response = web.getresponse()
    return response, response.read()


def test_page_for_people(web: http.client.HTTPConnection) -> None:
    response, body = ask(web, "GET", "/")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"/ws" in body
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(web: http.client.HTTPConnection, path: str) -> None:
    response, body = ask(web, "GET", path)
    assert (response.status, body) == (200, b"ok\n")
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_head_is_get_without_the_body(web: http.client.HTTPConnection, path: str) -> None:
    """On one connection, so a body that came after all would spoil the next answer."""
    head, nothing = ask(web, "HEAD", path)
    get, body = ask(web, "GET", path)
    assert (head.status, nothing) == (get.status, b"")
    assert int(head.headers["Content-Length"]) == len(body) > 0


@pytest.mark.parametrize(
    ("method", "path", "status", "header"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/ws/", 404, None),
        ("POST", "/", 405, ("Allow", "GET, HEAD")),
        ("DELETE", "/healthz", 405, ("Allow", "GET, HEAD")),
        ("POST", "/ws", 405, ("Allow", "GET")),
        ("GET", "/ws", 426, ("Upgrade", "websocket")),
    ],
)
def test_refusals(
    web: http.client.HTTPConnection, method: str, path: str, status: int, header: tuple[str, str] | None
) -> None:
    response, body = ask(web, method, path)
    assert response.status == status
    assert response.headers["Content-Type"].startswith("text/plain")
    assert 0 < len(body) < 200
    if header is not None:
        assert response.headers[header[0]] == header[1]


def test_connection_is_kept(web: http.client.HTTPConnection) -> None:
    web.connect()
    kept = web.sock
    for _ in range(3):
        assert ask(web, "GET", "/healthz")[0].status == 200
        assert web.sock is kept


def test_pipelined_requests_are_answered_in_order(shared: Server) -> None:
    answers = answer_to(
        shared,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    assert answers.count("HTTP/1.1 200") == 3
    assert answers.index("ok\n") < answers.index("<title>")


def test_http_1_0_is_answered_and_closed(shared: Server) -> None:
    assert answer_to(shared, b"GET /healthz HTTP/1.0\r\n\r\n").endswith("\r\n\r\nok\n")
