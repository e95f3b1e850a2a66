"""Who comes in: attempts, bans, origins, proxies, tickets, and how many."""

from __future__ import annotations

import ipaddress
import socket

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from .harness import House, Response, house, request, upgrade

NETS = (ipaddress.ip_network("127.0.0.0/8"),)


async def knock(server: House, path: str = "/ws", **headers: str | None) -> Response:
    """The answer to an upgrade; the peer leaves at once."""
    peer = server.knock()
    await peer.send(upgrade(path, **headers))
    response = await peer.response()
    await peer.drop()
    await server.empty()
    return response


@pytest.mark.parametrize(
    ("origin", "options", "status"),
    [
        (None, {"environment": "production"}, 101),
        ("https://evil.example", {"environment": "production"}, 403),
        ("https://evil.example", {}, 101),
        ("https://chat.example", {"environment": "production"}, 101),
        ("http://CHAT.example", {"environment": "production"}, 101),
        ("https://chat.example:1", {"environment": "production"}, 403),
        ("https://[broken", {"environment": "production"}, 403),
        ("null", {"environment": "production"}, 403),
        ("https://chat.example/", {"environment": "production"}, 403),
        ("https://evil.example@chat.example", {"environment": "production"}, 403),
        ("https://chat.example/\r\nOrigin: https://evil.example", {"environment": "production"}, 403),
        ("https://a.example.org", {"allowed_origins": ("https://*.example.org",)}, 101),
        ("HTTPS://A.EXAMPLE.ORG", {"allowed_origins": ("https://*.example.org",)}, 101),
        ("https://example.org.evil", {"allowed_origins": ("https://*.example.org",)}, 403),
    ],
)
async def test_origins(origin: str | None, options: dict[str, object], status: int, autojump_clock: MockClock) -> None:
    async with house(**options) as server:
        assert (await knock(server, origin=origin)).status == status


async def test_an_attempt_too_many_bans_and_the_ban_ends(autojump_clock: MockClock) -> None:
    async with house(max_attempts=3, attempt_window=15, ban_seconds=60) as server:
        assert [(await knock(server)).status for _ in range(3)] == [101] * 3
        banning = await knock(server)
        assert (banning.status, banning.headers["retry-after"]) == (429, "60")
        await trio.sleep(20.5)
        banned = await knock(server)
        assert (banned.status, banned.headers["retry-after"]) == (403, "40")
        await trio.sleep(39.5)
        assert (await knock(server)).status == 101


