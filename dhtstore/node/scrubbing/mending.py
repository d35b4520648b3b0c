"""Blocks that are kept and are not here whole any more, fetched anew from other holders.

data path: unit -> blocks it lacks here -> those that hold the unit -> verified -> committed in
place of what has rotted (``write_block``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dhtstore.content.dag.block_list import BlockList
from dhtstore.errors import DhtstoreError, HomeUnusable, LocalProtocolError, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.receive import Keeper
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.params import MENDED_AT_ONCE
from dhtstore.trace import Tracer

_IN_VAIN_MAX = 3  # single blocks in a row that nobody gives: then nobody has the unit


@dataclass(frozen=True, slots=True)
class Mending:
    """``session`` makes one for the fetches of a unit."""

    completeness: Completeness
    session: Callable[[], FetchSession]
    tracer: Tracer

    async def mend(self, unit: Unit) -> bool:
        """Whether all of it is here then.  Raises NoRoom, HomeUnusable."""
        run, before = self.completeness.disk.blocking.run, list[Cid]()
        try:
            async with self.session() as session:
                while lacking := await run(self.completeness.lacking, unit, MENDED_AT_ONCE):
                    if lacking == before or not await self._fetch_some(session, unit, lacking):
                        return False
                    before = lacking
        except (NoRoom, HomeUnusable, LocalProtocolError):
            raise
        except DhtstoreError as error:
            self.tracer("mend.vain", unit=unit_text(unit.name), error=str(error))
            return False
        self.tracer("mend.done", unit=unit_text(unit.name))
        return True

    async def _fetch_some(self, session: FetchSession, unit: Unit, lacking: Sequence[Cid]) -> bool:
        """Whether any of them came: all together, and where one of them fails each alone."""
        if await self._fetch(session, unit, lacking):
            return True
        came, in_vain = False, 0
        for cid in lacking if len(lacking) > 1 else ():
            got = await self._fetch(session, unit, [cid])
            came, in_vain = came or got, 0 if got else in_vain + 1
            if in_vain == _IN_VAIN_MAX:
                break
        return came

    async def _fetch(self, session: FetchSession, unit: Unit, cids: Sequence[Cid]) -> bool:
        disk = self.completeness.disk
        async with disk.batch() as batch:
            keeper = Keeper(disk.store, batch)
            try:
                await session.fetch(BlockList(unit, cids), Delivery(keep=keeper.keep))
            except (NoRoom, HomeUnusable, LocalProtocolError):
                raise
            except DhtstoreError as error:
                self.tracer("mend.vain", unit=unit_text(unit.name), error=str(error))
                return False
            finally:
                await disk.blocking.run(batch.commit)  # what came of them, too
        return True
