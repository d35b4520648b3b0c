"""Cat: a file's bytes, in order, into a pipe.

data path: root -> path resolved -> FileWalk -> fetch -> verified pieces in order -> pipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.content.file_walk import FileWalk
from dhtstore.content.walk import Output, Piece
from dhtstore.model.cid import Cid
from dhtstore.net.pipes import PipeWriter
from dhtstore.node.fetch import fetch
from dhtstore.node.holders import DhtSources
from dhtstore.node.reading import resolve_path
from dhtstore.transfer.in_order import InOrder

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class CatResult:
    """What went through the pipe."""

    cid: Cid
    size_bytes: int


async def cat(
    node: Node, root: Cid, names: Sequence[str], descriptor: int, *, timeout_s: float | None
) -> CatResult:
    """Write the file to ``descriptor``, the write end of a pipe, which is owned and closed.

    Raises as ``fetch``, MalformedDag for a directory, NotRunning when the reader goes away.
    """
    written_bytes = 0
    async with PipeWriter(descriptor) as pipe:

        async def sink(outputs: list[Output]) -> None:
            nonlocal written_bytes
            for piece in outputs:
                if isinstance(piece, Piece):
                    await pipe.write(piece.data)
                    written_bytes += len(piece.data)

        resolved = await resolve_path(node, root, names)
        await fetch(
            FileWalk(resolved.cid, place=resolved.place),
            DhtSources(node),
            sink,
            store=node.ports.store,
            blocking=node.ports.blocking,
            in_order=InOrder(),
            timeout_s=timeout_s,
        )
    return CatResult(resolved.cid, written_bytes)
