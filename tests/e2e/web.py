"""Requests by the standard library's client, each on a connection of its own."""

from __future__ import annotations

import http.client

from .client import SECONDS
from .process import Server

HEADERS = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def page(server: Server, path: str) -> int:
    """The status of a page."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def upgrade(server: Server, *, query: str = "", **headers: str) -> http.client.HTTPResponse:
    """The answer to an upgrade request, its body read into `reason` where it is refused; the connection is closed."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)
    try:
        connection.request("GET", f"/ws{query}", headers={**HEADERS, **headers})
        response = connection.getresponse()
        if response.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            response.reason = response.read().decode()
        response.close()
        return response
    finally:
        connection.close()


def refused(server: Server, *, query: str = "", **headers: str) -> tuple[int, int | None]:
    """Status and Retry-After of an upgrade that must be refused, with a short text that says why."""
    response = upgrade(server, query=query, **headers)
    assert response.status != http.HTTPStatus.SWITCHING_PROTOCOLS
    assert response.headers["Content-Type"].startswith("text/plain")
    assert 0 < len(response.reason) < 200
    after = response.headers["Retry-After"]
    return response.status, None if after is None else int(after)
