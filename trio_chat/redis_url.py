"""The address of a Redis server, as the option `log` has it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

PORT: Final = 6379
_CREDENTIALS = re.compile(r"""^(["']?(?:[A-Za-z][A-Za-z0-9+.-]*:/+)?)(?=.*[:/].*@).*@""", re.DOTALL)


@attrs.frozen
class RedisUrl:
    """`str()` is the address without credentials."""

    host: str
    port: int
    database: int
    username: str | None
    password: str | None = attrs.field(repr=False)
    secure: bool

    @classmethod
    def read(cls, text: str) -> RedisUrl:
        """Read `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://…` for TLS; `%xx` stands for a byte.

        Raises:
            ValueError: it is none; the words do not show it.
        """
        if not text.isprintable() or " " in text:
            raise ValueError("no URL")
        parts = urlsplit(text)
        database = parts.path.removeprefix("/") or "0"
        try:
            port = PORT if parts.port is None else parts.port
        except ValueError:
            raise ValueError("no port") from None
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("no URL of a Redis")
        if not (database.isascii() and database.isdecimal()) or len(database) > 5 or not 0 < port < 65536:
            raise ValueError("no database or port")
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, port, int(database), username, password, parts.scheme == "rediss")

    @classmethod
    def is_one(cls, text: str) -> bool:
        """Whether `read` can read it."""
        try:
            cls.read(text)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.secure else ''}://{host}:{self.port}/{self.database}"


def without_password(text: str) -> str:
    """A text with `***` in place of what may be the credentials of a URL in it, mistyped or not.

    That is what stands before the last `@`, but for the scheme, where there is a `:` or a `/` before that `@`.
    """
    return _CREDENTIALS.sub(r"\1***@", text)
