"""A unit belongs to a root only if the blocks between them cut it so."""

from __future__ import annotations

import pytest

from dhtstore.content.dag.lineage import proof_wants
from dhtstore.content.dag.units import Lineage, lineage_wants
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import GIB, UNIT_SIZE_MAX_BYTES
from tests.unit.content.dags import Dag


def large() -> tuple[Dag, Cid]:
    """A file of 40 TiB: spine units below the first, units of content below those."""
    dag = Dag()
    tibs = [
        dag.join([(Cid.of(b"%d %d" % (i, j), DAG_PB), GIB) for j in range(1024)]) for i in range(40)
    ]
    return dag, dag.join([(cid, 1024 * GIB) for cid in tibs])


def lineages(dag: Dag, root: Cid) -> list[Lineage]:
    return dag.answer(lineage_wants(root))


def prove(dag: Dag, root: Cid, lineage: Lineage) -> None:
    dag.answer(proof_wants(root, lineage.path, lineage.unit))


def test_every_unit_of_a_dag_is_proved_by_the_blocks_above_it() -> None:
    dag, root = large()
    first, *others = lineages(dag, root)
    assert first.path == ()
    assert {len(each.path) for each in others} == {1, 2}
    assert all(each.path[0] == root for each in others)
    for each in (*others[:3], *others[::4001], others[-1]):
        prove(dag, root, each)


def test_a_small_dag_is_one_unit_that_needs_no_path() -> None:
    dag = Dag()
    root = dag.join([(Cid.of(b"a", DAG_PB), 5), (Cid.of(b"b", DAG_PB), 6)])
    assert lineages(dag, root) == [Lineage(Unit.of((root,), 11), ())]


def test_a_unit_of_another_root_is_not_proved() -> None:
    dag, root = large()
    other = dag.join([(Cid.of(b"theirs", DAG_PB), GIB), (Cid.of(b"theirs too", DAG_PB), GIB)])
    theirs = lineages(dag, other)[-1]
    ours = lineages(dag, root)[-1]
    for path in (theirs.path, ours.path, (root, *theirs.path), ()):
        with pytest.raises(MalformedDag):
            prove(dag, root, Lineage(theirs.unit, path))


@pytest.mark.parametrize("part", ["fewer roots", "another size", "a spine", "in another order"])
def test_a_part_of_a_unit_is_no_unit(part: str) -> None:
    """Else a stranger could have junk stored beside what the owner wanted."""
    dag = Dag()
    root = dag.join([(Cid.of(b"%d" % i, DAG_PB), GIB // 4) for i in range(8)])
    unit, path = lineages(dag, root)[-1]
    assert len(unit.roots) == 4
    wrong = {
        "fewer roots": Unit.of(unit.roots[:3], unit.size_bytes),
        "another size": Unit.of(unit.roots, unit.size_bytes - 1),
        "a spine": Unit.of(unit.roots, 0, spine=True),
        "in another order": Unit.of(unit.roots[::-1], unit.size_bytes),
    }[part]
    prove(dag, root, Lineage(unit, path))
    with pytest.raises(MalformedDag):
        prove(dag, root, Lineage(wrong, path))


def test_below_a_root_that_is_one_unit_there_is_no_other() -> None:
    dag = Dag()
    leaves = [(Cid.of(b"%d" % i, DAG_PB), 1000) for i in range(8)]
    root = dag.join(leaves)
    with pytest.raises(MalformedDag):
        prove(dag, root, Lineage(Unit.of((leaves[0][0],), 1000), (root,)))


def test_a_block_that_stands_in_many_units_costs_a_bounded_number_of_cuts() -> None:
    """Sixteen parents that link to the same child, over and over."""
    dag = Dag()
    child = dag.join([(Cid.of(b"%d" % i, DAG_PB), UNIT_SIZE_MAX_BYTES) for i in range(3)])
    root = dag.join([(child, 3 * GIB)] * 16)
    last = lineages(dag, root)[-1]
    prove(dag, root, last)
