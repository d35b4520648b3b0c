"""What a long command shows while it works, and says when it is cut short."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dhtstore.cli.terminal.common import Common, printable
from dhtstore.cli.terminal.progress.options import Shown
from dhtstore.cli.terminal.progress.phases import Phases
from dhtstore.errors import DhtstoreError
from dhtstore.operations.operation import Progress, Watch

Kept = Callable[[Progress | None], str]


@contextmanager
def watching(common: Common, shown: Shown, verbose: bool, kept: Kept) -> Iterator[Watch]:
    """Shows how far the operation is while the block runs.  Where it is cut short, by Ctrl-C or
    an error, ``kept`` words what is left of it and how to go on."""
    phases = Phases(time.monotonic)
    try:
        with _terminated_as_interrupted(), _showing(common, shown, phases, verbose) as watch:
            yield watch
    except (KeyboardInterrupt, DhtstoreError) as error:
        left = phases.kept is not None and phases.kept.done_bytes > 0
        told = left or isinstance(error, KeyboardInterrupt)
        if told and not (common.quiet or common.json):  # there an error is one line on stderr
            _write(printable(kept(phases.kept)))
        raise


@contextmanager
def interrupted(common: Common, kept: Kept) -> Iterator[None]:
    """The same words for an operation that tells nothing of how far it is."""
    with watching(common, Shown.NONE, verbose=False, kept=kept):
        yield


@contextmanager
def _showing(common: Common, shown: Shown, phases: Phases, verbose: bool) -> Iterator[Watch]:
    silent = common.quiet or (common.json and shown is Shown.AUTO)
    how = Shown.NONE if silent else _chosen(shown)
    if how is Shown.NONE:
        yield phases
    elif how is Shown.BAR:
        from dhtstore.cli.terminal.progress.bar import bar

        with bar(phases, time.monotonic, verbose=verbose) as watch:
            yield watch
    else:
        from dhtstore.cli.terminal.progress.plain import Looks, Plain

        plain = Plain(phases, _write, time.monotonic, verbose=verbose)
        with Looks(plain.look):
            yield plain
        plain.end()


def _chosen(shown: Shown) -> Shown:
    """A terminal that cannot rewrite a line gets lines."""
    if shown is not Shown.AUTO:
        return shown
    if not sys.stderr.isatty():
        return Shown.NONE
    return Shown.PLAIN if os.environ.get("TERM") == "dumb" else Shown.BAR


def _write(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, whoever handles that now."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
