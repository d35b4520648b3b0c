"""Cutting a DAG whose links claim what cannot be true takes no more than a bounded work."""

from __future__ import annotations

import pytest

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.content.dag import units
from dhtstore.content.dag.local import local_units
from dhtstore.errors import MalformedDag
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, RAW, Cid
from dhtstore.params import GIB

_LINKS = 4_000
_LINKS_AGAIN_MAX = 100_000
_TIMES = 60


class _Counting:
    """A store of some blocks that counts the links it hands out."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = {}
        self.reads = 0

    def get(self, cid: Cid) -> bytes:
        self.reads += 1
        return self.blocks[cid]

    def sizes(self, cids: object) -> list[int | None]:
        raise AssertionError(f"{cids} are not asked for")

    def file(self, links: list[DagLink], sizes: list[int]) -> Cid:
        message = UnixfsMessage(kind=Kind.FILE, content=b"", filesize=sum(sizes), blocksizes=sizes)
        block = dagpb.encode(links, unixfs.encode(message))
        cid = Block.of(block, DAG_PB).cid
        self.blocks[cid] = block
        return cid


def test_a_block_that_is_in_ever_new_units_is_not_opened_for_each_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(units, "SPINE_LINKS_AGAIN_MAX", _LINKS_AGAIN_MAX)
    store, leaf = _Counting(), Cid.of(b"leaf")
    wide = store.file([DagLink(leaf, "", 1)] * _LINKS, [GIB] + [1] * (_LINKS - 1))
    links, sizes = list[DagLink](), list[int]()
    for i in range(_TIMES):
        other = Cid(bytes((1, RAW, 0, 4)) + i.to_bytes(4, "big"))
        links += [DagLink(wide, "", 1), DagLink(other, "", 1)]
        sizes += [2 * GIB, 2**44 - 2 * GIB]
    root = store.file(links, sizes)
    with pytest.raises(MalformedDag, match="too often"):
        local_units(store, root)
    assert store.reads <= 3 + _LINKS_AGAIN_MAX // _LINKS
