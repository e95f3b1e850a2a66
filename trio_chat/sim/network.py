"""A virtual network: bytes that take their time, in pieces that nobody chose, over links that break, stall and go deaf.

A link is two pipes. Like a socket's buffers each holds a bounded number of bytes, so that whoever does not read is felt
by whoever writes.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable
from random import Random

import attrs
import trio

CAPACITY = 65_536  # bytes that are on their way in one direction, at most
MOST_PIECES = 3  # that one write may arrive in
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@attrs.frozen(kw_only=True)
class Weather:
    """How the network is: `latency` and `jitter` in seconds; `pieces`: the share of writes that arrive in pieces."""

    latency: float = 0.02
    jitter: float = 0.02
    pieces: float = 0.2


@attrs.frozen
class Packet:
    """Bytes on their way: sent by link `link` at `sent`, and there at `at`."""

    link: int
    up: bool  # from the client to the server
    sent: float
    at: float
    data: bytes = attrs.field(repr=False)


class Pipe:
    """One direction of a link."""

    def __init__(self, link: int, *, up: bool, weather: Weather, rng: Random, sent: Callable[[Packet], None]) -> None:
        self._link, self._up, self._weather, self._rng, self._sent = link, up, weather, rng, sent
        self._packets: deque[Packet] = deque()
        self._under_way = 0
        self._not_before = 0.0  # nothing arrives before: what was sent first, or a stall
        self._ends_at: float | None = None
        self._changed = trio.lowlevel.ParkingLot()
        self.broken = False  # both sides get an error
        self.deaf = False  # whatever is sent is lost, and nobody is told

    def put(self, data: bytes | memoryview) -> int:
        """Send what there is room for, at once; returns how many bytes that is.

        Raises:
            trio.BrokenResourceError: the link is broken.
        """
        if self.broken or self._ends_at is not None:
            raise trio.BrokenResourceError
        taken = bytes(data[: CAPACITY - self._under_way])
        if taken:
            self._under_way += len(taken)
            for piece in [] if self.deaf else self._pieces(taken):
                packet = Packet(self._link, self._up, trio.current_time(), self._arrival(), piece)
                self._packets.append(packet)
                self._sent(packet)
            self.stir()
        return len(taken)

    def _pieces(self, data: bytes) -> list[bytes]:
        rng = self._rng
        if len(data) < 2 or rng.random() >= self._weather.pieces:
            return [data]
        cuts = sorted({rng.randrange(1, len(data)) for _ in range(rng.randrange(1, MOST_PIECES))})
        return [data[low:high] for low, high in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _arrival(self) -> float:
        weather = self._weather
        at = trio.current_time() + weather.latency + weather.jitter * self._rng.random()
        self._not_before = max(self._not_before, at)
        return self._not_before

    async def room(self) -> None:
        """Wait until `put` may take something. Cancelled: nothing is lost."""
        await trio.lowlevel.checkpoint()
        while self._under_way >= CAPACITY and not self.broken:
            await self._changed.park()

    async def get(self, max_bytes: int) -> bytes:
        """The next bytes that have arrived; empty at the end. Cancelled: nothing is lost.

        Raises:
            trio.BrokenResourceError: the link is broken.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self.broken:
                raise trio.BrokenResourceError
            due = self._packets[0].at if self._packets else self._ends_at
            if due is not None and due <= trio.current_time():
                return self._take(max_bytes)
            with trio.CancelScope(deadline=float("inf") if due is None else due):
                await self._changed.park()

    def _take(self, max_bytes: int) -> bytes:
        if not self._packets:
            return b""
        packet = self._packets.popleft()
        data, rest = packet.data[:max_bytes], packet.data[max_bytes:]
        if rest:
            self._packets.appendleft(attrs.evolve(packet, data=rest))
        self._under_way -= len(data)
        self.stir()
        return data

    def end(self) -> None:
        """Nothing more is sent: the end arrives behind all that was."""
        if self._ends_at is None and not self.deaf:
            self._ends_at = self._arrival()
            self.stir()

    def stall(self, until: float) -> None:
        """Nothing more arrives before `until`, also of what is under way."""
        self._not_before = max(self._not_before, until)
        self._packets = deque(attrs.evolve(packet, at=max(packet.at, until)) for packet in self._packets)
        self._ends_at = None if self._ends_at is None else max(self._ends_at, until)
        self.stir()

    def lose(self) -> None:
        """From now on, and of what is under way, nothing arrives."""
        self.deaf = True
        self._packets.clear()
        self._ends_at = None

    def snap(self) -> None:
        """Break: what is under way is lost, and both sides know it."""
        self.broken = True
        self._packets.clear()
        self.stir()

    def stir(self) -> None:
        """Wake all who wait, to look again."""
        self._changed.unpark_all()


