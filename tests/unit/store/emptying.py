"""What compaction will do: copy the blocks of a pack into a new one and point the index there."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.packs import header


def empty_pack(store: DiskBlockStore, pack: int) -> int:
    """Move every indexed block of ``pack``; how many there were."""
    pool, index = store._pool, store._index
    rows = list(index.blocks(pack))
    writer = pool.checkout(pool.pack_size_bytes)  # so much fits in no pack that is begun
    copied = []
    for row in rows:
        cid = Cid(bytes((1, row.codec)) + row.multihash)
        data = store.get(cid)
        head = header(cid, len(data))
        store._quota.take(len(head) + len(data))
        offset = writer.reserve(len(head) + len(data))
        writer.write(offset, (head, data))
        copied.append((row, offset + len(head)))
    writer.sync()
    left = index.move(copied, writer.number, writer.end)
    pool.added({writer.number: sum(left.values())})
    pool.removed(left)
    pool.checkin(writer, writer.end)
    return len(rows)
