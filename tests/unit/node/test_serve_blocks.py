"""What is served lies in buffers that are used again: a fresh one costs more than the read."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore.model.cid import Cid
from dhtstore.node.copies import serve_blocks
from dhtstore.node.copies.serve_blocks import Group, _Sound, read_groups
from dhtstore.node.links.buffers import BufferPool
from dhtstore.params import CHUNK_SIZE_BYTES, MIB
from dhtstore.store.blocks.disk import DiskBlockStore

BLOCKS = [bytes([n]) * CHUNK_SIZE_BYTES for n in range(3)] + [b"small"]
CIDS = [Cid.of(block) for block in BLOCKS]


def _gone(groups: list[Group]) -> None:
    """As after they were sent."""
    leases = [lease for group in groups for lease in group.leases]
    groups.clear()
    for lease in leases:
        lease.release()


def test_a_second_read_takes_the_buffers_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = BufferPool(CHUNK_SIZE_BYTES, 40)
    monkeypatch.setattr(serve_blocks, "block_buffers", pool)
    store = DiskBlockStore(tmp_path / "blocks", 16 * MIB)
    with store.batch() as batch:
        for cid, block in zip(CIDS, BLOCKS, strict=True):
            batch.put(cid, block)
        batch.commit()
    for _ in range(2):
        before = set(map(id, pool._unused))
        groups = read_groups(_Sound(store, set(), None), CIDS, 0, 8 * MIB)
        assert [block for group in groups for block in group.blocks] == BLOCKS
        assert len(pool._unused) == 0  # what there was is in use
        _gone(groups)
        assert len(pool._unused) == 3
    assert set(map(id, pool._unused)) == before
    store.close()
