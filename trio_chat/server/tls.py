"""TLS: the server's certificate, and the handshake of one connection."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import TypeAlias

import trio

from trio_chat.config import ConfigError, Listen

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2: with forward secrecy; all of 1.3 have it
SecureStream: TypeAlias = "trio.SSLStream[trio.SocketStream]"
HANDSHAKE = b"\x16"  # the first byte of TLS


class Certificate:
    """The server's certificate and key. `context` is for the next handshake; connections that are open keep theirs.

    Raises:
        ConfigError: a file cannot be used.
    """

    def __init__(self, cert: str, key: str) -> None:
        self._cert, self._key = cert, key
        self.context = _context(cert, key)

    @classmethod
    def of(cls, listen: Listen) -> Certificate | None:
        """The one that is configured, if any."""
        return cls(listen.tls_cert, listen.tls_key) if listen.tls_cert else None

    def reload(self) -> None:
        """Read both files again, for the handshakes from now on.

        Raises:
            ConfigError: a file cannot be used; the old ones stay in use.
        """
        self.context = _context(self._cert, self._key)


class NoTls(Exception):
    """What came is no TLS; `first` is its first byte, or empty where nothing came."""

    def __init__(self, first: bytes) -> None:
        super().__init__(first)
        self.first = first


async def handshake(stream: trio.SocketStream, context: ssl.SSLContext, secured: list[SecureStream]) -> SecureStream:
    """Encrypt a connection, and put its stream into `secured`: when it is over, failed or not, `release` it.

    Cancelled: it must go.

    Raises:
        NoTls: the peer began with something else, which is still to be read; or it left.
        trio.BrokenResourceError: it began, and failed.
    """
    try:
        first = await stream.socket.recv(1, socket.MSG_PEEK)
    except OSError:  # a reset
        first = b""
    if first != HANDSHAKE:
        raise NoTls(first)
    secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    secured.append(secure)
    await secure.do_handshake()
    return secure


def release(secure: SecureStream) -> None:
    """Let go of what a stream holds, when it is over.

    Trio's stream refers to itself, and so the 50 KiB of each would wait for the garbage collector, which comes the
    later the less there is of other garbage.
    """
    vars(secure).clear()


def _context(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    for option, path in (("tls_cert", cert), ("tls_key", key)):
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise ConfigError(option, path, f"a PEM file that can be read ({error.strerror})") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cert)  # finds what is no certificate
    except ssl.SSLError as error:
        raise ConfigError("tls_cert", cert, f"a certificate in PEM ({_reason(error)})") from None
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # without one, OpenSSL would ask the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError("tls_key", key, f"the key of the certificate in {cert!r}") from None
        must = f"a key in PEM, without a passphrase, for the certificate in {cert!r} ({_reason(error)})"
        raise ConfigError("tls_key", key, must) from None
    return context


def _reason(error: ssl.SSLError) -> str:
    return error.reason.lower().replace("_", " ") if error.reason else "OpenSSL cannot read it"
