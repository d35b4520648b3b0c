"""What a walk knows and does not want yet is bounded, however wide and deep a stranger's DAG is."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.hamt import HASH_TYPE
from dhtstore.content.codec.unixfs import DagNode, Kind, UnixfsMessage, read_node
from dhtstore.content.dag import children
from dhtstore.content.dag.looking import list_walk
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.walk import Output, Walk
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import (
    FETCH_WANTS_MAX,
    MIB,
    UNIT_SEEN_MAX,
    WALK_HELD_MAX_BYTES,
    WALK_LARGEST_BYTES,
)

LINKS = 40_000
LEAF = b"leaf"
HELD_MAX_BYTES = WALK_HELD_MAX_BYTES + WALK_LARGEST_BYTES  # and the links of one block
BESIDE_BYTES = 8 * MIB  # wants that are open, and what a walk remembers of those before


@dataclass
class Strange:
    """Directories that a stranger chose; all else is a leaf of four bytes."""

    blocks: dict[Cid, bytes] = field(default_factory=dict)
    leaves: int = 0

    def directory(self, first: list[tuple[Cid, int]], leaves: int = LINKS) -> tuple[Cid, int]:
        """``first``, then that many leaves; what its parent must claim."""
        links = [DagLink(cid, f"0{at}", claim) for at, (cid, claim) in enumerate(first)]
        for at in range(leaves):
            links.append(DagLink(Cid.of(self.leaves.to_bytes(4, "big")), f"{at:x}", 1))
            self.leaves += 1
        block = dagpb.encode(links, unixfs.encode(UnixfsMessage(Kind.DIRECTORY)))
        cid = Cid.of(block, DAG_PB)
        self.blocks[cid] = block
        return cid, sum(link.tsize_bytes for link in links)

    def read(self, cid: Cid) -> DagNode:
        return read_node(cid, self.blocks.get(cid, LEAF))


def deep(levels: int) -> tuple[Strange, Cid]:
    """Directories in directories, each the first entry of the one above."""
    dag, below = Strange(), list[tuple[Cid, int]]()
    for _ in range(levels):
        below = [dag.directory(below)]
    return dag, below[0][0]


def wide(count: int) -> tuple[Strange, Cid]:
    """One directory of many directories, each of many leaves and said to be small."""
    dag = Strange()
    return dag, dag.directory([dag.directory([]) for _ in range(count)], 0)[0]


def run(walk: Walk, dag: Strange, upto: int = FETCH_WANTS_MAX) -> Counter[Cid]:
    """Answer all that is wanted, as a fetch that has room does; how often each block was."""
    wanted: Counter[Cid] = Counter()
    while not walk.done:
        taken = walk.next(upto)
        assert taken, "a walk that is not done wants something"
        for want in taken:
            walk.accept(want, dag.read(want.cid))
        wanted.update(want.cid for want in taken)
    return wanted


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """What is held beyond what was there before, at most."""
    most: list[int] = []
    tracemalloc.start()
    before_bytes, _ = tracemalloc.get_traced_memory()
    yield most
    most.append(tracemalloc.get_traced_memory()[1] - before_bytes)
    tracemalloc.stop()


def whole(root: Cid) -> Walk:
    return UnitWalk(Unit.of((root,), 0))


WALKS: dict[str, Callable[[Cid], Walk]] = {"get": TreeWalk, "hold": whole, "ls": ListWalk}


@pytest.mark.parametrize(("shape", "name"), [(deep, "hold"), (wide, "get"), (wide, "ls")])
def test_a_walk_of_large_directories_holds_no_more_than_its_bound(
    shape: Callable[[int], tuple[Strange, Cid]], name: str
) -> None:
    dag, root = shape(4)
    with most_memory() as most:
        walk = WALKS[name](root)
        for want in walk.next(1):  # the shapes are met in whole by the first few wants
            walk.accept(want, dag.read(want.cid))
        for _ in range(4):
            for want in walk.next(16):
                walk.accept(want, dag.read(want.cid))
    assert most[0] <= HELD_MAX_BYTES + BESIDE_BYTES


@pytest.mark.parametrize(("shape", "name"), [(deep, "hold"), (wide, "get")])
def test_all_of_it_is_walked_and_no_block_read_more_than_twice(
    shape: Callable[[int], tuple[Strange, Cid]], name: str
) -> None:
    dag, root = shape(3)
    wanted = run(WALKS[name](root), dag)
    assert len(wanted) == len(dag.blocks) + dag.leaves
    assert max(wanted.values()) <= 2
    assert all(times == 1 for cid, times in wanted.items() if cid not in dag.blocks)


def shards(dag: Strange, levels: int, path: int = 0, depth: int = 0) -> tuple[Cid, int]:
    """Shards of 8 slots, 8 of them in each down to names that are where they belong.  What their
    hashes are is up to whoever makes names: here the hash is the name."""
    links, claims = [], 0
    for slot in range(8):
        below = path << 3 | slot
        if depth + 1 < levels:
            cid, claim = shards(dag, levels, below, depth + 1)
            links.append(DagLink(cid, f"{slot:X}", claim))
        else:
            claim = 1
            links.append(DagLink(Cid.of(below.to_bytes(8, "big")), f"{slot:X}{below}", 1))
            dag.leaves += 1
        claims += claim
    message = UnixfsMessage(Kind.SHARD, b"\xff", hash_type=HASH_TYPE, fanout=8)
    block = dagpb.encode(links, unixfs.encode(message))
    cid = Cid.of(block, DAG_PB)
    dag.blocks[cid] = block
    return cid, claims


def test_rows_that_wait_for_the_first_shard_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of the first gives it last; of the others there is no end."""
    dag, levels = Strange(), 4
    monkeypatch.setattr(children, "name_hash", lambda name: int(name) << 64 - 3 * levels)
    monkeypatch.setattr(list_walk, "LISTED_HELD_MAX", 256)
    root, _ = shards(dag, levels)
    walk, rows, held = ListWalk(root), list[Output](), 0
    while not walk.done:
        taken = walk.next(FETCH_WANTS_MAX)
        first = taken.pop(0)
        while taken:
            want = max(taken, key=lambda each: each.sequence)
            taken.remove(want)
            rows += walk.accept(want, dag.read(want.cid))
            taken += walk.next(FETCH_WANTS_MAX)
            held = max(held, len(walk._held))
        rows += walk.accept(first, dag.read(first.cid))
    assert len(rows) == dag.leaves == 8**levels
    assert 100 < held <= 256


