"""Accepting: counted sockets, and what happens when descriptors run out."""

from __future__ import annotations

import errno
import ipaddress
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from trio_chat.config import Config
from trio_chat.server import entry
from trio_chat.server import listener as module
from trio_chat.server.address import Address
from trio_chat.server.listener import Listener

from .harness import Peer, house, request, socket_pair, upgrade

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Scripted(trio.abc.Listener[trio.abc.Stream]):
    """Accepts, or fails, as it is told; then it is closed."""

    def __init__(self, *does: trio.abc.Stream | Exception) -> None:
        self.does = iter(does)

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        did = next(self.does, trio.ClosedResourceError())
        if isinstance(did, Exception):
            raise did
        return did

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def accepted(*does: trio.abc.Stream | Exception) -> list[trio.abc.Stream]:
    """What a listener that does so serves."""
    served: list[trio.abc.Stream] = []

    async def serve(stream: trio.abc.Stream, peer: Address) -> None:
        served.append(stream)

    async with trio.open_nursery() as nursery:
        await Listener(Config(), serve).accept(Scripted(*does), nursery)
    return served


def out_of(code: int = errno.EMFILE) -> OSError:
    return OSError(code, os.strerror(code))


async def test_who_left_before_being_accepted_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stream, _ = memory_stream_pair()
    assert await accepted(out_of(errno.ECONNABORTED), stream) == [stream]
    assert caplog.text == ""


