"""Blocks on the disk of a node that serves wrong bytes."""

from __future__ import annotations

from dhtstore.errors import BlockDamaged, BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import BlockStore, Lend
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.world.ports.contents import Content


class LyingBlockStore(FaultyBlockStore):
    """Acknowledges every block and, while ``lying``, serves other bytes of the same length.  What
    its own node reads for itself (``get``) is right."""

    def __init__(self, inner: BlockStore) -> None:
        super().__init__(inner)
        self._memory = inner if isinstance(inner, MemoryBlockStore) else None
        self.lying = False

    def whole(self, cid: Cid) -> bool:
        """Whether a block is there and right; those known to be are not read for that."""
        if self._sound(cid) is not None:
            return True
        try:
            self.get(cid)
        except (BlockMissing, BlockDamaged):
            return False
        return True

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        sound = self._sound(cid)
        if sound is not None:
            return bytes(sound)
        lying, self.lying = self.lying, False
        try:
            return super().get(cid)
        finally:
            self.lying = lying

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        data = super().read(cid)
        return bytes(byte ^ 0xFF for byte in data[:1]) + data[1:] if self.lying else data

    def _sound(self, cid: Cid) -> Content | None:
        """The bytes of a block that are known to be right, and did not rot."""
        if self._memory is None or cid.multihash in self._rotten:
            return None
        held = self._memory.held(cid)
        return held if isinstance(held, Content) else None
