"""A collection opens a block once, however many units it is a root of."""

from __future__ import annotations

from collections import Counter

import pytest

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, RAW, Cid
from dhtstore.model.unit import Unit
from dhtstore.node.keeping.marks import Marks
from dhtstore.params import SPINE_SPAN_MAX_BYTES
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.pins import Pins
from dhtstore.store.ledger.roots import Roots

_UNITS = 20


class _Counting(MemoryBlockStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[Cid] = Counter()

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        self.reads[cid] += 1
        return super().get(cid, afresh=afresh)


def _file(leaf: Block) -> Block:
    size = len(leaf.data)
    message = UnixfsMessage(kind=Kind.FILE, content=b"", filesize=size, blocksizes=[size])
    return Block.of(dagpb.encode([DagLink(leaf.cid, "", size)], unixfs.encode(message)), DAG_PB)


def _marked(inner_is_here: bool) -> tuple[Marks, _Counting, Block]:
    leaf, store, table = Block.of(b"leaf"), _Counting(), MemoryKeyValue()
    inner = _file(leaf)
    top_message = UnixfsMessage(kind=Kind.FILE, content=b"", filesize=4, blocksizes=[4])
    links = [DagLink(inner.cid, "", 4)]
    top = Block.of(dagpb.encode(links, unixfs.encode(top_message)), DAG_PB)
    with store.batch() as batch:
        for block in (leaf, top, *([inner] if inner_is_here else [])):
            batch.put(block.cid, block.data)
        batch.commit()
    others = [Cid(bytes((1, RAW, 0, 4)) + i.to_bytes(4, "big")) for i in range(_UNITS)]
    units = [Unit.of((top.cid, other), 8) for other in others]
    Pins(table, Roots(table)).add(top.cid, "", "user", units)
    marks = Marks(store, table, ())
    while marks.more():
        pass
    return marks, store, top


def test_what_lies_below_a_root_of_many_units_is_met_once() -> None:
    marks, store, top = _marked(inner_is_here=True)
    assert not marks.doubts
    assert store.reads[top.cid] == 1
    assert marks.blocks == _UNITS + 2


def test_what_was_not_met_whole_is_looked_at_again_and_stays_in_doubt() -> None:
    marks, store, top = _marked(inner_is_here=False)
    assert [doubt.root for doubt in marks.doubts] == [top.cid]
    assert store.reads[top.cid] == _UNITS


def _directory(*below: tuple[Cid, int]) -> Block:
    links = [DagLink(cid, f"{i}", size) for i, (cid, size) in enumerate(below)]
    return Block.of(dagpb.encode(links, unixfs.encode(UnixfsMessage(kind=Kind.DIRECTORY))), DAG_PB)


def _overlapping(claim_bytes: int) -> tuple[_Counting, Block, list[Block]]:
    """A block below ever so many others, which claim so much of it."""
    store, leaf = _Counting(), Block.of(b"leaf")
    inner = _file(leaf)
    tops = [_directory((inner.cid, claim_bytes), (Cid.of(b"%d" % i), 1)) for i in range(_UNITS)]
    with store.batch() as batch:
        for block in (leaf, inner, *tops):
            batch.put(block.cid, block.data)
        batch.commit()
    return store, inner, tops


@pytest.mark.parametrize("spine", [False, True])
def test_what_lies_below_a_block_of_many_units_is_met_once(spine: bool) -> None:
    table = MemoryKeyValue()
    store, inner, tops = _overlapping(SPINE_SPAN_MAX_BYTES + 1 if spine else 4)
    units = [Unit.of((top.cid,), 0 if spine else 5, spine=spine) for top in tops]
    Pins(table, Roots(table)).add(tops[0].cid, "", "user", units)
    marks = Marks(store, table, ())
    while marks.more():
        pass
    assert not marks.doubts
    assert store.reads[inner.cid] == 1
    assert all(store.reads[top.cid] == 1 for top in tops)


def test_what_lies_below_many_held_roots_is_met_once() -> None:
    store, inner, tops = _overlapping(4)
    marks = Marks(store, MemoryKeyValue(), [top.cid for top in tops])
    while marks.more():
        pass
    assert store.reads[inner.cid] == 1
    assert all(store.reads[top.cid] == 1 for top in tops)
