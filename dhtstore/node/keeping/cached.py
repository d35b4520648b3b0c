"""get --cache: what is fetched stays here as long as nobody wants the room.

It is not announced, since it may go at any time; whoever asks this node for it is served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, surely
from dhtstore.node.copies.receive import Keeper
from dhtstore.node.fetching.delivery import BlockBytes
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.keeping.staging import Staging
from dhtstore.store.ledger.tiers.cache import Cache


@dataclass(slots=True)
class Filling:
    """``kept`` unless nobody asked for it, or there was no room for all."""

    keeper: Keeper | None
    kept: bool = True

    @classmethod
    def none(cls) -> Filling:
        """Nothing is cached."""
        return cls(None, kept=False)

    def keep(self, blocks: list[tuple[Cid, BlockBytes]]) -> None:
        """In workers."""
        if self.kept and self.keeper:
            try:
                self.keeper.keep(blocks)
            except NoRoom:
                self.kept = False  # what is fetched comes first, and it goes elsewhere

    def find(self, cid: Cid, data: bytes) -> None:
        if self.kept and self.keeper:
            try:
                self.keeper.find(cid, data)
            except NoRoom:
                self.kept = False


@dataclass(frozen=True, slots=True)
class Caching:
    """The roots that ``cache`` names, and how others come to be there."""

    disk: Disk
    cache: Cache
    clock: Clock
    staging: Staging

    @asynccontextmanager
    async def filling(
        self, session: FetchSession, root: Cid, names: Sequence[str]
    ) -> AsyncIterator[Filling]:
        """What ``session`` fetches of ``root`` meanwhile is cached, also what it has if it fails.
        What was cached before gives way to it, and nothing else."""
        async with self.staging.bringing(), self.disk.batch() as batch:
            keeper = Keeper(self.disk.store, batch)
            filling = Filling(keeper)
            session.keeps(filling.keep, filling.find)
            try:
                await self._make_room(session, root, names, filling)
                yield filling
            finally:
                session.keeps_no_more()
                await surely(self.disk.blocking, lambda: self._write_down(root, keeper, filling))

    async def _make_room(
        self, session: FetchSession, root: Cid, names: Sequence[str], filling: Filling
    ) -> None:
        found = await session.resolve(root, names)
        size_bytes = sum(unit.size_bytes for unit in await session.units(found.cid))
        await self.disk.make_room(size_bytes)
        free_bytes = (await self.disk.blocking.run(self.disk.store.space)).free_bytes
        if free_bytes is not None and free_bytes < size_bytes:
            filling.kept = await self._is_here(root)

    async def _is_here(self, root: Cid) -> bool:
        """Whether some of it is cached already: then little may be missing."""
        return await self.disk.blocking.run(self.cache.get, root) is not None

    def _write_down(self, root: Cid, keeper: Keeper, filling: Filling) -> None:
        try:
            keeper.commit()
        except NoRoom:
            filling.kept = False
        if keeper.settled_bytes:
            self.cache.add(root, keeper.settled_bytes, self.clock.unix_s())
