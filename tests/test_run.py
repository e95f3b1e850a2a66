"""The process around a server, with a server that does nothing."""

from __future__ import annotations

import errno
import logging
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_chat.config import Config, ConfigError
from trio_chat.run import STOPPED_AT_ONCE, Address, allow_descriptors, announce, risks, seen_from_elsewhere, supervise
from trio_chat.server.tls import Certificate
from trio_chat.settings import load


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[tuple[str, str]]]:
    """(level, message) of what the process logged; filled as the test goes."""
    entries: list[tuple[str, str]] = []

    class Into(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entries.append((record.levelname, record.getMessage()))

    handler, logger = Into(), logging.getLogger("trio_chat.run")
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, logger.name):
        yield entries
    logger.removeHandler(handler)


class Server:
    """Serves until told to stop, and then drains until `drained` is set."""

    def __init__(self, *, error: Exception | None = None, after_start: bool = False) -> None:
        self.error, self.after_start, self.drained, self.cancelled = error, after_start, trio.Event(), False

    async def __call__(
        self,
        config: Config,
        *,
        stop: trio.Event | None = None,
        certificate: Certificate | None = None,
        task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        assert stop is not None
        if self.error is not None and not self.after_start:
            raise self.error
        task_status.started([("0.0.0.0", 4321)])
        if self.error is not None:
            raise self.error
        try:
            await stop.wait()
            await self.drained.wait()
        except trio.Cancelled:
            self.cancelled = True
            raise


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_first_signal_drains(number: signal.Signals, said: list[tuple[str, str]]) -> None:
    server = Server()
    codes: list[int] = []

    async def process() -> None:
        codes.append(await supervise(load({}, {}), server))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(process)
        await wait_all_tasks_blocked()
        signal.raise_signal(number)
        await wait_all_tasks_blocked()
        assert codes == []
        server.drained.set()
    assert codes == [0]
    assert not server.cancelled
    assert said[-2:] == [
        ("INFO", f"{number.name}: draining for at most 8 s; a second signal stops at once"),
        ("INFO", "stopped"),
    ]


async def test_second_signal_stops_at_once(said: list[tuple[str, str]]) -> None:
    server = Server()
    codes: list[int] = []

    async def process() -> None:
        codes.append(await supervise(load({}, {}), server))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(process)
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
    assert codes == [STOPPED_AT_ONCE]
    assert server.cancelled
    assert said[-1] == ("WARNING", "SIGINT again: stopping at once")


GONE = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "--port: 5 must be a free port (already in use on 0.0.0.0)"),
        (
            OSError(errno.EACCES, "denied"),
            "--port: 5 must be a port that this user may open (permission denied on 0.0.0.0)",
        ),
        (OSError(errno.EADDRNOTAVAIL, "not ours"), "host: '0.0.0.0' must be an address of this machine"),
        (GONE, "host: '0.0.0.0' must be an address that can be listened on (Name or service not known)"),
        (UnicodeError("label"), "host: '0.0.0.0' must be an address that can be listened on (no valid host name)"),
        (OSError(errno.EMFILE, "Too many"), "host: '0.0.0.0' must be an address that can be listened on (Too many)"),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_address_that_cannot_be_listened_on_is_a_wrong_value(
    error: Exception, expected: str, depth: int, said: list[tuple[str, str]]
) -> None:
    for _ in range(depth):
        error = ExceptionGroup("nursery", [error])
    with pytest.raises(ConfigError) as caught:
        await supervise(load({"port": "5"}, {}), Server(error=error))
    assert str(caught.value) == expected
    assert said == []  # the one line on stderr is the error's


@pytest.mark.parametrize("error", [OSError(errno.EIO, "disk"), KeyError("bug")])
async def test_what_breaks_later_is_no_wrong_value(error: Exception) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await supervise(load({}, {}), Server(error=error, after_start=True))
    assert caught.group_contains(type(error))


@pytest.mark.parametrize(
    ("addresses", "places"),
    [
        ([("0.0.0.0", 10000), ("::", 10000)], ["localhost:10000"]),
        ([("127.0.0.1", 1)], ["127.0.0.1:1"]),
        ([("::1", 2), ("192.0.2.1", 3)], ["[::1]:2", "192.0.2.1:3"]),
    ],
)
def test_addresses_are_announced_as_urls(
    addresses: list[Address], places: list[str], said: list[tuple[str, str]]
) -> None:
    announce(Config(), addresses)
    listening = [message for _level, message in said if message.startswith("listening")]
    assert listening == [f"listening on http://{place}/ and ws://{place}/ws" for place in places]
    assert any("on all interfaces" in message for _level, message in said) == ("localhost:10000" in places)


