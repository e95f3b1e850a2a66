"""The closed loop: clients in rooms or pairs, some of which send, in one process that must never be the bottleneck.

The loop is closed: each sender keeps `window` messages outstanding and sends the next one when its own copy of one
arrives. Receivers do not parse: each message holds `MARK` once and nothing else holds it, so counting it counts
messages, whatever else the server sends. They read every 20 ms, a slice of them each millisecond: a load that is woken
by each write costs nearly as much as the server, and slows it down. Senders do parse, and check what the protocol
promises: `seq` without gaps, one `ack` for each message, in order and before the sender's own copy.

Run as a program it prints one JSON object: `Result`.
"""

from __future__ import annotations

import json
import select
import socket
import time
from contextlib import ExitStack
from typing import Any

import attrs

from .framing import CLOSE, MARK, TEXT, Frames, MarkCounter, masked
from .opening import TIMEOUT, LoadError, cpu_seconds, name_of, open_clients, run_as_program

CONTENT_BYTES = 100
IDS = 256  # ids repeat after so many messages; a window must be smaller
TICK = 0.001  # seconds between two looks at the senders' sockets
SLICE = 20  # ticks between two looks at a receiver's: what it then finds must fit the socket's buffer, 128 KiB
PREPARED_BYTES = 1 << 20  # of one sender's contents: the ids repeat sooner where these are large


@attrs.frozen(kw_only=True)
class Load:
    """What to do: `clients` connections to `port`, `senders` of them sending; `warmup` and `seconds` are seconds.

    The clients are spread evenly over `rooms`; `private` 1: each room is two who send privates instead, and both get
    each. `idle` more connections only exist. `slice`: a receiver is looked at once in so many ticks.
    """

    port: int
    server_pid: int
    clients: int = 1_000
    senders: int = attrs.field(default=10, validator=attrs.validators.ge(1))
    window: int = attrs.field(default=10, validator=attrs.validators.lt(IDS))
    rooms: int = 1
    private: int = 0
    content_bytes: int = CONTENT_BYTES
    idle: int = 0
    slice: int = SLICE
    warmup: float = 1.0
    seconds: float = 3.0

    def __attrs_post_init__(self) -> None:
        """Check what two fields say together."""
        if self.clients < self.senders:
            raise ValueError(f"senders: {self.senders} must be at most clients = {self.clients}")
        if self.clients % self.rooms or (self.private and self.clients != 2 * self.rooms):
            raise ValueError(f"rooms: {self.rooms} rooms cannot share {self.clients} clients evenly")

    def room(self, n: int) -> str:
        """The room of the n-th client."""
        return "general" if self.rooms == 1 else f"room{n * self.rooms // self.clients:05}"

    def target(self, n: int) -> dict[str, str]:
        """Where the n-th client sends to."""
        return {"type": "private", "to": name_of(n ^ 1)} if self.private else {"type": "message", "room": self.room(n)}


@attrs.frozen(kw_only=True)
class Result:
    """What came of it: `sent` and `delivered` over the whole run, the rest over the measured seconds alone."""

    sent: int
    delivered: int
    deliveries_per_second: float
    bytes_per_delivery: float
    load_cpu: float  # share of one core, 0 to 1
    server_cpu: float


@attrs.frozen
class Sample:
    """All counters at one moment; a rate is the difference of two."""

    at: float
    delivered: int
    received_bytes: int
    load_cpu: float
    server_cpu: float


