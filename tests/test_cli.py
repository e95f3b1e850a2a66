"""The program as a person runs it: exit codes, one-line errors, signals; real processes where those are the point."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import trio_chat
from trio_chat import cli
from trio_chat.config import LOG_KINDS, OPTIONS, Config
from trio_chat.settings import flag, load

COMMAND = [sys.executable, "-m", "trio_chat"]
PATIENCE = 30  # seconds until a process that hangs fails its test


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where the default log would be made
    for name in list(os.environ):
        if name.startswith("TRIO_CHAT_") or name in ("PORT", "ENVIRONMENT"):
            monkeypatch.delenv(name)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Ends what a test left running."""
    with ExitStack() as stack:
        yield stack


def start(processes: ExitStack, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    processes.enter_context(process)
    processes.callback(process.kill)
    return process


def port_of(process: subprocess.Popen[str]) -> int:
    """Read stderr up to the line that says where the server is."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"listening on http://\S+:(\d+)/ and ws://\S+:\1/ws$", line):
            return int(found[1])
    raise AssertionError(f"ended with {process.wait()} before it listened")


def test_module_is_the_script() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.strip() == trio_chat.__version__


FIRST = "The command comes first: serve, check-config, schema, connect, log, admin, bench, fuzz, simulate, token."


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "70000"], "--port: 70000 must be an integer from 0 to 65535"),
        (["--port", "-1"], "--port: -1 must be an integer from 0 to 65535"),
        (["--port", "abc"], "--port: 'abc' must be an integer from 0 to 65535"),
        (["--port="], "--port: '' must be an integer from 0 to 65535"),
        (["--prot", "1"], "Unknown option: --prot. Did you mean --port?"),
        (["--no-log"], "Unknown option: --no-log. Did you mean --log?"),
        (["--port"], "Parameter --port requires an argument."),
        (["--port", "1", "--port", "2"], "Parameter --port specified multiple times."),
        (
            ["sevre"],
            f"'sevre': no such command or argument. {FIRST}",
        ),
        (
            ["serve", "a\nb"],
            f"'a\\nb': no such command or argument. {FIRST}",
        ),
        (["--a\nb"], "Unknown option: --a\\nb."),
        (
            ["--config", "/nowhere"],
            "--config: '/nowhere' must be a TOML file that can be read (No such file or directory)",
        ),
        (["--auth", "jwt"], "--auth: 'jwt' must be together with auth_key or auth_jwks, or another kind"),
        (["--auth-key", "k"], "--auth-key: 'k' must be left out where auth is not jwt"),
        (
            ["check-config", "--auth", "jwt", "--auth-key", "/nowhere"],
            "--auth-key: '/nowhere' must be a file with a key (No such file or directory)",
        ),
        (
            ["--auth", "jwt", "--log", "memory", "--port", "0", "--auth-jwks", "/nowhere"],
            "--auth-jwks: '/nowhere' must be a file with a key (No such file or directory)",
        ),
        (["check-config", "--log", "redis:/u:sesame@h"], f"--log: 'redis:/***@h' must be {LOG_KINDS}"),
        (["redis://u:sesame@h"], f"'redis://***@h': no such command or argument. {FIRST}"),
        (["check-config", "--log", "tape"], f"--log: 'tape' must be {LOG_KINDS}"),
        (
            ["log", "chekc"],
            'Unknown command "chekc". Did you mean "check"? Available commands: check, stats, export, import, backup.',
        ),
        (["log", "check"], 'Command "log check" parameter PATH requires an argument.'),
        (["log", "backup", "chat.db"], 'Command "log backup" parameter DEST requires an argument.'),
        (["log", "export", "chat.db", "--rom", "x"], "Unknown option: --rom. Did you mean --room?"),
        (["log", "stats", "chat.db", "--rooms", "x"], 'Invalid value for --rooms: unable to convert "x" into int.'),
        (["log", "stats", "sqlite:"], "'sqlite:' must be the path of a file"),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", line + "\n")


def test_mistake_in_a_real_process(tmp_path: Path) -> None:
    """The interpreter adds nothing of its own to the one line."""
    environ = os.environ | {"TRIO_CHAT_PORT": "x\ny"}
    done = subprocess.run(COMMAND, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    expected = "TRIO_CHAT_PORT: 'x\\ny' must be an integer from 0 to 65535\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert [name for name in OPTIONS if f"{flag(name)} " not in out] == []
    assert "Did you mean" not in out


def test_help_names_every_tool_for_log_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["log", "--help"]) == 0
    out, err = capsys.readouterr()
    assert all(f" {name} " in out for name in ("check", "stats", "export", "import", "backup"))
    assert err == ""
    assert cli.main(["log"]) == 2
    out, err = capsys.readouterr()
    assert (out, " backup " in err) == ("", True)


def test_check_config_prints_a_file_that_configures_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "8080")
    monkeypatch.setenv("TRIO_CHAT_TRUSTED_PROXIES", "10.0.0.0/8,::1")
    assert cli.main(["check-config", "--allowed-origins", 'https://"ü"', "--ping-interval", "1.5"]) == 0
    out = capsys.readouterr().out
    assert len({line.index("# ") for line in out.splitlines()}) == 1
    assert re.search(r"^port += 8080 +# PORT$", out, re.MULTILINE)
    assert re.search(r"^ping_interval += 1.5 +# flag$", out, re.MULTILINE)
    assert re.search(r"^max_rooms += 100000 +# default$", out, re.MULTILINE)

    path = tmp_path / "chat.toml"
    path.write_text(out)
    monkeypatch.delenv("PORT")
    monkeypatch.delenv("TRIO_CHAT_TRUSTED_PROXIES")
    assert load({}, {}, str(path)).config == Config.of(
        port=8080,
        trusted_proxies=load({"trusted_proxies": ["10.0.0.0/8", "::1"]}, {}).config.listen.trusted_proxies,
        allowed_origins=('https://"ü"',),
        ping_interval=1.5,
    )


@pytest.mark.parametrize(("environment", "shown"), [("development", '["*"]'), ("production", "[]")])
def test_check_config_shows_the_origins_in_force(environment: str, shown: str) -> None:
    line = next(line for line in cli.table(load({}, {"ENVIRONMENT": environment})).splitlines() if "allowed_o" in line)
    assert line.split(" = ")[1].split("  #")[0].strip() == shown


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["check-config"], ["--help"]])
def test_output_into_a_closed_pipe_complains_of_nothing(arguments: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    try:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, env=environ, timeout=PATIENCE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_onto_a_full_disk_is_one_line(unbuffered: str) -> None:
    environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "check-config"], stdout=full, stderr=subprocess.PIPE, env=environ, timeout=PATIENCE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"stdout: No space left on device\n")


def test_closed_streams_are_no_trouble(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`2>&-` must not send the error to stdout instead."""
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["--prot"]) == 2
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["check-config"]) == 0


