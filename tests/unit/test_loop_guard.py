"""The guard against file operations on the event loop can fail, and says where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.model.cid import Cid
from dhtstore.net.threads import ThreadBlocking
from dhtstore.store.blocks.disk import DiskBlockStore
from simulations.world.ports.blocking import InlineBlocking
from tests.loop_guard import watching

DATA = b"a block"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskBlockStore]:
    made = DiskBlockStore(tmp_path, None)
    with made.batch() as batch:
        batch.put(Cid.of(DATA), DATA)
        batch.commit()
    yield made
    made.close()


def walk(store: DiskBlockStore) -> int:
    """The program asks the store."""
    return len(list(local_blocks(store, Cid.of(DATA), Leaves.READ)))


async def test_what_the_program_does_on_the_loop_is_seen(store: DiskBlockStore) -> None:
    with watching() as seen:
        assert walk(store) == 1
    told = "\n".join(seen)
    assert "sqlite3 execute on the event loop" in told
    assert "os.pread on the event loop" in told
    assert "dhtstore/content/dag/local.py" in told


async def test_workers_may_use_the_disk(store: DiskBlockStore) -> None:
    blocking = ThreadBlocking()
    with watching() as seen:
        assert await blocking.run(walk, store) == 1
    await blocking.close()
    assert seen == []


async def test_work_is_inline_in_a_simulation(store: DiskBlockStore) -> None:
    with watching() as seen:
        assert await InlineBlocking().run(walk, store) == 1
    assert seen == []


async def test_tests_may_look_at_a_store(store: DiskBlockStore) -> None:
    with watching() as seen:
        assert store.get(Cid.of(DATA)) == DATA
    assert seen == []


def test_without_a_loop_nothing_is_wrong(store: DiskBlockStore) -> None:
    with watching() as seen:
        assert walk(store) == 1
    assert seen == []