def test_a_wide_directory_of_directories_is_read_once() -> None:
    """As large as a block can be, which most of the bound is for, and small ones in it."""
    dag = Strange()
    root, _ = dag.directory([dag.directory([], 8) for _ in range(5000)], 35_000)
    assert set(run(TreeWalk(root), dag, 128).values()) == {1}


def test_links_with_long_names_count_as_what_they_are() -> None:
    """A character outside the basic plane makes four bytes of each of a name."""
    dag, claim, cid = Strange(), 1, Cid.of(LEAF)
    for level in range(12):
        links = [DagLink(cid, "0", claim)]
        links += [DagLink(Cid.of(b""), f"{level}-{at:_<900}\U0001f333", 1) for at in range(2000)]
        block = dagpb.encode(links, unixfs.encode(UnixfsMessage(Kind.DIRECTORY)))
        cid, claim = Cid.of(block, DAG_PB), claim + 2000
        dag.blocks[cid] = block
    with most_memory() as most:
        walk = TreeWalk(cid)
        for _ in range(12):
            for want in walk.next(1):
                walk.accept(want, dag.read(want.cid))
    assert most[0] <= HELD_MAX_BYTES + BESIDE_BYTES


def test_what_a_walk_remembers_of_a_unit_is_small() -> None:
    part = 8
    with most_memory() as most:
        seen = Seen(UNIT_SEEN_MAX)
        for number in range(UNIT_SEEN_MAX // part):
            assert seen.is_new(number.to_bytes(36, "big"))
    assert most[0] <= 16 * MIB // part
