"""The server that is fuzzed: how to come to it, and how fast one may be."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

import attrs

from trio_chat.client.connection import Target
from trio_chat.fuzz.peer import Answer, Peer, answer_to, dial, head
from trio_chat.fuzz.promises import ANY_BYTES, REFUSED, Broken
from trio_chat.fuzz.transcript import Transcript

PASSING = (403, 408, 425, 429, 503)  # HTTP statuses that mean: not now
MAX_WAIT = 90.0  # seconds that a server may ask us to wait
FLAGS = (
    "--trusted-addresses 127.0.0.0/8 --rooms-created-per-hour 1000000 --messages-per-second 1000000 "
    "--messages-burst 1000000 --frames-per-second 1000000"
)


class NotFuzzableError(Exception):
    """The server could not be fuzzed, for no fault that the document knows; `str()` is one line that says why."""


@attrs.define
class Pace:
    """How fast commands may be sent over one connection, by what the welcome said: a bucket of tokens."""

    rate: float = float("inf")  # a second
    burst: float = 20.0
    _tokens: float = 20.0
    _at: float = 0.0

    @classmethod
    def of(cls, limits: dict[str, float]) -> Pace:
        """What the server lets one send; a little less, for its clock is not ours."""
        rate, burst = limits.get("messages_per_second", 10.0), limits.get("messages_burst", 40.0)
        return cls(rate * 0.95, max(1.0, burst - 2), max(1.0, burst - 2), time.monotonic())

    def spend(self) -> None:
        """Wait until one more command may be sent."""
        while True:
            now = time.monotonic()
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
            self._at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return
            time.sleep((1 - self._tokens) / self.rate)


@attrs.define
class Server:
    """A server to fuzz. `patience`: seconds within which what must come comes. `waiting`: told when we must wait.

    `linger`: seconds for which one listens after each step, for what comes in the server's own time.
    """

    target: Target
    tls: ssl.SSLContext | None = None
    patience: float = 2.0
    linger: float = 0.0
    waiting: Callable[[float], None] = lambda seconds: None

    def open(self, who: str, transcript: Transcript) -> Peer:
        """A connection that was upgraded; one that is told to come back later does.

        Raises:
            NotFuzzableError: there is no server, or it lets nobody in.
            Broken: it answers what no server of the protocol does.
        """
        while True:
            sock = self.dial()
            try:
                answer = answer_to(sock, head(self.target))
            except OSError as error:
                sock.close()
                raise Broken(ANY_BYTES, f"an upgrade was not answered ({error})") from None
            if answer.status == 101:
                if answer.headers.get("sec-websocket-protocol") != "chat":
                    sock.close()
                    raise Broken(REFUSED, "a client that offers 'chat' did not get it")
                peer = Peer(who, sock, transcript)
                peer.feed(answer.body)
                return peer
            sock.close()
            self._wait(answer)

    def _wait(self, answer: Answer) -> None:
        reason = answer.body.decode(errors="replace").strip().partition("\n")[0][:100]
        said = f"the upgrade was refused with {answer.status} {reason}".rstrip()
        wait = answer.retry_after
        if answer.status not in PASSING:
            raise NotFuzzableError(f"{said}: is this a server of the protocol?")
        if wait is None or wait > MAX_WAIT:
            raise NotFuzzableError(f"{said}; it can be fuzzed with {FLAGS}")
        self.waiting(wait)
        time.sleep(wait)

    def dial(self) -> socket.socket:
        """A socket to it.

        Raises:
            NotFuzzableError: there is no server.
        """
        try:
            return dial(self.target, self.tls, max(self.patience, 5.0))
        except OSError as error:
            raise NotFuzzableError(f"{self.target.host}:{self.target.port} cannot be reached: {error}") from None
