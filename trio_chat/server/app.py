"""The whole task tree, and the order in which it ends.

    serve
     ├─ broker               owns all room, user and ban state
     ├─ log                  commits and reads, in threads of its own
     └─ connections          one nursery for
         ├─ listener         one task per listening socket, that of operators (`admin`) among them
         └─ connection       one task per peer (`doors`): HTTP, then (`connection`) a nursery of
             ├─ reader
             ├─ writer
             ├─ heartbeat
             └─ trio-websocket's own reader, from the first frame on that is no plain one

To end: stop accepting, drain the connections under one deadline, cancel what is left, then broker and log; and then
tell the log what the last connections were sent, and close it.
"""

from __future__ import annotations

import logging
import secrets as chance
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TypeAlias

import trio

from trio_chat import __version__
from trio_chat.auth.keys import Key, load_keys
from trio_chat.auth.prover import Prover
from trio_chat.config import Config
from trio_chat.core.chat import Secrets
from trio_chat.core.state import ChatState
from trio_chat.log import Log, LogError
from trio_chat.log.memory import MemoryLog
from trio_chat.log.sqlite import open_sqlite
from trio_chat.server.admin import AdminDoor, token_of
from trio_chat.server.broker import Broker
from trio_chat.server.connection import GRACE, new_token
from trio_chat.server.doors import Doors
from trio_chat.server.listener import Listener
from trio_chat.server.tls import Certificate

log = logging.getLogger(__name__)
Address: TypeAlias = tuple[str, int]
BACKLOG = 4096  # connections that the kernel may hold for us; a storm after a deploy is no reason to refuse


class AdminAddressError(OSError):
    """The address of the admin API can't be listened on."""


