"""The Python API: everything that may be asked of a node, as methods with types."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar, cast

from dhtstore.api.cars.calls import CarCalls
from dhtstore.api.files import open_target, takes_stream
from dhtstore.api.node_questions import checked
from dhtstore.api.pipes import (
    Pieces,
    pieces_of,
    put_pieces,
    read_into,
    read_pieces,
)
from dhtstore.api.rows import rows_of
from dhtstore.api.sources import AnyPath, Ttl, open_paths, paths_of, put_of
from dhtstore.errors import UsageError
from dhtstore.model.cid_path import file_name
from dhtstore.operations.content import (
    Chunker,
    ContentInfo,
    DescribeContent,
    DirectoryEntry,
    FindProviders,
    Get,
    GetResult,
    ListDirectory,
    ProviderInfo,
    PutResult,
    Read,
    got,
)
from dhtstore.operations.keeping import (
    AddPin,
    CheckPuts,
    ListPuts,
    ListReceipts,
    PinAdded,
    PutSummary,
    SignedReceipt,
)
from dhtstore.operations.nodes import (
    DescribeRoot,
    RootStatus,
)
from dhtstore.operations.operation import Watch

R = TypeVar("R")
Source = AnyPath | Sequence[AnyPath] | Pieces  # paths, or the bytes themselves


class Client(CarCalls):
    """A node, to be asked.  Get one from ``dhtstore.connect`` or ``dhtstore.open``.

    A ``cid`` is text: a CID, or where content is read CID/path with names by the letter, or the
    URL ``ipfs://CID/path`` with its escapes; in place of the CID the name of something put or
    pinned there, or the beginning of its CID (AmbiguousName if several have it).  Every method
    takes ``timeout_s``, the seconds after which it raises TimedOut (None: no deadline), and raises
    the errors of ``dhtstore.errors``; InvalidCid, NotRunning and TimedOut may come from any.
    Cancelling a call cancels the work in the node; what was verified by then is kept for the next
    try.  ``progress`` is a plain function, called with a Progress about ten times a second, on the
    event loop; what it raises ends the call.  After its block a client raises NotRunning.
    """

    def __repr__(self) -> str:
        return f"<dhtstore.Client of {self._caller}>"

    # --- content ----------------------------------------------------------------------------

    async def put(
        self,
        source: Source,
        *,
        replicas: int | None = None,
        min_acks: int | None = None,
        name: str = "",
        strict: bool = False,
        exclude: Sequence[str] = (),
        preserve: bool = False,
        wrap: bool = False,
        tar: bool = False,
        pipeline: bool = True,
        chunker: Chunker = "fixed",
        ttl: Ttl = None,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> PutResult:
        """Store a file or directory (a path) or bytes (bytes, an iterable or async iterable of
        them, or a binary file object) with ``replicas`` verified copies on as many nodes.

        ``replicas`` is 1 to 64, ``min_acks`` 0 to ``replicas``; both default to the node's
        settings, ``min_acks`` without one to 2, or ``replicas`` if that is smaller.  Without
        ``name`` an earlier put of the same keeps its own.  Text and paths name files; ``bytes`` are
        content.  What fits ``exclude`` (as of .gitignore) is left out of a directory; ``preserve``
        keeps modes and times; ``wrap`` makes a directory of paths, which keep their names; ``tar``
        puts that in an archive.  In a ``pipeline`` holders give it to each other.
        ``chunker`` "buzhash" cuts files by content: other CIDs, near-copies share blocks.
        ``ttl`` (seconds, or "30d") is how long it is kept, else until it is removed.  Raises
        UnreadableSource, SourceChanged, NoRoom, QuorumNotReached below ``min_acks`` receipts,
        PartlyStored if something was skipped, which ``strict`` refuses (both with a ``partial``).

            print((await client.put("photos/", replicas=3)).cid)
        """
        put = put_of(
            name, replicas, min_acks, strict, exclude, preserve, tar, pipeline, chunker, ttl
        )
        if (paths := paths_of(source)) is None:
            given = pieces_of(cast(Pieces, source))
            return await put_pieces(self._caller, put, given, checked(progress), timeout_s)
        put, descriptors = open_paths(put, paths, wrap=wrap)
        return await self._call(put, descriptors, progress, timeout_s)

    async def get(
        self,
        cid: str,
        to: str | os.PathLike[str],
        *,
        pin: bool = False,
        force: bool = False,
        start: int | None = None,
        end: int | None = None,
        cache: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> GetResult:
        """Write the file or directory ``cid`` to the path ``to``, or, where that is a directory,
        into it, by its name; with ``force`` in place of what is there; with ``start`` only a range
        of a file, as of ``read``.

        A FIFO or a device gets the bytes of a file in order, a directory as a tar stream.  With
        ``pin`` it is kept and announced here too, with ``cache`` what was fetched stays here until
        room is wanted (``cached`` of the result).  Raises NotFound, Unreachable,
        IntegrityFailure, TargetExists, TargetUnusable, NoRoom.  An interrupted get goes on where
        it was.
        """
        called = file_name(cid)
        _check_part(start, end, pin or cache)
        if takes_stream(to):
            _no_pin(pin or cache)
            whole = Read(target=cid, form="either", name=called)
            read = whole if start is None else Read(target=cid, start=start, end=end)
            return got(await read_into(self._caller, read, to, checked(progress), timeout_s))
        target = open_target(to, called, force=force)
        get = Get(
            target=cid,
            name=target.name,
            pin=pin,
            force=force,
            cache=cache,
            start=start,
            end=end,
        )
        return await self._call(get, [target.directory], progress, timeout_s)

    async def read(
        self, cid: str, start: int = 0, end: int | None = None, *, timeout_s: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to and without ``end`` (its end where None) of the file
        ``cid``, in pieces, in order, each verified; only the blocks that hold them are fetched.
        ``timeout_s`` is for all of it, the time included that you take between pieces.  Raises
        UsageError for a directory or a range that is not in the file, NotFound, Unreachable,
        IntegrityFailure.  Close it (``contextlib.aclosing``) when leaving the loop early.

            async for piece in client.read(cid, 0, 1024):
                ...
        """
        read = Read(target=cid, start=start, end=end)
        async with aclosing(read_pieces(self._caller, read, timeout_s)) as pieces:
            async for piece in pieces:
                yield piece

    async def read_tar(
        self, cid: str, *, timeout_s: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The directory ``cid`` as a tar stream in pieces, its own name in front of all; raises as
        ``read``, and UsageError for a file."""
        read = Read(target=cid, form="tar", name=file_name(cid))
        async with aclosing(read_pieces(self._caller, read, timeout_s)) as pieces:
            async for piece in pieces:
                yield piece

    async def cat(self, cid: str, *, timeout_s: float | None = None) -> bytes:
        """The whole file ``cid`` in memory; raises as ``read``."""
        return b"".join([piece async for piece in self.read(cid, timeout_s=timeout_s)])

    async def ls(self, cid: str, *, timeout_s: float | None = None) -> list[DirectoryEntry]:
        """The entries of the directory ``cid`` by name; raises UsageError if it is none."""
        entries = await self._call(ListDirectory(target=cid), timeout_s=timeout_s)
        return sorted(entries, key=lambda entry: entry.name.encode())

    async def entries(
        self, cid: str, *, timeout_s: float | None = None
    ) -> AsyncGenerator[DirectoryEntry, None]:
        """The same one by one as they become known, in the directory's own order: by name, and in
        one of thousands of names by their hashes.  However many there are, few are held.

        ``timeout_s`` is for all of it, the time included that you take between entries.  Close it
        (``contextlib.aclosing``) when leaving the loop early.

            async for entry in client.entries(cid):
                print(entry.name)
        """
        listing = ListDirectory(target=cid)
        async with aclosing(rows_of(self._caller, listing, timeout_s)) as entries:
            async for entry in entries:
                yield entry

    async def stat(self, cid: str, *, timeout_s: float | None = None) -> ContentInfo:
        """What ``cid`` is: its type, sizes in bytes, and unit."""
        return await self._call(DescribeContent(target=cid), timeout_s=timeout_s)

    async def providers(
        self, cid: str, *, check: bool = False, timeout_s: float | None = None
    ) -> list[ProviderInfo]:
        """Who says that it holds ``cid``, by node id; with ``check`` they are asked now.  Raises
        NotFound if nobody does."""
        return await self._call(FindProviders(target=cid, check=check), timeout_s=timeout_s)

    # --- what is kept -----------------------------------------------------------------------

    async def puts(
        self, *, check: bool = False, timeout_s: float | None = None
    ) -> list[PutSummary]:
        """What was put from this node, oldest first; with ``check`` all holders are asked before,
        and QuorumNotReached is raised if a put has fewer copies than it must."""
        return await self._call(CheckPuts() if check else ListPuts(), timeout_s=timeout_s)

    async def receipts(self, cid: str, *, timeout_s: float | None = None) -> list[SignedReceipt]:
        """The holders' receipts for ``cid``, each verified again.  Raises NotHere if it was not
        put from this node, InvalidSignature if one does not hold."""
        return await self._call(ListReceipts(root=cid), timeout_s=timeout_s)

    async def pin(
        self,
        cid: str,
        *,
        name: str = "",
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> PinAdded:
        """Fetch all of ``cid`` into this node's store, keep it and announce it."""
        return await self._call(AddPin(root=cid, name=name), (), progress, timeout_s)

    # --- nodes ------------------------------------------------------------------------------

    async def root_status(
        self, cid: str, *, check: bool = False, timeout_s: float | None = None
    ) -> RootStatus:
        """Which copies there are of each unit of ``cid``; with ``check`` their holders are asked
        now, and what they say is remembered for ``puts``."""
        return await self._call(DescribeRoot(root=cid, check=check), timeout_s=timeout_s)


def _check_part(start: int | None, end: int | None, pin: bool) -> None:
    if start is None and end is not None:
        raise UsageError("a range has a start")
    if start is not None and pin:
        raise UsageError("a part of a file is not kept: pin the file by itself")


def _no_pin(pin: bool) -> None:
    if pin:
        raise UsageError("what goes into a pipe or device is not kept: pin it by itself")
