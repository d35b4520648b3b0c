"""All blocks, depth first, each once, whatever arrives first."""

from __future__ import annotations

import tracemalloc

import pytest

from dhtstore.content.car import walk as car_walk
from dhtstore.content.car.reader import CarBlock, CarReader
from dhtstore.content.car.walk import CarWalk
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.model.cid import Cid
from dhtstore.params import GIB, MIB
from tests.cars import WholeDag, exported, read_car


def cids(raw: bytes) -> list[Cid]:
    return [each.cid for each in read_car(raw)[1] if isinstance(each, CarBlock)]


def read_whole_blocks(dag: WholeDag, roots: list[Cid]) -> list[CarBlock]:
    """Of invented leaves, which do not hash to their CIDs."""
    reader = CarReader()
    found = [each for each in reader.feed(exported(dag, roots)) if isinstance(each, CarBlock)]
    reader.end()
    return found


def test_what_an_identity_cid_holds_is_not_written() -> None:
    dag = WholeDag()
    leaf = dag.leaf(5).cid
    inlined = Cid(bytes.fromhex("01550003") + b"abc")
    root = dag.join([(inlined, 3), (leaf, 5)])
    assert [each.cid for each in read_whole_blocks(dag, [root])] == [root, leaf]
    assert read_car(exported(dag, [inlined])) == ((inlined,), [])


def test_a_block_below_two_roots_comes_with_the_first() -> None:
    dag = WholeDag()
    both = dag.file(b"in both")
    one = dag.directory({"x": both, "a": dag.file(b"of one")}).cid
    two = dag.directory({"x": both, "y": dag.file(b"of two")}).cid
    got = cids(exported(dag, [one, two, one], seed=1))
    assert len(got) == len(set(got)) == 5
    assert got[0] == one
    assert got.index(both.cid) < got.index(two)


def test_a_block_met_further_behind_first_comes_where_it_belongs() -> None:
    """The second directory arrives before the first, and both hold the same file."""
    dag = WholeDag()
    same = dag.file(b"the same")
    first = dag.directory({"z": same, "0": dag.file(b"0")})
    second = dag.directory({"a": same})
    root = dag.directory({"1": first, "2": second}).cid
    expected = cids(exported(dag, [root], limit=1))
    for seed in range(20):
        assert cids(exported(dag, [root], seed=seed)) == expected
    assert expected.index(same.cid) < expected.index(second.cid)


def test_a_dag_that_links_to_the_same_again_and_again_ends() -> None:
    """2**30 paths lead to its last block."""
    dag = WholeDag()
    below, size = dag.leaf(1).cid, 1
    for _ in range(30):
        below, size = dag.join([(below, size), (below, size)]), 2 * size
    assert len(read_whole_blocks(dag, [below])) == 31


def test_what_was_written_is_not_wanted_again() -> None:
    dag = WholeDag()
    same = dag.file(b"the same")
    below = {f"{n:02}": dag.directory({"a": same, "b": dag.file(b"%d" % n)}) for n in range(50)}
    root = dag.directory(below).cid
    steps = dag.steps(CarWalk([root]), limit=1)
    assert sum(1 for want, _ in steps if want) == len(dag.blocks)


def test_where_more_is_known_than_it_remembers_no_block_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(car_walk, "CAR_AHEAD_MAX", 3)
    dag = WholeDag()
    files = {f"{n}": dag.file(b"%d" % (n // 2)) for n in range(100)}
    root = dag.directory(files).cid
    got = cids(exported(dag, [root], seed=2))
    assert len(got) == len(set(got)) == 51


def test_a_large_dag_takes_little_memory() -> None:
    """16 GiB in 16,384 blocks, of which a fetch has 64 under way."""
    dag = WholeDag()
    root = dag.claimed_file(16 * GIB).cid
    walk, count = CarWalk([root]), 0
    tracemalloc.start()
    for _, outputs in dag.steps(walk, 64, 1):
        count += len(outputs)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == len(dag.blocks)
    assert peak_bytes < 16 * MIB


def test_a_shard_and_what_is_no_file_stay_as_they_are() -> None:
    dag = WholeDag()
    empty = dag.node([], UnixfsMessage(Kind.DIRECTORY))
    root = dag.node([DagLink(empty, "e", 4)], UnixfsMessage(Kind.DIRECTORY))
    assert cids(exported(dag, [root])) == [root, empty]
