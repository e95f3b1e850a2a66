"""The virtual network: what is sent arrives, once and in order, unless the link is broken."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.sim.chance import branch, run_in_virtual_time
from trio_chat.sim.network import CAPACITY, Door, End, Network, Packet, Weather

ADDRESS = ipaddress.IPv4Address("10.0.0.1")


async def linked(weather: Weather | None = None, seed: int = 1) -> tuple[Network, End, trio.abc.Stream, list[Packet]]:
    """A network, a link's two ends, and the packets that go over it."""
    packets: list[Packet] = []
    network = Network(weather or Weather(), branch(seed, "network"), packets.append, {})
    network.door = Door()
    client = await network.dial("ann", ADDRESS)
    return network, client, await network.door.accept(), packets


@given(st.lists(st.binary(max_size=3 * CAPACITY), max_size=5), st.integers(0, 1000), st.floats(0, 1))
def test_all_arrives_once_and_in_order(sent: list[bytes], seed: int, pieces: float) -> None:
    async def main() -> bytes:
        _, client, server, packets = await linked(Weather(latency=0.1, jitter=0.5, pieces=pieces), seed)
        got = b""

        async def send() -> None:
            for data in sent:
                await client.send_all(data)
            await client.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while data := await server.receive_some():
                got += data
        assert all(packet.at >= packet.sent + 0.1 for packet in packets)
        assert all(one.at <= after.at for one, after in pairwise(packets))
        return got

    assert run_in_virtual_time(seed, main) == b"".join(sent)


def test_whoever_does_not_read_is_felt_by_whoever_writes() -> None:
    async def main() -> None:
        _, client, server, _ = await linked()
        assert client.try_send(bytes(2 * CAPACITY)) == CAPACITY
        assert client.try_send(b"more") == 0
        with trio.move_on_after(1000) as scope:
            await client.send(b"more")
        assert scope.cancelled_caught
        await server.receive_some(10)
        assert await client.send(b"more, and more") == 10

    run_in_virtual_time(1, main)


def test_a_cut_is_known_on_both_sides_at_once() -> None:
    async def main() -> None:
        network, client, server, _ = await linked()
        await client.send_all(b"lost")
        network.links[0].cut()
        for end in (client, server):
            with pytest.raises(trio.BrokenResourceError):
                await end.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await end.send_all(b"x")

    run_in_virtual_time(1, main)


def test_a_peer_that_vanished_is_told_to_nobody() -> None:
    async def main() -> None:
        network, client, server, _ = await linked()
        network.links[0].vanish()
        await client.send_all(b"into the void")
        await client.aclose()
        with trio.move_on_after(10_000) as scope:
            await server.receive_some()
        assert scope.cancelled_caught

    run_in_virtual_time(1, main)


def test_a_stall_ends() -> None:
    async def main() -> None:
        network, client, server, _ = await linked()
        await client.send_all(b"one")
        network.links[0].stall(100.0)
        await client.send_all(b"two")
        assert await server.receive_some() == b"one"
        assert trio.current_time() == 100.0
        assert await server.receive_some() == b"two"

    run_in_virtual_time(1, main)


def test_an_end_that_is_closed() -> None:
    async def main() -> None:
        network, client, server, _ = await linked()
        await client.send_all(b"last words")
        await client.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"x")
        assert await server.receive_some() == b"last words"
        assert await server.receive_some() == b""
        assert network.door is not None
        await network.door.aclose()
        with pytest.raises(ConnectionRefusedError):
            await network.dial("ann", ADDRESS)
        with pytest.raises(trio.ClosedResourceError):
            await network.door.accept()

    run_in_virtual_time(1, main)
