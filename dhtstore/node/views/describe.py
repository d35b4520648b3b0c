"""ls and stat: what is below a CID, and what it is."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.looking.resolve import stat
from dhtstore.content.dag.walk import Listed, Output
from dhtstore.model.cid import Cid, spelled
from dhtstore.model.unit import unit_text
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.content import ContentInfo, ContentType, DirectoryEntry
from dhtstore.operations.operation import Rows


async def list_directory(
    session: FetchSession, root: Cid, names: tuple[str, ...], rows: Rows
) -> None:
    """Hand ``rows`` the entries as they become known, in the order of the directory.

    Raises UsageError if it is none, and what ``FetchSession.fetch`` raises.
    """
    found = await session.resolve(root, names)

    async def hand_on(listed: list[Output]) -> None:
        await rows(await session.disk.blocking.run(_rows, listed))

    await session.fetch(ListWalk(found.cid, place=found.place), Delivery(hand_on))


def _rows(listed: Sequence[Output]) -> list[DirectoryEntry]:
    """For worker threads: CIDs take a while to spell."""
    found = [each for each in listed if isinstance(each, Listed)]
    texts = spelled([each.cid for each in found])
    return [
        DirectoryEntry(each.name, cid, each.type, each.size_bytes)
        for each, cid in zip(found, texts, strict=True)
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
