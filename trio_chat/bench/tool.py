"""The command `trio-chat bench URL`.

Exit codes: 0 all that was sent was answered and delivered; 1 it was not, or the server could not be loaded; 2 asked for
the wrong; 130 stopped by Ctrl-C. Progress is shown on stderr, if it is a terminal.
"""

from __future__ import annotations

import ipaddress
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import trio
from cyclopts import Parameter

from trio_chat.bench.load import BenchError, Plan, Tally, load
from trio_chat.bench.report import summary, text


def bench(
    url: Annotated[str, Parameter(help="ws://HOST:PORT/ws", metavar="URL")],
    /,
    *,
    connections: Annotated[int, Parameter(help="guests")] = 10,
    rooms: Annotated[int, Parameter(help="that they are spread over")] = 1,
    rate: Annotated[float, Parameter(help="messages a second, in all")] = 10.0,
    seconds: Annotated[float, Parameter(help="for which they send")] = 10.0,
    json: Annotated[bool, Parameter(name="--json", help="for programs", negative="", show_default=False)] = False,
    ca: Annotated[str, Parameter(help="PEM file of the authority to check wss:// with", metavar="PATH")] = "",
    yes: Annotated[bool, Parameter(help="load a server elsewhere", negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(help="show no progress", negative="", show_default=False)] = False,
) -> int:
    """Load a server and say how late it answers. Its limits stay on: with many guests, it must trust our address."""
    try:
        plan = Plan(
            url=checked(url, yes), connections=connections, rooms=rooms, rate=rate, seconds=seconds, tls=trusting(ca)
        )
    except ValueError as error:
        return _fail(str(error), 2)
    try:
        with shown(plan, quiet) as progress:
            tally = trio.run(load, plan, progress)
    except BenchError as error:
        return _fail(str(error), 1)
    print(msgspec.json.format(msgspec.json.encode(summary(tally)), indent=2).decode() if json else text(tally))
    return 1 if tally.errors else 0


def checked(url: str, yes: bool) -> str:
    """The URL, with `/ws` where it has no path. Somebody else's server is loaded only on purpose.

    Raises:
        ValueError: it is no WebSocket URL, or not on this machine and `yes` is not given.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} must be ws://HOST:PORT/ws or wss://…")
    if not yes and not loopback(parts.hostname):
        raise ValueError(f"{parts.hostname} is not this machine: --yes loads it all the same")
    return parts._replace(path=parts.path.rstrip("/") or "/ws").geturl()


def trusting(ca: str) -> ssl.SSLContext | None:
    """What checks certificates by the authority in the file `ca`; None, as the system does, where that is empty.

    Raises:
        ValueError: it holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca) if ca else None
    except OSError as error:
        raise ValueError(f"--ca: {ca!r} must be a file with a certificate in PEM ({error.strerror})") from None


def loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`; no name is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def shown(plan: Plan, quiet: bool) -> Iterator[Callable[[Tally], None]]:
    """A progress bar on stderr, if that is a terminal and `quiet` is not wanted."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda tally: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("bench", total=plan.messages)
        yield lambda tally: bar.update(task, completed=tally.sent)


def _fail(line: str, code: int) -> int:
    if sys.stderr is not None:
        printable = "".join(one if one.isprintable() else " " for one in line)  # a server's words may hold anything
        print(printable, file=sys.stderr)
    return code
