"""ls and stat: what is below a CID, and what it is."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.content.dag.resolve import Listed, listing, stat
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.views.spelling import unit_text
from dhtstore.operations.content import ContentInfo, ContentType, DirectoryEntry


async def list_directory(
    session: FetchSession, root: Cid, names: tuple[str, ...]
) -> list[DirectoryEntry]:
    """Raises UsageError if it is no directory, and what ``FetchSession.ask`` raises."""
    found = await session.resolve(root, names)
    entries = await session.ask(listing(found.cid, place=found.place))
    return await session.disk.blocking.run(_rows, entries)


def _rows(entries: Sequence[Listed]) -> list[DirectoryEntry]:
    """Of as many entries as somebody else put into a directory: for worker threads."""
    return [
        DirectoryEntry(each.name, str(each.cid), each.type, _size(each.type, each.size_bytes))
        for each in entries
    ]


async def describe(session: FetchSession, root: Cid, names: tuple[str, ...]) -> ContentInfo:
    """Raises what ``FetchSession.ask`` raises."""
    found = await session.resolve(root, names)
    here = await session.disk.blocking.run(session.disk.store.has, found.cid)
    told = await session.ask(stat(found.cid, place=found.place))
    return ContentInfo(
        cid=str(told.cid),
        type=told.type,
        size=_size(told.type, told.size_bytes),
        dag_size=told.tsize_bytes,
        links=told.links,
        unit=unit_text(found.place.unit.name),
        here=here,
    )


def _size(kind: ContentType, size_bytes: int) -> int | None:
    """The content of a directory is not known without a walk through all of it."""
    return None if kind == "directory" else size_bytes
