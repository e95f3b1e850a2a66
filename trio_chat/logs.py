"""Log lines on stderr: plain text, or one JSON object a line.

The server logs with `logging.getLogger("trio_chat.…")` and knows nothing of this. Peers choose some of what is
logged, so a line break in a value is escaped: nobody but the server can begin a log line.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from trio_chat.config import Logging

TEXT = "%(asctime)s - %(levelname)s - %(message)s"
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {0x2028: "\\u2028", 0x2029: "\\u2029"}


class TextFormatter(logging.Formatter):
    """`TEXT`, the message kept on its one line. A traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Format the record with the control characters of its message escaped."""
        record.message = record.message.translate(_ESCAPES)
        return super().formatMessage(record)


def configure(options: Logging, stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (stderr if None) in the configured form; called again, it starts over.

    `log_level` counts for the server's own loggers; of others, warnings and what is worse are logged. A stream that
    is closed, full or gone loses lines and raises nothing: a server must not die of its log.
    """
    logging.raiseExceptions = False
    logging._srcfile = None  # no line shows these; documented (Logging HOWTO, Optimization)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(True)
    level = logging.getLevelNamesMapping()[options.log_level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_json() if options.log_format == "json" else TextFormatter(TEXT))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.getLogger("trio_chat").setLevel(level)


def _json() -> logging.Formatter:
    """Fields: timestamp, level, logger, event; whatever came as `extra`; exception, if there is one."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_standard_fields, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def _standard_fields(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Put the fields that every line has first; the time is UTC, to the millisecond."""
    record: logging.LogRecord = fields["_record"]
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return {
        "timestamp": when.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        **fields,
    }
