"""Log lines on stderr."""

from __future__ import annotations

import logging
import sys

from dhtstore.cli.terminal.options import LOG_LEVELS
from dhtstore.errors import UsageError


def set_up_logging(level: str) -> None:
    """Raises UsageError for an unknown level."""
    if level not in LOG_LEVELS:
        raise UsageError(f"--log-level: {level!r} is none of {', '.join(LOG_LEVELS)}")
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(message)s"
    )
    if level != "debug":  # the libraries log what a hostile datagram contains, line by line
        for library in ("kademlia", "rpcudp"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
