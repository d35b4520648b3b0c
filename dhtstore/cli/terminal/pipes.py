"""Pipes between this command's standard streams and the node.

The node gets one end of a pipe of our own, never our stdin or stdout itself: those are shared
with the shell and others, and the node makes what it reads and writes non-blocking.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from dhtstore.cli.terminal.common import output_error
from dhtstore.errors import UnreadableSource
from dhtstore.net.local.client import Abort

_PIECE_BYTES: Final = 256 * 1024
_LAST_BYTES_S: Final = 1.0  # what is on its way when an operation fails has so long to be taken


class Pump:
    """Copies one descriptor to another in a thread of its own, while the command waits for the
    node.  ``give`` is the end for the node.

    When copying fails, the request is ended before the pipe is: the node must not take what it
    got for the whole.
    """

    def __init__(self, give: int, keep: int, copy: Callable[[], None]) -> None:
        self.give, self._keep, self._copy = give, keep, copy
        self._abort: Abort | None = None
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, abort: Abort) -> None:
        """Call when ``give`` is with the node; ``abort`` ends the operation."""
        self._abort = abort
        self._thread.start()

    def finish(self, wait_s: float | None = None) -> None:
        """Wait until everything is through, or so long; raises what reading or writing raised."""
        if self._abort is not None:
            self._thread.join(wait_s)
        self.check()

    def check(self) -> None:
        """Raise what reading or writing raised so far, as OSError."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._copy()
        except OSError as error:
            self._error = error
            if self._abort is not None:
                self._abort()
        os.close(self._keep)


@contextmanager
def from_stdin() -> Iterator[Pump]:
    """Feeds standard input to the node; raises UnreadableSource if it cannot be read."""
    try:
        source = sys.stdin.fileno()
    except (AttributeError, ValueError, OSError) as error:
        raise UnreadableSource("standard input is closed").hinted(
            "give it something to read, as in `tar c DIR | dhtstore put -`"
        ) from error
    give, keep = os.pipe()
    pump = Pump(give, keep, lambda: _copy(source, keep, stop_on_closed_target=True))
    try:
        yield pump
    finally:
        try:
            pump.check()  # not waited for: nobody knows when a terminal ends
        except OSError as error:
            raise UnreadableSource(f"cannot read standard input: {error.strerror}").hinted(
                "check what standard input comes from"
            ) from error


@contextmanager
def to_stdout() -> Iterator[Pump]:
    """Prints what the node writes.  Raises as ``to_descriptor``."""
    with to_descriptor(sys.stdout.fileno(), "standard output") as pump:
        yield pump


@contextmanager
def to_descriptor(target: int, name: str) -> Iterator[Pump]:
    """Writes what the node writes on.  Raises BrokenPipeError when the reader has had enough,
    NoRoom or TargetUnusable when it cannot be written."""
    keep, give = os.pipe()
    pump = Pump(give, keep, lambda: _copy(keep, target, stop_on_closed_target=False))
    try:
        yield pump
    except BaseException:
        _finish(pump, name, _LAST_BYTES_S)  # nobody may ever read on
        raise
    _finish(pump, name, None)


def _finish(pump: Pump, name: str, wait_s: float | None) -> None:
    try:
        pump.finish(wait_s)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error(error, name) from error


def _copy(source: int, target: int, *, stop_on_closed_target: bool) -> None:
    while piece := os.read(source, _PIECE_BYTES):
        view = memoryview(piece)
        while view:
            try:
                view = view[os.write(target, view) :]
            except BrokenPipeError:
                if stop_on_closed_target:  # the node stopped reading and says why itself
                    return
                raise
