"""The command `trio-chat connect URL`: full-screen, or with --plain for pipes.

Exit codes: 0 all that was to be sent was acked; 1 it was not, or the server cannot be reached, or stdout cannot be
written; 2 asked for the wrong; 130 stopped by Ctrl-C, 143 by SIGTERM. What is wrong is one line on stderr.
"""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from trio_chat.cli_log import printable
from trio_chat.config import ConfigError
from trio_chat.settings import PASSWORD, TOKEN

HELP = """Chat in a terminal, or through pipes.

Full-screen it needs a terminal, and pip install "trio-chat[terminal]". With --plain each line of stdin is a message \
to the room, and each message of the room a line on stdout."""
MISSING = 'the full-screen client needs Textual: pip install "trio-chat[terminal]"; --plain needs nothing more'
MAX_LAST = 200
MAX_TIMEOUT = 86_400.0


def connect(
    url: Annotated[str, Parameter(help="ws://HOST:PORT, or wss://", metavar="URL")],
    /,
    *,
    name: Annotated[str, Parameter(help="to be called; else your login's", show_default=False)] = "",
    room: Annotated[str, Parameter(help="to be in, or @NAME for a private conversation")] = "general",
    plain: Annotated[bool, Parameter(help="for pipes: lines in, lines out", negative="", show_default=False)] = False,
    follow: Annotated[
        bool, Parameter(help="--plain: go on at the end of stdin, and print", negative="", show_default=False)
    ] = False,
    json: Annotated[
        bool, Parameter(name="--json", help="--plain: print objects", negative="", show_default=False)
    ] = False,
    last: Annotated[int, Parameter(help=f"--plain: first print the last entries, at most {MAX_LAST}")] = 0,
    timeout: Annotated[float, Parameter(help="--plain: seconds that a line waits for its answer")] = 60.0,
    password_file: Annotated[
        str, Parameter(help=f"where there are accounts; else {PASSWORD}", metavar="PATH", show_default=False)
    ] = "",
    register: Annotated[bool, Parameter(help="make that account first", negative="", show_default=False)] = False,
    token_file: Annotated[
        str, Parameter(help=f"where there are tokens; else {TOKEN}", metavar="PATH", show_default=False)
    ] = "",
    ca: Annotated[
        str, Parameter(help="PEM file of the authority to check wss:// with", metavar="PATH", show_default=False)
    ] = "",
) -> int:
    """See `HELP`."""
    from trio_chat.terminal.login import Login, checked_room  # here, so that other commands load nothing of this

    try:
        login = Login.of(url, name=name, password_file=password_file, token_file=token_file, register=register, ca=ca)
        checked_room(room)
        if not 0 <= last <= MAX_LAST:
            raise ConfigError("--last", last, f"an integer from 0 to {MAX_LAST}")
        if not 0 < timeout <= MAX_TIMEOUT:  # also of NaN
            raise ConfigError("--timeout", timeout, f"a number of seconds over 0, at most {MAX_TIMEOUT:g}")
        for flag, given in (("--follow", follow), ("--json", json), ("--last", last)):
            if given and not plain:
                raise ValueError(f"{flag} goes with --plain")
        if not plain and not all(map(_is_terminal, (sys.stdin, sys.stdout, sys.stderr))):  # Textual draws on stderr
            raise ValueError("stdin, stdout and stderr must be a terminal; for pipes there is --plain")
    except ValueError as error:
        return _fail(str(error), 2)
    if plain:
        from trio_chat.terminal.plain import Plain, run

        return run(Plain(login=login, room=room, follow=follow, json=json, last=last, timeout=timeout))
    try:
        from trio_chat.terminal.app import run as run_app
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "textual":
            return _fail(MISSING, 1)
        raise
    return run_app(login, room)


def _is_terminal(stream: object) -> bool:
    return stream is not None and bool(getattr(stream, "isatty", bool)())


def _fail(line: str, code: int) -> int:
    if sys.stderr is not None:
        print(printable(line), file=sys.stderr)
    return code