class Receiver(MarkCounter):
    """A client that only reads."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__()
        self.name, self.recv_into = name, sock.recv_into


class Sender:
    """A client that sends, and checks everything it gets."""

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        parser: Frames,
        window: int,
        target: dict[str, str] | None = None,
        content_bytes: int = CONTENT_BYTES,
    ) -> None:
        self.name, self.recv_into = name, sock.recv_into
        self.sent = 0
        self.sending = False
        self._sock, self._window = sock, window
        target = target or {"type": "message", "room": "general"}
        self._type = target["type"]
        self._ids = min(IDS, max(window + 1, PREPARED_BYTES // content_bytes))
        self._contents = [f"{MARK.decode()}{name} {n} ".ljust(content_bytes, "x") for n in range(self._ids)]
        self._frames = [
            masked(json.dumps({**target, "id": n, "content": content}).encode())
            for n, content in enumerate(self._contents)
        ]
        self._parser = parser
        self._acked = self._echoed = 0
        self._seq: int | None = None

    def start(self) -> None:
        """Fill the window."""
        self.sending = True
        for _ in range(self._window):
            self._send()

    def count(self, buffer: bytearray, size: int) -> int:
        """Take the next piece; send one message for each of our own that came back. Return the number of messages."""
        messages = 0
        for opcode, payload in self._parser.feed(bytes(buffer[:size])):
            if opcode == CLOSE:
                raise LoadError(f"{self.name} was closed: {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
            if opcode == TEXT:
                messages += self._frame(json.loads(payload))
        return messages

    def _frame(self, frame: dict[str, Any]) -> bool:
        if frame["type"] == "error":
            raise LoadError(f"{self.name} got {frame}")
        if frame["type"] == "ack":
            self._expect("ack", frame["id"], self._acked % self._ids)
            self._acked += 1
        if frame["type"] != self._type:
            return False
        self._expect("seq", frame["seq"], frame["seq"] if self._seq is None else self._seq + 1)
        self._seq = frame["seq"]
        if frame["sender"] == self.name:
            self._expect("own copy", frame["content"], self._contents[self._echoed % self._ids])
            self._echoed += 1
            self._expect("ack before own copy", self._acked >= self._echoed, True)
            if self.sending:
                self._send()
        return True

    def _send(self) -> None:
        frame = self._frames[self.sent % self._ids]
        if len(frame) < 65_536:
            # A window of small frames always fits the socket's buffer: BlockingIOError would mean that nobody reads.
            self._sock.sendall(frame)
        else:
            self._sock.settimeout(TIMEOUT)
            self._sock.sendall(frame)
            self._sock.setblocking(False)
        self.sent += 1

    def _expect(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            raise LoadError(f"{self.name}: {what} is {got!r}, not {expected!r}")


class Driver:
    """All clients in one thread."""

    def __init__(self, load: Load, connections: list[tuple[socket.socket, Frames]]) -> None:
        self.load = load
        self.delivered = self.received_bytes = 0
        self.senders: list[Sender] = []
        self._buffer = bytearray(1 << 20)
        self._clients: dict[int, Receiver | Sender] = {}
        self._sending, self._receiving = select.epoll(), select.epoll()
        every = load.clients // load.senders  # senders are spread over the members, not the first that are served
        for n, (sock, parser) in enumerate(connections):
            if n % every == 0 and len(self.senders) < load.senders:
                self.senders.append(Sender(sock, name_of(n), parser, load.window, load.target(n), load.content_bytes))
                self._clients[sock.fileno()] = self.senders[-1]
                self._sending.register(sock.fileno(), select.EPOLLIN)
            else:
                self._clients[sock.fileno()] = Receiver(sock, name_of(n))
                self._receiving.register(sock.fileno(), select.EPOLLIN)

    @property
    def expected(self) -> int:
        """Deliveries that the messages sent so far must make."""
        return sum(sender.sent for sender in self.senders) * (self.load.clients // self.load.rooms)

    def run(self) -> Result:
        """Warm up, measure, drain.

        Raises:
            LoadError: the server broke a promise, lost a message or doubled one.
        """
        for sender in self.senders:
            sender.start()
        self._until(time.perf_counter() + self.load.warmup)
        before = self._sample()
        self._until(before.at + self.load.seconds)
        after = self._sample()
        self._drain()
        if self.delivered != self.expected:
            raise LoadError(f"delivered {self.delivered} of {self.expected} messages")

        seconds, deliveries = after.at - before.at, after.delivered - before.delivered
        return Result(
            sent=sum(sender.sent for sender in self.senders),
            delivered=self.delivered,
            deliveries_per_second=deliveries / seconds,
            bytes_per_delivery=(after.received_bytes - before.received_bytes) / max(deliveries, 1),
            load_cpu=(after.load_cpu - before.load_cpu) / seconds,
            server_cpu=(after.server_cpu - before.server_cpu) / seconds,
        )

    def _until(self, end: float) -> None:
        while time.perf_counter() < end:
            self._tick()

    def _drain(self) -> None:
        """Stop sending, take what is due, and listen a moment longer for what is not."""
        for sender in self.senders:
            sender.sending = False
        progress = time.perf_counter()
        while self.delivered < self.expected and time.perf_counter() - progress < TIMEOUT:
            if self._tick():
                progress = time.perf_counter()
        self._until(time.perf_counter() + 0.1)

    def _tick(self) -> int:
        """Read from the senders and a slice of the receivers, then sleep; return the number of messages."""
        events = self._sending.poll(0) + self._receiving.poll(0, self.load.clients // self.load.slice + 1)
        messages = self._read(events)
        time.sleep(TICK)
        return messages

    def _read(self, events: list[tuple[int, int]]) -> int:
        """Read once from each client that has something; return the number of messages."""
        clients, buffer = self._clients, self._buffer
        messages = received = 0
        for fd, _event in events:
            client = clients[fd]
            try:
                size = client.recv_into(buffer)
            except OSError as error:
                raise LoadError(f"{client.name} was cut: {error}") from error
            if not size:
                raise LoadError(f"{client.name} was closed")
            received += size
            messages += client.count(buffer, size)
        self.delivered += messages
        self.received_bytes += received
        return messages

    def _sample(self) -> Sample:
        self._read(self._receiving.poll(0, self.load.clients))  # none may be up to a slice behind
        return Sample(
            time.perf_counter(),
            self.delivered,
            self.received_bytes,
            time.process_time(),
            cpu_seconds(self.load.server_pid),
        )


def drive(load: Load) -> Result:
    """Do the whole run, in at most about its own seconds, twice `TIMEOUT` and the connecting.

    Raises:
        LoadError: the server refused a client, broke a promise, lost a message or doubled one.
    """
    names = [name_of(n) for n in range(load.clients)]
    rooms = [load.room(n) for n in range(load.clients)] if load.rooms > 1 and not load.private else []
    with ExitStack() as sockets:
        open_clients(load.port, [f"i{n:05}" for n in range(load.idle)], sockets)
        return Driver(load, open_clients(load.port, names, sockets, rooms)).run()


if __name__ == "__main__":
    run_as_program(Load, drive, __doc__)
