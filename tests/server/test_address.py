"""Whose connection it is."""

from __future__ import annotations

import ipaddress
import logging

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from trio_chat.server.address import LOCAL, Forwarded, counted_as, peer_of, within

from .harness import Peer, house, socket_pair, upgrade

PROXIES = tuple(ipaddress.ip_network(net) for net in ("10.0.0.0/8", "fd00::/8"))
PROXY = ipaddress.ip_address("10.0.0.1")


async def test_the_peer_of_a_socket_is_its_other_end() -> None:
    ours, theirs = await socket_pair()
    async with ours, theirs:
        assert str(peer_of(ours)) == "127.0.0.1"
        await theirs.aclose()
    assert peer_of(ours) == LOCAL, "closed: it is gone"
    assert peer_of(memory_stream_pair()[0]) == LOCAL


async def test_an_ipv4_peer_of_an_ipv6_socket_is_an_ipv4_peer() -> None:
    """`::ffff:127.0.0.1` and `127.0.0.1` are one address, with one count and one ban."""
    with trio.socket.socket(trio.socket.AF_INET6) as listening, trio.socket.socket() as connecting:
        listening.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 0)
        await listening.bind(("::", 0))
        listening.listen(1)
        await connecting.connect(("127.0.0.1", listening.getsockname()[1]))
        accepted, address = await listening.accept()
        assert address[0] == "::ffff:127.0.0.1"
        assert str(peer_of(trio.SocketStream(accepted))) == "127.0.0.1"
        accepted.close()


async def test_a_unix_socket_is_this_machine() -> None:
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        assert peer_of(trio.SocketStream(ours)) == LOCAL


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_user_is_a_64(address: str, counted: str) -> None:
    assert counted_as(ipaddress.ip_address(address)) == counted


def test_within_knows_both_families() -> None:
    assert within(PROXY, PROXIES)
    assert within(ipaddress.ip_address("fd12::1"), PROXIES)
    assert not within(ipaddress.ip_address("192.0.2.1"), PROXIES)
    assert not within(ipaddress.ip_address("::a00:1"), PROXIES)
    assert not within(PROXY, ())


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("192.0.2.9", None, "192.0.2.9"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5,198.51.100.1 , 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "::ffff:10.2.2.2", "10.2.2.2"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1, rubbish", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, rubbish, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", '"198.51.100.1"', "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
    ],
)
def test_the_header_is_read_from_the_right_through_trusted_proxies(peer: str, header: str | None, client: str) -> None:
    assert str(Forwarded(PROXIES).client(ipaddress.ip_address(peer), header)) == client


def test_a_private_address_that_is_not_believed_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    forwarded = Forwarded(())
    with caplog.at_level(logging.WARNING):
        forwarded.client(ipaddress.ip_address("8.8.8.8"), "203.0.113.5")
        forwarded.client(ipaddress.ip_address("192.168.1.1"), "203.0.113.5")
        forwarded.client(ipaddress.ip_address("192.168.1.2"), "203.0.113.5")
    assert [record.getMessage().split()[0] for record in caplog.records][-1:] == ["192.168.1.1"]


async def test_a_ban_is_of_the_real_address(autojump_clock: MockClock) -> None:
    """It is the socket's, taken before any stream is wrapped around it."""
    async with house(max_attempts=1) as server:
        for status in (101, 429):
            theirs, ours = await socket_pair()
            server.listener.take(theirs)
            peer = Peer(ours)
            await peer.send(upgrade(x_forwarded_for="203.0.113.5"))
            assert (await peer.response()).status == status
            await peer.drop()
        assert list(server.broker.banned) == ["127.0.0.1"]
