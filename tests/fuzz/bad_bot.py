"""A client that does what it must not: it resumes nothing, never backs off, and always returns. `… URL`."""

from __future__ import annotations

import itertools
import json
import sys
import time
from contextlib import suppress

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol


def talk(url: str) -> None:
    """One connection: the same message on each, without a key."""
    with connect(url, subprotocols=[Subprotocol("chat")], compression=None, proxy=None, close_timeout=1) as socket:
        socket.send(json.dumps({"type": "connect", "username": "bad", "id": 1}))
        for number in itertools.count(2):
            socket.send(json.dumps({"type": "message", "content": "me again", "id": number}))
            with suppress(TimeoutError):
                while True:
                    socket.recv(timeout=0.3)


if __name__ == "__main__":
    end = time.monotonic() + 300
    while time.monotonic() < end:
        with suppress(OSError, WebSocketException):
            talk(sys.argv[-1])
