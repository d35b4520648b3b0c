"""Units partition a DAG, and everything that needs a block's unit agrees on it."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from dhtstore.content.builders.directory import DirectoryChild
from dhtstore.content.dag.file_walk import RangeWalk
from dhtstore.content.dag.looking.resolve import stat
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import unit_wants
from dhtstore.content.dag.walk import Want
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import (
    GIB,
    MIB,
    SPINE_SPAN_MAX_BYTES,
    SPINE_UNIT_MAX_BYTES,
    UNIT_SIZE_MAX_BYTES,
)
from tests.unit.content.dags import Dag


def assert_partition(dag: Dag, root: Cid) -> list[Unit]:
    """The units hold every block of the DAG, and none twice."""
    found = dag.units(root)
    counted = Counter(cid for unit in found for cid in dag.unit_blocks(unit))
    assert set(counted) == set(dag.blocks)
    assert set(counted.values()) == {1}
    return found


def assert_walk_agrees(dag: Dag, root: Cid, found: list[Unit]) -> None:
    """A walk asks for each block under the unit whose walk finds it."""
    home = {cid: unit.name for unit in found for cid in dag.unit_blocks(unit)}
    for want, _ in dag.steps(TreeWalk(root)):
        assert want is None or want.unit.name == home[want.cid]


@pytest.mark.parametrize("size", [GIB - 1, GIB])
def test_a_file_of_up_to_one_gib_is_one_unit_named_by_its_root(size: int) -> None:
    dag = Dag()
    root = dag.claimed_file(size).cid
    (unit,) = assert_partition(dag, root)
    assert unit == Unit.of((root,), size)
    walk = UnitWalk(unit)
    dag.run(walk)
    assert (walk.size_bytes, walk.blocks) == (size, len(dag.blocks))


def test_one_byte_more_makes_a_spine_and_two_units() -> None:
    dag = Dag()
    root = dag.claimed_file(GIB + 1).cid
    spine, full, rest = found = assert_partition(dag, root)
    assert spine == Unit.head(root)
    assert spine.name == root.raw
    assert (full.size_bytes, rest.size_bytes) == (GIB, 1)
    assert_walk_agrees(dag, root, found)


def test_a_file_of_two_tib_is_2048_units_and_a_spine_of_three_blocks() -> None:
    dag = Dag()
    gibs = [Cid.of(i.to_bytes(4, "big"), 0x70) for i in range(2048)]
    halves = [dag.join([(cid, GIB) for cid in gibs[i : i + 1024]]) for i in (0, 1024)]
    root = dag.join([(half, 1024 * GIB) for half in halves])
    spine, *content = dag.units(root)
    assert sorted(dag.unit_blocks(spine)) == sorted([root, *halves])
    assert [unit.roots for unit in content] == [(cid,) for cid in gibs]
    assert all(unit.size_bytes == GIB for unit in content)


def test_a_file_of_identical_parts_names_each_unit_once() -> None:
    dag = Dag()
    gib = dag.claimed_file(GIB).cid
    root = dag.join([(gib, GIB)] * 1000)
    assert dag.units(root) == [Unit.head(root), Unit.of((gib,), GIB)]


def test_siblings_are_cut_in_order_and_large_ones_break_the_run() -> None:
    dag = Dag()
    sizes = [600 * MIB, 424 * MIB, 1 * MIB, GIB + MIB, 2 * MIB, 3 * MIB]
    parts = [(dag.claimed_file(size).cid, size) for size in sizes]
    root = dag.join(parts)
    cids = [cid for cid, _ in parts]
    found = assert_partition(dag, root)
    runs = [unit.roots for unit in found if not unit.spine]
    assert runs[:3] == [(cids[0], cids[1]), (cids[2],), (cids[4], cids[5])]
    assert_walk_agrees(dag, root, found)


def test_a_flat_directory_above_one_gib() -> None:
    dag = Dag()
    files = {f"f{i:02d}": dag.claimed_file(300 * MIB) for i in range(10)}
    root = dag.directory({**files, "small": dag.file(b"x")}).cid
    found = assert_partition(dag, root)
    assert len(found) == 1 + 4
    assert_walk_agrees(dag, root, found)


def test_a_file_above_one_gib_in_a_directory_joins_the_spine() -> None:
    dag = Dag()
    root = dag.directory({"big": dag.claimed_file(3 * GIB), "a": dag.file(b"x")}).cid
    found = assert_partition(dag, root)
    assert len(dag.unit_blocks(found[0])) == 2
    assert_walk_agrees(dag, root, found)


def test_a_sharded_directory_above_one_gib() -> None:
    dag = Dag()
    files = {f"entry-{i:05d}-{'n' * 40}": dag.leaf(MIB) for i in range(6000)}
    root = dag.directory(files).cid
    found = assert_partition(dag, root)
    assert all(unit.size_bytes <= UNIT_SIZE_MAX_BYTES for unit in found)
    assert len(found) == 1 + 6
    assert_walk_agrees(dag, root, found)


def test_shards_and_files_above_one_gib_join_one_spine() -> None:
    dag = Dag()
    films: dict[str, DirectoryChild] = {}
    for i in range(5000):
        parts = [(Cid.of(b"%d %d" % (i, j), DAG_PB), GIB) for j in range(2)]
        films[f"film-{i:05d}-{'n' * 40}"] = DirectoryChild("", dag.join(parts), 2 * GIB)
    root = dag.directory(films).cid
    spine, *content = dag.units(root)
    assert sorted(dag.unit_blocks(spine)) == sorted(dag.blocks)
    assert len(content) == 10_000
    assert sum(len(block) for block in dag.blocks.values()) < SPINE_UNIT_MAX_BYTES


def test_a_spine_that_spans_too_much_is_cut_and_nothing_is_lost() -> None:
    dag = Dag()
    tibs = [
        dag.join([(Cid.of(b"%d %d" % (i, j), DAG_PB), GIB) for j in range(1024)]) for i in range(40)
    ]
    root = dag.join([(cid, 1024 * GIB) for cid in tibs])
    found = dag.units(root)
    spines = [unit for unit in found if unit.spine]
    assert [unit.roots for unit in spines] == [
        (root,),
        tuple(tibs[:16]),
        tuple(tibs[16:32]),
        tuple(tibs[32:]),
    ]
    home = {cid: unit for unit in spines for cid in dag.unit_blocks(unit)}
    counted = Counter(cid for unit in spines for cid in dag.unit_blocks(unit))
    assert counted == Counter(dag.blocks.keys())
    asked: list[Want] = []
    assert dag.answer(unit_wants(root), asked.append) == found
    assert all(want.unit.name == home[want.cid].name for want in asked)
    assert len({unit.name for unit in found}) == len(found) == 4 + 40 * 1024
    assert dag.answer(stat(root)).size_bytes > SPINE_SPAN_MAX_BYTES


def test_a_run_of_many_small_siblings_ends_where_an_offer_is_full() -> None:
    dag = Dag()
    parts = [(Cid.of(b"%d" % i), 60_000) for i in range(30_000)]
    found = dag.units(dag.join(parts))
    assert [len(unit.roots) for unit in found] == [1, 9830, 9830, 9830, 510]


def test_a_spine_run_is_never_taken_for_a_run_of_content() -> None:
    roots = (Cid.of(b"a"), Cid.of(b"b"))
    assert Unit.of(roots, 0, spine=True).name != Unit.of(roots, 0).name


def test_a_unit_with_more_content_than_allowed_is_refused() -> None:
    dag = Dag()
    big = dag.claimed_file(GIB + 65 * MIB)
    with pytest.raises(MalformedDag, match="claims more"):
        dag.run(UnitWalk(Unit.of((big.cid,), 10)))


def test_a_unit_walk_wants_a_shared_subtree_once() -> None:
    dag = Dag()
    part = dag.file(random.Random(1).randbytes(3_000_000))
    root = dag.directory({"a": part, "b": part, "c": dag.directory({"d": part})}).cid
    walk = UnitWalk(Unit.of((root,), 0))
    dag.run(walk)
    assert (walk.blocks, walk.size_bytes) == (len(dag.blocks), 3_000_000)


def test_a_range_of_a_large_file_asks_under_the_unit_that_holds_it() -> None:
    dag = Dag()
    root = dag.claimed_file(3 * GIB).cid
    _, _, second, _ = dag.units(root)
    walk = RangeWalk(root, GIB + 5, GIB + 6)
    wants = [want for want, _ in dag.steps(walk) if want]
    assert [want.unit.name for want in wants] == [root.raw, second.name, second.name]
