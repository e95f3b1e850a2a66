"""Crowds that say nothing: connections that only exist, come and go, or all join one room at once."""

from __future__ import annotations

import json
import select
import time
from contextlib import ExitStack

import attrs

from .framing import CLOSE, masked
from .opening import BATCH, TIMEOUT, Client, LoadError, cpu_seconds, name_of, open_clients, rss_kib, run_as_program

PING = 9
CLOSE_1000 = b"\x88\x82\0\0\0\0\x03\xe8"
SETTLE = 1.0  # seconds after connecting


@attrs.frozen(kw_only=True)
class Crowd:
    """What to do with `clients` connections. `kind`: `idle` for `seconds`, `churn` for `seconds`, or `join`."""

    port: int
    server_pid: int
    kind: str
    clients: int = 1_000
    warmup: float = 0
    seconds: float = 3.0


@attrs.frozen(kw_only=True)
class Result:
    """What came of it; a share of CPU is of one core, over the time that `rate` was measured in."""

    rate: float  # a second: connects, connects and closes, or joins
    kib_per_connection: float
    rest_cpu: float  # the server's, while nobody says anything
    load_cpu: float
    server_cpu: float


class Watch:
    """Time and CPU since it was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begun = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), cpu_seconds(self._pid)

    def read(self) -> tuple[float, float, float]:
        """Seconds, the load's share of CPU, the server's."""
        seconds, ours, theirs = (now - begun for now, begun in zip(self._now(), self._begun, strict=True))
        return seconds, ours / seconds, theirs / seconds


def idle(crowd: Crowd) -> Result:
    """Connect all, and do nothing but answer pings."""
    before = rss_kib(crowd.server_pid)
    with ExitStack() as sockets:
        watch = Watch(crowd.server_pid)
        clients = open_clients(crowd.port, [name_of(n) for n in range(crowd.clients)], sockets)
        seconds, load_cpu, server_cpu = watch.read()
        rest(clients, SETTLE)
        watch = Watch(crowd.server_pid)
        rest(clients, crowd.seconds)
        return Result(
            rate=crowd.clients / seconds,
            kib_per_connection=(rss_kib(crowd.server_pid) - before) / crowd.clients,
            rest_cpu=watch.read()[2],
            load_cpu=load_cpu,
            server_cpu=server_cpu,
        )


def rest(clients: list[Client], seconds: float) -> None:
    """Read whatever comes and answer pings, for `seconds`."""
    by_fd = {sock.fileno(): (sock, parser) for sock, parser in clients}
    with select.epoll() as epoll:
        for fd in by_fd:
            epoll.register(fd, select.EPOLLIN)
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            for fd, _event in epoll.poll(left):
                sock, parser = by_fd[fd]
                data = sock.recv(65_536)
                if not data:
                    raise LoadError("an idle client was closed")
                for opcode, payload in parser.feed(data):
                    if opcode == PING:
                        sock.sendall(b"\x8a" + bytes([0x80 | len(payload)]) + bytes(4) + payload)
                    elif opcode == CLOSE:
                        raise LoadError(f"an idle client was closed: {payload!r}")


def churn(crowd: Crowd) -> Result:
    """Connect and leave with 1000, batch by batch."""
    watch, done = Watch(crowd.server_pid), 0
    end = time.perf_counter() + crowd.seconds
    while time.perf_counter() < end:
        with ExitStack() as sockets:
            names = [name_of((done + n) % 100_000) for n in range(BATCH)]
            for sock, _parser in open_clients(crowd.port, names, sockets):
                sock.sendall(CLOSE_1000)
        done += BATCH
    seconds, load_cpu, server_cpu = watch.read()
    return Result(rate=done / seconds, kib_per_connection=0, rest_cpu=0, load_cpu=load_cpu, server_cpu=server_cpu)


def join(crowd: Crowd) -> Result:
    """Connect all, then all join one room at once; it is over when the last has its `ack`."""
    frame = masked(json.dumps({"type": "join", "id": 1, "room": "hall"}).encode())
    with ExitStack() as sockets:
        clients = open_clients(crowd.port, [name_of(n) for n in range(crowd.clients)], sockets)
        rest(clients, SETTLE)
        waiting = {sock.fileno(): (sock, parser) for sock, parser in clients}
        watch = Watch(crowd.server_pid)
        with select.epoll() as epoll:
            for fd, (sock, _parser) in waiting.items():
                sock.sendall(frame)
                epoll.register(fd, select.EPOLLIN)
            missing, deadline = set(waiting), time.perf_counter() + TIMEOUT
            while missing:
                if time.perf_counter() > deadline:
                    raise LoadError(f"{len(missing)} of {crowd.clients} had no ack within {TIMEOUT:g} s")
                for fd, _event in epoll.poll(1):
                    sock, parser = waiting[fd]
                    if any(b'"ack"' in payload for _opcode, payload in list(parser.feed(sock.recv(65_536)))):
                        missing.discard(fd)
                time.sleep(NAP)
        seconds, load_cpu, server_cpu = watch.read()
    rate = crowd.clients / seconds
    return Result(rate=rate, kib_per_connection=0, rest_cpu=0, load_cpu=load_cpu, server_cpu=server_cpu)


NAP = 0.001  # seconds between two looks at the joining
KINDS = {"idle": idle, "churn": churn, "join": join}


def drive(crowd: Crowd) -> Result:
    """Do one kind.

    Raises:
        LoadError: the server refused or closed somebody.
        ValueError: there is no such kind.
    """
    if crowd.kind not in KINDS:
        raise ValueError(f"kind: {crowd.kind!r} must be one of {', '.join(KINDS)}")
    return KINDS[crowd.kind](crowd)


if __name__ == "__main__":
    run_as_program(Crowd, drive, __doc__)
