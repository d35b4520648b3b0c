"""Which units a root is made of, asking the network for its spine where we don't hold it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from dhtstore.content.units import units
from dhtstore.content.walk import Want
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.reading import ask
from dhtstore.params import BLOCK_SIZE_MAX_BYTES

if TYPE_CHECKING:
    from dhtstore.node.node import Node


async def root_units(node: Node, root: Cid) -> list[Unit]:
    """Raises what ``reading.ask`` raises, and MalformedDag."""
    return await ask(node, _question(root))


def _question(root: Cid) -> Generator[Want, bytes | memoryview, list[Unit]]:
    """The spine is looked for where the root is: they are one unit up to 64 MiB of spine, which
    names a petabyte."""
    cutting, home, sequence = units(root), Unit.of((root,), 0), 0
    try:
        cid = next(cutting)
        while True:
            data = yield Want(cid, home, BLOCK_SIZE_MAX_BYTES, sequence)
            sequence += 1
            cid = cutting.send(data)
    except StopIteration as finished:
        found: list[Unit] = finished.value
        return found
