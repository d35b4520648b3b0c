"""A CAR whose DAG lies, or overlaps itself: what is refused is what a get would refuse, and the
work is bounded by the blocks of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

import pytest

from dhtstore.content.builders.directory import DirectoryChild
from dhtstore.content.car import sound
from dhtstore.content.dag import units
from dhtstore.errors import DhtstoreError, MalformedDag
from dhtstore.model.block import Block
from dhtstore.model.cid import RAW, Cid
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from dhtstore.params import GIB, MIB, STEP_BYTES
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.events.users import get_bytes
from simulations.world.ports.blocking import InlineBlocking
from tests.cars import car_of
from tests.simulation.harness import Lab, tell
from tests.unit.content.dags import Dag

T = TypeVar("T")
_UNITS = 40
_SHARED = 300
_EACH_BYTES = 600 * MIB  # no two of them are in one unit


class _Reads(MemoryBlockStore):
    """How often each block was read, and how much by one job."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[Cid] = Counter()
        self.job_bytes = self.job_max_bytes = 0

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        data = super().get(cid, afresh=afresh)
        self.reads[cid] += 1
        self.job_bytes += len(data)
        self.job_max_bytes = max(self.job_max_bytes, self.job_bytes)
        return data


class _Jobs(InlineBlocking):
    def __init__(self, store: _Reads) -> None:
        super().__init__()
        self.store = store

    async def run(self, function: Callable[..., T], *args: object) -> T:
        self.store.job_bytes = 0
        return await super().run(function, *args)


async def _in(node: Node, dag: Dag, *roots: Cid, partial: bool = False) -> None:
    raw = car_of(roots, [(cid, bytes(data)) for cid, data in dag.blocks.items()])

    async def pieces() -> AsyncIterator[bytes]:
        yield raw

    await node.car_imports().take(
        pieces(), name="", partial_dags=partial, size_bytes=None, progress=unwatched
    )


def _claimed(child: DirectoryChild | Cid, size_bytes: int) -> DirectoryChild:
    cid = child if isinstance(child, Cid) else child.cid
    return DirectoryChild("", cid, size_bytes)


def _leaf(dag: Dag, text: str) -> Cid:
    return dag.add(Block.of(text.encode(), RAW))


def _overlapping(dag: Dag, names: Iterable[int] = range(_UNITS)) -> Cid:
    """A directory of directories, each a unit by what is claimed, all of which hold the same."""
    inner = {f"{i}": _claimed(dag.join([(_leaf(dag, f"{i:05}"), 5)]), 5) for i in range(_SHARED)}
    shared = dag.directory(inner)
    each = {
        f"{i}": _claimed(
            dag.directory({"shared": shared, "own": _claimed(_leaf(dag, f"own {i}"), 9)}),
            _EACH_BYTES,
        )
        for i in names
    }
    return dag.directory(each).cid


def test_units_that_overlap_cost_no_more_than_their_blocks() -> None:
    async def story(lab: Lab) -> None:
        store, dag = _Reads(), Dag()
        node = await lab.add(store=store)
        root = _overlapping(dag)
        await _in(node, dag, root)
        assert len(node.ledger.roots.units(root)) == _UNITS + 1
        assert sum(store.reads.values()) < 3 * len(dag.blocks)

    tell(story)


def test_roots_that_overlap_cost_no_more_than_their_blocks() -> None:
    async def story(lab: Lab) -> None:
        store, dag = _Reads(), Dag()
        node = await lab.add(store=store)
        roots = [_overlapping(dag, [i]) for i in range(_UNITS)]
        await _in(node, dag, *roots)
        assert len(node.ledger.pins.list()) == _UNITS
        assert sum(store.reads.values()) < 3 * len(dag.blocks)

    tell(story)


def test_no_job_of_a_worker_cuts_or_looks_for_long() -> None:
    async def story(lab: Lab) -> None:
        store, dag = _Reads(), Dag()
        node = await lab.add(store=store, blocking=_Jobs(store))
        leaf = _leaf(dag, "leaf")
        wide = {
            f"{i:03}": _claimed(
                dag.directory(
                    {f"{i:03}{j:0250}": _claimed(leaf, 6 * MIB) for j in range(400)},
                ),
                2 * GIB + 400 * MIB,
            )
            for i in range(60)
        }
        await _in(node, dag, dag.directory(wide).cid)
        assert sum(len(data) for data in dag.blocks.values()) > STEP_BYTES + MIB
        assert store.job_max_bytes <= STEP_BYTES + MIB

    tell(story)


