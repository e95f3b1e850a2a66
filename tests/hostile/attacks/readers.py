"""Clients that never read, among those that do."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from statistics import median

from tests.benchmarks.framing import CLOSE, MARK, masked
from tests.benchmarks.opening import Client, LoadError, name_of, open_clients
from tests.benchmarks.pace import DIGITS, percentile

from ..scene import Outcome, Scene, attack
from ..vitals import Bounds
from ..wire import SECONDS, Broken, text, upgrade
from .frames import LOGGED

ROOM = "the café"
CHATTERS, DEAF = 200, 50
RATE = 50  # messages a second, of all chatters
CONTENT = 2000  # characters: who does not read is over its limit within two seconds
PHASE = 3.0  # seconds, of each calm and each attack
SMALL_MSS = 536  # so small that the kernel keeps tens of KB for a reader, and not megabytes
TIMES = 2.0  # what the others' p99 may be, of what it is in calm
TRIES = 2  # a machine that was busy with something else is asked again


class Chat:
    """Many who talk, at times fixed in advance, and note when each message reaches each of them."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = {sock.fileno(): (sock, parser) for sock, parser in clients}
        self._senders = [sock for sock, _ in clients]
        self._epoll = select.epoll()
        for fd in self._clients:
            self._epoll.register(fd, select.EPOLLIN)
        self._number = 0

    def talk(self, seconds: float) -> list[float]:
        """Latencies in seconds, ascending, of all deliveries. Raises Broken where one is missing."""
        count = int(seconds * RATE)
        first, self._number = self._number, self._number + count
        frames = [self._frame(first + n) for n in range(count)]
        latencies: list[float] = []
        began, sent = time.perf_counter() + 0.05, 0
        deadline = began + seconds + SECONDS
        while len(latencies) < count * len(self._senders):
            now = time.perf_counter()
            if now > deadline:
                raise Broken(f"{len(latencies)} of {count * len(self._senders)} deliveries came")
            while sent < count and began + sent / RATE <= now:
                self._senders[(first + sent) * 7 % len(self._senders)].sendall(frames[sent])
                sent += 1
            pause = began + sent / RATE - now if sent < count else 0.1
            for fd, _event in self._epoll.poll(max(0.0, min(pause, 0.1)), 64):
                for number, at in self._read(fd):
                    if number >= first:
                        latencies.append(at - began - (number - first) / RATE)
        return sorted(latencies)

    def _frame(self, number: int) -> bytes:
        content = f"{MARK.decode()}{number:0{DIGITS}} ".ljust(CONTENT, "x")
        return masked(json.dumps({"type": "message", "room": ROOM, "content": content}).encode())

    def _read(self, fd: int) -> list[tuple[int, float]]:
        sock, parser = self._clients[fd]
        data = sock.recv(1 << 18)
        now = time.perf_counter()
        if not data:
            raise Broken("somebody who chats was cut")
        found = []
        for opcode, payload in parser.feed(data):
            at = payload.find(MARK)
            if opcode == CLOSE or b'"error"' in payload[:100]:
                raise Broken(f"somebody who chats was told {payload[:200]!r}")
            if at >= 0:
                found.append((int(payload[at + 2 : at + 2 + DIGITS]), now))
        return found


def deaf(scene: Scene, name: str, stack: ExitStack) -> None:
    """Somebody who is in the room and never reads: not even the end, so only the server can say that it is gone."""
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_MSS)
    sock.settimeout(SECONDS)
    sock.connect(("127.0.0.1", scene.port))
    sock.sendall(upgrade() + text(type="connect", username=name) + text(type="join", room=ROOM))


def _sockets(scene: Scene) -> int:
    return scene.target.vitals().descriptors["socket"]


@attack("readers that never read", setting="small", bounds=Bounds(lines=LOGGED + 1, more_lines=700, memory=32))
def never_reading(scene: Scene) -> Outcome:
    """50 who never read, while 200 others chat: those are cut, and the others' p99 stays within 2 × of calm.

    Calm and attack take turns, so that what else the machine does meets both; judged is the median of the phases.
    """
    told = ""
    for attempt in range(TRIES):
        calm, attacked, count = _measure(scene, attempt)
        told = (
            f"p99 of {CHATTERS} others {median(attacked) * 1000:.1f} ms, in calm {median(calm) * 1000:.1f} ms "
            f"({median(attacked) / median(calm):.2f} ×)"
        )
        if median(attacked) <= TIMES * median(calm):
            return Outcome(count, told)
    raise Broken(f"{told}, of at most {TIMES:g} ×")


def _measure(scene: Scene, attempt: int) -> tuple[list[float], list[float], int]:
    """The p99 of each calm phase, and of each phase with those who do not read; and how many these were."""
    calm: list[float] = []
    attacked: list[float] = []
    phases = scene.count(8, 2)
    with ExitStack() as stack:
        names = [name_of(n) for n in range(CHATTERS)]
        try:
            chat = Chat(open_clients(scene.port, names, stack, [ROOM] * CHATTERS))
        except LoadError as error:
            raise Broken(str(error)) from None
        chat.talk(1.0)
        for phase in range(phases):
            calm.append(percentile(chat.talk(PHASE), 0.99))
            before = _sockets(scene)
            with ExitStack() as others:
                for n in range(DEAF):
                    deaf(scene, f"deaf {attempt} {phase} {n}", others)
                attacked.append(percentile(chat.talk(PHASE), 0.99))
                deadline = time.monotonic() + SECONDS
                while (left := _sockets(scene) - before) > 0 and time.monotonic() < deadline:
                    chat.talk(0.2)
                if left > 0:
                    raise Broken(f"{left} of {DEAF} who do not read are still there")
            chat.talk(1.0)  # those who are gone are told of
        with suppress(OSError):
            for sock in chat._senders:
                sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # 1000
    return calm, attacked, phases * DEAF
