"""What a store's books say of blocks: bytes of packs, rows, reservations; not what lies beside them
for the index, which changes with each transaction of SQLite."""

from __future__ import annotations

from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore


def booked(store: BlockStore) -> int:
    inner = store._inner if isinstance(store, FaultyBlockStore) else store
    assert isinstance(inner, DiskBlockStore | MemoryBlockStore)
    quota = inner._quota
    return quota.pack_bytes + quota.row_bytes + quota.reserved_bytes
