"""A client over the `websockets` library, whose thread answers pings; every wait is bounded by `SECONDS`."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from .process import Server

Frame: TypeAlias = dict[str, Any]
SECONDS = 8.0  # within which anything that is waited for must happen


def dial(
    server: Server,
    *,
    modern: bool = True,
    query: str = "",
    origin: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> ClientConnection:
    """Open a connection, without `connect`; `tls` for a server that speaks it.

    Raises:
        websockets.exceptions.InvalidStatus: the upgrade is refused.
    """
    websocket = connect(
        server.url + query,
        subprotocols=[Subprotocol("chat")] if modern else None,
        origin=None if origin is None else Origin(origin),
        ssl=tls,
        compression=None,
        proxy=None,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        ping_interval=None,
        max_size=None,
        max_queue=None,
    )
    return websocket.__enter__()  # as websockets 17.1 wants it; whoever has a `Client` leaves it


class Client:
    """One connection, and all frames that came over it, in order."""

    def __init__(self, server: Server, ws: ClientConnection) -> None:
        self.ws = ws
        self.welcome: Frame = {}
        self.frames: list[Frame] = []
        self._server = server
        self._ids = itertools.count(1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.ws.close()

    @property
    def name(self) -> str:
        """As the server said it in its welcome."""
        return str(self.welcome["user"])

    def send(self, type: str, **fields: Any) -> None:
        """Send one command."""
        if "content" in fields:
            self._server.said.append(fields["content"])
        self.ws.send(json.dumps({"type": type, **fields}))

    def receive(self) -> Frame:
        """The next frame."""
        frame: Frame = json.loads(self.ws.recv(SECONDS))
        self.frames.append(frame)
        return frame

    def up_to(self, type: str, **fields: Any) -> list[Frame]:
        """All frames up to the first of `type` with these `fields`, it included."""
        frames: list[Frame] = []
        wanted = {"type": type, **fields}
        deadline = time.monotonic() + SECONDS
        while not frames or frames[-1] != frames[-1] | wanted:
            assert time.monotonic() < deadline, f"no {wanted}, but {frames}"
            try:
                frames.append(self.receive())
            except TimeoutError:
                raise AssertionError(f"no {wanted}, but {frames}") from None
        return frames

    def until(self, type: str, **fields: Any) -> Frame:
        """The first frame of `type` with these `fields`; those before it are skipped."""
        return self.up_to(type, **fields)[-1]

    def hears(self, event: str, name: str, room: str = "general") -> Frame:
        """The `joined` or `left` that names `name`, alone or with others."""
        while True:
            frame = self.until("system", event=event, room=room)
            if name in frame["users"]:
                return frame

    def sees(self, *names: str) -> None:
        """Wait until these are in `general`, by the last list that came."""
        lists = [frame for frame in self.frames if frame["type"] == "user_list" and frame["room"] == "general"]
        if not lists or sorted(lists[-1]["users"]) != sorted(names):
            while sorted(self.until("user_list", room="general")["users"]) != sorted(names):
                pass

    def ask(self, type: str, **fields: Any) -> Frame:
        """Send a command with an `id` and return its answer; frames before it are skipped."""
        number = next(self._ids)
        self.send(type, id=number, **fields)
        while True:
            frame = self.receive()
            if frame.get("id") == number:
                return frame

    def so_far(self, *types: str) -> list[Frame]:
        """The frames of `types` (none given: all but presence) that were sent to us by now.

        The log answers in order, so a page of `history` comes behind all that was posted before.
        """
        number = f"so far {next(self._ids)}"
        self.send("history", room="general", limit=1, id=number)
        frames = self.up_to("history", id=number)[:-1]
        return [frame for frame in frames if (frame["type"] in types if types else not _is_presence(frame))]

    def closed(self) -> int:
        """The close code that ends the connection; frames before it are skipped."""
        return self.to_the_end()[1]

    def to_the_end(self) -> tuple[list[Frame], int]:
        """The frames that still came, and the close code."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(self.receive())
        except ConnectionClosed as closed:
            return frames, 1006 if closed.rcvd is None else closed.rcvd.code  # 1006: no close frame came

    def vanish(self) -> None:
        """Cut the TCP connection, without a close frame."""
        self.ws.socket.shutdown(socket.SHUT_RDWR)
        self.ws.recv_events_thread.join(SECONDS)
        self.ws.socket.close()

    def position(self, room: str = "general") -> Frame:
        """Where this client stands in `room`, by its frames: what `resume` and `after` take."""
        (epoch,) = {here["epoch"] for here in self.welcome["rooms"] if here["room"] == room} or {
            frame["epoch"] for frame in self.frames if frame.get("room") == room and "epoch" in frame
        }
        seen = [frame["seq"] for frame in self.frames if frame["type"] == "message" and frame["room"] == room]
        return {"epoch": epoch, "seq": max(seen, default=0)}


def join(
    server: Server,
    username: str,
    *,
    modern: bool = True,
    query: str = "",
    tls: ssl.SSLContext | None = None,
    **fields: Any,
) -> Client:
    """A client with its welcome."""
    client = Client(server, dial(server, modern=modern, query=query, tls=tls))
    try:
        client.send("connect", username=username, **fields)
        client.welcome = client.receive()
        assert client.welcome.get("event") == "welcome", client.welcome
    except BaseException:
        client.ws.close()
        raise
    return client


def _is_presence(frame: Frame) -> bool:
    return frame["type"] == "user_list" or frame.get("event") in ("joined", "left")


def contents(frames: list[Frame]) -> list[str]:
    """What the messages among `frames` say."""
    return [frame["content"] for frame in frames if frame["type"] in ("message", "private")]


def seqs(frames: list[Frame]) -> Iterator[int]:
    """The places of the entries among `frames`."""
    return (frame["seq"] for frame in frames if frame["type"] in ("message", "private"))
