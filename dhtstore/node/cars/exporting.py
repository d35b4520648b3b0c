"""export: whole DAGs into a pipe as a CAR.

data path: roots -> CarWalk -> fetch (store, else holders) -> verified blocks in DAG order, each
once -> pipe.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dhtstore.content.car.walk import CarWalk
from dhtstore.content.car.writer import CarWriter, car_header
from dhtstore.content.codec.unixfs import read_whole
from dhtstore.content.dag.walk import Output, WholeBlock
from dhtstore.model.cid import Cid
from dhtstore.net.local.pipes import PipeWriter
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.operations.operation import Progress, Watch
from dhtstore.transfer.in_order import InDagOrder

_WRITTEN_TOGETHER_BYTES: Final = 64 * 1024

Write = Callable[[bytes | memoryview], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Exported:
    """``blocks`` of ``size_bytes`` were written; ``report`` is what was done to get them."""

    blocks: int
    size_bytes: int
    report: FetchReport


async def export(
    session: FetchSession,
    roots: Sequence[Cid],
    descriptor: int,
    *,
    timeout_s: float | None,
    progress: Watch,
) -> Exported:
    """Write a CAR of all below ``roots`` into the write end of a pipe, which is owned and closed.

    Raises as ``fetch``, and NotRunning when the reader goes away; what was written then is no whole
    CAR."""
    async with PipeWriter(descriptor) as pipe:
        car, walk = _Car(pipe.write), CarWalk(roots)

        def advance(done_bytes: int) -> None:
            total_bytes = (walk.told_bytes if len(roots) == 1 else 0) or None
            done_bytes = min(done_bytes, total_bytes or done_bytes)
            holders, given = len(session.connected), session.given()
            progress(Progress("fetching", done_bytes, total_bytes, holders, 0, given))

        await pipe.write(car_header(roots))
        delivery = Delivery(car.accept, in_order=InDagOrder(), read=read_whole, progress=advance)
        await session.fetch(walk, delivery, timeout_s=timeout_s)
    return Exported(car.writer.blocks, car.writer.size_bytes, session.report())


class _Car:
    """The sink: small blocks are written together."""

    def __init__(self, write: Write) -> None:
        self.writer = CarWriter()
        self._write = write

    async def accept(self, outputs: list[Output]) -> None:
        small = bytearray()
        for output in outputs:
            assert isinstance(output, WholeBlock), "that is all that the walk yields"
            for part in self.writer.take(output.cid, output.data):
                if len(part) < _WRITTEN_TOGETHER_BYTES:
                    small += part
                if len(small) >= _WRITTEN_TOGETHER_BYTES or len(part) >= _WRITTEN_TOGETHER_BYTES:
                    await self._write(bytes(small))
                    small.clear()
                if len(part) >= _WRITTEN_TOGETHER_BYTES:
                    await self._write(part)
        if small:
            await self._write(bytes(small))
