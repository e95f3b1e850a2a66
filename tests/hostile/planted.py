"""The real server with a fault in it, for the suite to find: `python -m tests.hostile.planted FAULT FLAGS…`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from trio_chat.cli import main
from trio_chat.core.events import Event
from trio_chat.server.http import HttpConnection
from trio_chat.server.peers import Peers

from .bystander import ROOM
from .server import trim

KEPT: list[Any] = []


def at_each_head(do: Callable[[], object]) -> None:
    """Let `do` happen for each request head that is waited for."""
    head = HttpConnection.head

    async def spoilt(self: HttpConnection, timeout: float) -> Any:
        do()
        return await head(self, timeout)

    HttpConnection.head = spoilt  # type: ignore[method-assign]


def at_each_post(keep: Callable[[int], bool]) -> None:
    """Deliver to the bystander's room only what `keep` says of, by its `seq`."""
    send = Peers.send

    def spoilt(self: Peers, conns: Iterable[int], event: Event, epoch: str = "", seq: int = 0) -> None:
        if getattr(event, "room", None) != ROOM or not seq or keep(seq):
            send(self, conns, event, epoch, seq)

    Peers.send = spoilt  # type: ignore[method-assign]


def spin() -> None:
    """After the warming up: be busy for ever, beside everything else."""
    KEPT.append(None)
    if len(KEPT) == 400:
        threading.Thread(target=_busy, daemon=True).start()


def _busy() -> None:
    while True:
        pass


def rave() -> None:
    """Write a traceback, as a bug would."""
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        traceback.print_exc()


def die() -> None:
    """After the warming up, in the middle of an attack."""
    KEPT.append(None)
    if len(KEPT) > 400:
        os._exit(7)


FAULTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "descriptors": lambda: at_each_head(lambda: KEPT.append(socket.socket())),
    "memory": lambda: at_each_head(lambda: KEPT.append(b"x" * 200_000)),
    "threads": lambda: at_each_head(lambda: threading.Thread(target=threading.Event().wait, daemon=True).start()),
    "traceback": lambda: at_each_head(rave),
    "lines": lambda: at_each_head(lambda: print("somebody asks for something", file=sys.stderr)),
    "long line": lambda: at_each_head(lambda: print("a" * 1000, file=sys.stderr)),
    "control": lambda: at_each_head(lambda: print("\x1b[2J", file=sys.stderr)),
    "busy": lambda: at_each_head(spin),
    "death": lambda: at_each_head(die),
    "lost": lambda: at_each_post(lambda seq: seq % 5 != 0),
}


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, trim)
    FAULTS[sys.argv.pop(1)]()
    main()
