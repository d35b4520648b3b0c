"""How much room is here, for whom: warnings, and what ``status`` tells of it."""

from __future__ import annotations

from dhtstore.node.context import Disk
from dhtstore.node.warnings import Warnings
from dhtstore.params import BLOCK_SIZE_MAX_BYTES
from dhtstore.store.blocks.contract import BlockStore


async def look_for_room(disk: Disk, warnings: Warnings) -> None:
    """Warn while not one more block can be stored, and while more is promised than there is."""
    with warnings.tolerated("room", "no room here for one block more, what is held is served"):
        await disk.blocking.run(_take_and_give_back, disk.store)
    with warnings.tolerated("disk", "how full the disk is cannot be told"):
        space = await disk.blocking.run(disk.store.space)
        if space.overpromised:
            warnings.tell("promised", space.overpromised)
        else:
            warnings.over("promised")


def _take_and_give_back(store: BlockStore) -> None:
    store.reserve(BLOCK_SIZE_MAX_BYTES).release()
