"""The open loop: messages leave at times fixed in advance, whatever the server does, and latency counts from those.

A server that stalls is charged for all that should have been sent meanwhile (no coordinated omission). Latencies are
kept exactly, one of each delivery. The load looks at its sockets every 0.1 ms: it is no finer than that.
"""

from __future__ import annotations

import json
import select
import time
from contextlib import ExitStack

import attrs

from .framing import CLOSE, MARK, masked
from .opening import TIMEOUT, Client, LoadError, cpu_seconds, name_of, open_clients, run_as_program

DIGITS = 8  # of a message's number, straight after the mark
NAP = 0.0001  # seconds between two looks


@attrs.frozen(kw_only=True)
class Pace:
    """What to do: `rate` messages a second, one client of each of `rooms` sending in turn, for `seconds`."""

    port: int
    server_pid: int
    clients: int = 1_000
    rooms: int = 100
    rate: int = 2_000
    warmup: float = 1.0
    seconds: float = 4.0


@attrs.frozen(kw_only=True)
class Result:
    """Of the measured seconds: latencies in milliseconds, CPU as a share of one core."""

    deliveries_per_second: float
    p50: float
    p99: float
    p999: float
    slowest: float
    ack_p50: float
    ack_p99: float
    load_cpu: float
    server_cpu: float


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` of an ascending list does not exceed; nearest rank. 0 of an empty one."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)] if ordered else 0.0


class Pacer:
    """All clients in one thread; everything that arrives is stamped and parsed."""

    def __init__(self, pace: Pace, clients: list[Client]) -> None:
        self.pace = pace
        self.clients = {sock.fileno(): (sock, parser) for sock, parser in clients}
        self.epoll = select.epoll()
        for fd in self.clients:
            self.epoll.register(fd, select.EPOLLIN)
        members = pace.clients // pace.rooms
        self.senders = [clients[room * members][0] for room in range(pace.rooms)] if clients else []
        self.first, self.total = int(pace.rate * pace.warmup), int(pace.rate * (pace.warmup + pace.seconds))
        self.expected = self.total * members
        self.frames = [masked(json.dumps(self._message(n)).encode()) for n in range(self.total)]
        self.start = 0.0
        self.sent = self.delivered = 0
        self.latencies: list[float] = []
        self.acks: list[float] = []

    def _message(self, n: int) -> dict[str, str | int]:
        content = f"{MARK.decode()}{n:0{DIGITS}} ".ljust(100, "x")
        return {"type": "message", "id": n, "room": room_name(n % self.pace.rooms), "content": content}

    def run(self) -> Result:
        """Send all, take all.

        Raises:
            LoadError: a client was closed, or not everything came.
        """
        self.start = time.perf_counter() + 0.1
        begun = ended = (0.0, 0.0, 0.0)
        deadline = self.start + self.pace.warmup + self.pace.seconds + TIMEOUT
        while self.delivered < self.expected:
            now = time.perf_counter()
            if now > deadline:
                raise LoadError(f"delivered {self.delivered} of {self.expected} messages")
            while self.sent < self.total and self.start + self.sent / self.pace.rate <= now:
                if self.sent == self.first:
                    begun = self._sample()
                self.senders[self.sent % self.pace.rooms].sendall(self.frames[self.sent])
                self.sent += 1
                if self.sent == self.total:
                    ended = self._sample()
            events = self.epoll.poll(0, 64)
            for fd, _event in events:
                self._read(fd)
            if not events:
                time.sleep(NAP)
        return self._result(begun, ended)

    def _read(self, fd: int) -> None:
        sock, parser = self.clients[fd]
        data = sock.recv(65_536)
        now = time.perf_counter()
        if not data:
            raise LoadError("a client was closed")
        for opcode, payload in parser.feed(data):
            if opcode == CLOSE or b'"error"' in payload:
                raise LoadError(f"a client got {payload!r}")
            at = payload.find(MARK)
            if at >= 0:
                self.delivered += 1
                self._count(int(payload[at + 2 : at + 2 + DIGITS]), now, self.latencies)
            elif b'"ack"' in payload:
                self._count(int(json.loads(payload)["id"]), now, self.acks)

    def _count(self, n: int, now: float, into: list[float]) -> None:
        if n >= self.first:
            into.append(1_000 * (now - self.start - n / self.pace.rate))

    def _sample(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), cpu_seconds(self.pace.server_pid)

    def _result(self, begun: tuple[float, float, float], ended: tuple[float, float, float]) -> Result:
        seconds = ended[0] - begun[0]
        latencies, acks = sorted(self.latencies), sorted(self.acks)
        return Result(
            deliveries_per_second=len(latencies) / seconds,
            p50=percentile(latencies, 0.5),
            p99=percentile(latencies, 0.99),
            p999=percentile(latencies, 0.999),
            slowest=latencies[-1],
            ack_p50=percentile(acks, 0.5),
            ack_p99=percentile(acks, 0.99),
            load_cpu=(ended[1] - begun[1]) / seconds,
            server_cpu=(ended[2] - begun[2]) / seconds,
        )


def room_name(n: int) -> str:
    """The n-th room."""
    return f"room{n:05}"


def drive(pace: Pace) -> Result:
    """Do the whole run, in at most about its own seconds, `TIMEOUT` and the connecting."""
    rooms = [room_name(n * pace.rooms // pace.clients) for n in range(pace.clients)]
    with ExitStack() as sockets:
        return Pacer(pace, open_clients(pace.port, [name_of(n) for n in range(pace.clients)], sockets, rooms)).run()


if __name__ == "__main__":
    run_as_program(Pace, drive, __doc__)
