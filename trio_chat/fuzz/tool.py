"""The command `trio-chat fuzz URL`.

Exit codes: 0 nothing was found; 1 a promise was broken, even if only once; 2 asked for the wrong, or the server could
not be fuzzed; 130 stopped by Ctrl-C. Progress is shown on stderr, if it is a terminal.
"""

from __future__ import annotations

import json as jsonlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
from cyclopts import Parameter

from trio_chat.client.connection import Target
from trio_chat.client.place import checked, trusting

if TYPE_CHECKING:
    from trio_chat.fuzz.campaign import Campaign
    from trio_chat.fuzz.target import Server

ERASE = "\r\x1b[K"  # a terminal's line
SHOWN_EVERY = 0.1  # seconds
INSTALL = "fuzz needs Hypothesis: pip install 'trio-chat[fuzz]'"
PROFILE_NAMES = ("quick", "normal", "deep", "hostile", "polite")
SAVED, PATIENCE = "fuzz-failure.json", 2.0
MAX_SECONDS, MAX_EXAMPLES = 86_400.0, 10_000_000
HELP = """Look for broken promises in any server of the protocol, in whatever language it is written.

Several clients do at random what clients do, and what no client should; a model that is made of docs/protocol.md says \
what each of them must hear. What breaks a promise is done again, cut down to the fewest steps, and printed.

A server's limits are no faults: they are kept to, and a refusal that says when to come back is obeyed. One that is to \
be fuzzed fast needs --trusted-addresses 127.0.0.0/8 --rooms-created-per-hour 1000000 --messages-per-second 1000000 \
--messages-burst 1000000 --frames-per-second 1000000.

With --client it is the other way round: a hostile server waits for a client, and says what that did wrong.

Each example leaves rooms and messages in its log: take a server that nobody uses, or one with --log memory."""


def fuzz(
    url: Annotated[str, Parameter(help="ws://HOST:PORT/ws", metavar="URL")] = "",
    /,
    *,
    seconds: Annotated[float | None, Parameter(help="for which to look; 60 where --examples is not given")] = None,
    examples: Annotated[int | None, Parameter(help="to try, at most")] = None,
    profile: Annotated[str, Parameter(help="one of " + ", ".join(PROFILE_NAMES), metavar="NAME")] = "normal",
    seed: Annotated[int | None, Parameter(help="of what is tried; it is printed, too", show_default=False)] = None,
    replay: Annotated[str, Parameter(help="do what a file says, no more", metavar="FILE", show_default=False)] = "",
    save: Annotated[str, Parameter(help="where what is found is written to", metavar="FILE")] = SAVED,
    junit: Annotated[str, Parameter(help="write JUnit's XML", metavar="PATH", show_default=False)] = "",
    json: Annotated[bool, Parameter(name="--json", help="for programs", negative="", show_default=False)] = False,
    patience: Annotated[float, Parameter(help="seconds within which whatever must come comes")] = PATIENCE,
    ca: Annotated[
        str, Parameter(help="PEM file of the authority to check wss:// with", metavar="PATH", show_default=False)
    ] = "",
    yes: Annotated[bool, Parameter(help="fuzz a server elsewhere", negative="", show_default=False)] = False,
    client: Annotated[
        bool, Parameter(help="be a hostile server, and judge the client that comes", negative="", show_default=False)
    ] = False,
    port: Annotated[int, Parameter(help="for --client, to listen on; 0 takes a free one")] = 0,
    run: Annotated[
        str,
        Parameter(
            help="for --client: starts the client, with the URL as its last argument, once for each final close code",
            metavar="COMMAND",
            show_default=False,
        ),
    ] = "",
    quiet: Annotated[bool, Parameter(help="show no progress", negative="", show_default=False)] = False,
) -> int:
    """See `HELP`."""
    ours = (("--port", port != 0), ("--run", run != ""))
    others = (
        ("--seconds", seconds is not None),
        ("--examples", examples is not None),
        ("--profile", profile != "normal"),
        ("--replay", replay != ""),
        ("--save", save != SAVED),
        ("--junit", junit != ""),
        ("--patience", patience != PATIENCE),
        ("--ca", ca != ""),
        ("--yes", yes),
    )
    for option, given in others if client else ours:
        if given:
            return _fail(f"{option}: it is {'not for' if client else 'only for'} --client", 2)
    if client:
        return _client(url, port, run, seed, json=json)
    try:
        import hypothesis  # noqa: F401  (an extra)
    except ImportError:
        return _fail(INSTALL, 2)
    from trio_chat.fuzz.target import NotFuzzableError, Server

    try:
        if not url:
            raise ValueError("fuzz needs the URL of a server, such as ws://127.0.0.1:10000/ws")
        _bounded("--seconds", seconds, 0.01, MAX_SECONDS)
        _bounded("--examples", examples, 1, MAX_EXAMPLES)
        _bounded("--patience", patience, 0.05, 600)
        if profile not in PROFILE_NAMES:
            raise ValueError(f"--profile: {profile!r} must be one of {', '.join(PROFILE_NAMES)}")
        server = Server(Target.of(checked(url, yes, "fuzzes")), trusting(ca), patience)
        campaign = _run(server, seconds, examples, profile, seed, replay, quiet)
        code = _told(campaign, save if not replay else "", junit, json=json)
    except (ValueError, NotFuzzableError) as error:
        return _fail(str(error), 2)
    return code


