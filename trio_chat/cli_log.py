"""`trio-chat log …`: an operator's look into a log file, and copies of it. Each works while a server has it open.

Exit codes: 0 success; 1 a finding, or it cannot be done; 2 asked for the wrong; 130 stopped by Ctrl-C. What is wrong is
one line on stderr; progress is shown there too, if it is a terminal.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
from cyclopts import App, Parameter

if TYPE_CHECKING:
    from rich.console import Console

    from trio_chat.log.tools import Report

COMMANDS = ("check", "stats", "export", "import", "backup")
LogFile = Annotated[str, Parameter(help="the log file, PATH or sqlite:PATH", metavar="PATH")]
Quiet = Annotated[bool, Parameter(help="show no progress", negative="", show_default=False)]
Force = Annotated[bool, Parameter(help="overwrite the output file", negative="", show_default=False)]
Json = Annotated[bool, Parameter(name="--json", help="for programs", negative="", show_default=False)]
Rooms = Annotated[list[str] | None, Parameter(name="--room", help="only this room; may be repeated", negative="")]


def build_log() -> App:
    """The commands below `log`."""
    app = App(
        name="log",
        help="Look into a log file, copy, export or import it.",
        help_format="plaintext",
        usage="Usage: trio-chat log COMMAND",
        version_flags=(),
    )
    app.default(nothing)
    app.command(check)
    app.command(stats)
    app.command(export)
    app.command(import_, name="import")
    app.command(backup)
    return app


def check(path: LogFile, /, *, quiet: Quiet = False) -> int:
    """See whether a log file is sound: 0 if it is, 1 and a line for each finding if not. Nothing is written."""
    from trio_chat.log.tool_check import check as look

    def run() -> int:
        with _progress(quiet) as report:
            checked = look(_path(path), report)
        for line in checked.looked:
            print(printable(line))
        for line in checked.findings:
            print(printable(f"DAMAGED {line}"))
        if checked.more:
            print("DAMAGED there is more")
        print("damaged" if checked.findings else "sound")
        return 1 if checked.findings else 0

    return _guarded(run)


def stats(
    path: LogFile,
    /,
    *,
    json: Json = False,
    rooms: Annotated[int, Parameter(help="how many of the biggest rooms are shown")] = 10,
    quiet: Quiet = False,
) -> int:
    """Count what is in a log file, without any content."""
    from trio_chat.log.tool_stats import stats as count
    from trio_chat.log.tool_stats import table
    from trio_chat.log.tools import ToolError

    def run() -> int:
        if rooms < 0:
            raise ToolError(f"--rooms: {rooms} must be 0 or more", usage=True)
        with _progress(quiet) as report:
            found = count(_path(path), rooms, report)
        if json:
            print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        else:
            print("\n".join(map(printable, table(found).split("\n"))))
        return 0

    return _guarded(run)


def export(
    path: LogFile,
    /,
    *,
    output: Annotated[str, Parameter(help="a new file, or - for stdout", metavar="FILE")] = "-",
    room: Rooms = None,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Write what a log file holds as lines of JSON, with what people said, without sessions, passwords and secrets."""
    from trio_chat.log.tool_export import export as write
    from trio_chat.log.tool_export import export_file

    def run() -> int:
        log = _path(path)
        if output == "-":
            out = _binary(sys.stdout, "stdout")
            with _progress(quiet or out.isatty()) as report:
                write(log, out, room or (), report)
        else:
            with _progress(quiet) as report:
                export_file(log, _path(output), room or (), report, force=force)
        return 0

    return _guarded(run)


def import_(
    path: Annotated[str, Parameter(help="the log file to make, PATH or sqlite:PATH", metavar="PATH")],
    /,
    *,
    input: Annotated[str, Parameter(name="--input", help="what was exported, or - for stdin", metavar="FILE")] = "-",
    quiet: Quiet = False,
) -> int:
    """Make a new log file of exported lines. A wrong line leaves nothing behind."""
    from trio_chat.log.tool_import import import_file
    from trio_chat.log.tools import ToolError

    def run() -> int:
        log = _path(path)
        if input == "-":
            with _progress(quiet) as report:
                made = import_file(log, _binary(sys.stdin, "stdin"), report)
            return _made(log, *made)
        try:
            source = Path(input).open("rb")  # noqa: SIM115  (closed below; only the opening is guarded)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ToolError(f"--input: {input!r} cannot be read: {reason}", usage=True) from None
        with source, _progress(quiet) as report:
            made = import_file(log, source, report)
        return _made(log, *made)

    return _guarded(run)


def backup(
    path: LogFile,
    dest: Annotated[str, Parameter(help="the new file", metavar="DEST")],
    /,
    *,
    quiet: Quiet = False,
) -> int:
    """Copy a log file, whole and looked through. A server that opens the copy gives each room a new epoch."""
    from trio_chat.log.tool_backup import backup as copy

    def run() -> int:
        new = _path(dest)
        with _progress(quiet) as report:
            made = copy(_path(path), new, report)
        return _made(new, made.rooms, made.entries)

    return _guarded(run)


def nothing(*command: Annotated[str, Parameter(show=False)]) -> int:
    """Which command is meant must be said."""
    from trio_chat.log.tools import ToolError

    if not command:
        build_log().help_print([], console=_stderr())
        return 2
    near = get_close_matches(command[0], COMMANDS, 1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    line = f'Unknown command "{command[0]}".{hint} Available commands: {", ".join(COMMANDS)}.'
    raise ToolError(printable(line), usage=True)


# --- Shared ----------------------------------------------------------------------------------------------------------


def _guarded(run: Callable[[], int]) -> int:
    """Run a command. SIGTERM is as Ctrl-C, so that nothing stays half-made."""
    from trio_chat.log import LogError
    from trio_chat.log.tools import ToolError

    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run()
    except LogError as error:
        if sys.stderr is not None:
            print(printable(str(error)), file=sys.stderr)
        return 2 if isinstance(error, ToolError) and error.usage else 1
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _progress(quiet: bool) -> Iterator[Report]:
    """Bars on stderr, which vanish in the end; none where that is no terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        bars = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what)
            progress.update(bars[what], completed=done, total=total)

        yield report


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _made(path: Path, rooms: int, entries: int) -> int:
    """Say what a new file holds."""
    print(printable(f"{path}: {path.stat().st_size:,} bytes, {rooms:,} rooms, {entries:,} entries"))
    return 0


def _path(text: str) -> Path:
    from trio_chat.log.tools import log_path

    return log_path(text)


def _binary(stream: object, name: str) -> BinaryIO:
    from trio_chat.log.tools import ToolError

    binary: BinaryIO | None = getattr(stream, "buffer", None)
    if binary is None:
        raise ToolError(f"{name} is closed", usage=True)
    return binary


def printable(line: str) -> str:
    """The line with whatever could break or forge a line of output escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
