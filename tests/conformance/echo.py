"""An echo server on our own transport: what a conformance suite can ask, where a chat has nothing to say to it.

Handshake, wire, outbox, transport, and the tasks of a connection with its farewell are the chat server's. Of its own it
has a transport that sends back what it receives, and somebody who stands in for the broker.

Run as a program it prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import Any, cast

import attrs
import trio

from trio_chat.config import Config, MiB
from trio_chat.core.codec import frame
from trio_chat.core.effects import Disconnected, Ending, Received
from trio_chat.core.errors import Close
from trio_chat.core.messages import Command
from trio_chat.server.broker import Broker
from trio_chat.server.connection import Connection, run_connection
from trio_chat.server.http import HttpConnection, HttpError, accept_upgrade
from trio_chat.server.outbox import Buffered, Outbox
from trio_chat.server.transport import Message, Transport
from trio_chat.server.wire import Wire, wire_of

BINARY_FRAME = b"\x82"  # the first byte of a whole one
LARGEST = 16 * MiB  # bytes of a message: the suite's largest
# What the suite has limits of its own for. A ping of ours would be an event that no case expects.
CONFIG = Config.of(
    max_message_bytes=LARGEST,
    outbox_bytes=4 * LARGEST,
    frames_per_second=1_000_000,
    message_timeout=3600,
    ping_interval=3600,
)


class EchoTransport(Transport):
    """A transport that keeps its messages from the reader: each goes back as it came, text as text."""

    async def receive(self) -> list[Message]:
        """Send back all messages that come; returns where the next frame is odd, as there is none to hand over then.

        An echo that the outbox has no room for ends the connection (4003), as a slow reader's does. Cancelled: what was
        received was queued; nothing is lost.

        Raises:
            PeerLeft: it closed, or is gone.
            FrameError: it broke a rule; the close that says so is still to be sent.
        """
        while messages := await super().receive():
            for message in messages:
                self.queue(echo_of(message))
            if not self.waited:  # a peer whose messages are all there already must not starve the others
                await trio.lowlevel.checkpoint()
        return messages


def echo_of(message: Message) -> bytes:
    """The one frame that says the same."""
    if isinstance(message, str):
        return frame(message.encode())
    return BINARY_FRAME + frame(message)[1:]


@attrs.define(eq=False)
class NoBroker:
    """Stands in for the broker of one connection: is handed no command, and agrees to its end."""

    conn: Connection
    commands: trio.MemorySendChannel[list[Received]] = attrs.field(
        factory=lambda: trio.open_memory_channel[list[Received]](0)[0]
    )

    def ended(self, gone: Ending | Disconnected) -> None:
        """All that the connection is to get is in its outbox already. Never blocks."""
        self.conn.settle()


def no_command(message: Message) -> Command:
    """What the reader decodes with: no message comes as far."""
    raise AssertionError(message)


async def echo(stream: trio.abc.Stream) -> None:
    """Serve one peer until it is gone. Cancelled: an upgraded one is told (4001), within a second."""
    wire = wire_of(stream)
    try:
        conn = await upgraded(wire)
        if conn is not None:
            await run_connection(conn, cast(Broker, NoBroker(conn)), CONFIG, no_command)
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # it left in the middle of the handshake
    finally:
        wire.close()
        await trio.aclose_forcefully(stream)


async def upgraded(wire: Wire) -> Connection | None:
    """The connection that a peer's request opens, at any path; None: it was no upgrade, and is answered.

    Cancelled: the request is lost.
    """
    http = HttpConnection(wire)
    try:
        head = await http.head(CONFIG.listen.connect_timeout)
        if head is None:
            return None
        response = accept_upgrade(head)
    except HttpError as error:
        await http.respond(error.status, f"{error.text}\n".encode(), *error.headers)
        return None
    conn = connection(wire, http.trailing)
    conn.transport.open(response)
    return conn


def connection(wire: Wire, rest: bytes) -> Connection:
    """A connection that echoes; `rest` came behind the request head in the same segment."""
    limits = CONFIG.limits
    buffered = Buffered(limits.max_buffered_bytes)
    send, receive = trio.open_memory_channel[memoryview](1)
    outbox = Outbox(wire, send, max_frames=limits.outbox_frames, max_bytes=limits.outbox_bytes, buffered=buffered)
    transport = EchoTransport(wire, outbox, limits, buffered, rest=rest, slow=lambda: conn.cut(Close.TOO_SLOW))
    conn = Connection(0, wire, outbox, transport, receive)
    return conn


async def serve(port: int = 0, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve on the loopback; `await nursery.start(serve)` gives the port, which is a free one for 0.

    Cancelled: all connections are closed, within a second.
    """
    listening = partial(trio.serve_tcp, echo, port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(listening)
        task_status.started(listeners[0].socket.getsockname()[1])


async def main() -> None:
    """Serve on a free port of the loopback until SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve)
            print(f"ws://127.0.0.1:{port}/", flush=True)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
