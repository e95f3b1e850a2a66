"""Where the options come from: flags, else the environment, else a TOML file, else their defaults.

An option is declared once, in `trio_chat.config`; its other names follow from that one: `max_attempts` in TOML,
`--max-attempts`, `TRIO_CHAT_MAX_ATTEMPTS`. Only the value in force is converted and checked, but a name that does
not exist is refused wherever it stands.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from trio_chat.config import OPTIONS, Config, ConfigError, Net
from trio_chat.core.barring import read_network

PREFIX = "TRIO_CHAT_"
CONFIG_VARIABLE = "TRIO_CHAT_CONFIG"
ADMIN_URL = "TRIO_CHAT_ADMIN_URL"  # read by `trio-chat admin`, which may share the environment of the server
PASSWORD, TOKEN = "TRIO_CHAT_PASSWORD", "TRIO_CHAT_TOKEN"  # read by `trio-chat connect`, likewise
ELSEWHERE = (CONFIG_VARIABLE, ADMIN_URL, PASSWORD, TOKEN)
PLAIN = {"port": "PORT", "environment": "ENVIRONMENT"}  # what hosting platforms set; TRIO_CHAT_… goes before it
MAX_FILE_BYTES = 1024 * 1024  # so that `--config /dev/zero` ends

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class UnknownOptionError(ConfigError):
    """A name in the environment or in the file is no option's. `str()` is one line, with the nearest real name."""

    def __init__(self, typed: str, value: object, near: str | None) -> None:
        """`typed` is the name as it was found, `near` the name that may have been meant."""
        super().__init__(typed, value, "an option that exists")
        self.near = near

    def __str__(self) -> str:
        """The line for people: "NAME: no such option. Did you mean …?"."""
        return f"{self.option}: no such option." + (f" Did you mean {self.near}?" if self.near else "")


@attrs.frozen
class Given:
    """One option's value as somebody wrote it, before it is converted."""

    value: Any  # text, for a list option a list of texts; from TOML anything
    typed: str  # the option as that person wrote it: "--port", "TRIO_CHAT_PORT", "port in chat.toml"
    source: str  # the same for a table: "flag", "TRIO_CHAT_PORT", "chat.toml"
    is_text: bool = True  # flags and variables are text to convert; TOML has types of its own


@attrs.frozen
class Settings:
    """A checked configuration, and where each of its values came from."""

    config: Config
    given: Mapping[str, Given]  # what is not in here is at its default

    @property
    def sources(self) -> dict[str, str]:
        """Every option → "flag", a variable's name, the file's path, or "default"; in the order of declaration."""
        return {name: self.given[name].source if name in self.given else "default" for name in OPTIONS}

    def typed(self, option: str) -> str:
        """The option's name as the person wrote it; its plain name if nobody did."""
        return self.given[option].typed if option in self.given else option

    def named(self, error: ConfigError) -> ConfigError:
        """The error with the option's name as the person wrote it."""
        return ConfigError(self.typed(error.option), error.value, error.must)


def load(flags: Mapping[str, object], environ: Mapping[str, str], path: str | None = None) -> Settings:
    """Merge all sources, the strongest last.

    Args:
        flags: option name → text, or a list of texts for an option that is a list.
        environ: the whole environment; of it, `TRIO_CHAT_…`, `PORT` and `ENVIRONMENT` are read.
        path: the TOML file that `--config` names; else `TRIO_CHAT_CONFIG` may name one.

    Raises:
        ConfigError: an unknown name, a value outside its bounds, or a file that cannot be read.
    """
    if path is not None:
        in_file = _from_toml(path, "--config")
    elif CONFIG_VARIABLE in environ:
        in_file = _from_toml(environ[CONFIG_VARIABLE], CONFIG_VARIABLE)
    else:
        in_file = {}
    in_flags = {name: Given(value, flag(name), "flag") for name, value in flags.items()}
    given = {**in_file, **_from_environment(environ), **in_flags}
    values = {name: _converted(name, one) for name, one in given.items()}
    try:
        return Settings(Config.of(**values), given)
    except ConfigError as error:
        typed = given[error.option].typed if error.option in given else f"{error.option} (the default)"
        raise ConfigError(typed, error.value, error.must) from None


def flag(option: str) -> str:
    """`max_attempts` → `--max-attempts`."""
    return "--" + option.replace("_", "-")