@pytest.mark.parametrize(
    ("data", "counts"),
    [
        (request("GET", "/"), False),
        (request("GET", "/healthz"), False),
        (request("GET", "/nowhere"), False),
        (b"", False),
        (b"GET / HT", True),
        (b"garbage\r\n\r\n", True),
        (b"X" * 17_000, True),
        (upgrade(sec_websocket_key="x"), True),
        (upgrade(), True),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
async def test_what_is_an_attempt(data: bytes, counts: bool, trusted: bool, autojump_clock: MockClock) -> None:
    """A page or a health check is none; nobody is banned for looking."""
    options = {"trusted_addresses": NETS} if trusted else {}
    async with house(max_attempts=3, **options) as server:
        for _ in range(4):
            peer = server.knock()
            await peer.send(data)
            await trio.sleep(0.1)
            await peer.drop()
            await server.empty()
        await trio.sleep(1)
        assert bool(server.broker.banned) is (counts and not trusted)


async def test_a_head_that_never_comes_whole_is_an_attempt_by_timeout(autojump_clock: MockClock) -> None:
    async with house(max_attempts=3, connect_timeout=1) as server:
        for data in (b"G", request("GET", "/") + b"G", b"G", b"G"):
            peer = server.knock()
            await peer.send(data)
            await trio.sleep(1.5)
            await peer.drop()
        assert server.broker.banned


async def test_a_ticket_passes_a_ban(autojump_clock: MockClock) -> None:
    async with house(max_attempts=1, ban_seconds=60) as server:
        peer = server.knock()
        ticket = (await peer.connect("alice"))["ticket"]
        for _ in range(2):
            other = server.knock()
            await other.send(upgrade())
            assert (await other.response()).status in (429, 403)
            await other.drop()
        for path, status in [
            (f"/ws?ticket={ticket}", 101),
            (f"/ws?a=b&ticket={ticket}&ticket=x", 101),
            (f"/ws?ticket={ticket}x", 403),
            ("/ws?ticket=", 403),
            ("/ws?ticket=%ff%00", 403),
        ]:
            again = server.knock()
            await again.send(upgrade(path))
            response = await again.response()
            assert response.status == status, path
            if status == 403:
                assert response.headers["retry-after"] == "60"
            await again.drop()
            await trio.lowlevel.checkpoint()
            server.state.chat.gate._attempts.clear()
            server.state.chat.gate._forget._due.clear()
        await peer.drop()


async def test_full_and_crowded(autojump_clock: MockClock) -> None:
    async with house(max_connections=2, max_connections_per_address=1, trusted_proxies=NETS) as server:
        peers = [server.knock(), server.knock()]
        await peers[0].open(x_forwarded_for="192.0.2.1")
        crowded = await refused(server, "192.0.2.1")
        assert (crowded.status, crowded.headers["retry-after"]) == (429, "10")
        await peers[1].open(x_forwarded_for="192.0.2.2")
        full = await refused(server, "192.0.2.3")
        assert (full.status, full.headers["retry-after"]) == (503, "5")
        await peers[0].drop()
        await wait_all_tasks_blocked()
        await server.knock().open(x_forwarded_for="192.0.2.3")


async def refused(server: House, address: str) -> Response:
    peer = server.knock()
    await peer.send(upgrade(x_forwarded_for=address))
    response = await peer.response()
    await peer.ended()
    return response


async def test_attempts_through_a_trusted_proxy_are_the_clients(autojump_clock: MockClock) -> None:
    """Bad ones too: else a client would get the proxy banned, and go free."""
    async with house(max_attempts=3, trusted_proxies=NETS) as server:
        for _ in range(4):
            await knock(server, x_forwarded_for="10.0.0.1, 192.0.2.1", sec_websocket_key="bad")
        assert list(server.broker.banned) == ["192.0.2.1"]
        assert (await knock(server, x_forwarded_for="192.0.2.1")).status == 403
        assert (await knock(server, x_forwarded_for="192.0.2.2")).status == 101


async def test_an_answer_can_be_read_though_bytes_were_left_unread(autojump_clock: MockClock) -> None:
    """A socket that is closed with bytes unread is reset, and takes the answer along."""
    async with house() as server:
        peer = await server.plug()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000)
        assert (await peer.response()).status == 431
        await peer.ended()
        await peer.drop()


async def test_a_reset_within_a_head_is_an_attempt_too(autojump_clock: MockClock) -> None:
    """Else who means harm would close that way."""
    async with house(max_attempts=2) as server:
        for data in (b"", b"", b"G", b"GET / HT", b"G"):
            peer = await server.plug()
            assert isinstance(peer.stream, trio.SocketStream)
            if data:
                await peer.send(data)
                await wait_all_tasks_blocked()
            peer.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            peer.stream.socket.close()
            await wait_all_tasks_blocked()
        assert list(server.broker.banned) == ["127.0.0.1"]


async def test_connections_are_counted_by_64_and_by_48(autojump_clock: MockClock) -> None:
    async with house(trusted_proxies=NETS) as server:
        peers = [server.knock() for _ in range(2)]
        for peer, address in zip(peers, ("2001:db8:0:1::1", "2001:db8:0:2::1"), strict=True):
            await peer.open(x_forwarded_for=address)
        assert server.state.chat.gate._per_address == {
            "2001:db8:0:1::/64": 1,
            "2001:db8:0:2::/64": 1,
            "2001:db8::/48": 2,
        }
        for peer in peers:
            await peer.drop()
