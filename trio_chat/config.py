"""The configuration: every option once, with its default, its bounds and its one line of help.

`Config` is made of frozen sections, and each part of the server is handed the section it needs and no more.
The options are flat for people (`--max-attempts`, `TRIO_CHAT_MAX_ATTEMPTS`, `max_attempts = 20`): sections are ours.
Reading flags, environment and files is the work of `trio_chat.settings`; here is only what is true of a value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from trio_chat.redis_url import RedisUrl, without_password

Net: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
MiB = 1024 * 1024
_LOG = re.compile(r"memory|sqlite:[^\0]+")
LOG_KINDS = "memory, sqlite:PATH or redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] (rediss: with TLS)"


class ConfigError(ValueError):
    """An option has a wrong value. `str()` is one line that names the option, the value and what it must be."""

    def __init__(self, option: str, value: object, must: str) -> None:
        super().__init__(f"{option}: {_shown(value)} must be {must}")
        self.option, self.value, self.must = option, value, must


def _shown(value: object) -> str:
    """A wrong value's `repr`, which has no line break, cut to 80 characters; see `without_password`."""
    try:
        text = without_password(repr(value))
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else text[:79] + "…"


def _checked(must: str, good: Callable[[Any], bool]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not good(value):
            raise ConfigError(attribute.name, value, must)

    return check


def _option(
    default: Any, help: str, must: str, good: Callable[[Any], bool], convert: Callable[[Any], Any] | None = None
) -> Any:
    """Declare one option: `must` completes the sentence "NAME: VALUE must be …"."""
    metadata = {"help": help, "must": must}
    return attrs.field(default=default, validator=_checked(must, good), metadata=metadata, converter=convert)


def _as_tuple(value: Any) -> Any:
    """A list is as good as a tuple; what is neither stays as it is, for the check to name it."""
    return tuple(value) if isinstance(value, list) else value


def _as_networks(value: Any) -> Any:
    """Networks may be written as text, in a list or a tuple; what is none stays as it is."""
    if not isinstance(value, list | tuple):
        return value
    try:
        return tuple(ipaddress.ip_network(one) if isinstance(one, str) else one for one in value)
    except ValueError:
        return value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def whole(default: int, low: int, high: int, help: str) -> Any:
    """An integer option from `low` to `high`, both included."""
    return _option(
        default, help, f"an integer from {low} to {high}", lambda value: _is_int(value) and low <= value <= high
    )


def number(default: float, low: float, high: float, help: str) -> Any:
    """A number option, in the unit that `help` names, from `low` to `high`, both included."""
    return _option(
        default,
        help,
        f"a number from {low:.12g} to {high:.12g}",
        lambda value: (_is_int(value) or isinstance(value, float)) and low <= value <= high,
    )


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """One of a few words."""
    return _option(default, help, "one of " + ", ".join(choices), lambda value: value in choices)


def _networks(help: str) -> Any:
    return _option(
        (),
        help,
        "CIDR networks such as 10.0.0.0/8",
        lambda value: (
            isinstance(value, tuple)
            and all(isinstance(net, ipaddress.IPv4Network | ipaddress.IPv6Network) for net in value)
        ),
        _as_networks,
    )


def _file(help: str) -> Any:
    """The path of a file, or nothing; whether it can be read is seen at the start."""
    return _option("", help, "the path of a file", lambda value: isinstance(value, str) and "\0" not in value)


def _is_pattern_list(value: Any) -> bool:
    return value is None or (
        isinstance(value, tuple) and all(isinstance(pattern, str) and pattern for pattern in value)
    )


@attrs.frozen(kw_only=True)
class Listen:
    """Where the server listens, and whom it believes about a client's address."""

    host: str = _option(
        "0.0.0.0",
        "address or host name to listen on",
        "an address or a host name",
        lambda value: isinstance(value, str) and bool(value) and not any(c.isspace() for c in value),
    )
    port: int = whole(10000, 0, 65535, "TCP port to listen on; 0 takes a free one")
    tls_cert: str = _file("PEM file with the certificate and its chain; with it, all is https and wss")
    tls_key: str = _file("PEM file with the certificate's key, without a passphrase")
    trusted_proxies: tuple[Net, ...] = _networks("networks whose X-Forwarded-For is believed")
    proxy_protocol: str = choice(
        "off", ("off", "on"), "on: the trusted proxies send a PROXY header (version 1 or 2) on each connection"
    )
    connect_timeout: float = number(
        15, 0.1, 3600, "seconds for the TLS handshake and a whole request head, and again for `connect`"
    )
    drain_seconds: float = number(8, 0, 3600, "seconds that a drain may take; under a container's 10")


@attrs.frozen(kw_only=True)
class Admission:
    """Who may open a connection, and how often."""

    environment: str = choice("development", ("development", "production"), "production refuses unlisted origins")
    allowed_origins: tuple[str, ...] | None = _option(
        None,
        "fnmatch patterns of admitted Origin headers; the page's own is always admitted; "
        "the default is * in development and none in production",
        "non-empty patterns such as https://*.example.org",
        _is_pattern_list,
        _as_tuple,
    )
    max_attempts: int = whole(20, 1, 1_000_000, "connection attempts of one address in attempt_window")
    attempt_window: float = number(15, 0.1, 86_400, "seconds over which attempts are counted")
    ban_seconds: float = number(60, 0.1, 31_536_000, "seconds that an address is banned after too many attempts")
    trusted_addresses: tuple[Net, ...] = _networks("networks whose attempts and connections are not counted")
    allowed_addresses: tuple[Net, ...] = _networks("the only networks that are served; none: all are")
    denied_addresses: tuple[Net, ...] = _networks("networks that are never served, whatever else is said of them")
    max_bans: int = whole(10_000, 1, 1_000_000, "bans by operators, of users and networks, that may be in force")
    max_connections: int = whole(20_000, 1, 1_000_000, "connections in all")
    max_connections_per_address: int = whole(1_000, 1, 1_000_000, "connections of one address (IPv6: of one /64)")
    sessions_per_user: int = whole(20, 1, 10_000, "live connections of one user with a token or an account")

    @property
    def origins(self) -> tuple[str, ...]:
        """The patterns in force."""
        if self.allowed_origins is not None:
            return self.allowed_origins
        return () if self.environment == "production" else ("*",)


def _text(default: str, help: str, must: str = "a text of at most 255 characters", chars: int = 255) -> Any:
    """A text, perhaps empty, without control characters."""
    return _option(
        default,
        help,
        must,
        lambda value: isinstance(value, str) and len(value) <= chars and not any(map(_is_control, value)),
    )


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0"


def _words(default: tuple[str, ...], help: str) -> Any:
    return _option(
        default,
        help,
        "non-empty texts",
        lambda value: isinstance(value, tuple) and all(isinstance(one, str) and one for one in value),
        _as_tuple,
    )


RESERVED = ("admin", "administrator", "forgotten", "moderator", "root", "server", "staff", "support", "system")


@attrs.frozen(kw_only=True)
class Auth:
    """Who is who: guests, whoever brings a token, or accounts with passwords."""

    auth: str = choice("guest", ("guest", "jwt", "accounts"), "who comes in: anybody, with a token, or with a password")
    auth_key: str = _text(
        "", "file with the key of tokens: a secret of 32 bytes or more, or a public key as PEM", "a path", 4096
    )
    auth_jwks: str = _text("", "file with the keys of tokens as a JWK Set, instead of auth_key", "a path", 4096)
    auth_issuer: str = _text("", "what a token's `iss` must be; empty: it is not looked at")
    auth_audience: str = _text("", "what a token's `aud` must be or hold; empty: it is not looked at")
    name_claim: str = _text("preferred_username", "claim of a token that has the name")
    admins: tuple[str, ...] = _words((), "admins of the server: the `sub` of tokens, or names of accounts")
    reserved_names: tuple[str, ...] = _words(RESERVED, "names that nobody may take but an admin with a token")


def _secret(help: str) -> Any:
    return _option(
        "",
        help,
        "at least 16 printable characters of ASCII, without spaces",
        lambda value: (
            isinstance(value, str) and (not value or (len(value) >= 16 and all("!" <= one <= "~" for one in value)))
        ),
    )


@attrs.frozen(kw_only=True)
class Admin:
    """The API for operators, on a port of its own."""

    admin_port: int = whole(-1, -1, 65535, "TCP port of the admin API; 0 takes a free one, -1: there is none")
    admin_host: str = _option(
        "127.0.0.1",
        "address or host name of the admin API, which has no TLS",
        "an address or a host name",
        lambda value: isinstance(value, str) and bool(value) and not any(c.isspace() for c in value),
    )
    admin_token: str = _secret("what operators prove themselves by; empty: see admin_token_file")
    admin_token_file: str = _option(
        "",
        "file that holds the token, and is made if it is not there; empty: a token is made and shown at each start",
        "a path",
        lambda value: isinstance(value, str) and "\0" not in value,
    )


@attrs.frozen(kw_only=True)
class Limits:
    """How much one user, one connection and one message may be."""

    max_message_bytes: int = whole(MiB, 8192, 64 * MiB, "bytes of one message, in either direction")
    message_timeout: float = number(60, 0.1, 86_400, "seconds within which a begun message must be whole")
    content_chars: int = whole(1_044_480, 1, 64 * MiB, "code points of one message's content")
    messages_per_second: float = number(10, 0.01, 1_000_000, "commands a second that a connection may send on average")
    messages_burst: int = whole(40, 1, 1_000_000, "commands that a connection may send at once")
    frames_per_second: float = number(100, 1, 1_000_000, "raw frames a second, control frames included")
    rooms_per_user: int = whole(100, 1, 100_000, "rooms that one user may be in")
    rooms_created_per_hour: int = whole(20, 1, 1_000_000, "rooms that one user, and one address, may create an hour")
    max_rooms: int = whole(100_000, 1, 10_000_000, "rooms in all")
    presence_interval: float = number(0.5, 0.01, 3600, "seconds over which joins and leaves are told together")
    presence_limit: int = whole(100, 0, 1_000_000, "members up to which a room's users are listed unasked")
    outbox_frames: int = whole(
        1_024, 16, 1_000_000, "frames that may wait for one connection; at least 4 for each of rooms_per_user"
    )
    outbox_bytes: int = whole(
        4 * MiB, 32_768, 1024 * MiB, "bytes that may wait for one connection; at least 4 messages"
    )
    max_buffered_bytes: int = whole(1024 * MiB, MiB, 1024 * 1024 * MiB, "bytes that may wait for all connections")


@attrs.frozen(kw_only=True)
class Heartbeat:
    """When silence means that the peer is gone."""

    ping_interval: float = number(20, 0.1, 86_400, "seconds of silence after which a ping is sent")
    ping_timeout: float = number(10, 0.1, 86_400, "seconds after a ping within which a byte must come")


@attrs.frozen(kw_only=True)
class History:
    """What is kept, and for how long."""

    log: str = _option(
        "sqlite:trio_chat.db",
        "where entries are kept: memory, which ends with the process, sqlite:PATH, or the redis:// URL of a server",
        LOG_KINDS,
        lambda value: isinstance(value, str) and (_LOG.fullmatch(value) is not None or RedisUrl.is_one(value)),
    )
    log_sync: str = choice("normal", ("normal", "full"), "full: what is acked survives a power cut, too; slower")
    history_limit: int = whole(10_000, 1, 100_000_000, "entries kept of each room")
    history_days: float = number(30, 0.001, 36_500, "days that an entry is kept")
    resume_window: float = number(600, 0, 31_536_000, "seconds for which a lost session can be resumed")
    dedupe_window: float = number(600, 0, 31_536_000, "seconds for which a message's key is remembered")

    @property
    def log_path(self) -> Path | None:
        """The log file; None: there is none."""
        return Path(self.log.removeprefix("sqlite:")) if self.log.startswith("sqlite:") else None

    @property
    def log_server(self) -> RedisUrl | None:
        """The server that has the log; None: none has."""
        return RedisUrl.read(self.log) if RedisUrl.is_one(self.log) else None

    @property
    def sync(self) -> Literal["normal", "full"]:
        """`log_sync`, as its type."""
        return "full" if self.log_sync == "full" else "normal"


@attrs.frozen(kw_only=True)
class Logging:
    """What the server says on stderr."""

    log_level: str = choice("info", ("debug", "info", "warning", "error"), "least severe level that is logged")
    log_format: str = choice("text", ("text", "json"), "form of a log line")


@attrs.frozen(kw_only=True)
class Config:
    """All sections. Make one of flat options with `Config.of(port=0)`; the defaults are the documented ones."""

    listen: Listen = attrs.field(factory=Listen)
    admission: Admission = attrs.field(factory=Admission)
    auth: Auth = attrs.field(factory=Auth)
    admin: Admin = attrs.field(factory=Admin)
    limits: Limits = attrs.field(factory=Limits)
    heartbeat: Heartbeat = attrs.field(factory=Heartbeat)
    history: History = attrs.field(factory=History)
    logging: Logging = attrs.field(factory=Logging)

    def __attrs_post_init__(self) -> None:
        """Check what two options say together."""
        limits, listen = self.limits, self.listen
        for name, other in (("tls_key", "tls_cert"), ("tls_cert", "tls_key")):
            if getattr(listen, other) and not getattr(listen, name):
                raise ConfigError(name, getattr(listen, name), f"given, too, where {other} is")
        if listen.proxy_protocol == "on" and not listen.trusted_proxies:
            raise ConfigError("proxy_protocol", listen.proxy_protocol, "off where there are no trusted_proxies")
        if limits.outbox_bytes < 4 * limits.max_message_bytes:
            raise ConfigError(
                "outbox_bytes", limits.outbox_bytes, f"at least 4 × max_message_bytes = {4 * limits.max_message_bytes}"
            )
        if limits.outbox_frames < 4 * limits.rooms_per_user:  # who comes back hears of each room, up to four times
            raise ConfigError(
                "outbox_frames", limits.outbox_frames, f"at least 4 × rooms_per_user = {4 * limits.rooms_per_user}"
            )
        self._check_auth()

    def _check_auth(self) -> None:
        auth = self.auth
        keys = [name for name in ("auth_key", "auth_jwks") if getattr(auth, name)]
        if auth.auth == "jwt" and not keys:
            raise ConfigError("auth", auth.auth, "together with auth_key or auth_jwks, or another kind")
        if len(keys) == 2:
            raise ConfigError("auth_jwks", auth.auth_jwks, "left out where auth_key is given")
        if auth.auth != "jwt" and keys:
            raise ConfigError(keys[0], getattr(auth, keys[0]), "left out where auth is not jwt")

    @classmethod
    def of(cls, **options: Any) -> Config:
        """Build a `Config` from flat options, the rest by default. A list is a list, of texts: `["10.0.0.0/8"]`.

        Raises:
            ConfigError: an unknown option, or a value outside its bounds.
        """
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise ConfigError(unknown[0], options[unknown[0]], "an option that exists")
        return cls(
            **{
                section.name: section_class(section)(
                    **{name: value for name, value in options.items() if OPTIONS[name][0] == section.name}
                )
                for section in attrs.fields(cls)
            }
        )


def section_class(section: attrs.Attribute[Any]) -> Any:
    """The class of one of `Config`'s sections, its fields' types resolved."""
    attrs.resolve_types(Config)
    return attrs.resolve_types(getattr(attrs.fields(Config), section.name).type)


# Flat option name → (its section's name, its attrs field), in the order of declaration.
OPTIONS: dict[str, tuple[str, attrs.Attribute[Any]]] = {
    field.name: (section.name, field)
    for section in attrs.fields(Config)
    for field in attrs.fields(section_class(section))
}
