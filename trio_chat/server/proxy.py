"""The PROXY protocol, versions 1 and 2: a proxy says, ahead of everything, whose connection it passes on.

(HAProxy's `proxy-protocol.txt`.) Anybody can write such a header, so it is read only where a trusted proxy must send
it, and never beyond its end: what comes behind it is TLS or HTTP.
"""

from __future__ import annotations

import ipaddress
import re

from trio_chat.server.address import Address, unmapped
from trio_chat.server.wire import Wire

MAX_V1 = 107  # bytes of a line, by the specification
MAX_V2 = 2048  # bytes of addresses and extensions that a header of version 2 may declare
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = 16  # bytes of version 2 ahead of its addresses
SHORTEST = len(b"PROXY UNKNOWN\r\n")
LOCAL, PROXY = 0x20, 0x21  # version 2, and the proxy speaks for itself, or for a client
WITHOUT_ADDRESS = (0x00, 0x31, 0x32)  # an unknown family, Unix sockets
TCP4, TCP6 = 0x11, 0x21
_UNKNOWN = re.compile(rb"PROXY UNKNOWN( [^\r\n]*)?\r\n")
_KNOWN = re.compile(rb"PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n")


class BadHeader(Exception):
    """What came is no such header; `silent`: nothing came at all."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(silent)
        self.silent = silent


async def read_header(wire: Wire) -> Address | None:
    """The client's address; None where the proxy names none. Cancelled: the connection must go.

    Raises:
        BadHeader: the peer sent something else, or left within it.
    """
    data = b""
    while more := missing(data):
        piece = await wire.receive(more)
        if not piece:
            raise BadHeader(silent=not data)
        data += piece
    return client_of(data)


def missing(data: bytes) -> int:
    """How many more bytes the header that begins with `data` has for certain: so many may be read. 0: it is whole.

    Raises:
        BadHeader: it is the begin of no header.
    """
    if not data:
        return SHORTEST
    if data.startswith(SIGNATURE[: len(data)]):
        if len(data) < FIXED:
            return FIXED - len(data)
        length = int.from_bytes(data[14:FIXED], "big")
        if length > MAX_V2:
            raise BadHeader
        return FIXED + length - len(data)
    begin = b"PROXY "
    if not data.startswith(begin[: len(data)]):
        raise BadHeader
    if data.endswith(b"\r\n"):
        return 0
    more = max(SHORTEST - len(data), 1 if data.endswith(b"\r") else 2)
    if len(data) + more > MAX_V1:
        raise BadHeader
    return more


def client_of(data: bytes) -> Address | None:
    """The client's address in a whole header; None where there is none.

    Raises:
        BadHeader: it breaks the rules.
    """
    try:
        return _of_v2(data) if data.startswith(SIGNATURE) else _of_v1(data)
    except ValueError:  # no address
        raise BadHeader from None


def _of_v1(line: bytes) -> Address | None:
    if _UNKNOWN.fullmatch(line):
        return None
    found = _KNOWN.fullmatch(line)
    if found is None or max(int(found[4]), int(found[5])) > 65_535:
        raise BadHeader
    kind = ipaddress.IPv4Address if found[1] == b"4" else ipaddress.IPv6Address
    client, _ = (kind(found[at].decode("ascii")) for at in (2, 3))
    return unmapped(client)


def _of_v2(header: bytes) -> Address | None:
    command, family, addresses = header[12], header[13], header[FIXED:]
    if command == LOCAL or (command == PROXY and family in WITHOUT_ADDRESS):
        return None
    size = {TCP4: 4, TCP6: 16}.get(family)
    if command != PROXY or size is None or len(addresses) < 2 * (size + 2):
        raise BadHeader
    return unmapped(ipaddress.ip_address(addresses[:size]))
