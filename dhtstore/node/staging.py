"""On a client the local copy of a put is only staging, dropped when no put needs it.

A client's store holds staging and pinned content, nothing else; so dropping is forgetting
every block that no pin reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.content.unit_walk import UnitWalk
from dhtstore.model.cid import Cid
from dhtstore.node.own_copy import local_units
from dhtstore.store.contract import BlockStore

if TYPE_CHECKING:
    from dhtstore.node.node import Node

_DELETE_AT_ONCE = 1024


class Staging:
    """``async with`` around each put; the last one out cleans up."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._puts = 0

    async def __aenter__(self) -> None:
        self._puts += 1

    async def __aexit__(self, *error: object) -> None:
        self._puts -= 1
        if self._puts == 0 and not self._node.settings.storage:
            await self._node.ports.blocking.run(self._drop)

    def _drop(self) -> None:
        store = self._node.ports.store
        kept: set[bytes] = set()
        for pin in self._node.pins.list():
            _collect(store, pin.cid, kept)
        unpinned = [cid for cid in store.cids() if cid.multihash not in kept]
        for start in range(0, len(unpinned), _DELETE_AT_ONCE):
            store.delete(unpinned[start : start + _DELETE_AT_ONCE])


def _collect(store: BlockStore, root: Cid, into: set[bytes]) -> None:
    for unit in local_units(store, root):
        walk = UnitWalk(unit)
        while wants := walk.next(_DELETE_AT_ONCE):
            for want in wants:
                into.add(want.cid.multihash)
                walk.accept(want, store.get(want.cid))
