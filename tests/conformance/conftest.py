"""Every implementation of a BlockStore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.params import MIB
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.world.ports.contents import Contents
from tests.conformance.block_stores import Open
from tests.in_memory import directory_in_memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with directory_in_memory() as directory:
        yield directory


@pytest.fixture(params=["memory", "disk", "shared memory", "faulty memory", "faulty disk"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[BlockStore] = []

    def plain(capacity_bytes: int | None) -> BlockStore:
        if request.param.endswith("memory"):
            keep = Contents().keep if request.param.startswith("shared") else None
            return MemoryBlockStore(capacity_bytes, keep)
        directory = tmp_path / f"blocks{len(opened)}"
        return DiskBlockStore(directory, capacity_bytes, pack_size_bytes=MIB)

    def make(capacity_bytes: int | None) -> BlockStore:
        store = plain(capacity_bytes)
        if request.param.startswith("faulty"):
            store = FaultyBlockStore(store)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> BlockStore:
    return open_store(None)
