"""What makes a put beside a collection quick: steps wait for it, and none of them is long."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from dhtstore.store.blocks.collecting.courtesy import Courtesy
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.compacting.pending_rows import PendingRows
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.staged_table import Row


class _Clock:
    """What happens at which look; time goes on as somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.looks = 0
        self.courtesy = Courtesy(self.sleep, lambda: self.now_s)
        self._busy: dict[str, ExitStack] = {}
        self.ends: dict[int, str] = {}

    def come(self, who: str) -> None:
        self._busy[who] = ExitStack()
        self._busy[who].enter_context(self.courtesy.shown(who))

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.looks += 1
        if self.looks in self.ends:
            self._busy.pop(self.ends[self.looks]).close()


def test_a_step_waits_for_whoever_puts() -> None:
    clock = _Clock()
    clock.courtesy.wait()
    assert clock.looks == 0
    clock.come("one")
    clock.come("another")
    clock.ends = {1: "one", 3: "another"}
    clock.courtesy.wait()
    assert clock.looks == 3


def test_a_step_waits_for_milliseconds_at_most() -> None:
    clock = _Clock()
    clock.come("somebody who never ends")
    for _ in range(10):
        clock.courtesy.wait()
    assert clock.now_s < 0.07


def test_the_steps_of_a_collection_wait_and_puts_that_ended_are_not_waited_for(
    tmp_path: Path,
) -> None:
    clock = _Clock()
    store = DiskBlockStore(tmp_path / "blocks", None)
    store._pool.courtesy = clock.courtesy
    with store.batch() as batch:
        batch.put(Cid.of(b"goes"), b"goes")
        batch.commit()
    store.sweep(Kept())
    assert clock.looks == 0
    waited: list[int] = []
    for step in (lambda: store.sweep(Kept()), store.compaction().look, store.compaction().step):
        clock.come("somebody")
        clock.ends = {clock.looks + 2: "somebody"}
        before = clock.looks
        step()
        waited.append(clock.looks - before)
    assert waited == [2, 2, 2]
    store.close()


def test_rows_come_pack_by_pack_from_the_end_of_each() -> None:
    rng = random.Random(5)
    rows = [
        Row(rng.randbytes(34), rng.randrange(1, 4), at * 700_000, 100, 0x55) for at in range(300)
    ]
    rng.shuffle(rows)
    pending = PendingRows()
    pending.add(rows[:100])
    pending.add(rows[100:])
    order = [pending.pop() for _ in range(len(pending))]
    assert order == sorted(rows, key=lambda row: (row.pack, -row.offset))
    assert not len(pending)
    pending.add(rows[:3])
    assert len(pending) == 3
    pending.clear()
    assert not len(pending)


def test_no_more_rows_are_sorted_at_once_than_lie_in_a_mib() -> None:
    rows = [Row(bytes(34), 1, at * 1024, 1000, 0x55) for at in range(8 * MIB // 1024)]
    pending = PendingRows()
    pending.add(rows)
    assert pending.next == rows[-1]
    assert len(pending._ready) == MIB // 1024
