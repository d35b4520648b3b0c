"""CARs in memory: read, and written from blocks as export writes them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from dhtstore.content.car.reader import CarBlock, CarReader, ForeignBlock
from dhtstore.content.car.walk import CarWalk
from dhtstore.content.car.writer import CarWriter, car_header, section_head, varint
from dhtstore.content.codec.unixfs import DagNode, read_whole
from dhtstore.content.dag.walk import Output, WholeBlock
from dhtstore.errors import MalformedCar
from dhtstore.model.cid import Cid
from dhtstore.transfer.in_order import InDagOrder
from tests.unit.content.dags import Dag


class WholeDag(Dag):
    """Gives blocks to a walk as export does."""

    def read(self, cid: Cid) -> DagNode:
        return read_whole(cid, self.blocks[cid])


def read_car(
    raw: bytes, piece_bytes: int = 1 << 20
) -> tuple[tuple[Cid, ...], list[CarBlock | ForeignBlock]]:
    """Roots and sections.  Raises MalformedCar, also for a block that does not hash to its CID."""
    reader, found = CarReader(), list[CarBlock | ForeignBlock]()
    for at in range(0, len(raw), piece_bytes):
        for block in reader.feed(raw[at : at + piece_bytes]):
            if isinstance(block, CarBlock) and not block.cid.matches(block.data):
                raise MalformedCar("wrong", block.offset)
            found.append(block)
    reader.end()
    assert reader.roots is not None
    return reader.roots, found


def exported(
    dag: WholeDag, roots: Sequence[Cid], limit: int = 16, seed: int | None = None
) -> bytes:
    """The whole file; with a seed blocks arrive in an order of chance, and what they yield is
    taken some at a time."""
    out, writer, ordering, rng = (
        bytearray(car_header(roots)),
        CarWriter(),
        InDagOrder(),
        Random(seed),
    )
    waiting: list[Output] = []

    def write(outputs: list[Output]) -> None:
        for output in outputs:
            assert isinstance(output, WholeBlock)
            for part in writer.take(output.cid, output.data):
                out.extend(part)

    for _, outputs in dag.steps(CarWalk(roots), limit, seed):
        waiting += outputs
        if rng.random() < 0.5:
            write(ordering.pass_on(waiting[:20], 3))
            waiting = waiting[20:]
    write(ordering.pass_on(waiting, 1))
    while more := ordering.pass_on([], 1000):
        write(more)
    return bytes(out)


def car_of(roots: Sequence[Cid], blocks: Sequence[tuple[Cid, bytes]]) -> bytes:
    """As it is told, whole or not."""
    return car_header(roots) + b"".join(section_head(cid, len(data)) + data for cid, data in blocks)


def wrapped(inner: bytes, *, padding: int = 0, index: bytes = b"") -> bytes:
    """As a CAR of version 2."""
    pragma = varint(10) + b"\xa1\x67version\x02"
    begins = len(pragma) + 40 + padding
    numbers = (begins, len(inner), begins + len(inner) if index else 0)
    header = bytes(16) + b"".join(number.to_bytes(8, "little") for number in numbers)
    return pragma + header + bytes(padding) + inner + index
