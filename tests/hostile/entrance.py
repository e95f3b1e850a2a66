"""How one comes into a server, whatever it asks of those who do: TLS, a token or a password."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Any

import attrs

from tests.auth.keyring import token

from .material import AUDIENCE, ISSUER, KEYS
from .wire import Broken, Frame, Raw

HOME = "127.0.0.9"  # whose connections are the bystander's, and of those who come when an attack is over
PASSWORD = "correct horse battery"
HOURS = 6  # that a token of ours is good for: longer than any run


@lru_cache(maxsize=8)
def trusting(authority: str) -> ssl.SSLContext:
    """What a client checks with that trusts the authority in a file."""
    return ssl.create_default_context(cafile=authority)


def bearer(sub: str, algorithm: str = "RS256", header: dict[str, Any] | None = None, **fields: Any) -> str:
    """A good token, but for what `fields` say of it; its name is its `sub`."""
    given = {"preferred_username": sub, "iss": ISSUER, "aud": AUDIENCE, "ttl": HOURS * 3600.0} | fields
    return token(algorithm, {"kid": KEYS[algorithm]} if header is None else header, sub=sub, **given)


@attrs.frozen
class Entrance:
    """Of one server: its port, the file of who made its certificate (empty: no TLS), and its `auth`."""

    port: int
    authority: str = ""
    auth: str = "guest"

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What its certificate is checked with, if it has one."""
        return trusting(self.authority) if self.authority else None

    def first(self, name: str, **fields: Any) -> Frame:
        """The first frame of somebody new; `fields` of a token are its claims."""
        if self.auth == "jwt":
            return {"type": "connect", "token": bearer(name, **fields)}
        if self.auth == "accounts":
            return {"type": "register", "username": name, "password": PASSWORD}
        return {"type": "connect", "username": name, **fields}

    def enter(self, name: str, *, source: str = "127.0.0.1", **fields: Any) -> Raw:
        """Come in for the first time. Raises Broken where that is refused."""
        return self.greet(self.first(name, **fields), source=source)

    def greet(self, first: Frame, *, source: str = "127.0.0.1", query: str = "") -> Raw:
        """Come in with that first frame. Raises Broken where that is refused."""
        raw = self.open(source=source, query=query)
        try:
            raw.greet(**first)
        except BaseException:
            raw.sock.close()
            raise
        return raw

    def refused(self, first: Frame, *, query: str = "") -> tuple[Frame, int]:
        """The error that answers a first frame, and the close code. Raises Broken where it is welcome instead."""
        with self.open(query=query) as raw:
            raw.send(**first)
            answer = raw.receive()
            if answer["type"] != "error":
                raise Broken(f"{first} was answered {answer}")
            return answer, raw.to_the_end()[1]

    def open(self, *, source: str = "127.0.0.1", query: str = "") -> Raw:
        """Upgrade, and say nothing yet."""
        return Raw(self.port, source=source, query=query, tls=self.tls)