def variable(option: str) -> str:
    """`max_attempts` → `TRIO_CHAT_MAX_ATTEMPTS`."""
    return PREFIX + option.upper()


def is_list(option: str) -> bool:
    """Whether the option takes any number of values: a repeated flag, commas in the environment, a TOML array."""
    return OPTIONS[option][1].type in _ITEM


def toml(value: object) -> str:
    """An option's value as TOML writes it, on one line of ASCII."""
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    return '"' + "".join(map(_toml_character, str(value))) + '"'


def _toml_character(one: str) -> str:
    return one if one.isascii() and one.isprintable() and one not in '"\\' else f"\\U{ord(one):08X}"


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    known = {variable(option): option for option in OPTIONS}
    for name, value in environ.items():
        if name.startswith(PREFIX) and name not in ELSEWHERE and name not in known:
            near = _nearest(name.removeprefix(PREFIX).lower(), [*OPTIONS, "config"])
            raise UnknownOptionError(_one_line(name), value, near and variable(near))
    names = {option: name for option, name in PLAIN.items() if name in environ}
    names |= {option: name for name, option in known.items() if name in environ}
    texts = {option: environ[name] for option, name in names.items()}
    return {
        option: Given(
            [part.strip() for part in text.split(",")] if is_list(option) else text, names[option], names[option]
        )
        for option, text in texts.items()
    }


def _from_toml(path: str, typed: str) -> dict[str, Given]:
    """Read the file at `path`, which was named by the flag or variable `typed`."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(typed, path, f"a TOML file that can be read ({reason})") from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(typed, path, f"a TOML file of at most {MAX_FILE_BYTES} bytes")
    try:
        table = tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(typed, path, f"TOML in UTF-8 (byte {error.start} is not)") from None
    except RecursionError:
        raise ConfigError(typed, path, "TOML without such deep nesting") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of too many digits
        raise ConfigError(typed, path, f"TOML without errors ({_one_line(str(error))})") from None
    place = _one_line(path)
    for name, value in table.items():
        if name not in OPTIONS:
            raise UnknownOptionError(f"{_one_line(name)} in {place}", value, _nearest(name, OPTIONS))
    return {name: Given(value, f"{name} in {place}", place, is_text=False) for name, value in table.items()}


def _converted(option: str, given: Given) -> object:
    """Give a value its option's type. Bounds, and the type of what TOML has typed, are `Config`'s to check."""
    field = OPTIONS[option][1]
    if is_list(option):
        return _list(given, *_ITEM[field.type])
    if not given.is_text or field.type is str:
        return given.value
    try:
        return _TEXT[field.type](given.value)
    except ValueError:
        raise ConfigError(given.typed, given.value, field.metadata["must"]) from None


def _list(given: Given, item: Callable[[Any], object], must: str) -> tuple[object, ...]:
    """Convert each item; the error shows the one that is wrong. A lone empty text is the empty list."""
    if not isinstance(given.value, list):
        raise ConfigError(given.typed, given.value, f"an array; each item {must}")
    if given.is_text and given.value == [""]:
        return ()
    result = []
    for value in given.value:
        try:
            result.append(item(value))
        except ValueError as error:
            raise ConfigError(given.typed, value, must + str(error)) from None
    return tuple(result)


def _integer(text: str) -> int:
    """Strict: `int` alone would take spaces, underscores and other scripts' digits."""
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    """Strict, and therefore never `inf` or `nan`, except that 1e999 is infinite and out of all bounds."""
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text)


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _network(value: object) -> Net:
    """Raises ValueError, whose text is a hint or empty."""
    if not isinstance(value, str):
        raise ValueError  # `ip_network` would take an integer for an address
    return read_network(value)


def _nearest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _one_line(text: str) -> str:
    """The text with whatever could break or forge a line of output escaped."""
    return repr(text)[1:-1]


_TEXT: dict[object, Callable[[str], object]] = {int: _integer, float: _number}
_ITEM: dict[object, tuple[Callable[[object], object], str]] = {
    tuple[Net, ...]: (_network, "a CIDR network such as 10.0.0.0/8"),
    tuple[str, ...] | None: (_pattern, "a non-empty pattern such as https://*.example.org"),
    tuple[str, ...]: (_pattern, "a non-empty text"),
}
