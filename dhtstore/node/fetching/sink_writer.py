"""Output on its way to the sink, one call at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from dhtstore.content.dag.walk import Output, Piece
from dhtstore.node.fetching.delivery import Sink
from dhtstore.node.links.buffers import Lease
from dhtstore.params import OUTPUT_BYTES
from dhtstore.tasks import Supervisor
from dhtstore.transfer.in_order import Ordering

_Place = tuple[tuple[str, ...], int]
OUTPUTS_AT_ONCE: Final = 1024  # of one call: a block whose links hold much yields many more


class SinkWriter:
    """``unwritten_bytes`` are about what output takes that is here and not written yet,
    ``writing`` whether the sink is at work; ``wake`` is called when either has changed."""

    def __init__(
        self, sink: Sink, in_order: Ordering | None, tasks: Supervisor, wake: Callable[[], None]
    ) -> None:
        self.unwritten_bytes = 0
        self.writing = False
        self._sink, self._in_order, self._tasks, self._wake = sink, in_order, tasks, wake
        self._taken: list[Output] = []
        self._due: list[Output] = []  # what may go out now
        self._leases: dict[_Place, Lease] = {}  # by the last piece that needs their buffers

    def take(self, outputs: Sequence[Output], lease: Lease | None = None) -> None:
        """Write these as soon as those before them are written, and then release ``lease``, of
        the buffer that their bytes lie in."""
        self.unwritten_bytes += _held_bytes(outputs)
        if lease is not None:
            last = outputs[-1]
            if isinstance(last, Piece):
                self._leases[last.path, last.offset] = lease
            else:
                lease.release()  # nothing but pieces lies in it
        self._taken += outputs
        self._sort_out()
        if (self._due or self._taken) and not self.writing:
            self.writing = True
            self._tasks.spawn(self._write(), "write-output")

    def _sort_out(self) -> None:
        """Let some of what was taken go out, and of what it lets go out in turn."""
        some, self._taken = self._taken[:OUTPUTS_AT_ONCE], self._taken[OUTPUTS_AT_ONCE:]
        self._due += self._in_order.pass_on(some, OUTPUTS_AT_ONCE) if self._in_order else some

    async def _write(self) -> None:
        while self._due or self._taken:
            outputs, self._due = self._due[:OUTPUTS_AT_ONCE], self._due[OUTPUTS_AT_ONCE:]
            if outputs:
                await self._sink(outputs)
                self.unwritten_bytes -= _held_bytes(outputs)
                self._release(outputs)
                self._wake()
            self._sort_out()
            if self._due or self._taken:
                await asyncio.sleep(0)  # a sink need not wait for anything
        self.writing = False
        self._wake()

    def _release(self, written: Sequence[Output]) -> None:
        for output in written if self._leases else ():
            if isinstance(output, Piece):
                lease = self._leases.pop((output.path, output.offset), None)
                if lease is not None:
                    lease.release()


def _held_bytes(outputs: Sequence[Output]) -> int:
    """A tree of empty files, held back for what comes before it, takes room too."""
    data_bytes = sum(len(output.data) for output in outputs if isinstance(output, Piece))
    return data_bytes + OUTPUT_BYTES * len(outputs)
