"""The PROXY protocol: what is a header, and that only a trusted proxy's counts."""

from __future__ import annotations

import ipaddress
import logging

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from trio_chat.server.proxy import MAX_V1, MAX_V2, SIGNATURE, BadHeader, client_of, missing, read_header
from trio_chat.server.wire import wire_of

from .harness import chunks_of, house, request, upgrade

NETS = (ipaddress.ip_network("127.0.0.0/8"),)
INET = bytes((192, 0, 2, 1, 198, 51, 100, 2)) + b"\x10\x00\x27\x10"
INET6 = ipaddress.ip_address("2001:db8::1").packed + ipaddress.ip_address("2001:db8::2").packed + b"\x10\x00\x27\x10"
MAPPED = ipaddress.ip_address("::ffff:192.0.2.7").packed * 2 + b"\x10\x00\x27\x10"


def v2(addresses: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """A header of version 2."""
    size = len(addresses) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2, "big") + addresses


GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1"),
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 16) + b"\r\n", None),
    (v2(INET), "192.0.2.1"),
    (v2(INET6, family=0x21), "2001:db8::1"),
    (v2(MAPPED, family=0x21), "192.0.2.7"),
    (v2(INET + b"\x04\x00\x03abc"), "192.0.2.1"),  # an extension
    (v2(INET + b"x" * (MAX_V2 - len(INET))), "192.0.2.1"),
    (v2(b"", command=0x20, family=0), None),  # LOCAL: a health check
    (v2(INET, command=0x20), None),
    (v2(b"", family=0), None),
    (v2(b"x" * 216, family=0x31), None),
]
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00" + b"x" * 20,
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
    b"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
    b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
    b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 example.org 1 2\r\n",
    b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
    b"proxy UNKNOWN\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN\r\r\n",
    b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 15) + b"\r\n",
    b"PROXY " + b"x" * 200,
    v2(INET, command=0x31),  # of a version that there is not
    v2(INET, command=0x22),
    v2(INET, family=0x12),  # UDP
    v2(INET, family=0x41),
    v2(INET[:-1]),
    v2(INET6[:-1], family=0x21),
    v2(b"x" * 40, length=MAX_V2 + 1),
    v2(INET + b"x" * (MAX_V2 + 1 - len(INET))),
]


def parsed(data: bytes, sizes: list[int]) -> tuple[str | None, int]:
    """What is read of `data` that comes in pieces of these sizes: the client, and how many bytes were taken."""
    taken, left = b"", b""
    pieces = chunks_of(data, sizes)
    while more := missing(taken):
        if not left:
            left = next(pieces, b"")
            if not left:
                raise BadHeader
        taken, left = taken + left[:more], left[more:]
    client = client_of(taken)
    return None if client is None else str(client), len(taken)


@pytest.mark.parametrize("sizes", [[1], [2, 3], [10_000]], ids=str)
@pytest.mark.parametrize(("header", "client"), GOOD)
def test_a_header_is_read_to_its_end_and_no_further(header: bytes, client: str | None, sizes: list[int]) -> None:
    assert parsed(header + b"GET / HTTP/1.1\r\n\r\n", sizes) == (client, len(header))


@pytest.mark.parametrize("sizes", [[1], [10_000]], ids=str)
@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_refused(data: bytes, sizes: list[int]) -> None:
    with pytest.raises(BadHeader):
        parsed(data, sizes)


def bent(headers: list[bytes]) -> st.SearchStrategy[bytes]:
    """Headers with a few bytes changed."""

    def bend(header: bytes, changes: list[tuple[int, int]]) -> bytes:
        changed = bytearray(header)
        for at, byte in changes:
            changed[at % len(changed)] = byte
        return bytes(changed)

    changes = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=3)
    return st.builds(bend, st.sampled_from(headers), changes)


