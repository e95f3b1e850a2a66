"""The command line: `trio-chat` or `python -m trio_chat`, which serves unless told otherwise.

Exit codes: 0 success; 1 output that cannot be written, or a finding of `log` or `fuzz`; 2 a wrong option or value, with
one line on stderr that names it; 130 stopped by Ctrl-C, or by a second signal before the drain was over.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import attrs
from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError

import trio_chat
from trio_chat.bench.tool import HELP as BENCH_HELP
from trio_chat.bench.tool import bench
from trio_chat.cli_admin import build_admin
from trio_chat.cli_log import build_log
from trio_chat.cli_simulate import HELP as SIMULATE_HELP
from trio_chat.cli_simulate import simulate
from trio_chat.cli_token import token
from trio_chat.config import OPTIONS, Config, ConfigError
from trio_chat.fuzz.tool import HELP as FUZZ_HELP
from trio_chat.fuzz.tool import fuzz
from trio_chat.log import LogError
from trio_chat.redis_url import without_password
from trio_chat.schema import json_schema
from trio_chat.settings import Settings, flag, is_list, load, toml
from trio_chat.terminal.command import HELP as CONNECT_HELP
from trio_chat.terminal.command import connect

HELP = """A WebSocket chat server on Trio.

Every option can also be a variable (--max-attempts: TRIO_CHAT_MAX_ATTEMPTS) or a line of a TOML file (max_attempts).
A flag goes before a variable, a variable before the file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` has no program name in it; None means the process's own."""
    code = 130
    try:
        code = _command_line(sys.argv[1:] if argv is None else argv)
    except* KeyboardInterrupt:  # perhaps in a group, from the instants when no signal receiver is open
        pass
    _settle(sys.stdout)
    _settle(sys.stderr)
    return code


def build() -> App:
    """The commands. Their options are made from `OPTIONS`, all of them text: `settings` converts and checks."""
    app = App(
        name="trio-chat",
        version=trio_chat.__version__,
        help=HELP,
        help_format="plaintext",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,  # `main` does that
        result_action="return_value",
    )
    app.default(_with_options(serve))
    app.command(_with_options(serve), name="serve")
    app.command(_with_options(check_config), name="check-config")
    app.command(print_schema, name="schema")
    app.command(build_log())
    app.command(build_admin())
    app.command(connect, help=CONNECT_HELP)
    app.command(bench, help=BENCH_HELP)
    app.command(fuzz, help=FUZZ_HELP)
    app.command(simulate, help=SIMULATE_HELP)
    app.command(token)
    return app


def serve(settings: Settings) -> int:
    """Run the server (the default). SIGTERM or Ctrl-C drains it, a second one stops it at once."""
    from trio_chat.run import run  # here, so that --help and check-config load no server

    return run(settings)


def check_config(settings: Settings) -> int:
    """Print each option in force and where it comes from. What is printed is itself a configuration file."""
    if settings.config.auth.auth == "jwt":
        from trio_chat.auth.keys import load_keys  # here, so that --help loads no cryptography

        try:
            load_keys(settings.config.auth)
        except ConfigError as error:
            raise settings.named(error) from None
    print(table(settings))
    return 0


def print_schema() -> int:
    """Print the wire protocol as JSON Schema."""
    print(json.dumps(json_schema(), indent=2))
    return 0


def table(settings: Settings) -> str:
    """One line of TOML an option, its source as a comment, in columns."""
    rows = []
    for name, source in settings.sources.items():
        section, field = OPTIONS[name]
        value = getattr(getattr(settings.config, section), field.name)
        if name == "allowed_origins":  # its default depends on the environment: show what that comes to
            value = settings.config.admission.origins
        shown = toml(value)
        if name == "admin_token" and value:
            shown = '"hidden"'
        elif name == "log":
            shown = without_password(shown)
        rows.append((name if shown == toml(value) else f"# {name}", shown, source))
    left = max(len(name) for name, _, _ in rows)
    middle = max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:{left}} = {value:{middle}}  # {source}" for name, value, source in rows)


def _with_options(command: Callable[[Settings], int]) -> Callable[..., int]:
    """Wrap a command into a function whose signature, which Cyclopts reads, has a keyword for each option."""

    def wrapped(**flags: Any) -> int:
        path = flags.pop("config", None)
        return command(load(flags, os.environ, path))

    help = "TOML file with options; else TRIO_CHAT_CONFIG names one"
    file = Parameter(name="--config", help=help, metavar="PATH", group="File")
    signature = inspect.Signature([_keyword("config", str, file), *(_option(name) for name in OPTIONS)])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__doc__ = command.__doc__
    return wrapped


def _option(name: str) -> inspect.Parameter:
    section, field = OPTIONS[name]
    shown = "" if field.default in (None, (), "") else f" [default: {toml(field.default)}]"
    parameter = Parameter(
        name=flag(name),
        help=f"{field.metadata['help']}{shown}",
        metavar=None if is_list(name) else getattr(field.type, "__name__", "").upper(),
        group=Group(section.capitalize(), sort_key=[one.name for one in attrs.fields(Config)].index(section)),
        negative=(),  # no --empty-allowed-origins
        show_default=False,
    )
    return _keyword(name, list[str] if is_list(name) else str, parameter)


def _keyword(name: str, kind: Any, parameter: Parameter) -> inspect.Parameter:
    annotation = Annotated[kind | None, parameter]  # None: not given; Cyclopts asks pydantic, where that is loaded
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _command_line(argv: Sequence[str]) -> int:
    """Parse and run. Every mistake of the user's is one line on stderr."""
    try:
        code: int = build()(argv) or 0  # None after --help and --version
        if sys.stdout is not None and code != 2:  # then one line was said, perhaps of stdout
            sys.stdout.flush()
        return code
    except UnusedCliTokensError as error:
        stray = without_password(repr(error.unused_tokens[0] if error.unused_tokens else ""))
        commands = "serve, check-config, schema, connect, log, admin, bench, fuzz, simulate, token"
        return _fail(f"{stray}: no such command or argument. The command comes first: {commands}.")
    except CycloptsError as error:
        return _fail(re.sub(r"\S+", lambda word: without_password(word[0]), repr(str(error))[1:-1]))
    except (ConfigError, LogError) as error:
        return _fail(str(error))
    except OSError as error:  # of stdout only: what goes wrong in the server comes as a group
        return 1 if isinstance(error, BrokenPipeError) else _fail(f"stdout: {error.strerror}", 1)


def _fail(line: str, code: int = 2) -> int:
    if sys.stderr is not None:  # closed: `print` would take stdout instead
        print(line, file=sys.stderr)
    return code


def _settle(stream: TextIO | None) -> None:
    """Flush; a stream that takes nothing more is pointed elsewhere, or the interpreter would complain at exit."""
    if stream is None:  # it was closed when the process began
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
