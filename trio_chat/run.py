"""The process around the server: its signals, the lines it logs at start and end, its exit code.

`serve` itself handles no signals: it is given an event that means "drain", and it may be cancelled.
"""

from __future__ import annotations

import errno
import gc
import ipaddress
import logging
import resource
import signal
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import trio

import trio_chat
from trio_chat import logs
from trio_chat.config import Config, ConfigError
from trio_chat.log import LogError, LostError
from trio_chat.server.entry import SPARE_SOCKETS, sockets
from trio_chat.server.tls import Certificate
from trio_chat.settings import Settings

log = logging.getLogger(__name__)

SPARE_FILES = 256  # beside sockets: the log, its threads, the modules that are still to be read
STOPPED_AT_ONCE = 130  # exit code after a second signal; 0 after a clean drain

# The collector looks for cycles, of which a message makes none, and each full look at what is held stops all clients:
# with the defaults a third of the time of private messages, and pauses of 140 ms with 100,000 entries in memory. So it
# looks at what is young while it is in cache (100,000 objects cost 50 µs a connection, in pauses of 30 ms; 2,000 cost
# 15 µs, in pauses of 1 to 2 ms), and at what is old after 5 million new objects.
GC_THRESHOLDS = 2_000, 2_500, 100

WHO_COMES_IN = {
    "guest": "anybody comes in, under any name that is free",
    "jwt": "whoever has a token comes in; guests are not admitted",
    "accounts": "whoever has an account comes in; guests are not admitted",
}

Address = tuple[str, int]
Failure = TypeVar("Failure", OSError | UnicodeError, LogError, LostError, ConfigError)


class Serve(Protocol):
    """The signature of `trio_chat.serve`."""

    async def __call__(
        self,
        config: Config,
        *,
        stop: trio.Event | None = None,
        certificate: Certificate | None = None,
        task_status: trio.TaskStatus[list[Address]] = ...,
    ) -> None:
        """Serve until `stop` is set and all is drained."""


def run(settings: Settings) -> int:
    """Serve until a signal, and return the exit code: 0 after a drain, 130 if a second signal cut it short.

    Raises:
        ConfigError: the configured address cannot be listened on, or a file that is named is not good.
        LogError: the configured log cannot be opened.
    """
    logs.configure(settings.config.logging)
    allow_descriptors(settings.config)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()  # modules and classes live as long as the process
    return trio.run(supervise, settings, trio_chat.serve)


async def supervise(settings: Settings, serve: Serve) -> int:
    """Run `serve` under SIGTERM and SIGINT. Cancelling this cancels the server without a drain."""
    config = settings.config
    try:
        certificate = Certificate.of(config.listen)
    except ConfigError as error:
        raise ConfigError(settings.typed(error.option), error.value, error.must) from None
    stop = trio.Event()
    refused: OSError | UnicodeError | None = None
    unlogged: LogError | None = None
    wrong: ConfigError | None = None
    lost: list[LostError] = []

    async def serving(*, task_status: trio.TaskStatus[list[Address]]) -> None:
        try:
            await serve(config, stop=stop, certificate=certificate, task_status=task_status)
        except* LostError as group:
            lost.append(_first(group))
            nursery.cancel_scope.cancel()
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()  # drained: nothing is left to be told about signals

    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        trio.open_signal_receiver(signal.SIGHUP) as hangups,
        trio.CancelScope() as everything,
    ):
        again = True
        while again:
            again = False
            async with trio.open_nursery() as nursery:
                nursery.start_soon(renew, hangups, certificate)
                nursery.start_soon(obey, signals, stop, everything, config.listen.drain_seconds)
                try:
                    announce(config, await nursery.start(serving))
                except* ConfigError as group:
                    wrong = _first(group)
                    nursery.cancel_scope.cancel()
                except* (OSError, UnicodeError) as group:
                    refused = _first(group)
                    nursery.cancel_scope.cancel()
                except* LogError as group:
                    unlogged = _first(group)
                    nursery.cancel_scope.cancel()
            if lost:
                unlogged = lost.pop()
                again = unlogged.again and not stop.is_set()
            if again:
                log.warning("log: %s; the server begins anew, each room in a new epoch", unlogged)
                unlogged = None
    if wrong is not None:
        raise settings.named(wrong)
    if unlogged is not None:
        raise LogError(f"{settings.typed('log')}: {unlogged}")
    if refused is not None:
        raise cannot_listen(settings, refused)
    if everything.cancelled_caught:
        return STOPPED_AT_ONCE
    log.info("stopped")
    return 0


async def obey(signals: AsyncIterator[int], stop: trio.Event, everything: trio.CancelScope, seconds: float) -> None:
    """The first signal asks for a drain, which takes at most `seconds`; the second cancels `everything`."""
    async for number in signals:
        name = signal.Signals(number).name
        if stop.is_set():
            log.warning("%s again: stopping at once", name)
            everything.cancel()
        else:
            log.info("%s: draining for at most %g s; a second signal stops at once", name, seconds)
            stop.set()


async def renew(hangups: AsyncIterator[int], certificate: Certificate | None) -> None:
    """SIGHUP: read certificate and key again, for the handshakes from now on. Cancelled: the old ones stay."""
    async for _ in hangups:
        if certificate is None:
            log.info("SIGHUP: there is nothing to reload without tls_cert")
            continue
        try:
            await trio.to_thread.run_sync(certificate.reload)
        except ConfigError as error:
            log.error("SIGHUP: the old certificate stays in use; %s", error)
        else:
            log.info("SIGHUP: certificate and key are reloaded, for new connections")


