"""One WebSocket connection: opened within bounded time, watched, and how it ended as a value.

trio-websocket speaks the protocol; the stream under it is ours, so that any byte counts as life, and a peer that goes
away within the handshake is noticed at once.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

import attrs
import h11
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

ABNORMAL = 1006  # RFC 6455, 7.4.1: no close frame came
QUEUE = 64  # messages that wait to be read: the reader never waits for anybody, so they do not for long
CHUNK = 65_536  # bytes to receive at once
REASON_CHARS = 200  # of a refusal's body


@attrs.frozen
class Lost:
    """The connection is over, with a close `code`, or none was made (None): then `error` may say why."""

    code: int | None
    reason: str
    error: OSError | None = None


@attrs.frozen
class Rejected:
    """The upgrade was answered over HTTP. `retry_after`: seconds, or None."""

    status: int
    reason: str
    retry_after: float | None


@attrs.frozen
class Target:
    """Where to connect."""

    host: str
    port: int
    resource: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> Target:
        """What a URL says: `ws://` or `wss://`, a host; the port is 80 or 443 and the path `/ws`, where there is none.

        Raises:
            ValueError: it is no such URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:  # of a port, of an IPv6 address, or of a name with a part that is too long or empty
            good = False
        else:
            good = parts.scheme in ("ws", "wss") and host != "" and port != 0
        if not good or not url.isascii() or not url.isprintable() or " " in url:
            form = "ws://HOST[:PORT][/PATH] or wss://…, with a port from 1 to 65535, in ASCII without spaces"
            raise ValueError(f"{url!r} is no WebSocket URL: {form}")
        tls = parts.scheme == "wss"
        resource = (parts.path or "/ws") + (f"?{parts.query}" if parts.query else "")
        return cls(host, port or (443 if tls else 80), resource, tls)

    @property
    def header(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def with_ticket(self, ticket: str | None) -> str:
        """The resource, with a `ticket` that spares a returning client the counting of its address."""
        if ticket is None:
            return self.resource
        return f"{self.resource}{'&' if '?' in self.resource else '?'}ticket={quote(ticket, safe='')}"


async def dial(target: Target, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """A stream to the server, encrypted where the URL says so. Cancelled: nothing is left open.

    Raises:
        OSError: it cannot be reached, or its certificate is not good.
    """
    stream = await trio.open_tcp_stream(target.host, target.port)
    if not target.tls:
        return stream
    context = tls or ssl.create_default_context()
    secure = trio.SSLStream(stream, context, server_hostname=target.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(secure)
        if isinstance(error, trio.BrokenResourceError):
            raise ConnectionError(f"no TLS with {target.host}: {error.__cause__}") from error
        raise
    return secure


class Wire(trio.abc.Stream):
    """A stream that remembers when its last byte came, and that it is gone."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.last_byte = trio.current_time()
        self.gone = trio.Event()
        self._stream = stream
        self._torn = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream. Cancelled: nothing is lost."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.gone.set()
            raise
        if data:
            self.last_byte = trio.current_time()
        else:
            self.gone.set()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream. Cancelled: half of `data` may be sent, so nothing else ever is."""
        if self._torn:
            raise trio.BrokenResourceError("a write was given up midway")
        self._torn = True
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.gone.set()
            raise
        self._torn = False

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream. Cancelled: it is closed all the same, without good manners."""
        self.gone.set()
        await self._stream.aclose()


async def converse(
    stream: trio.abc.Stream,
    target: Target,
    ticket: str | None,
    talk: Callable[[WebSocketConnection, Wire], Awaitable[None]],
    *,
    max_message: int,
    timeout: float,
) -> Lost | Rejected:
    """Make a WebSocket connection of `stream`, let `talk` use it until that returns, and close the stream.

    `max_message`: characters of a message that is still taken. `timeout`: seconds for the upgrade, and `talk` may raise
    `TooSlowError` for the same. Cancelled: the stream is closed, and the server sees a lost connection.
    """
    wire = Wire(stream)
    end: Lost | Rejected = Lost(ABNORMAL, "lost")
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(timeout):
                ws = await _upgrade(nursery, wire, target, ticket, max_message)
            await talk(ws, wire)
            nursery.cancel_scope.cancel()
    except* (trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError, h11.ProtocolError):
        end = Lost(ABNORMAL, "lost")
    except* trio.TooSlowError:
        reason = f"no answer within {timeout:g} s"
        end = Lost(None, reason, TimeoutError(reason))
    except* ConnectionClosed as group:
        end = _closed(group)
    except* ConnectionRejected as group:
        end = _rejected(group)
    finally:
        await trio.aclose_forcefully(wire)
    return end


async def _upgrade(
    nursery: trio.Nursery, wire: Wire, target: Target, ticket: str | None, max_message: int
) -> WebSocketConnection:
    """The handshake. trio-websocket would wait for ever for the answer of a server that has gone.

    Raises:
        trio.BrokenResourceError: the server has gone.
    """

    async def give_up() -> None:
        await wire.gone.wait()
        race.cancel_scope.cancel()

    async with trio.open_nursery() as race:
        race.start_soon(give_up)
        ws = await wrap_client_stream(
            nursery,
            wire,  # type: ignore[arg-type]  # any stream will do
            target.header,
            target.with_ticket(ticket),
            subprotocols=["chat"],
            message_queue_size=QUEUE,
            max_message_size=max_message,
            receive_buffer_size=CHUNK,
        )
        race.cancel_scope.cancel()
        return ws
    raise trio.BrokenResourceError("the server went away within the handshake")


def _only(group: BaseException) -> BaseException:
    """The first exception of nested groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _closed(group: BaseException) -> Lost:
    closed = _only(group)
    assert isinstance(closed, ConnectionClosed)
    if closed.reason is None:
        return Lost(ABNORMAL, "lost")
    return Lost(int(closed.reason.code), closed.reason.reason or "")


def _rejected(group: BaseException) -> Rejected:
    rejected = _only(group)
    assert isinstance(rejected, ConnectionRejected)
    wait = dict(rejected.headers).get(b"retry-after", b"")
    reason = (rejected.body or b"").decode(errors="replace").strip()[:REASON_CHARS]
    return Rejected(rejected.status_code, reason or "refused", float(wait) if wait.isdigit() else None)
