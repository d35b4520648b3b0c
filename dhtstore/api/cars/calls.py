"""CAR files out of a node and into it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from dhtstore.api.files import open_target, takes_stream
from dhtstore.api.node_questions import NodeQuestions, checked
from dhtstore.api.pipes import (
    Pieces,
    pieces_of,
    put_pieces,
    read_into,
    read_into_file,
    read_pieces,
)
from dhtstore.api.sources import AnyPath, export_of, open_file
from dhtstore.operations.cars import ExportResult, Import, ImportResult
from dhtstore.operations.operation import Watch


class CarCalls(NodeQuestions):
    """The part of ``Client`` that is about CAR files."""

    async def export(
        self,
        cids: str | Sequence[str],
        to: str | os.PathLike[str],
        *,
        force: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> ExportResult:
        """Write all blocks below one or several roots as a CAR (version 1) to the path ``to``,
        which is there only once it is whole; with ``force`` in place of a file.  A FIFO or a device
        gets the bytes as they come.  Raises as ``get``; nothing of a failed export stays."""
        asked = export_of(cids)
        if takes_stream(to):
            return await read_into(self._caller, asked, to, checked(progress), timeout_s)
        where = open_target(to, f"{asked.roots[0]}.car", force=force)
        return await read_into_file(
            self._caller, asked, where, checked(progress), timeout_s, force=force
        )

    async def read_car(
        self, cids: str | Sequence[str], *, timeout_s: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The same in pieces; what came before an error is no whole CAR."""
        async with aclosing(read_pieces(self._caller, export_of(cids), timeout_s)) as pieces:
            async for piece in pieces:
                yield piece

    async def import_car(
        self,
        source: AnyPath | Pieces,
        *,
        name: str = "",
        partial: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> ImportResult:
        """Store the blocks of a CAR (versions 1 and 2; a path, or its bytes as of ``put``) in this
        node's store, each verified, and pin and announce its roots; ``name`` is that of the pin.
        With ``partial`` blocks may be missing: then what came is cached and not pinned.

        Raises MalformedCar (``offset``), BlockMissing where a DAG is not whole, MalformedDag,
        NoRoom; nothing is kept then."""
        asked = Import(name=name, partial=partial)
        if isinstance(source, str | os.PathLike):
            return await self._call(asked, [open_file(source)], progress, timeout_s)
        pieces = pieces_of(source)
        return await put_pieces(self._caller, asked, pieces, checked(progress), timeout_s)
