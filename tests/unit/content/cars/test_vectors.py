"""Files that other tools wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore.content.car.reader import CarBlock, ForeignBlock
from dhtstore.errors import MalformedCar, MalformedDag
from dhtstore.model.cid import Cid
from tests.cars import WholeDag, exported, read_car

FOLDER = Path(__file__).parents[3] / "vectors" / "car"
EQUAL = (
    "dag-pb",
    "dir-listing",
    "dir-with-duplicate-files",
    "dir-with-files",
    "dir-with-percent-encoded-filename",
    "gateway-raw-block",
    "ipld-car-two-roots",
    "ipld-car-v0-root",
    "single-layer-hamt-with-multi-block-files",
    "subdir-with-mixed-block-files",
    "subdir-with-two-single-block-files",
    "symlink",
)
OTHERWISE = {
    "dfs": "not in the order of the DAG",
    "ipfs-car-tree": "children first, and a block twice",
    "ipld-car-reordered": "children first",
    "sample-unixfs-v2": "of version 2, with an index",
}
REFUSED = {
    "plain-json": (0, "codec 0x200"),
    "sample-rootless-v42": (0, "version 42"),
    "sample-v1-with-zero-len-section2": (20819, "length of 0"),
}
# Depth first, as a checklist for gateways has it.
DFS = [
    "smhmq",
    "kuy2y",
    "rwyku",
    "gxqwq",
    "zdio4",
    "2vta4",
    "ituke",
    "syasm",
    "fc6hm",
    "mv3kq",
    "ffala",
]


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.car").read_bytes()


def taken(name: str) -> tuple[tuple[Cid, ...], WholeDag]:
    roots, blocks = read_car(raw(name))
    return roots, WholeDag({each.cid: each.data for each in blocks if isinstance(each, CarBlock)})


@pytest.mark.parametrize("name", EQUAL)
def test_what_is_in_order_comes_out_as_it_came_in(name: str) -> None:
    roots, dag = taken(name)
    assert exported(dag, roots) == exported(dag, roots, seed=1) == raw(name)


@pytest.mark.parametrize("name", OTHERWISE)
def test_all_else_comes_out_in_order_with_the_same_blocks(name: str) -> None:
    roots, dag = taken(name)
    again, blocks = read_car(exported(dag, roots))
    assert again == roots
    cids = [each.cid for each in blocks if isinstance(each, CarBlock)]
    assert sorted(cids) == sorted(dag.blocks)


def test_depth_first() -> None:
    roots, dag = taken("dfs")
    _, blocks = read_car(exported(dag, roots, seed=3))
    assert [str(each.cid)[-5:] for each in blocks if isinstance(each, CarBlock)] == DFS


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_the_byte(name: str) -> None:
    offset, why = REFUSED[name]
    with pytest.raises(MalformedCar, match=why) as refused:
        read_car(raw(name))
    assert refused.value.offset == offset


def test_blocks_of_other_kinds_are_told() -> None:
    _, blocks = read_car(raw("dir-with-dag-cbor-with-links"))
    kinds = [each.kind for each in blocks if isinstance(each, ForeignBlock)]
    assert kinds
    assert all(kind == "dag-cbor, hash 0x12" for kind in kinds)


def test_a_partial_one_is_read_and_three_of_its_blocks_are_not_there() -> None:
    roots, dag = taken("file-3k-and-3-blocks-missing-block")
    with pytest.raises(KeyError):
        exported(dag, roots)


def test_names_that_lead_outside_are_no_dag_of_files() -> None:
    roots, dag = taken("outside-root")
    with pytest.raises(MalformedDag):
        exported(dag, roots)


def test_several_roots_of_version_2() -> None:
    roots, blocks = read_car(raw("sample-rw-bs-v2"))
    assert len(roots) == len(blocks) == 3
