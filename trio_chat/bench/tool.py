"""The command `trio-chat bench URL`.

Exit codes: 0 all that was sent was answered and delivered; 1 it was not, or the server could not be loaded; 2 asked for
the wrong; 130 stopped by Ctrl-C. Progress is shown on stderr, if it is a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import msgspec
import trio
from cyclopts import Parameter, Token

from trio_chat.bench.load import load
from trio_chat.bench.plan import (
    MAX_CONNECTIONS,
    MAX_DELIVERIES,
    MAX_MESSAGES,
    MAX_RATE,
    MAX_SECONDS,
    BenchError,
    Plan,
)
from trio_chat.bench.report import summary, text
from trio_chat.bench.tally import Tally
from trio_chat.client.place import checked, trusting

ERASE = "\r\x1b[K"  # a terminal's line
HELP = f"""Load a server and say how late it answers: at most {MAX_MESSAGES:,} messages and \
{MAX_DELIVERIES:,} deliveries.

Its limits stay on, and some are counted by address: to be loaded from this machine with many guests, a server needs \
--trusted-addresses 127.0.0.0/8.

The guests, their rooms (bench-…) and all messages stay in its log: load a server that nobody uses, or one with --log \
memory."""


def whole(_type: type, tokens: Sequence[Token]) -> int:
    """An integer as an option of the command line; 1.5 is none.

    Raises:
        ValueError: it is no integer.
    """
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} must be a whole number") from None


def bench(
    url: Annotated[str, Parameter(help="ws://HOST:PORT/ws", metavar="URL")],
    /,
    *,
    connections: Annotated[int, Parameter(help=f"guests, at most {MAX_CONNECTIONS:,}", converter=whole)] = 10,
    rooms: Annotated[int, Parameter(help="that they are spread over, at most as many", converter=whole)] = 1,
    rate: Annotated[float, Parameter(help=f"messages a second, in all, at most {MAX_RATE:,g}")] = 10.0,
    seconds: Annotated[float, Parameter(help=f"for which they send, at most {MAX_SECONDS:,g}")] = 10.0,
    json: Annotated[bool, Parameter(name="--json", help="for programs", negative="", show_default=False)] = False,
    ca: Annotated[
        str, Parameter(help="PEM file of the authority to check wss:// with", metavar="PATH", show_default=False)
    ] = "",
    yes: Annotated[bool, Parameter(help="load a server elsewhere", negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(help="show no progress", negative="", show_default=False)] = False,
) -> int:
    """See `HELP`."""
    try:
        plan = Plan(
            url=checked(url, yes, "loads"),
            connections=connections,
            rooms=rooms,
            rate=rate,
            seconds=seconds,
            tls=trusting(ca),
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


@contextmanager
def shown(plan: Plan, quiet: bool) -> Iterator[Callable[[Tally], None]]:
    """One line of progress on stderr, if that is a terminal and `quiet` is not wanted; in the end it is gone."""
    terminal = sys.stderr
    if quiet or terminal is None or not terminal.isatty():
        yield lambda tally: None
        return
    last = ""

    def show(tally: Tally) -> None:
        nonlocal last
        total = plan.messages if tally.opened == plan.connections else plan.connections
        done, what = (tally.sent, "sent") if total is plan.messages else (tally.opened, "connected")
        line = f"bench: {done * 100 // total} % {what}"
        if line != last:
            last = line
            print(f"{ERASE}{line}", end="", file=terminal, flush=True)

    try:
        yield show
    finally:
        print(ERASE, end="", file=terminal, flush=True)


def _fail(line: str, code: int) -> int:
    if sys.stderr is not None:
        printable = "".join(one if one.isprintable() else " " for one in line)  # a server's words may hold anything
        print(printable, file=sys.stderr)
    return code
