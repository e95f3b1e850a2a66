"""Whose connection it is: the address that is counted, from the socket or from proxies that are trusted."""

from __future__ import annotations

import ipaddress
import logging
from typing import TypeAlias

import trio

from trio_chat.config import Net

log = logging.getLogger(__name__)
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
LOCAL = ipaddress.IPv4Address("127.0.0.1")


def peer_of(stream: trio.abc.Stream) -> Address:
    """The socket's other end. A stream in memory may say an `address`; else it counts as this machine."""
    if not isinstance(stream, trio.SocketStream):
        return getattr(stream, "address", LOCAL)
    try:
        host = stream.socket.getpeername()[0]
        return unmapped(ipaddress.ip_address(str(host).partition("%")[0]))
    except (OSError, ValueError, IndexError):  # it is gone already, or a Unix socket
        return LOCAL


def unmapped(address: Address) -> Address:
    """An IPv4 address, also where it is written as an IPv6 one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def within(address: Address, networks: tuple[Net, ...]) -> bool:
    """Whether `address` lies in one of `networks`."""
    return any(address.version == network.version and address in network for network in networks)


class Networks:
    """A list of networks, however long: a look-up takes as many steps as there are different prefix lengths in it."""

    def __init__(self, networks: tuple[Net, ...]) -> None:
        self._begins: dict[tuple[int, int], set[int]] = {}  # (version, bits of the host) → the networks' other bits
        for network in networks:
            bits = network.max_prefixlen - network.prefixlen
            self._begins.setdefault((network.version, bits), set()).add(int(network.network_address) >> bits)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._begins)

    def __contains__(self, address: Address) -> bool:
        """Whether `address` lies in one of them."""
        number, version = int(address), address.version
        return any(of == version and number >> bits in begins for (of, bits), begins in self._begins.items())


def counted_as(address: Address) -> str:
    """What attempts, bans and connections are counted by: an IPv4 address, or the /64 that one IPv6 user has."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def site_of(address: Address) -> str:
    """The /48 around an IPv6 address: one customer may have it whole, and it is 65,536 times a /64. Else empty."""
    return "" if isinstance(address, ipaddress.IPv4Address) else str(ipaddress.IPv6Network((address, 48), strict=False))


def _bare(written: str) -> str:
    """Without the port that some proxies add: `1.2.3.4:56`, `[::1]:56`; and without quotes."""
    written = written.strip('"')
    if written.startswith("["):
        return written[1:].partition("]")[0]
    return written.partition(":")[0] if written.count(":") == 1 else written


class Forwarded:
    """Reads `X-Forwarded-For` from the right, through trusted proxies only: the rest of it anybody can write."""

    def __init__(self, trusted: tuple[Net, ...]) -> None:
        self._trusted = trusted
        self._warned = False

    def client(self, peer: Address, header: str | None) -> Address:
        """The nearest address that is no trusted proxy; `peer` where the header is not to be believed."""
        if header is None:
            return peer
        if not within(peer, self._trusted):
            if peer.is_private and not self._warned:
                self._warned = True
                log.warning(
                    "%s sends X-Forwarded-For and is not believed; if it is your proxy: --trusted-proxies", peer
                )
            return peer
        address = peer
        for written in reversed(header.split(",")):
            try:
                address = unmapped(ipaddress.ip_address(_bare(written.strip())))
            except ValueError:
                return address  # what a trusted proxy was told by somebody; it vouches for itself only
            if not within(address, self._trusted):
                return address
        return address