@given(
    data=st.one_of(st.binary(max_size=300), bent([header for header, _ in GOOD])),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
@example(data=SIGNATURE, sizes=[1])
def test_any_bytes_in_any_pieces_are_a_header_or_none_and_the_same_one(data: bytes, sizes: list[int]) -> None:
    def outcome(sizes: list[int]) -> tuple[str | None, int] | None:
        try:
            return parsed(data, sizes)
        except BadHeader:
            return None

    assert outcome(sizes) == outcome([len(data) + 1])


async def test_reading_leaves_what_is_behind(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(GOOD[0][0] + b"behind")
    assert str(await read_header(wire_of(ours))) == "192.0.2.1"
    assert await ours.receive_some() == b"behind"


@pytest.mark.parametrize(("header", "client"), [GOOD[0], GOOD[8], GOOD[4], GOOD[12]])
async def test_a_trusted_proxy_says_whose_attempt_it_is(
    header: bytes, client: str | None, autojump_clock: MockClock
) -> None:
    """Without an address it is the proxy's own. Of `X-Forwarded-For` from that client nothing is believed."""
    async with house(max_attempts=1, trusted_proxies=NETS, proxy_protocol="on") as server:
        for status in (101, 429):
            peer = server.knock()
            await peer.send(header, upgrade(x_forwarded_for=None if client is None else "203.0.113.9"))
            assert (await peer.response()).status == status
            await peer.drop()
        counted = {"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/64", None: "127.0.0.1"}
        assert list(server.broker.banned) == [counted[client]]


async def test_a_proxy_before_the_proxy_is_read_through(autojump_clock: MockClock) -> None:
    """The header names a trusted proxy: what that one says of its client goes on from there."""
    async with house(max_attempts=1, trusted_proxies=NETS, proxy_protocol="on") as server:
        for _ in range(2):
            peer = server.knock()
            await peer.send(
                b"PROXY TCP4 127.9.9.9 127.0.0.1 1 2\r\n", upgrade(x_forwarded_for="203.0.113.9, 203.0.113.8")
            )
            await peer.response()
            await peer.drop()
        assert list(server.broker.banned) == ["203.0.113.8"]


@given(
    header=st.sampled_from([header for header, _ in GOOD]), head=st.sampled_from([upgrade(), request("GET", "/"), b""])
)
def test_nobody_else_is_believed(header: bytes, head: bytes) -> None:
    """Not where the option is off, and not where the peer is no trusted proxy: it is no HTTP, and counts for itself."""

    async def main() -> None:
        for options in ({"trusted_proxies": NETS}, {"trusted_proxies": ["10.0.0.0/8"], "proxy_protocol": "on"}):
            async with house(max_attempts=1, connect_timeout=1, **options) as server:
                for _ in range(2):
                    peer = server.knock()
                    await peer.send(header, head)
                    assert (await peer.response()).status in (400, 408)
                    await peer.drop()
                    await wait_all_tasks_blocked()
                assert list(server.broker.banned) == ["127.0.0.1"]

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("data", [upgrade(), b"PROXY TCP4 192.0.2.1", v2(INET)[:-1], BAD[2], b"\r\n\r\n"])
async def test_a_trusted_proxy_that_says_nothing_valid_is_dropped_and_counted(
    data: bytes, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(max_attempts=2, connect_timeout=5, trusted_proxies=NETS, proxy_protocol="on") as server:
        for _ in range(3):
            started = trio.current_time()
            peer = server.knock()
            await peer.send(data)
            await peer.ended()
            assert trio.current_time() - started in (0, 5)
            await peer.drop()
        await wait_all_tasks_blocked()
        assert list(server.broker.banned) == ["127.0.0.1"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [line for line in said if "PROXY header" in line] == [
        "127.0.0.1 is a trusted proxy and sent no PROXY header; it must (proxy_protocol)"
    ], "once"


async def test_a_proxy_that_only_looks_whether_somebody_listens_is_not_counted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(max_attempts=1, trusted_proxies=NETS, proxy_protocol="on") as server:
        for _ in range(3):
            await server.knock().drop()
        await wait_all_tasks_blocked()
        assert not server.broker.banned
    assert "PROXY" not in caplog.text


async def test_header_and_head_share_one_time(autojump_clock: MockClock) -> None:
    """Else a slow peer would have it twice."""
    async with house(connect_timeout=10, trusted_proxies=NETS, proxy_protocol="on") as server:
        peer = server.knock()
        started = trio.current_time()
        await trio.sleep(6)
        await peer.send(GOOD[0][0], b"GET / HT")
        assert (await peer.response()).status == 408
        assert trio.current_time() - started == pytest.approx(10)
        await peer.drop()


@pytest.mark.parametrize("list_", ["denied_addresses", "allowed_addresses"])
async def test_lists_are_of_the_client_behind_the_proxy(list_: str, autojump_clock: MockClock) -> None:
    """And a proxy itself need not be allowed."""
    options = {list_: ["192.0.2.0/24"]}
    async with house(max_attempts=1, trusted_proxies=NETS, proxy_protocol="on", **options) as server:
        statuses = []
        for client in ("192.0.2.1", "203.0.113.1"):
            peer = await server.plug()
            await peer.send(b"PROXY TCP4 %b 127.0.0.1 1 2\r\n" % client.encode(), request("GET", "/"))
            statuses.append((await peer.response()).status)
            await peer.drop()
        assert statuses == ([403, 200] if list_ == "denied_addresses" else [200, 403])


async def test_unfinished_heads_are_counted_by_client(autojump_clock: MockClock) -> None:
    """All of them come through the proxy's address, which itself is not counted."""
    async with house(max_connections_per_address=2, trusted_proxies=NETS, proxy_protocol="on") as server:
        peers = [await server.plug() for _ in range(4)]
        for number, peer in enumerate(peers):
            await peer.send(b"PROXY TCP4 192.0.2.%d 127.0.0.1 1 2\r\nG" % (1 if number < 3 else 2))
        assert (await peers[2].response()).status == 429
        await wait_all_tasks_blocked()
        assert server.doors._waiting._counts == {"192.0.2.1": 2, "192.0.2.2": 1}
        for peer in peers:
            await peer.drop()