class End(trio.abc.HalfCloseableStream):
    """One end of a link, as a Trio stream; and, for the server, as a wire that is written to at once.

    `address`: whose it is, for the other side.
    """

    def __init__(self, inward: Pipe, outward: Pipe, address: Address) -> None:
        self._in, self._out, self.address = inward, outward, address
        self._closed = False

    def try_send(self, data: bytes | memoryview) -> int:
        """Write what there is room for."""
        return 0 if self._closed else self._out.put(data)

    async def send(self, data: bytes | memoryview) -> int:
        """Write some. Cancelled: nothing of `data` was written."""
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            written = self._out.put(data)
            if written:
                return written
            await self._out.room()

    async def receive(self, max_bytes: int = CAPACITY) -> bytes:
        """Wait for bytes. Cancelled: nothing is lost."""
        if self._closed:
            raise trio.ClosedResourceError
        return await self._in.get(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all. Cancelled: nobody knows how much."""
        left = memoryview(bytes(data))
        while left:
            left = left[await self.send(left) :]
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        await self._out.room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As `receive`."""
        return await self.receive(max_bytes or CAPACITY)

    async def send_eof(self) -> None:
        """Say that no more will be written. Cancelled: nothing is lost."""
        await trio.lowlevel.checkpoint()
        self._out.end()

    def close(self) -> None:
        """Be gone, at once: the other side reads to the end, and is broken when it writes."""
        if not self._closed:
            self._closed = True
            self._out.end()
            self._in.stir()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class Link:
    """A connection of `client`."""

    number: int
    client: str
    up: Pipe
    down: Pipe

    @property
    def alive(self) -> bool:
        """Whether it carries anything."""
        return not self.up.broken and not (self.up.deaf and self.down.deaf)

    def cut(self) -> None:
        """Break it: both sides know."""
        self.up.snap()
        self.down.snap()

    def stall(self, until: float) -> None:
        """Let nothing arrive before `until`."""
        self.up.stall(until)
        self.down.stall(until)

    def vanish(self) -> None:
        """Let the peer be half open: nothing arrives any longer, on either side, and neither is told."""
        self.up.lose()
        self.down.lose()


class Door(trio.abc.Listener[trio.abc.Stream]):
    """What a server listens on, until it is closed."""

    def __init__(self) -> None:
        self._waiting: deque[End] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self.open = True

    def knock(self, end: End) -> None:
        """Let the server have `end`."""
        self._waiting.append(end)
        self._lot.unpark()

    async def accept(self) -> trio.abc.Stream:
        """The next who comes. Cancelled: nothing is lost."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if not self.open:
                raise trio.ClosedResourceError
            await self._lot.park()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Listen no more."""
        self.open = False
        self._lot.unpark_all()
        await trio.lowlevel.checkpoint()


class Network:
    """All links, and where the server listens. `sent` is called with each packet; `names`: whose link is which."""

    def __init__(self, weather: Weather, rng: Random, sent: Callable[[Packet], None], names: dict[int, str]) -> None:
        self._weather, self._rng, self._sent, self._names = weather, rng, sent, names
        self.door: Door | None = None
        self.links: list[Link] = []
        self.opened = 0

    async def dial(self, client: str, address: Address) -> End:
        """Connect to the server. Cancelled: nothing is left open.

        Raises:
            ConnectionRefusedError: nobody listens.
        """
        await trio.sleep(2 * self._weather.latency)
        if self.door is None or not self.door.open:
            raise ConnectionRefusedError("nobody listens")
        self.opened += 1
        self._names[self.opened] = client
        up, down = (
            Pipe(self.opened, up=up, weather=self._weather, rng=self._rng, sent=self._sent) for up in (True, False)
        )
        self.links = [link for link in self.links if link.alive]
        self.links.append(Link(self.opened, client, up, down))
        self.door.knock(End(up, down, address))
        return End(down, up, address)

    def cut_all(self) -> None:
        """Break all links: the machine at their other end is gone."""
        for link in self.links:
            link.cut()
        self.links.clear()
