"""Where to connect, and as whom: from flags, files and the environment, checked before anything is opened."""

from __future__ import annotations

import getpass
import os
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs

from trio_chat.client import ChatClient, open_chat_client
from trio_chat.client.place import checked, trusting
from trio_chat.config import ConfigError
from trio_chat.core.names import RULE, parse_name
from trio_chat.settings import PASSWORD, TOKEN


@attrs.frozen(kw_only=True)
class Login:
    """What `open_chat_client` needs to know."""

    url: str
    name: str | None
    password: str | None = attrs.field(default=None, repr=False)
    token: Callable[[], str] | str | None = attrs.field(default=None, repr=False)
    register: bool = False
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, *, name: str, password_file: str, token_file: str, register: bool, ca: str) -> Login:
        """What the flags say, and where they do not, the environment; a file goes before a variable.

        Raises:
            ConfigError: a name or a file is not good, or one does not go with another.
            ValueError: `url` or `ca` is not good; its text is the line to show.
        """
        url, tls = checked(url, yes=True, does="connects to"), trusting(ca)
        if password_file and token_file:
            raise ValueError("--password-file, --token-file: one of them is enough")
        token: Callable[[], str] | str | None = None if password_file else os.environ.get(TOKEN)
        password = None if token_file or token else os.environ.get(PASSWORD)
        if token_file:
            token = _renewed(token_file)
        elif password_file:
            password = _read("--password-file", password_file)
        if register and not password:
            raise ValueError(f"--register needs a password: --password-file, or {PASSWORD}")
        shown = None if token and not name else _name(name)
        return cls(url=url, name=shown, password=password or None, token=token or None, register=register, tls=tls)

    def open(self, *, wait: bool = False) -> AbstractAsyncContextManager[ChatClient]:
        """A client; see `open_chat_client`, also for what it raises."""
        return open_chat_client(
            self.url,
            self.name,
            token=self.token,
            password=self.password,
            register=self.register,
            tls=self.tls,
            wait=wait,
        )


def checked_room(room: str) -> str:
    """A room's name, or `@name`.

    Raises:
        ConfigError: it is neither.
    """
    try:
        parse_name(room.removeprefix("@"))
    except ValueError:
        raise ConfigError("--room", room, f"{RULE}; or @NAME, for a private conversation") from None
    return room


def _name(given: str) -> str:
    """The name to take; that of the login, where none is given.

    Raises:
        ConfigError: it is no name.
    """
    try:
        name = given or getpass.getuser()
        parse_name(name)
    except (OSError, KeyError, ImportError):
        raise ConfigError("--name", given, f"{RULE} (this system has no name for you)") from None
    except ValueError:
        raise ConfigError("--name", name, RULE) from None
    return name


def _renewed(path: str) -> Callable[[], str]:
    """What reads a token file: whoever renews it meanwhile is heard.

    Raises:
        ConfigError: it cannot be read now.
    """
    _read("--token-file", path)
    return lambda: Path(path).read_text(encoding="utf-8").strip()


def _read(flag: str, path: str) -> str:
    """What a file holds, without the line break at its end.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(flag, path, f"a file that can be read ({reason})") from None
    if not text:
        raise ConfigError(flag, path, "a file that is not empty")
    return text