def test_interrupt_is_no_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise BaseExceptionGroup("nursery", [KeyboardInterrupt()])

    monkeypatch.setattr(cli, "load", interrupted)
    assert cli.main([]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [[], ["serve"]])
def test_signal_ends_an_idle_server_with_0(command: list[str], number: signal.Signals, processes: ExitStack) -> None:
    process = start(processes, *command, "--host", "127.0.0.1", "--port", "0")
    with socket.create_connection(("127.0.0.1", port_of(process)), timeout=PATIENCE):
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out == ""
    assert f"{number.name}: draining" in err
    assert "Traceback" not in err


def test_log_is_json_when_asked_for(processes: ExitStack) -> None:
    process = start(processes, "--host", "127.0.0.1", "--port", "0", "--log-format", "json")
    assert process.stderr is not None
    assert process.stderr.readline().startswith('{"timestamp": "')
    process.terminate()
    assert process.wait(PATIENCE) == 0


def test_taken_port_is_a_wrong_value(processes: ExitStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        process = start(processes, "--host", "127.0.0.1", "--port", str(port))
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err == f"--port: {port} must be a free port (already in use on 127.0.0.1)\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 64 + ".example"])
def test_address_that_is_not_ours_is_a_wrong_value(host: str, processes: ExitStack) -> None:
    """192.0.2.0/24 is nobody's (RFC 5737); a label has at most 63 characters, so no resolver is asked."""
    process = start(processes, "--host", host, "--port", "0")
    _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert err.startswith("--host: ")
    assert err.count("\n") == 1


def test_package_has_its_public_names_and_no_others() -> None:
    assert [name for name in trio_chat.__all__ if not hasattr(trio_chat, name)] == []
    assert trio_chat.Config is Config
    assert not hasattr(trio_chat, "no_such_name")