@pytest.mark.parametrize("code", module.EXHAUSTED)
async def test_out_of_descriptors_one_is_refused_and_the_rest_goes_on(
    code: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    refused, stream = memory_stream_pair()[0], memory_stream_pair()[0]
    assert await accepted(out_of(code), refused, stream) == [stream]
    assert "out of file descriptors" in caplog.text
    assert "Traceback" not in caplog.text


async def test_out_of_descriptors_for_long_it_waits_between(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = memory_stream_pair()[0]
    real = module._open_reserve
    monkeypatch.setattr(module, "_open_reserve", lambda: None)
    assert await accepted(*[out_of()] * 5, stream) == [stream]
    assert trio.current_time() == pytest.approx(0.5)
    monkeypatch.setattr(module, "_open_reserve", real)
    assert await accepted(out_of(), out_of(), stream) == [stream]
    assert trio.current_time() == pytest.approx(0.6)


async def test_running_out_of_descriptors_is_not_said_at_the_rate_that_peers_choose(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_open_reserve", lambda: None)
    await accepted(*[out_of()] * 150, memory_stream_pair()[0])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, "in fifteen seconds"
    assert said[1].endswith(" 101")


async def test_a_listener_that_closes_while_one_is_refused_is_closed(autojump_clock: MockClock) -> None:
    assert await accepted(out_of()) == []


async def test_nobody_to_refuse_is_not_waited_for_long(autojump_clock: MockClock) -> None:
    class Slow(Scripted):
        async def accept(self) -> trio.abc.Stream:
            did = next(self.does, None)
            if did is None:
                await trio.sleep_forever()
            assert isinstance(did, Exception)
            raise did

    async def serve(stream: trio.abc.Stream, peer: Address) -> None:
        raise AssertionError(stream, peer)

    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            await Listener(Config(), serve).accept(Slow(out_of()), nursery)
    assert trio.current_time() == 1


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Descriptors to fill the table with; all are closed at the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    yield held
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for descriptor in held:
        os.close(descriptor)


async def test_a_process_without_descriptors_answers_503(
    descriptors: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """And serves again as soon as it has some; no peer causes a traceback."""
    async with house() as server:
        (listening,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.connections.start_soon(Listener(server.config, server.doors.serve).accept, listening, server.connections)
        await wait_all_tasks_blocked()
        clients = [trio.socket.socket() for _ in range(2)]
        spare = os.open(os.devnull, os.O_RDONLY)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare, 64) + 64, hard))
        with pytest.raises(OSError, match="Too many open files"):  # noqa: PT012
            while True:
                descriptors.append(os.dup(spare))
        descriptors.append(spare)
        with trio.fail_after(5):
            for number, client in enumerate(clients):
                if number:
                    for _ in range(10):
                        os.close(descriptors.pop())
                await client.connect(listening.socket.getsockname())
                peer = Peer(trio.SocketStream(client))
                if number:
                    await peer.send(request("GET", "/healthz"))
                response = await peer.response()
                assert response.status == (200 if number else 503)
                assert number or response.headers["retry-after"] == "5"
                await peer.drop()
        assert "out of file descriptors" in caplog.text
        assert "Traceback" not in caplog.text
        await listening.aclose()


async def test_sockets_are_counted_whether_or_not_they_become_connections(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "SPARE_SOCKETS", 1)
    async with house(max_connections=2) as server:
        peers = [await server.plug() for _ in range(3)]
        await wait_all_tasks_blocked()
        refused = await server.plug()
        assert (await refused.response()).status == 503
        await peers[0].drop()
        await refused.drop()
        await wait_all_tasks_blocked()
        again = await server.plug()
        await again.open()
        for peer in [*peers[1:], again]:
            await peer.drop()


@pytest.mark.parametrize("exempt", [None, "trusted_addresses", "trusted_proxies"])
async def test_sockets_of_one_address_are_counted_unless_it_is_trusted(
    exempt: str | None, autojump_clock: MockClock
) -> None:
    """All clients come through a proxy's address; its own count says nothing of them."""
    options = {exempt: LOOPBACK} if exempt else {}
    async with house(max_connections_per_address=2, **options) as server:
        peers = [await server.plug() for _ in range(2)]
        await wait_all_tasks_blocked()
        third = await server.plug()
        if exempt is None:
            response = await third.response()
            assert (response.status, response.headers["retry-after"]) == (429, "5")
            await third.drop()
            await peers.pop().drop()
            await wait_all_tasks_blocked()
            third = await server.plug()
        await third.send(upgrade(x_forwarded_for="192.0.2.1"))
        assert (await third.response()).status == 101
        for peer in [*peers, third]:
            await peer.drop()


async def test_who_is_upgraded_does_not_wait_any_longer(autojump_clock: MockClock) -> None:
    """The broker counts it from then on: an address may have so many connections, and as many on their way."""
    async with house(max_connections_per_address=2) as server:
        peers = []
        for number in range(4):
            peers.append(await server.plug())
            if number < 2:
                await peers[-1].open()
        await wait_all_tasks_blocked()
        assert list(server.doors._waiting._counts.values()) == [2]
        fifth = await server.plug()
        assert (await fifth.response()).status == 429
        await fifth.drop()
        for peer in peers:
            await peer.drop()
        await wait_all_tasks_blocked()
        assert not server.doors._waiting._counts


@pytest.mark.parametrize("full", [True, False])
async def test_a_peer_that_reset_before_it_is_refused_harms_nobody(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing to it fails, and that must not end the listener."""
    monkeypatch.setattr(entry, "SPARE_SOCKETS", 0)
    options: dict[str, Any] = {"max_connections": 1} if full else {"denied_addresses": LOOPBACK}
    async with house(**options) as server:
        inside = server.knock() if full else None
        await wait_all_tasks_blocked()
        theirs, ours = await socket_pair()
        ours.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        ours.socket.close()
        server.listener.take(theirs)
        await wait_all_tasks_blocked()
        if inside is None:
            refused = await server.plug()
            assert (await refused.response()).status == 403
            await refused.drop()
        else:
            await inside.drop()
            await wait_all_tasks_blocked()
            await server.knock().open()


async def test_a_denied_peer_is_answered_without_being_read(caplog: pytest.LogCaptureFixture) -> None:
    """And neither counted nor logged, however often it comes."""
    async with house(denied_addresses=LOOPBACK, max_attempts=1) as server:
        for _ in range(5):
            peer = await server.plug()
            response = await peer.response()
            assert response.status == 403
            assert response.body == b"This address is not served\n"
            assert response.headers["x-content-type-options"] == "nosniff"
            await peer.ended()
            await peer.drop()
        assert not server.broker.banned
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
