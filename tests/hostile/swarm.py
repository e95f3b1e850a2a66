"""Very many connections in one thread: each sends its bytes and takes what comes back."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable, Iterator

import attrs

from .wire import reset

KEPT = 65_536  # bytes of an answer that are looked at
CLOSED, RESET, REFUSED, OPEN, LEFT = "closed", "reset", "refused", "open", "left"


@attrs.define
class Dial:
    """One connection: `data` is sent. `leave`: go when it is sent ("fin", "rst"), or stay until the server closes."""

    data: bytes
    source: str = "127.0.0.1"
    leave: str = ""
    received: bytes = b""
    total: int = 0  # bytes received
    end: str = OPEN
    seconds: float = 0.0  # until its end
    sent: int = 0

    @property
    def status(self) -> int:
        """Of the first HTTP response; 0 where there is none."""
        words = self.received[:12].split()
        return int(words[1]) if len(words) > 1 and words[0] == b"HTTP/1.1" and words[1].isdigit() else 0


class Swarm:
    """All of them, some at once.

    Args:
        at_once: how many are open.
        patience: seconds after which one that is still open is given up: its end is "open".
    """

    def __init__(self, port: int, *, at_once: int = 200, patience: float = 10.0) -> None:
        self._port, self._at_once, self._patience = port, at_once, patience
        self._selector = selectors.DefaultSelector()
        self._began: dict[socket.socket, float] = {}

    def run(self, dials: Iterable[Dial]) -> list[Dial]:
        """Do them all; returned as they were given, with their ends."""
        done: list[Dial] = []
        coming = iter(dials)
        more = True
        try:
            while more or self._began:
                while more and len(self._began) < self._at_once:
                    more = self._open(coming, done)
                for key, events in self._selector.select(0.05):
                    self._serve(key.fileobj, key.data, events)  # type: ignore[arg-type]  # all are sockets
                self._give_up()
        finally:
            for sock in list(self._began):
                self._selector.unregister(sock)
                sock.close()
            self._selector.close()
        return done

    def _open(self, coming: Iterator[Dial], done: list[Dial]) -> bool:
        dial = next(coming, None)
        if dial is None:
            return False
        done.append(dial)
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((dial.source, 0))
        sock.connect_ex(("127.0.0.1", self._port))
        self._began[sock] = time.monotonic()
        self._selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, dial)
        return True

    def _serve(self, sock: socket.socket, dial: Dial, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE and not self._write(sock, dial):
                return
            if events & selectors.EVENT_READ:
                data = sock.recv(65_536)
                dial.total += len(data)
                dial.received = (dial.received + data)[:KEPT]
                if not data:
                    self._end(sock, dial, CLOSED)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._end(sock, dial, REFUSED)
        except OSError:
            self._end(sock, dial, RESET)

    def _write(self, sock: socket.socket, dial: Dial) -> bool:
        """Send on; False where that was the end of it."""
        dial.sent += sock.send(memoryview(dial.data)[dial.sent : dial.sent + 262_144])
        if dial.sent < len(dial.data):
            return True
        if dial.leave:
            self._end(sock, dial, LEFT)
            return False
        self._selector.modify(sock, selectors.EVENT_READ, dial)
        return True

    def _end(self, sock: socket.socket, dial: Dial, how: str) -> None:
        dial.end = how
        dial.seconds = time.monotonic() - self._began.pop(sock)
        self._selector.unregister(sock)
        if dial.leave == "rst":
            reset(sock)
        else:
            sock.close()

    def _give_up(self) -> None:
        late = time.monotonic() - self._patience
        for sock, began in list(self._began.items()):
            if began > late:
                break  # they are in the order of their beginning
            self._end(sock, self._selector.get_key(sock).data, OPEN)