def _client(url: str, port: int, command: str, seed: int | None, *, json: bool) -> int:
    """Be a server."""
    from trio_chat.fuzz.client_tool import StartError, fuzz_client, told

    if url:
        return _fail(f"--client: {url!r} is left out, for a client comes here", 2)
    if not 0 <= port <= 65_535:
        return _fail(f"--port: {port} must be an integer from 0 to 65535", 2)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    try:
        return told(trio.run(fuzz_client, port, command, chosen), as_json=json)
    except StartError as error:
        return _fail(str(error), 2)


def _bounded(option: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ValueError(f"{option}: {value:g} must be from {low:g} to {high:,.12g}")


def _run(
    server: Server,
    seconds: float | None,
    examples: int | None,
    profile: str,
    seed: int | None,
    replay: str,
    quiet: bool,
) -> Campaign:
    """Fuzz, or do what a file says."""
    from trio_chat.fuzz.campaign import fuzz as campaign
    from trio_chat.fuzz.campaign import replayed
    from trio_chat.fuzz.report import load

    with shown(quiet) as show:
        if replay:
            return replayed(server, load(Path(replay)).plan)
        chosen = secrets.randbelow(2**32) if seed is None else seed
        bound = 60.0 if seconds is None and examples is None else seconds
        return campaign(server, seed=chosen, profile=profile, examples=examples, seconds=bound, show=show)


def _told(campaign: Campaign, save: str, junit: str, *, json: bool) -> int:
    """Print and write what came of it; the exit code.

    Raises:
        ValueError: a file cannot be written.
    """
    from trio_chat.fuzz import report
    from trio_chat.fuzz.promises import PROMISES

    finding = campaign.told
    if finding is not None and save:
        _write("--save", save, report.saved(finding.outcome))
    if junit:
        _write("--junit", junit, report.as_junit(campaign, list(PROMISES)).encode())
    if json:
        print(jsonlib.dumps(report.as_json(campaign), indent=2, ensure_ascii=False))
    else:
        for line in report.everything(campaign):
            print(line)
        if finding is not None and save:
            print(f"It can be done again: trio-chat fuzz URL --replay {save}")
        print(report.figures(campaign))
    return 1 if finding is not None else 0


def _write(option: str, path: str, data: bytes) -> None:
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise ValueError(f"{option}: {path!r} cannot be written: {error.strerror}") from None


@contextmanager
def shown(quiet: bool) -> Iterator[Callable[[Campaign], None]]:
    """One line of progress on stderr, if that is a terminal and `quiet` is not wanted; in the end it is gone."""
    terminal = sys.stderr
    if quiet or terminal is None or not terminal.isatty():
        yield lambda campaign: None
        return
    last, phase = 0.0, ""

    def show(campaign: Campaign) -> None:
        nonlocal last, phase
        now = time.monotonic()
        if now - last >= SHOWN_EVERY or phase != campaign.phase:
            last, phase = now, campaign.phase
            line = f"fuzz: {campaign.examples:,} examples, {campaign.steps:,} steps, {campaign.seconds:.0f} s"
            end = "" if campaign.phase == "running" else f", a promise is broken: {campaign.phase}"
            print(f"{ERASE}{line}{end}", end="", file=terminal, flush=True)

    try:
        yield show
    finally:
        print(ERASE, end="", file=terminal, flush=True)


def _fail(line: str, code: int) -> int:
    if sys.stderr is not None:
        printable = "".join(one if one.isprintable() else " " for one in line)  # a server's words may hold anything
        print(printable, file=sys.stderr)
    return code
