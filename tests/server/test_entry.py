"""Who is served at all, and how many of one address may be on their way in."""

from __future__ import annotations

import ipaddress
import resource
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trio_chat.config import Config
from trio_chat.server import entry
from trio_chat.server.address import Networks, site_of, within
from trio_chat.server.entry import Lists, Pace, Waiting, sockets

from .harness import house, request

NETS = (ipaddress.ip_network("127.0.0.0/8"),)


def network(bits: int, number: int, prefix: int) -> Any:
    """A network of so many bits around an address."""
    kind = ipaddress.IPv4Network if bits == 32 else ipaddress.IPv6Network
    return kind((number % 2**bits, prefix % (bits + 1)), strict=False)


networks = st.lists(
    st.builds(network, st.sampled_from([32, 128]), st.integers(0, 2**128 - 1), st.integers(0, 128)), max_size=5
).map(tuple)


def lists(**options: Any) -> Lists:
    return Lists(Config.of(**options))


@given(networks=networks, data=st.data())
def test_networks_hold_what_lies_within_them(networks: tuple[Any, ...], data: st.DataObject) -> None:
    """As many, and one that is near an edge of one of them."""
    edges = [int(edge) + by for net in networks for edge in (net[0], net[-1]) for by in (-1, 0, 1)]
    number = data.draw(st.sampled_from([0, 1, *edges]))
    kinds: list[Any] = [ipaddress.IPv4Address] if 0 <= number < 2**32 else []
    kinds += [ipaddress.IPv6Address] if 0 <= number < 2**128 else []
    for kind in kinds:
        assert (kind(number) in Networks(networks)) == within(kind(number), networks)
    assert bool(Networks(networks)) == bool(networks)


@pytest.mark.parametrize(
    ("address", "barred"),
    [
        ("192.0.2.1", False),
        ("192.0.2.200", True),
        ("203.0.113.1", True),
        ("2001:db8::1", False),
        ("2001:db9::1", True),
        ("10.0.0.1", False),
        ("10.9.0.1", True),
    ],
)
def test_the_denied_go_first_and_a_proxy_need_not_be_allowed(address: str, barred: bool) -> None:
    some = lists(
        allowed_addresses=["192.0.2.0/24", "2001:db8::/32"],
        denied_addresses=["192.0.2.128/25", "10.9.0.0/16"],
        trusted_proxies=["10.0.0.0/8"],
    )
    assert some.bar(ipaddress.ip_address(address)) is barred


def test_without_lists_all_are_served() -> None:
    assert not lists().bar(ipaddress.ip_address("192.0.2.1"))
    assert lists(denied_addresses=["0.0.0.0/0"]).bar(ipaddress.ip_address("192.0.2.1"))


def held(waiting: Waiting, stack: ExitStack, *addresses: str) -> list[bool]:
    """Whether each was one too many; they stay."""
    return [stack.enter_context(waiting.one(ipaddress.ip_address(address))) for address in addresses]


def test_an_address_waits_with_so_many_and_a_48_with_four_times_that() -> None:
    waiting = Waiting(Config.of(max_connections_per_address=2, trusted_addresses=["127.0.0.0/8"]))
    with ExitStack() as stack:
        assert held(waiting, stack, *["192.0.2.1"] * 3, "192.0.2.2") == [False, False, True, False]
        assert held(waiting, stack, "2001:db8::1", "2001:db8::2", "2001:db8::3") == [False, False, True]
        assert held(waiting, stack, *[f"2001:db8:0:{net}::1" for net in range(1, 7)]) == [False] * 5 + [True]
        assert held(waiting, stack, "2001:db8:1::1") == [False]
        assert not any(held(waiting, stack, *["127.0.0.1"] * 9)), "trusted: not counted"
    assert not waiting._counts


def test_one_address_never_gets_more_than_a_part_of_what_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where it may have more connections than the process files."""
    limits = [(800, 800)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[0])
    assert sockets(Config()) == 800
    waiting = Waiting(Config())
    with ExitStack() as stack:
        assert held(waiting, stack, *["192.0.2.1"] * 101) == [False] * 100 + [True]
    limits[0] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert sockets(Config()) == 20_000 + entry.SPARE_SOCKETS


def test_an_address_begins_so_many_handshakes_at_once_and_in_each_window() -> None:
    pace = Pace(Config.of(max_connections_per_address=3, attempt_window=15, trusted_addresses=["127.0.0.0/8"]))

    def allowed(now: float, *addresses: str) -> int:
        return [pace.allows(ipaddress.ip_address(address), now) for address in addresses].count(True)

    assert allowed(0.0, *["192.0.2.1"] * 5) == 3
    assert allowed(0.0, "192.0.2.2") == 1
    assert allowed(5.0, *["192.0.2.1"] * 5) == 1
    assert allowed(100.0, *["192.0.2.1"] * 5) == 3
    assert allowed(0.0, *["2001:db8::1", "2001:db8::2"] * 3) == 3, "of one /64"
    assert allowed(100.0, *[f"2001:db8:0:{net}::1" for net in range(20)]) == 12, "of one /48"
    assert allowed(0.0, *["127.0.0.1"] * 9) == 9


def test_handshakes_of_so_many_addresses_are_counted_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "MOST_PACED", 10)
    pace = Pace(Config.of(max_connections_per_address=1))
    for number in range(100):
        assert pace.allows(ipaddress.ip_address(number), 0.0)
        assert len(pace._buckets) <= 10
    assert not pace.allows(ipaddress.ip_address(99), 0.0)
    assert pace.allows(ipaddress.ip_address(0), 0.0)


def test_the_48_of_an_address() -> None:
    assert site_of(ipaddress.ip_address("2001:db8:1:2::3")) == "2001:db8:1::/48"
    assert site_of(ipaddress.ip_address("192.0.2.1")) == ""


@pytest.mark.parametrize("path", ["/", "/healthz", "/ws"])
async def test_lists_are_of_the_client_that_a_proxy_names(path: str, autojump_clock: MockClock) -> None:
    """Of each request: a proxy may send those of many over one connection."""
    async with house(trusted_proxies=NETS, denied_addresses=["192.0.2.0/24"], max_attempts=1) as server:
        for _ in range(3):
            peer = server.knock()
            await peer.send(request("GET", "/", x_forwarded_for="203.0.113.1"))
            assert (await peer.response()).status == 200
            await peer.send(request("GET", path, x_forwarded_for="192.0.2.1"))
            response = await peer.response()
            assert (response.status, response.body) == (403, b"This address is not served\n")
            await peer.ended()
            await peer.drop()
        assert not server.broker.banned
