"""From accept to upgrade: whose connection it is, TLS, HTTP, and the broker's word on who comes in."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from trio_chat.auth.prover import Prover
from trio_chat.config import Config
from trio_chat.core.codec import Decoder
from trio_chat.core.effects import Admit, Disconnected, Refused
from trio_chat.server import http, pages, proxy
from trio_chat.server.address import Address, Forwarded, Networks, counted_as, site_of
from trio_chat.server.broker import Broker
from trio_chat.server.connection import Connection, new_token, run_connection
from trio_chat.server.entry import Lists, Pace, Waiting
from trio_chat.server.listener import BARRED
from trio_chat.server.outbox import Outbox
from trio_chat.server.tls import Certificate, NoTls, SecureStream, handshake, release
from trio_chat.server.transport import Transport
from trio_chat.server.wire import Wire, wire_of

log = logging.getLogger(__name__)
LINGER = 1.0  # seconds in which a refused peer may read why
CROWDED = http.refusal(429, "Too many are connecting from this address", ("Retry-After", "5"))
IN_THE_CLEAR = http.refusal(400, "Here is TLS only: https and wss")


class Doors:
    """Serves whoever comes: what all connections share. `certificate`: what sockets are encrypted with, if they are."""

    def __init__(
        self,
        config: Config,
        broker: Broker,
        certificate: Certificate | None = None,
        prover: Prover | None = None,
        token: Callable[[], str] = new_token,
    ) -> None:
        self._config, self._broker, self._certificate, self._prover = config, broker, certificate, prover
        self._token = token
        self._ids = itertools.count(1)
        limits, listen = config.limits, config.listen
        self._decode = Decoder(content_chars=limits.content_chars, message_bytes=limits.max_message_bytes).decode
        self._trusted = Networks(config.admission.trusted_addresses)
        self._heralds = Networks(listen.trusted_proxies if listen.proxy_protocol == "on" else ())
        self._headless = False  # a proxy sent no PROXY header, and that was said
        self._forwarded = Forwarded(listen.trusted_proxies)
        self._lists, self._waiting, self._pace = Lists(config), Waiting(config), Pace(config)

    async def serve(self, stream: trio.abc.Stream, peer: Address) -> None:
        """Serve a `peer` that is not barred until it is gone; a bug ends here, with it.

        Cancelled: an upgraded one is told (4001).
        """
        wire, deadline = wire_of(stream), trio.current_time() + self._config.listen.connect_timeout
        secured: list[SecureStream] = []  # one at most; an ExitStack would take 0.8 KiB more of each peer, all the time
        try:
            conn = await self._enter(stream, wire, peer, deadline, secured)
            if conn is not None:  # nothing of the request is held from here on
                await run_connection(conn, self._broker, self._config, self._decode, self._prover, self._token)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a peer left")
        except* Exception:
            log.exception("bug; only this connection ends")
        finally:
            for one in secured:
                release(one)
            wire.close()
            await trio.aclose_forcefully(stream)  # does not wait, cancelled or not

    async def _enter(
        self, stream: trio.abc.Stream, raw: Wire, socket: Address, deadline: float, secured: list[SecureStream]
    ) -> Connection | None:
        """A peer's way to the upgrade: PROXY header, lists, count, TLS, requests. Cancelled: as `_requests`.

        By `deadline` the head of the first request must be whole. An encrypted stream is put into `secured`.
        """
        peer = await self._whose(raw, socket, deadline)
        if peer is None:
            return None
        if peer is not socket and self._lists.bar(peer):
            self._turn_away(raw, BARRED)
            return None
        with self._waiting.one(peer) as crowded:
            if crowded:
                self._turn_away(raw, CROWDED)
                return None
            if self._certificate is None or not isinstance(stream, trio.SocketStream):  # one in memory needs no TLS
                return await self._requests(raw, peer, deadline)
            secure = await self._secured(stream, raw, self._certificate, peer, deadline, secured)
            return None if secure is None else await self._requests(wire_of(secure), peer, deadline, paid=True)

    async def _whose(self, raw: Wire, peer: Address, deadline: float) -> Address | None:
        """The peer's address, by its proxy's word where it has one; None where that says nothing valid by `deadline`.

        Cancelled: the connection must go.
        """
        if peer not in self._heralds:
            return peer
        try:
            with trio.fail_at(deadline):
                return await proxy.read_header(raw) or peer
        except (proxy.BadHeader, trio.TooSlowError) as failure:
            if isinstance(failure, proxy.BadHeader) and failure.silent:
                return None  # it only looked whether somebody listens
            self._charge(peer)
            if not self._headless:
                self._headless = True
                log.warning("%s is a trusted proxy and sent no PROXY header; it must (proxy_protocol)", peer)
        return None

    async def _secured(
        self,
        stream: trio.SocketStream,
        raw: Wire,
        certificate: Certificate,
        peer: Address,
        deadline: float,
        secured: list[SecureStream],
    ) -> trio.abc.Stream | None:
        """The stream, encrypted; None where that did not succeed by `deadline`. Cancelled: the connection must go."""
        if not self._pace.allows(peer, trio.current_time()):
            return None
        try:
            with trio.fail_at(deadline):
                return await handshake(stream, certificate.context, secured)
        except (trio.BrokenResourceError, trio.TooSlowError):
            self._charge(peer)
        except NoTls as other:
            if other.first:
                self._charge(peer)
            if other.first.isalpha():
                self._turn_away(raw, IN_THE_CLEAR)
                await _linger(raw)
        return None

    def _turn_away(self, raw: Wire, response: bytes) -> None:
        """Answer before any request. Under TLS nobody would understand it, but who began in the clear."""
        if self._certificate is None or response is IN_THE_CLEAR:
            raw.try_send(response)

    async def _requests(self, wire: Wire, peer: Address, deadline: float, *, paid: bool = False) -> Connection | None:
        """Answer requests until one is an upgrade that is admitted, or the last. Cancelled: the broker knows.

        The first head must be whole by `deadline`. `paid`: we had work with it already, so it is to ask for something.
        """
        connection = http.HttpConnection(wire)
        keep, first = True, True
        while keep:
            client = peer
            try:
                timeout = max(0.0, deadline - trio.current_time()) if first else self._config.listen.connect_timeout
                head = await self._head(connection, peer, timeout, paid=paid and first)
                if head is None:
                    return None
                client = self._forwarded.client(peer, head.headers.get("x-forwarded-for"))
                if client is not peer and self._lists.bar(client):
                    raise http.HttpError(403, "This address is not served")
                if head.path == "/ws":
                    return await self._upgrade(wire, client, connection, head)
                draining, trouble = self._broker.state.draining, self._broker.trouble
                not_ready = "draining" if draining else f"log: {trouble}" if trouble else None
                status, body, headers = pages.page(head, not_ready)
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
            await trio.lowlevel.checkpoint()  # a peer whose requests are all there already must not starve the others
        await _linger(wire)
        return None

    async def _head(
        self, connection: http.HttpConnection, peer: Address, timeout: float, *, paid: bool
    ) -> http.Head | None:
        """The next head; None where the peer left. Within it, or `paid`, that is an attempt. Cancelled: see `head`."""
        head = None
        with suppress(trio.BrokenResourceError):
            head = await connection.head(timeout)
        if head is None and (paid or not connection.silent):
            self._charge(peer)
        return head

    def _charge(self, address: Address) -> None:
        """A head that never got whole is an attempt of `address`."""
        self._broker.attempted(counted_as(address), trusted=self._trusts(address))

    def _trusts(self, address: Address) -> bool:
        return address in self._trusted

    async def _upgrade(
        self, wire: Wire, address: Address, http_connection: http.HttpConnection, head: http.Head
    ) -> Connection:
        """Ask the broker, and upgrade. Cancelled: the broker is told that it ended."""
        response = http.accept_upgrade(head)
        modern = bool(head.tokens("sec-websocket-protocol"))
        ask = Admit(
            next(self._ids),
            counted_as(address),
            site_of(address),
            trusted=self._trusts(address),
            modern=modern,
            origin=head.headers.get("origin"),
            own_origin=head.own_origin,
            ticket=head.ticket,
        )
        self._refuse_banned(ask)
        conn = self._connection(ask, wire, http_connection.trailing)
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
        barred = self._broker.state.barred(ask, self._broker.clock())
        if barred is not None:
            raise _refusal(barred)
        left = self._broker.banned.get(ask.address, 0.0) - trio.current_time()
        if left > 0 and not ask.trusted and ask.ticket is None:
            raise _refusal(Refused(ask.conn, 403, "This address is banned for a while", left))

    def _connection(self, ask: Admit, wire: Wire, rest: bytes) -> Connection:
        number, limits, broker = ask.conn, self._config.limits, self._broker
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
        return Connection(number, wire, outbox, transport, receive, "" if ask.trusted else ask.address)


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
