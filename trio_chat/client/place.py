"""Which server a tool was told to work on: somebody else's only on purpose."""

from __future__ import annotations

import ipaddress
import ssl
from urllib.parse import urlsplit

from trio_chat.client.connection import Target

SPELLINGS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "localhost.": "localhost"}  # of this machine: wrong, right


def checked(url: str, yes: bool, does: str) -> str:
    """The URL, with `/ws` where it has no path. `does`: what is done to it, in a word.

    Raises:
        ValueError: it is no WebSocket URL, or not on this machine and `yes` is not given.
    """
    host = Target.of(url).host
    if host in SPELLINGS:
        raise ValueError(f"{host} is no address to connect to: this machine is {SPELLINGS[host]}")
    if not yes and not loopback(host):
        raise ValueError(f"{host} is not this machine: --yes {does} it all the same")
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") or "/ws", fragment="").geturl()


def trusting(ca: str) -> ssl.SSLContext | None:
    """What checks certificates by the authority in the file `ca`; None, as the system does, where that is empty.

    Raises:
        ValueError: it holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca) if ca else None
    except OSError as error:
        why = "none is in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(f"--ca: {ca!r} must be a file with a certificate in PEM ({why})") from None


def loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`; no name is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