def test_other_machines_are_told_where(said: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the address that this machine sends from; where it has none but its own, they are told of only."""
    sent_from = ["192.0.2.7", "127.0.0.1"]
    monkeypatch.setattr(socket.socket, "connect", lambda _self, _address: None)
    monkeypatch.setattr(socket.socket, "getsockname", lambda _self: (sent_from.pop(0), 5))
    announce(Config.of(tls_cert="c", tls_key="k"), [("0.0.0.0", 10000)])
    announce(Config(), [("0.0.0.0", 10000)])
    assert [message for _level, message in said if message.startswith("on all")] == [
        "on all interfaces: other machines can open https://192.0.2.7:10000/; --host 127.0.0.1 keeps them out",
        "on all interfaces: other machines can connect; --host 127.0.0.1 keeps them out",
    ]


def test_without_a_route_nothing_is_seen_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_self: socket.socket, _address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert seen_from_elsewhere(("::", 1)) is None
    assert seen_from_elsewhere(("0.0.0.0", 1)) is None


@pytest.mark.parametrize(
    ("options", "host", "found"),
    [
        ({}, "127.0.0.1", []),
        ({}, "::1", []),
        ({}, "0.0.0.0", ["tls_cert: none; messages cross the network unencrypted"]),
        ({"auth": "accounts"}, "::", ["tls_cert: none; messages and passwords cross the network unencrypted"]),
        ({"tls_cert": "c", "tls_key": "k"}, "0.0.0.0", []),
        ({"trusted_proxies": ["192.0.2.1"]}, "192.0.2.7", []),
        ({"admin_port": 1, "admin_host": "localhost"}, "127.0.0.1", []),
        (
            {"admin_port": 1, "admin_host": "192.0.2.7"},
            "127.0.0.1",
            ["admin_host: 192.0.2.7; its token crosses the network unencrypted"],
        ),
    ],
)
def test_what_is_insecure_is_said(options: dict[str, object], host: str, found: list[str]) -> None:
    assert risks(Config.of(**options), [(host, 10000)]) == found


@pytest.mark.parametrize(
    ("option", "content", "mode", "can"),
    [
        ("auth_key", "secret", 0o600, None),
        ("auth_key", "secret", 0o640, None),
        ("auth_key", "secret", 0o644, "read"),
        ("auth_key", "-----BEGIN PUBLIC KEY-----", 0o644, None),
        ("auth_key", "-----BEGIN PUBLIC KEY-----", 0o646, "written"),
        ("auth_jwks", '{"keys": [{"kty": "OKP"}]}', 0o644, None),
        ("auth_jwks", '{"keys": [{"kty": "oct"}]}', 0o644, "read"),
        ("tls_key", "-----BEGIN PRIVATE KEY-----", 0o644, "read"),
        ("admin_token_file", "token", 0o606, "written"),
        ("admin_token_file", None, 0, None),
    ],
)
def test_a_file_of_secrets_that_others_get_at_is_told(
    tmp_path: Path, option: str, content: str | None, mode: int, can: str | None
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    more = {"auth": "jwt"} if option.startswith("auth") else {"tls_cert": "c"} if option == "tls_key" else {}
    found = risks(Config.of(**{option: str(path)}, **more), [("127.0.0.1", 1)])
    told = f"{option}: {path} can be {can} by every user of this machine; chmod o-rwx keeps them out"
    assert found == ([] if can is None else [told])


@pytest.mark.parametrize("auth", ["guest", "jwt", "accounts"])
def test_who_comes_in_is_said(auth: str, said: list[tuple[str, str]]) -> None:
    key = {"auth_key": "k"} if auth == "jwt" else {}
    announce(Config.of(auth=auth, **key), [("127.0.0.1", 1)])
    (line,) = [message for _level, message in said if message.startswith(f"auth: {auth}; ")]
    assert ("guests are not admitted" in line) == (auth != "guest")


def test_what_is_lost_or_open_is_a_warning(said: list[tuple[str, str]]) -> None:
    announce(Config.of(log="memory"), [("127.0.0.1", 1)])
    assert [message.split(";")[0] for level, message in said if level == "WARNING"] == [
        "log: memory",
        "environment: development",
    ]


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1024, 1_000_000, 21_280),
        (1024, resource.RLIM_INFINITY, 21_280),
        (1024, 4096, 4096),
        (30_000, 40_000, 30_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_files_that_may_be_open_are_made_enough(
    soft: int, hard: int, after: int, monkeypatch: pytest.MonkeyPatch, said: list[tuple[str, str]]
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, now: limits.append(now))
    allow_descriptors(Config())
    assert limits[-1] == (after, hard)
    announce(Config(), [("127.0.0.1", 1)])
    told = [message for _level, message in said if "ulimit" in message]
    assert told == (["max_connections: 20000; but only 4096 files may be open (ulimit -n)"] if after == 4096 else [])


def test_addresses_of_an_encrypted_server_say_so(said: list[tuple[str, str]]) -> None:
    announce(Config.of(tls_cert="c", tls_key="k"), [("127.0.0.1", 1)])
    assert ("INFO", "listening on https://127.0.0.1:1/ and wss://127.0.0.1:1/ws") in said


def test_production_without_origins_is_no_warning(said: list[tuple[str, str]]) -> None:
    announce(Config.of(environment="production"), [("127.0.0.1", 1)])
    assert ("INFO", "environment: production") in said


def test_log_that_outlives_the_process_is_no_warning(said: list[tuple[str, str]]) -> None:
    announce(Config.of(log="sqlite:chat.db"), [("127.0.0.1", 1)])
    assert ("INFO", f"log: {Path.cwd()}/chat.db") in said
