"""Operations on CAR files: export and import."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from dhtstore.operations.explaining.report import NO_REPORT, FetchReport
from dhtstore.operations.operation import Operation
from dhtstore.params import CAR_ROOTS_MAX


class ExportResult(msgspec.Struct, frozen=True):
    """``roots`` stand in the header; ``blocks`` were written, each once, of ``size`` bytes.
    ``report`` is what was done to get them, lookup by lookup and holder by holder."""

    roots: list[str]
    blocks: int
    size: int
    report: FetchReport = NO_REPORT


class Export(Operation[ExportResult], frozen=True, kw_only=True):
    """Write all below ``roots`` into the pipe that goes with it as a CAR (version 1), depth first.
    A root is a CID, or the name of something put or pinned here, or its beginning."""

    op: ClassVar[str] = "export"
    descriptors: ClassVar[int] = 1

    roots: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=CAR_ROOTS_MAX)]


class ImportResult(msgspec.Struct, frozen=True):
    """``roots`` are those of the file, ``blocks`` how many were in it, of ``size`` bytes, without
    ``skipped`` ones of kinds that are not stored.  The roots are ``pinned``, or cached."""

    roots: list[str]
    blocks: int
    size: int
    skipped: int
    pinned: bool


class Import(Operation[ImportResult], frozen=True, kw_only=True):
    """Store the blocks of the CAR, a file or a pipe, that goes with it, and pin its roots, called
    ``name`` if there is one.  With ``partial`` blocks may be missing below them: then what came is
    cached, and blocks of kinds that are not stored are skipped."""

    op: ClassVar[str] = "import"
    descriptors: ClassVar[int] = 1

    name: str = ""
    partial: bool = False
