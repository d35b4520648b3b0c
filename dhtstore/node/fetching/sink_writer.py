"""Output on its way to the sink, one call at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dhtstore.content.dag.walk import Output, Piece
from dhtstore.node.fetching.delivery import Sink
from dhtstore.node.links.buffers import Lease
from dhtstore.tasks import Supervisor
from dhtstore.transfer.in_order import InOrder

_Place = tuple[tuple[str, ...], int]


class SinkWriter:
    """``unwritten_bytes`` are those of pieces taken and not written yet, ``writing`` whether the
    sink is at work; ``wake`` is called when either has changed."""

    def __init__(
        self, sink: Sink, in_order: InOrder | None, tasks: Supervisor, wake: Callable[[], None]
    ) -> None:
        self.unwritten_bytes = 0
        self.writing = False
        self._sink, self._in_order, self._tasks, self._wake = sink, in_order, tasks, wake
        self._outputs: list[Output] = []
        self._leases: dict[_Place, Lease] = {}  # by the last output that needs their buffers

    def take(self, outputs: Sequence[Output], lease: Lease | None = None) -> None:
        """Write these as soon as those before them are written, and then release ``lease``, of
        the buffer that their bytes lie in."""
        self.unwritten_bytes += _piece_bytes(outputs)
        if lease is not None:
            self._leases[_place(outputs[-1])] = lease
        self._outputs += self._in_order.pass_on(outputs) if self._in_order else outputs
        if self._outputs and not self.writing:
            self.writing = True
            self._tasks.spawn(self._write(), "write-output")

    async def _write(self) -> None:
        while self._outputs:
            outputs, self._outputs = self._outputs, []
            await self._sink(outputs)
            self.unwritten_bytes -= _piece_bytes(outputs)
            self._release(outputs)
            self._wake()
        self.writing = False
        self._wake()

    def _release(self, written: Sequence[Output]) -> None:
        for output in written if self._leases else ():
            if lease := self._leases.pop(_place(output), None):
                lease.release()


def _place(output: Output) -> _Place:
    """What no other output of a fetch has."""
    return output.path, output.offset if isinstance(output, Piece) else -1


def _piece_bytes(outputs: Sequence[Output]) -> int:
    return sum(len(output.data) for output in outputs if isinstance(output, Piece))
