"""Blocks on the disk of a node that serves wrong bytes."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.store.blocks.contract import BlockStore, Lend
from dhtstore.store.blocks.faulty import FaultyBlockStore


class LyingBlockStore(FaultyBlockStore):
    """Acknowledges every block and, while ``lying``, serves other bytes of the same length.  What
    its own node reads for itself (``get``) is right."""

    def __init__(self, inner: BlockStore) -> None:
        super().__init__(inner)
        self.lying = False

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        lying, self.lying = self.lying, False
        try:
            return super().get(cid)
        finally:
            self.lying = lying

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        data = super().read(cid)
        return bytes(byte ^ 0xFF for byte in data[:1]) + data[1:] if self.lying else data