def _of_false_sizes(dag: Dag) -> Cid:
    """What stands in units of their own claims a GiB, and has some bytes."""
    return dag.join([(dag.join([(_leaf(dag, name), 3)]), GIB) for name in ("one", "two")])


def _of_a_false_leaf(dag: Dag) -> Cid:
    return dag.join([(_leaf(dag, "one"), 4)])


def _too_deep(dag: Dag) -> Cid:
    """Neither the spine nor what is below it alone."""
    below = _claimed(_leaf(dag, "leaf"), 4)
    for level in range(40):
        size_bytes = 100 if level < 20 else 2 * GIB
        below = _claimed(dag.directory({"x": below}), size_bytes)
    return below.cid


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (_of_false_sizes, "its parent claims 1073741824"),
        (_of_a_false_leaf, "its parent claims 4"),
        (_too_deep, "more than 32 levels"),
    ],
)
def test_what_a_get_refuses_is_not_pinned_but_its_blocks_can_come_in(
    build: Callable[[Dag], Cid], why: str
) -> None:
    async def story(lab: Lab) -> None:
        node, dag = await lab.add(), Dag()
        root = build(dag)
        with pytest.raises(MalformedDag, match=f"{root} is not sound: .*{why}") as refused:
            await _in(node, dag, root)
        assert "--partial" in refused.value.hint
        assert node.ledger.pins.list() == []
        await _in(node, dag, root, partial=True)
        with pytest.raises(DhtstoreError, match=f"{why}|not a file"):
            await get_bytes(node, root)
        assert node.ledger.pins.list() == []
        collected = await node.collector.collect()
        assert not collected.doubts
        assert node.ports.store.has(root)

    tell(story)


def test_a_file_does_not_end_where_its_last_leaf_lies() -> None:
    async def story(lab: Lab) -> None:
        node, dag = await lab.add(), Dag()
        root = _of_a_false_leaf(dag)
        await _in(node, dag, root, partial=True)
        with pytest.raises(MalformedDag, match="its parent claims 4"):
            await get_bytes(node, root)

    tell(story)


@pytest.mark.parametrize(
    ("module", "bound", "why"),
    [(units, "ROOT_UNITS_MAX", "more than 3 units"), (sound, "UNIT_WANTS_MAX", "too many blocks")],
)
def test_what_is_more_than_is_ever_looked_at_is_refused(
    module: Any, bound: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, bound, 3)

    async def story(lab: Lab) -> None:
        node, dag = await lab.add(), Dag()
        with pytest.raises(MalformedDag, match=why):
            await _in(node, dag, _overlapping(dag))
        assert node.ledger.pins.list() == []

    tell(story)


def test_a_block_of_ever_other_claimed_sizes_is_not_read_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sound, "SPINE_LINKS_AGAIN_MAX", 1000)

    async def story(lab: Lab) -> None:
        store, dag = _Reads(), Dag()
        node = await lab.add(store=store)
        leaf = _claimed(_leaf(dag, "leaf"), 4)
        wide = dag.directory({f"{i}": leaf for i in range(100)}).cid
        root = dag.directory({f"{i}": _claimed(wide, 1000 + i) for i in range(500)}).cid
        with pytest.raises(MalformedDag, match="claims of one"):
            await _in(node, dag, root)
        assert store.reads[wide] < 20

    tell(story)


@pytest.mark.parametrize("directories", [False, True])
def test_a_dag_of_ever_so_many_paths_costs_its_blocks(directories: bool) -> None:
    async def story(lab: Lab) -> None:
        store, dag = _Reads(), Dag()
        node = await lab.add(store=store)
        below, size_bytes = _leaf(dag, "leaf"), 4
        for _ in range(28):
            twice, size_bytes = _claimed(below, size_bytes), 2 * size_bytes
            if directories:
                below = dag.directory({"a": twice, "b": twice}).cid
                size_bytes += 1
            else:
                below = dag.join([(twice.cid, twice.tsize_bytes)] * 2)
        await _in(node, dag, below)
        await node.collector.collect()
        assert store.count() == len(dag.blocks)
        assert sum(store.reads.values()) < 6 * len(dag.blocks)

    tell(story)


def test_roots_are_pinned_all_together() -> None:
    counts = set[int]()

    class Watched(MemoryKeyValue):
        def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
            super().write(puts, deletes)
            counts.add(self.count(b"pin/"))

    async def story(lab: Lab) -> None:
        node, dag = await lab.add(ledger=Watched()), Dag()
        await _in(node, dag, *(_leaf(dag, f"{i}") for i in range(5)))
        assert counts == {0, 5}

    tell(story)
