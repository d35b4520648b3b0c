from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dhtstore.errors import BlockMissing
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.collecting.protections import Protections
from dhtstore.store.blocks.disk import DiskBlockStore
from tests.unit.store.collecting.model import BLOCKS, NUMBERS, PACK_BYTES, run


@pytest.mark.parametrize("seed", range(3))
def test_nothing_kept_is_lost_on_disk(tmp_path: Path, seed: int) -> None:
    assert run(seed, 1500, tmp_path / "blocks").swept > 0


@pytest.mark.parametrize("seed", range(3))
def test_nothing_kept_is_lost_in_memory(seed: int) -> None:
    assert run(seed, 3000, None).swept > 0


@pytest.mark.parametrize("stored", [True, False], ids=["disk", "memory"])
def test_the_model_sees_a_sweep_that_takes_what_a_put_relies_on(
    tmp_path: Path, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protections, "note", lambda self, multihash: None)
    with pytest.raises((AssertionError, BlockMissing)):
        run(1, 5000, tmp_path / "blocks" if stored else None)


def test_nothing_kept_is_lost_while_threads_meet(tmp_path: Path) -> None:
    """Puts, a collection and compaction, each in a thread of its own, as often as they can."""
    store = DiskBlockStore(tmp_path / "blocks", None, pack_size_bytes=PACK_BYTES)
    pinned, lock, ended, wrong = set[int](), threading.Lock(), threading.Event(), list[object]()
    collecting = threading.Lock()  # marks are read and late guards closed in its turn

    def put(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            numbers = rng.sample(range(NUMBERS), 5)
            guard = store.protect()
            with store.batch(whole=rng.random() < 0.3) as batch:
                for number in numbers:
                    batch.put(*BLOCKS[number])
                batch.commit()
                with lock:
                    pinned.update(numbers)
            with collecting:
                guard.close()
            for number in numbers:
                with lock:
                    there = number in pinned
                    data = store.get(BLOCKS[number][0]) if there else BLOCKS[number][1]
                wrong.extend([number] if data != BLOCKS[number][1] else [])
            with lock:
                pinned.difference_update(rng.sample(sorted(pinned), len(pinned) // 3))

    def collect() -> None:
        while not ended.is_set():
            with collecting:
                kept = Kept()
                with lock:
                    for number in pinned:
                        kept.add(BLOCKS[number][0].multihash)
                step: bytes | None = b""
                while step is not None:
                    step = store.sweep(kept, step).after

    def compact() -> None:
        while not ended.is_set():
            work = store.compaction()
            while work.step():
                pass

    def watched(work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            wrong.append(error)
            raise

    putting = [threading.Thread(target=watched, args=(put, seed)) for seed in range(3)]
    others = [threading.Thread(target=watched, args=(work,)) for work in (collect, compact)]
    for thread in (*putting, *others):
        thread.start()
    for thread in putting:
        thread.join()
    ended.set()
    for thread in others:
        thread.join()
    assert wrong == []
    assert all(store.get(cid) == data for cid, data in (BLOCKS[number] for number in pinned))
    store.close()
