"""The two forms of a log line, and that logging never harms the server."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator

import pytest

from trio_chat import logs
from trio_chat.config import Logging

log = logging.getLogger("trio_chat.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give pytest its own logging back."""
    root, ours = logging.getLogger(), logging.getLogger("trio_chat")
    handlers, levels, raising = root.handlers[:], (root.level, ours.level), logging.raiseExceptions
    root.handlers[:] = []  # `configure` closes what it finds: pytest's are not its to close
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.raiseExceptions = raising
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_text_line() -> None:
    stream = io.StringIO()
    logs.configure(Logging(), stream)
    log.info("room %s", "general")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - room general\n", stream.getvalue())


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_peer_cannot_begin_a_log_line(log_format: str) -> None:
    stream = io.StringIO()
    logs.configure(Logging(log_format=log_format), stream)
    log.warning("origin %s", "a\n2026-01-01 00:00:00,000 - ERROR - forged\r\x1b[2J\x85\u2028")
    assert len(lines(stream)) == 1
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_json_line() -> None:
    stream = io.StringIO()
    logs.configure(Logging(log_format="json"), stream)
    log.warning("room %s", "general", extra={"conn": 7})
    fields = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("timestamp"))
    assert fields == {"level": "warning", "logger": "trio_chat.test", "event": "room general", "conn": 7}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_traceback_is_logged(log_format: str) -> None:
    stream = io.StringIO()
    logs.configure(Logging(log_format=log_format), stream)
    try:
        raise LookupError("no such thing")
    except LookupError:
        log.exception("bug")
    assert "LookupError: no such thing" in stream.getvalue()
    assert len(lines(stream)) == 1 or log_format == "text"


def test_level_is_that_of_our_loggers() -> None:
    stream = io.StringIO()
    logs.configure(Logging(log_level="debug"), stream)
    log.debug("ours")
    logging.getLogger("other").debug("theirs")
    logging.getLogger("other").warning("their warning")
    assert [line.split(" - ", 2)[2] for line in lines(stream)] == ["ours", "their warning"]


def test_last_configuration_counts() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure(Logging(log_level="debug"), first)
    logs.configure(Logging(log_level="error"), second)
    log.warning("too mild")
    log.error("said once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_python_warning_is_a_log_line() -> None:
    stream = io.StringIO()
    logs.configure(Logging(), stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)  # anew, within `catch_warnings`, which put Python's own `showwarning` back
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert " - WARNING - " in lines(stream)[0]
    assert "DeprecationWarning: old" in lines(stream)[0]


class Gone(io.StringIO):
    """A stderr whose reader is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_stream_that_is_gone_raises_nothing(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logging(log_format=log_format), Gone())
    log.error("lost")
    log.error("bad %d", "arguments")
    assert capsys.readouterr().err == ""
