"""From accept to upgrade: HTTP, the address that is counted, and the broker's word on who comes in."""

from __future__ import annotations

import itertools
import logging
import math
from functools import partial

import trio

from trio_chat.config import Config
from trio_chat.core.codec import Decoder
from trio_chat.core.effects import Admit, Disconnected, Refused
from trio_chat.server import http
from trio_chat.server.address import Address, Forwarded, counted_as, peer_of, within
from trio_chat.server.broker import Broker
from trio_chat.server.connection import Connection, run_connection
from trio_chat.server.outbox import Outbox
from trio_chat.server.transport import Transport
from trio_chat.server.wire import Wire, wire_of

log = logging.getLogger(__name__)
LINGER = 1.0  # seconds in which a refused peer may read why


class Doors:
    """Serves whoever comes: what all connections share."""

    def __init__(self, config: Config, broker: Broker) -> None:
        self._config, self._broker = config, broker
        self._ids = itertools.count(1)
        limits = config.limits
        self._decode = Decoder(content_chars=limits.content_chars, message_bytes=limits.max_message_bytes).decode
        self._forwarded = Forwarded(config.listen.trusted_proxies)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one peer until it is gone; a bug ends here, with it. Cancelled: an upgraded one is told (4001)."""
        wire = wire_of(stream)
        try:
            conn = await self._requests(wire, peer_of(stream))
            if conn is not None:  # nothing of the request is held from here on
                await run_connection(conn, self._broker, self._config, self._decode)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a peer left")
        except* Exception:
            log.exception("bug; only this connection ends")
        finally:
            wire.close()
            await trio.aclose_forcefully(stream)  # does not wait, cancelled or not

    async def _requests(self, wire: Wire, peer: Address) -> Connection | None:
        """Answer requests until one is an upgrade that is admitted, or the last. Cancelled: the broker knows."""
        connection = http.HttpConnection(wire)
        keep, first = True, True
        while keep:
            client = peer
            try:
                head = await connection.head(self._config.listen.connect_timeout)
                if head is None:
                    if not connection.silent:
                        self._charge(peer)
                    return None
                if head.path == "/ws":
                    client = self._forwarded.client(peer, head.headers.get("x-forwarded-for"))
                    return await self._upgrade(wire, client, connection, head)
                draining, trouble = self._broker.state.draining, self._broker.trouble
                not_ready = "draining" if draining else f"log: {trouble}" if trouble else None
                status, body, headers = http.page(head, not_ready)
                keep = await connection.skip_body() and not draining and head.keep
                keep = await connection.respond(status, body, *headers, keep=keep)
            except http.HttpError as error:
                if isinstance(error, http.BadHead):
                    if connection.silent and not first:
                        return None  # it kept the connection, and had nothing more to ask
                    self._charge(client)
                await connection.respond(error.status, f"{error.text}\n".encode(), *error.headers)
                keep = False
            first = False
        await _linger(wire)
        return None

    def _charge(self, address: Address) -> None:
        """A head that never got whole is an attempt of `address`."""
        self._broker.attempted(counted_as(address), trusted=self._trusts(address))

    def _trusts(self, address: Address) -> bool:
        return within(address, self._config.admission.trusted_addresses)

    async def _upgrade(
        self, wire: Wire, address: Address, http_connection: http.HttpConnection, head: http.Head
    ) -> Connection:
        """Ask the broker, and upgrade. Cancelled: the broker is told that it ended."""
        response = http.accept_upgrade(head)
        modern = bool(head.tokens("sec-websocket-protocol"))
        ask = Admit(
            next(self._ids),
            counted_as(address),
            trusted=self._trusts(address),
            modern=modern,
            origin=head.headers.get("origin"),
            own_origin=head.own_origin,
            ticket=head.ticket,
        )
        self._refuse_banned(ask)
        conn = self._connection(ask.conn, wire, http_connection.trailing)
        try:
            verdict = await self._broker.knock(ask, conn)
        except BaseException:
            self._broker.ended(Disconnected(ask.conn))
            raise
        if isinstance(verdict, Refused):
            raise _refusal(verdict)
        log.debug("connection %d from %s", ask.conn, address)
        if conn.ended is None:  # the broker may have cut it meanwhile
            conn.transport.open(response)
        return conn

    def _refuse_banned(self, ask: Admit) -> None:
        """Keep a flood from banned addresses away from the broker's inbox; a ticket it has to see itself."""
        left = self._broker.banned.get(ask.address, 0.0) - trio.current_time()
        if left > 0 and not ask.trusted and ask.ticket is None:
            raise _refusal(Refused(ask.conn, 403, "This address is banned for a while", left))

    def _connection(self, number: int, wire: Wire, rest: bytes) -> Connection:
        limits, broker = self._config.limits, self._broker
        send, receive = trio.open_memory_channel[memoryview](1)
        outbox = Outbox(
            wire, send, max_frames=limits.outbox_frames, max_bytes=limits.outbox_bytes, buffered=broker.buffered
        )
        transport = Transport(
            wire,
            outbox,
            limits,
            broker.buffered,
            rest=rest,
            over=broker.ring,
            slow=partial(broker.too_slow, number),
        )
        return Connection(number, wire, outbox, transport, receive)


def _refusal(refused: Refused) -> http.HttpError:
    headers = () if refused.retry_after is None else (("Retry-After", str(math.ceil(refused.retry_after))),)
    return http.HttpError(refused.status, refused.text, *headers)


async def _linger(wire: Wire) -> None:
    """Let the peer read the last answer: a socket that goes with bytes unread takes them along.

    Cancelled: the peer may see the connection break instead.
    """
    with trio.move_on_after(LINGER):
        await wire.send_eof()
        while await wire.receive():
            pass
