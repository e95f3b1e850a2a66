"""Bans of the whole server, by operators: of users, of names, of networks.

A network is looked up by its prefix, so that a storm of connections costs the same with ten thousand bans as with one.
"""

from __future__ import annotations

import ipaddress

from trio_chat.config import Net
from trio_chat.core.effects import Now
from trio_chat.core.records import RightRecord, ServerBanRecord

USER_BITS = 64  # of an IPv6 address: whose they are is told by these, so that no ban is of fewer addresses


def read_network(written: str) -> Net:
    """An address or a CIDR network.

    Raises:
        ValueError: it is neither (no text), or has bits beyond its prefix, a slip in one of the numbers (a hint).
    """
    try:
        net = ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise ValueError from None
    if "/" in written and net.network_address != ipaddress.ip_interface(written).ip:
        raise ValueError(f" (did you mean {net}?)")
    return net


def banned_network(written: str) -> Net:
    """An address or a network, as it is banned: an IPv6 network is a /64 or larger.

    Raises:
        ValueError: it is neither, has bits beyond its prefix, or is everybody; the text is a hint, or empty.
    """
    net = read_network(written)
    if isinstance(net, ipaddress.IPv6Network):
        mapped = net.network_address.ipv4_mapped
        if mapped is not None and net.prefixlen >= 96:
            net = ipaddress.IPv4Network((mapped, net.prefixlen - 96))
        elif net.prefixlen > USER_BITS:
            net = net.supernet(new_prefix=USER_BITS)
    if net.prefixlen == 0:
        raise ValueError(" (not of all addresses)")
    return net


class Bans:
    """At most `most` bans; those that are over make way for new ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, ServerBanRecord] = {}
        self._nets: dict[tuple[int, int], dict[int, str]] = {}  # version and prefix length → network → subject

    def __len__(self) -> int:
        """How many there are, those that are over and were not met since among them."""
        return len(self._held)

    def all(self, now: Now) -> list[ServerBanRecord]:
        """Those in force, the oldest first."""
        return [ban for ban in self._held.values() if not is_over(ban, now)]

    def get(self, subject: str, now: Now) -> ServerBanRecord | None:
        """The ban of a subject, if it is in force."""
        ban = self._held.get(subject)
        return None if ban is None or is_over(ban, now) else ban

    def of_address(self, address: str, now: Now) -> ServerBanRecord | None:
        """The ban of a network that `address` (or a /64) lies in, if one is in force."""
        if not self._nets:
            return None
        try:
            net = ipaddress.ip_network(address)
        except ValueError:  # a stream in memory has no address
            return None
        number = int(net.network_address)
        for (version, bits), held in self._nets.items():
            if version == net.version and bits <= net.prefixlen:
                free = net.max_prefixlen - bits
                ban = self.get(held.get(number >> free << free, ""), now)
                if ban is not None:
                    return ban
        return None

    def make_room(self, subject: str, now: Now) -> list[str] | None:
        """The subjects of bans that are over and must go for one of `subject`; None: there is no room."""
        if subject in self._held or len(self._held) < self._most:
            return []
        return [ban.key for ban in self._held.values() if is_over(ban, now)] or None

    def add(self, ban: ServerBanRecord) -> None:
        """Put it in, in place of an earlier one."""
        self.drop(ban.key)
        self._held[ban.key] = ban
        if ban.key.startswith("net:"):
            net = banned_network(ban.key.removeprefix("net:"))
            self._nets.setdefault((net.version, net.prefixlen), {})[int(net.network_address)] = ban.key

    def drop(self, subject: str) -> None:
        """Take it out, if it is there."""
        ban = self._held.pop(subject, None)
        if ban is not None and subject.startswith("net:"):
            net = banned_network(subject.removeprefix("net:"))
            held = self._nets[net.version, net.prefixlen]
            del held[int(net.network_address)]
            if not held:
                del self._nets[net.version, net.prefixlen]


def is_over(ban: ServerBanRecord | RightRecord, now: Now) -> bool:
    """Whether its time has passed."""
    return ban.until is not None and ban.until <= now.wall


def left(ban: ServerBanRecord | RightRecord, now: Now) -> float | None:
    """Seconds after which to come back; None: it is for good."""
    return None if ban.until is None else ban.until - now.wall
