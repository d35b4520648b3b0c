"""Stream: a file or a whole directory, in order, into a pipe.

data path: root -> path resolved -> a file: ``read_file``; a directory: OrderedTreeWalk -> fetch ->
verified output in DAG order -> tar headers and bytes -> pipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.content.codec.unixfs import Kind
from dhtstore.content.dag.looking.resolve import Resolved, stat
from dhtstore.content.dag.walk import Output, Piece, not_a
from dhtstore.content.export.ordered_walk import OrderedTreeWalk
from dhtstore.content.export.tar import TarWriter
from dhtstore.model.cid import Cid
from dhtstore.net.local.pipes import PipeWriter
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.read import ReadOutcome, Write, read_file
from dhtstore.operations.content import Read
from dhtstore.operations.operation import Progress, Watch
from dhtstore.transfer.in_order import InDagOrder

_WRITTEN_TOGETHER_BYTES: Final = 64 * 1024


async def stream(
    session: FetchSession,
    root: Cid,
    names: Sequence[str],
    descriptor: int,
    asked: Read,
    *,
    timeout_s: float | None,
    progress: Watch,
) -> ReadOutcome:
    """Write what ``asked`` says into ``descriptor``, the write end of a pipe, which is owned and
    closed.

    Raises as ``fetch``, UsageError for what is not of the form that is wanted or a range that
    cannot be, SymlinkAlone, and NotRunning when the reader goes away.
    """
    async with PipeWriter(descriptor) as pipe:
        write = _Counted(session, pipe.write, progress)
        found = await session.resolve(root, names)
        if asked.form == "file" or await _is_file(session, found):
            if asked.form == "tar":
                raise not_a("directory", found.cid, Kind.FILE)
            return await read_file(
                session, found, write, start=asked.start, end=asked.end, timeout_s=timeout_s
            )
        return await _tar(session, found, write, asked.name or str(found.cid), timeout_s)


async def _is_file(session: FetchSession, found: Resolved) -> bool:
    return (await session.ask(stat(found.cid, place=found.place))).type == "file"


async def _tar(
    session: FetchSession, found: Resolved, write: Write, top: str, timeout_s: float | None
) -> ReadOutcome:
    tar = _Tar(TarWriter(top), write)
    walk = OrderedTreeWalk(found.cid, place=found.place)
    delivery = Delivery(tar.accept, in_order=InDagOrder())
    await session.fetch(walk, delivery, timeout_s=timeout_s)
    await tar.end()
    return ReadOutcome(found.cid, tar.size_bytes, session.report(), "directory")


class _Tar:
    """The sink of a tree: headers and small files are written together."""

    def __init__(self, writer: TarWriter, write: Write) -> None:
        self.size_bytes = 0
        self._writer, self._write = writer, write

    async def accept(self, outputs: list[Output]) -> None:
        small = bytearray()
        for output in outputs:
            if isinstance(output, Piece):
                self.size_bytes += len(output.data)
            for part in self._writer.take(output):
                small += part if len(part) < _WRITTEN_TOGETHER_BYTES else b""
                if len(small) >= _WRITTEN_TOGETHER_BYTES or len(part) >= _WRITTEN_TOGETHER_BYTES:
                    await self._write(bytes(small))
                    small.clear()
                if len(part) >= _WRITTEN_TOGETHER_BYTES:
                    await self._write(part)
        if small:
            await self._write(bytes(small))

    async def end(self) -> None:
        await self._write(self._writer.end())


class _Counted:
    """Tells how much was written."""

    def __init__(self, session: FetchSession, write: Write, progress: Watch) -> None:
        self._session, self._write, self._progress = session, write, progress
        self._done_bytes = 0

    async def __call__(self, data: bytes | memoryview) -> None:
        await self._write(data)
        self._done_bytes += len(data)
        self._progress(Progress("fetching", self._done_bytes, None, len(self._session.connected)))