def allow_descriptors(config: Config) -> None:
    """Raise the process's limit of open files to what the configuration may need, as far as the system lets it."""
    need = config.admission.max_connections + SPARE_SOCKETS + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < need:
        allowed = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def announce(config: Config, addresses: list[Address]) -> None:
    """Log what a person needs who has just started the server: where it is, what it keeps, how open it is."""
    log.info("trio_chat %s", trio_chat.__version__)
    secure = "s" if config.listen.tls_cert else ""
    for place in dict.fromkeys(_place(address) for address in addresses):
        log.info("listening on http%s://%s/ and ws%s://%s/ws", secure, place, secure, place)
    everywhere = [address for address in addresses if ipaddress.ip_address(address[0]).is_unspecified]
    if everywhere:
        seen = next(filter(None, map(seen_from_elsewhere, everywhere)), None)
        where = f"can open http{secure}://{_place(seen)}/" if seen else "can connect"
        log.info("on all interfaces: other machines %s; --host 127.0.0.1 keeps them out", where)
    if (room := sockets(config)) < config.admission.max_connections:
        log.warning("max_connections: %d; but only %d files may be open (ulimit -n)",
                    config.admission.max_connections, room)  # fmt: skip
    if config.history.log_server is not None:
        log.info("log: %s", config.history.log_server)
    elif config.history.log_path is None:
        log.warning("log: memory; messages end with the process")
    else:
        log.info("log: %s", config.history.log_path.absolute())
    log.info("auth: %s; %s", config.auth.auth, WHO_COMES_IN[config.auth.auth])
    environment = config.admission.environment
    if "*" in config.admission.origins:
        log.warning("environment: %s; any origin is admitted, which is insecure in production", environment)
    else:
        log.info("environment: %s", environment)
    for risk in risks(config, addresses):
        log.warning("%s", risk)


def risks(config: Config, addresses: list[Address]) -> list[str]:
    """What somebody else could read or do, where the server can be reached from elsewhere."""
    found = []
    elsewhere = not all(ipaddress.ip_address(host).is_loopback for host, *_ in addresses)
    if elsewhere and not config.listen.tls_cert and not config.listen.trusted_proxies:
        what = {"guest": "messages", "jwt": "messages and tokens", "accounts": "messages and passwords"}
        found.append(f"tls_cert: none; {what[config.auth.auth]} cross the network unencrypted")
    if config.admin.admin_port >= 0 and not _is_loopback(config.admin.admin_host):
        found.append(f"admin_host: {config.admin.admin_host}; its token crosses the network unencrypted")
    return found + _loose_files(config)


def _loose_files(config: Config) -> list[str]:
    """Files of secrets that other users of this machine may read, or write."""
    found = []
    named = {"tls_key": config.listen.tls_key, "admin_token_file": config.admin.admin_token_file}
    if config.auth.auth == "jwt":
        named |= {"auth_key": config.auth.auth_key, "auth_jwks": config.auth.auth_jwks}
    for option, path in named.items():
        if not path:
            continue
        with suppress(OSError):  # whoever reads it says so
            mode = Path(path).stat().st_mode
            secret = not option.startswith("auth_") or _is_secret(Path(path).read_bytes())
            if mode & stat.S_IWOTH or (mode & stat.S_IROTH and secret):
                does = "written" if mode & stat.S_IWOTH else "read"
                found.append(
                    f"{option}: {path} can be {does} by every user of this machine; chmod o-rwx keeps them out"
                )
    return found


def _is_secret(key: bytes) -> bool:
    """Whether a file that tokens are looked at with makes some, too: no PEM, and no JWKs of public keys."""
    return b"-----BEGIN" not in key and (b'"kty"' not in key or b'"oct"' in key)


def seen_from_elsewhere(address: Address) -> Address | None:
    """Where another machine finds a listener on a wildcard address: as the address that we would send from. Or None.

    It sends nothing: a UDP socket that is connected only asks the system for a route.
    """
    wildcard = ipaddress.ip_address(address[0])
    family, anybody = (socket.AF_INET6, "2001:db8::1") if wildcard.version == 6 else (socket.AF_INET, "198.51.100.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anybody, 9))
            host = probe.getsockname()[0]
    except OSError:
        return None
    return None if ipaddress.ip_address(host).is_loopback else (host, address[1])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _place(address: Address) -> str:
    """Host and port as they stand in a URL; a wildcard address is shown as localhost."""
    host, port = address[:2]
    if ipaddress.ip_address(host).is_unspecified:
        return f"localhost:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _first(group: BaseExceptionGroup[Failure]) -> Failure:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def cannot_listen(settings: Settings, error: OSError | UnicodeError) -> ConfigError:
    """The error of a start as a wrong value of `host` or `port`, whichever it is."""
    from trio_chat.server.app import AdminAddressError

    part = "admin_" if isinstance(error, AdminAddressError) else ""
    section = settings.config.admin if part else settings.config.listen
    at_host, at_port = getattr(section, f"{part}host"), getattr(section, f"{part}port")
    host, port = settings.typed(f"{part}host"), settings.typed(f"{part}port")
    number = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
    if number == errno.EADDRINUSE:
        return ConfigError(port, at_port, f"a free port (already in use on {at_host})")
    if number in (errno.EACCES, errno.EPERM):
        must = f"a port that this user may open (permission denied on {at_host})"
        return ConfigError(port, at_port, must)
    if number == errno.EADDRNOTAVAIL:
        return ConfigError(host, at_host, "an address of this machine")
    reason = getattr(error, "strerror", None) or "no valid host name"
    return ConfigError(host, at_host, f"an address that can be listened on ({reason})")
