"""Read: a file's bytes, whole or a range, in order, to whoever takes them.

data path: FileWalk -> fetch -> verified pieces in order -> write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dhtstore.content.dag.file_walk import file_walk
from dhtstore.content.dag.looking.resolve import Resolved
from dhtstore.content.dag.walk import Output, Piece
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.content import StreamType
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.transfer.in_order import InOrder

Write = Callable[[bytes | memoryview], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """What was read: the file itself (not the root it was found under) and how many bytes of it;
    ``report`` is what was done."""

    cid: Cid
    size_bytes: int
    report: FetchReport
    type: StreamType = "file"


async def read(
    session: FetchSession,
    root: Cid,
    names: Sequence[str],
    write: Write,
    *,
    start: int = 0,
    end: int | None = None,
    timeout_s: float | None = None,
) -> ReadOutcome:
    """As ``read_file`` of what ``root`` and the path ``names`` below it lead to."""
    found = await session.resolve(root, names)
    return await read_file(session, found, write, start=start, end=end, timeout_s=timeout_s)


async def read_file(
    session: FetchSession,
    found: Resolved,
    write: Write,
    *,
    start: int,
    end: int | None,
    timeout_s: float | None,
) -> ReadOutcome:
    """Await ``write`` with the bytes ``start`` to ``end`` of a file (``file_walk.within``), in
    order, each verified.

    Raises as ``fetch``, UsageError for a directory or a range that is not in the file, and what
    ``write`` raises.
    """
    size_bytes = 0

    async def sink(outputs: list[Output]) -> None:
        nonlocal size_bytes
        for piece in outputs:
            if isinstance(piece, Piece):
                await write(piece.data)
                size_bytes += len(piece.data)

    walk = file_walk(found.cid, start, end, place=found.place)
    await session.fetch(walk, Delivery(sink, in_order=InOrder()), timeout_s=timeout_s)
    return ReadOutcome(found.cid, size_bytes, session.report())
