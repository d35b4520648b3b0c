"""What is fetched into a stream: standard output, a pipe or a device."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.progress.options import Shown

if TYPE_CHECKING:
    from dhtstore.cli.terminal.pipes import Pump
    from dhtstore.operations.operation import Operation

R = TypeVar("R")


def into_stream(common: Common, reading: Operation[R], path: str, showing: tuple[Shown, bool]) -> R:
    """Have the node write to a pipe, and write what comes to ``path``, "" for standard output."""
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_stream
    from dhtstore.cli.terminal.progress.watching import watching

    shown, verbose = showing
    if shown is Shown.AUTO and not path and sys.stdout.isatty():
        shown = Shown.NONE  # it would be in the middle of the data
    watched = watching(common, shown, verbose, kept_of_stream)
    with watched as watch, _pump(path, common.timeout_s) as pump:
        return run(common, Errand(reading, [pump.give], watch, sent=pump.start))


@contextmanager
def _pump(path: str, timeout_s: float | None) -> Iterator[Pump]:
    from dhtstore.api.files import open_stream
    from dhtstore.cli.terminal.pipes import to_descriptor, to_stdout

    if not path:
        with to_stdout() as pump:
            yield pump
        return
    descriptor = open_stream(path, wait=True, timeout_s=timeout_s)
    try:
        with to_descriptor(descriptor, path) as pump:
            yield pump
    finally:
        os.close(descriptor)
