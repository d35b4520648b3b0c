"""A tree in DAG order, whatever arrives first."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.content.builders.directory import DirectoryChild
from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.content.dag import frontier
from dhtstore.content.dag.walk import Listed, Output, Piece, placed_of
from dhtstore.content.export.ordered_walk import OrderedTreeWalk
from dhtstore.transfer.in_order import InDagOrder
from tests.unit.content.dags import Dag

PARTS = replace(UNIXFS_V1_2025, chunk_size_bytes=7, links_max=3)


def tree(dag: Dag, rng: Random, depth: int = 0) -> DirectoryChild:
    entries: dict[str, DirectoryChild] = {}
    for number in range(rng.randrange(1, 7)):
        kind = rng.randrange(4 if depth < 3 else 3)
        if kind == 3:
            entries[f"{number}"] = tree(dag, rng, depth + 1)
        elif kind == 2:
            entries[f"{number}"] = dag.symlink("x")
        else:
            entries[f"{number}"] = dag.file(rng.randbytes(rng.randrange(60)), PARTS)
    if rng.random() < 0.2:  # so many long names that it is sharded
        entries |= {f"{n}{rng.getrandbits(4000):01000x}": dag.file(b"", PARTS) for n in range(280)}
    return dag.directory(entries)


def bare(output: Output) -> Output:
    """Without what was known when it came."""
    assert not isinstance(output, Listed)
    return replace(output, placed=None)


def in_order(dag: Dag, walk: OrderedTreeWalk, limit: int, seed: int | None) -> list[Output]:
    """Blocks are opened many at a time, and what they yield is taken some at a time."""
    ordering, rng = InDagOrder(), Random(seed)
    given_out: list[Output] = []
    waiting: list[Output] = []
    for _, outputs in dag.steps(walk, limit, seed):
        waiting += outputs
        if rng.random() < 0.3:
            given_out += ordering.pass_on(waiting[:20], 3)
            waiting = waiting[20:]
    given_out += ordering.pass_on(waiting, 1)
    while more := ordering.pass_on([], 1000):
        given_out += more
    return given_out


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.booleans())
def test_it_comes_in_dag_order_whatever_arrives_first(seed: int, limit: int, tight: bool) -> None:
    """Also where so little of it may be held that blocks are read again."""
    dag = Dag()
    root = tree(dag, Random(seed)).cid
    with pytest.MonkeyPatch.context() as patched:
        if tight:
            patched.setattr(frontier, "WALK_HELD_MAX_BYTES", 4000)
        got = in_order(dag, OrderedTreeWalk(root), limit, seed)
    expected = in_order(dag, OrderedTreeWalk(root), 1, None)
    orders = [placed_of(output).order for output in got]
    assert orders == sorted(orders)
    assert list(map(bare, got)) == list(map(bare, expected))
    seen: set[tuple[str, ...]] = {()}
    for output in got:
        if isinstance(output, Piece):
            assert output.path in seen
        else:
            assert output.path[:-1] in seen
            seen.add(output.path)


def test_nothing_is_held_that_could_go_out() -> None:
    """What arrives in order goes out at once."""
    dag = Dag()
    root = tree(dag, Random(5)).cid
    ordering = InDagOrder()
    for _, outputs in dag.steps(OrderedTreeWalk(root), 1):
        assert len(ordering.pass_on(outputs, 1000)) == len(outputs)
