"""ls and stat: what is below a CID, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.content.dag.resolve import listing, stat
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.views.receipt_view import unit_text


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One name of a directory.  ``size`` is a file's content, a directory's claimed total."""

    name: str
    cid: str
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class Description:
    """``size`` is the content of a file, and what the links of a directory claim; ``total`` what
    all of it claims, blocks included; ``unit`` where its first block is placed; ``here`` whether
    that block is in the local store."""

    cid: str
    type: str
    size: int
    total: int
    links: int
    unit: str
    here: bool


async def list_directory(
    session: FetchSession, root: Cid, names: tuple[str, ...]
) -> list[EntryRow]:
    """Raises UsageError if it is no directory, and what ``FetchSession.ask`` raises."""
    found = await session.resolve(root, names)
    entries = await session.ask(listing(found.cid, place=found.place))
    return [EntryRow(each.name, str(each.cid), each.type, each.size_bytes) for each in entries]


async def describe(session: FetchSession, root: Cid, names: tuple[str, ...]) -> Description:
    """Raises what ``FetchSession.ask`` raises."""
    found = await session.resolve(root, names)
    here = await session.disk.blocking.run(session.disk.store.has, found.cid)
    told = await session.ask(stat(found.cid, place=found.place))
    return Description(
        cid=str(told.cid),
        type=told.type,
        size=told.size_bytes,
        total=told.tsize_bytes,
        links=told.links,
        unit=unit_text(found.place.unit.name),
        here=here,
    )