async def serve(
    config: Config,
    *,
    stop: trio.Event | None = None,
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None,
    entries: Log | None = None,
    wall: Callable[[], float] = time.time,
    secrets: Secrets | None = None,
    token: Callable[[], str] = new_token,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set, then drain and return. `await nursery.start(serve, config)` gives the addresses.

    Cancelled: all connections are closed with 4001 (each has `GRACE` seconds to take it), without a drain.

    Args:
        config: what to serve, and where.
        stop: set it to drain: within `drain_seconds` all are told and closed in batches.
        listeners: instead of those that `config` names; they are closed at the end.
        entries: the log, instead of the one that `config` names.
        wall: seconds since 1970; for a simulator to hand in its own.
        secrets: the randomness of this start, likewise.
        token: makes the token of a session, likewise.
        certificate: instead of the one that `config` names; whoever holds it can `reload` it.
        task_status: is given the addresses that are listened on.

    Raises:
        ConfigError: the certificate, its key, a file of keys or of the admin token cannot be used.
        OSError: an address can't be listened on; of the admin API's, an `AdminAddressError`.
        LogError: the log can't be opened; later on, a `LostError` (in groups): it is not what it was any more.
    """
    keys = load_keys(config.auth)
    boot = chance.token_hex(4) if secrets is None else secrets.boot
    stop = trio.Event() if stop is None else stop
    certificate = certificate or Certificate.of(config.listen)
    if listeners is None:
        listeners = await trio.open_tcp_listeners(config.listen.port, host=config.listen.host, backlog=BACKLOG)
    admin: Sequence[trio.abc.Listener[trio.abc.Stream]] = ()
    try:
        admin, admin_token = await _admin(config)
        async with _opened(config, entries, boot, wall) as log:
            broker = _broker(config, log, secrets or Secrets(boot=boot, ticket_key=_ticket_key(log)), wall)
            broker.restore()
            prover = _prover(config, keys, broker, wall)
            try:
                async with trio.open_nursery() as core:
                    core.start_soon(broker.run)
                    core.start_soon(log.run, broker.answered)
                    doors = Doors(config, broker, certificate, prover, token)
                    door = AdminDoor(config.admin, admin_token, broker, stop.set)
                    await _accept(config, doors, broker, door, listeners, admin, stop, task_status)
                    core.cancel_scope.cancel()
            finally:
                broker.settle()
    finally:
        await _close([*listeners, *admin])  # where it never came to accepting


async def _admin(config: Config) -> tuple[Sequence[trio.abc.Listener[trio.abc.Stream]], str]:
    """The listeners of the admin API, none where it has no port, and the token. Cancelled: there are none."""
    if config.admin.admin_port < 0:
        return (), ""
    token, where = token_of(config.admin)
    try:
        listeners = await trio.open_tcp_listeners(config.admin.admin_port, host=config.admin.admin_host)
    except OSError as error:
        raise AdminAddressError(error.errno, error.strerror) from None
    for host, port in map(_address, listeners):
        log.info("admin API on http://%s:%d, token: %s", f"[{host}]" if ":" in host else host, port, where)
    return listeners, token


async def _close(listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]) -> None:
    """Listen no more; twice is as good as once. Does not wait, cancelled or not."""
    for one in listeners:
        await trio.aclose_forcefully(one)


@asynccontextmanager
async def _opened(config: Config, entries: Log | None, boot: str, wall: Callable[[], float]) -> AsyncIterator[Log]:
    """The log that was handed in, or the one that `config` names. Cancelled: see `open_sqlite` and `open_redis`."""
    history = config.history
    if entries is not None:
        yield entries
    elif history.log_server is not None:
        try:
            from trio_chat.cluster.redis import open_redis  # here, for it needs what only this kind needs
        except ModuleNotFoundError as error:
            raise LogError(f"{history.log_server}: {error.name} is missing: pip install 'trio-chat[redis]'") from None
        async with open_redis(history.log_server, history=history, boot=boot, wall=wall) as shared:
            yield shared
    elif history.log_path is None:
        yield MemoryLog(history)
    else:
        async with open_sqlite(history.log_path, history=history, sync=history.sync, boot=boot, wall=wall) as log:
            yield log


def _ticket_key(log: Log) -> bytes:
    """The log's own where it has one: a ticket survives a restart, as its session does."""
    return log.restored.secret or chance.token_bytes(32)


def _broker(config: Config, log: Log, secrets: Secrets, wall: Callable[[], float]) -> Broker:
    state = ChatState(
        secrets=secrets,
        admission=config.admission,
        limits=config.limits,
        history=config.history,
        heartbeat=config.heartbeat,
        connect_timeout=config.listen.connect_timeout,
        server=f"trio_chat/{__version__}",
        auth=config.auth,
    )
    return Broker(state, log, config.limits, wall=wall)


def _prover(config: Config, keys: tuple[Key, ...], broker: Broker, wall: Callable[[], float]) -> Prover | None:
    """What looks at tokens and passwords. It reads the accounts that the broker has, and changes none."""
    accounts = MappingProxyType(broker.state.chat.accounts)
    return None if config.auth.auth == "guest" else Prover(config.auth, keys, accounts, wall)


async def _accept(
    config: Config,
    doors: Doors,
    broker: Broker,
    door: AdminDoor,
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    admin: Sequence[trio.abc.Listener[trio.abc.Stream]],
    stop: trio.Event,
    task_status: trio.TaskStatus[list[Address]],
) -> None:
    """Serve all who come until `stop`, then drain. Cancelled: the connections are closed, without a drain."""
    async with trio.open_nursery() as connections:
        listener = Listener(config, doors.serve)
        for one in listeners:
            connections.start_soon(listener.accept, one, connections)
        operators = Listener(Config(), door.serve)  # lists of addresses, and TLS, are of the chat
        for one in admin:
            connections.start_soon(operators.accept, one, connections)
        task_status.started([_address(one) for one in listeners])
        try:
            await stop.wait()
            await _drain(broker, config.listen.drain_seconds)
        finally:
            await _close([*listeners, *admin])  # before the farewells: who comes now is refused, and need not wait
        connections.cancel_scope.cancel()


async def _drain(broker: Broker, seconds: float) -> None:
    """Tell everybody, close in batches, and wait until all are gone or the time is up. Cancelled: they stay open.

    The listeners stay open meanwhile, to answer 503 and health checks.
    """
    broker.drain(max(0.1, seconds - GRACE) * 0.9)  # never 0: its batches need a time between them
    with trio.move_on_after(seconds):
        await broker.empty()


def _address(listener: trio.abc.Listener[trio.abc.Stream]) -> Address:
    if not isinstance(listener, trio.SocketListener):
        return ("memory", 0)
    host, port = listener.socket.getsockname()[:2]
    return host, port
