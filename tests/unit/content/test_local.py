"""Walking what is at hand: which blocks a walk names, which of them it looks at, what it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from dhtstore.content.dag.local import Leaves, local_blocks, local_units, walk_local
from dhtstore.errors import BlockMissing, MalformedDag
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import CHUNK_SIZE_BYTES
from tests.unit.content.dags import Dag


class Here:
    """Blocks at hand, and which of them were read."""

    def __init__(self, blocks: Mapping[Cid, bytes | memoryview]) -> None:
        self.blocks = dict(blocks)
        self.read: list[Cid] = []

    def get(self, cid: Cid) -> bytes:
        if cid not in self.blocks:
            raise BlockMissing(f"{cid}")
        self.read.append(cid)
        return bytes(self.blocks[cid])

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        return [len(self.blocks[cid]) if cid in self.blocks else None for cid in cids]


@pytest.fixture
def tree() -> tuple[Here, Cid]:
    """A directory with one file of three leaves and one of a single raw block."""
    dag = Dag()
    large = dag.file(b"l" * CHUNK_SIZE_BYTES + b"m" * CHUNK_SIZE_BYTES + b"end")
    root = dag.directory({"large": large, "small": dag.file(b"small")})
    return Here(dag.blocks), root.cid


def leaves_of(here: Here) -> list[Cid]:
    return [cid for cid in here.blocks if cid.codec == RAW]


@pytest.mark.parametrize("leaves", Leaves)
def test_every_block_is_named_and_counted(tree: tuple[Here, Cid], leaves: Leaves) -> None:
    here, root = tree
    assert sorted(c.raw for c in local_blocks(here, root, leaves)) == sorted(
        cid.raw for cid in here.blocks
    )
    [unit] = local_units(here, root)
    walk = walk_local(here, unit, leaves)
    assert walk.done
    assert walk.blocks == len(here.blocks)
    assert walk.size_bytes == 2 * CHUNK_SIZE_BYTES + len(b"end") + len(b"small")


def test_leaves_are_read_only_where_that_is_asked_for(tree: tuple[Here, Cid]) -> None:
    here, root = tree
    [unit] = local_units(here, root)
    interior = sorted(cid.raw for cid in here.blocks if cid.codec != RAW)
    for leaves in (Leaves.NAMED, Leaves.PRESENT):
        here.read.clear()
        walk_local(here, unit, leaves)
        assert sorted(cid.raw for cid in here.read) == interior
    here.read.clear()
    walk_local(here, unit, Leaves.READ)
    assert len(here.read) == len(here.blocks)


def test_roots_that_are_leaves_are_read_only_where_that_is_asked_for() -> None:
    dag = Dag()
    roots = tuple(dag.file(data).cid for data in (b"one", b"another"))
    here, unit = Here(dag.blocks), Unit.of(roots, len(b"oneanother"))
    walk = walk_local(here, unit, Leaves.PRESENT)
    assert here.read == []
    read = walk_local(here, unit, Leaves.READ)
    assert len(here.read) == 2
    for told in ("blocks", "size_bytes", "stored_bytes", "claimed_bytes", "told_bytes"):
        assert getattr(walk, told) == getattr(read, told)
    del here.blocks[roots[1]]
    with pytest.raises(BlockMissing):
        walk_local(here, unit, Leaves.PRESENT)


def test_a_missing_leaf_is_missed_unless_its_name_is_enough(tree: tuple[Here, Cid]) -> None:
    here, root = tree
    [unit] = local_units(here, root)
    del here.blocks[leaves_of(here)[0]]
    for leaves in (Leaves.PRESENT, Leaves.READ):
        with pytest.raises(BlockMissing):
            walk_local(here, unit, leaves)
    assert walk_local(here, unit, Leaves.NAMED).blocks == len(here.blocks) + 1


def test_a_leaf_of_another_length_is_read_and_found_out(tree: tuple[Here, Cid]) -> None:
    here, root = tree
    [unit] = local_units(here, root)
    [last] = [cid for cid in leaves_of(here) if len(here.blocks[cid]) == len(b"end")]
    here.blocks[last] = b"longer than it was"
    for leaves in (Leaves.PRESENT, Leaves.READ):
        with pytest.raises(MalformedDag, match="claims 3"):
            walk_local(here, unit, leaves)


def test_a_missing_interior_block_ends_the_walk_where_it_is_met(tree: tuple[Here, Cid]) -> None:
    here, root = tree
    [node] = [cid for cid in here.blocks if cid.codec != RAW and cid != root]
    del here.blocks[node]
    with pytest.raises(BlockMissing):
        list(local_blocks(here, root, Leaves.NAMED))
