"""Log lines on stderr: as text, or one JSON object each."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from dhtstore.cli.terminal.common import printable
from dhtstore.cli.terminal.options import LOG_FORMATS, LOG_LEVELS
from dhtstore.errors import UsageError

_MESSAGE_MAX_CHARS: Final = 4096


def set_up_logging(level: str, form: str) -> None:
    """Raises UsageError for an unknown level or form."""
    if level not in LOG_LEVELS:
        raise UsageError(f"--log-level: {level!r} is none of {', '.join(LOG_LEVELS)}")
    if form not in LOG_FORMATS:
        raise UsageError(f"--log-format: {form!r} is none of {', '.join(LOG_FORMATS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":  # the libraries log what a hostile datagram contains, line by line
        for library in ("kademlia", "rpcudp"):
            logging.getLogger(library).setLevel(logging.CRITICAL)


class TextFormatter(logging.Formatter):
    """Time, level, what happened.  A defect's trace follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        message = _bounded(record.getMessage())
        text = f"{self.formatTime(record)} {record.levelname} {message}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One object a line: ``time`` (RFC 3339), ``level``, ``event``, ``message``, ``fields``; a
    defect has its ``trace``."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": _bounded(getattr(record, "text", None) or record.getMessage()),
            "fields": getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)[-_MESSAGE_MAX_CHARS:]
        return json.dumps(told)


def _bounded(message: str) -> str:
    return printable(message[:_MESSAGE_MAX_CHARS])
