"""Many clients of the protocol, opened by steps in batches, so that the server always has others to serve meanwhile."""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import attrs

from .framing import Frames, masked

TIMEOUT = 10.0  # seconds without any progress, in connecting and in draining
BATCH = 64  # handshakes at once: less than any backlog

Client = tuple[socket.socket, Frames]
T = TypeVar("T")


class LoadError(Exception):
    """The server did not do what the load needs; `str()` says what."""


def open_clients(
    port: int, names: Sequence[str], sockets: ExitStack, rooms: Sequence[str] = (), batch: int = BATCH
) -> list[Client]:
    """Connect, upgrade, say `connect`, await `welcome`, and `join` the room of the same index, if there are `rooms`.

    The sockets come back non-blocking, each with its parser; `sockets` closes them.

    Raises:
        LoadError: the server refused one, or said nothing within `TIMEOUT`.
    """
    clients: list[Client] = []
    for start in range(0, len(names), batch):
        part = slice(start, start + batch)
        clients += _open_batch(port, names[part], sockets, rooms[part])
    return clients


def _open_batch(port: int, names: Sequence[str], sockets: ExitStack, rooms: Sequence[str]) -> list[Client]:
    opened = [sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)) for _ in names]
    for sock in opened:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(_head(port))
    parsers = [Frames() for _ in names]
    for sock, name in zip(opened, names, strict=True):
        head = b""
        while b"\r\n\r\n" not in head:  # the server has nothing to say before `connect`
            head += some(sock, name)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise LoadError(f"{name} was refused: {head.decode(errors='replace')}")
        sock.sendall(masked(json.dumps({"type": "connect", "username": name}).encode()))
    for sock, parser, name in zip(opened, parsers, names, strict=True):
        await_frame(sock, parser, name, b'"welcome"', first=True)
    for sock, room in zip(opened, rooms, strict=False):
        sock.sendall(masked(json.dumps({"type": "join", "id": 0, "room": room}).encode()))
    for sock, parser, name, _room in zip(opened, parsers, names, rooms, strict=False):
        await_frame(sock, parser, name, b'"ack"')
    for sock in opened:
        sock.setblocking(False)
    return list(zip(opened, parsers, strict=True))


def _head(port: int) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n".encode()
    )


def await_frame(sock: socket.socket, parser: Frames, name: str, word: bytes, *, first: bool = False) -> None:
    """Read from a blocking socket until a frame with `word` in it; `first`: it must be the very next."""
    while True:
        for _opcode, payload in list(parser.feed(some(sock, name))):
            if word in payload:
                return
            if first or b'"error"' in payload:
                raise LoadError(f"{name} waits for {word.decode()}, got: {payload.decode(errors='replace')}")


def some(sock: socket.socket, name: str) -> bytes:
    """Read something from a blocking socket, or raise `LoadError`."""
    try:
        data = sock.recv(65_536)
    except TimeoutError:
        raise LoadError(f"{name} got no answer within {TIMEOUT:g} s") from None
    if not data:
        raise LoadError(f"{name} was closed while connecting")
    return data


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system, in seconds (proc(5); steps of 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid: int) -> int:
    """Memory of a process that is in RAM, in KiB."""
    words = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()
    return int(words[0])


def name_of(n: int) -> str:
    """The name of the n-th client; none is part of another, all are as long."""
    return f"u{n:05}"


def run_as_program(kind: type[T], drive: Callable[[T], Any], description: str | None) -> None:
    """Make a `kind`, an attrs class, of one flag for each field, `drive` it and print the result as JSON."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    for field in attrs.fields(kind):  # type: ignore[arg-type]  # a TypeVar cannot say that it is an attrs class
        convert = {"float": float, "str": str}.get(str(field.type), int)
        required = field.default is attrs.NOTHING
        parser.add_argument("--" + field.name.replace("_", "-"), type=convert, default=field.default, required=required)
    try:
        print(json.dumps(attrs.asdict(drive(kind(**vars(parser.parse_args()))))))
    except (LoadError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
