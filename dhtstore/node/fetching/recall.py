"""Leaves that an earlier run wrote: read back in worker threads, and hashed before they count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.walk import Leaf, Walk, Want
from dhtstore.net.ports import Blocking
from dhtstore.node.fetching.delivery import Earlier
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, FETCH_VERIFY_BYTES

Claimed = tuple[Want, Leaf]


class Recall:
    """What is claimed is in the window as all wants are, which bounds the memory it takes."""

    def __init__(self, walk: Walk, earlier: Earlier | None, blocking: Blocking) -> None:
        self._walk, self._earlier, self._blocking = walk, earlier, blocking

    def sort_out(self, wants: Sequence[Want]) -> tuple[list[list[Claimed]], Sequence[Want]]:
        """Those that are claimed, in groups to read in one go, and the others."""
        if self._earlier is None:
            return [], wants
        claimed: list[Claimed] = []
        others: list[Want] = []
        for want in wants:
            leaf = self._walk.leaf(want)
            if leaf is not None and self._is_claimed(self._earlier, leaf):
                claimed.append((want, leaf))
            else:
                others.append(want)
        return list(_groups(claimed)), others

    async def read(self, claimed: Sequence[Claimed]) -> list[tuple[Want, DagNode | None]]:
        """What is there of them; None for what is not what its CID names."""
        return await self._blocking.run(self._read, claimed)

    def _is_claimed(self, earlier: Earlier, leaf: Leaf) -> bool:
        return leaf.size_bytes <= BLOCK_SIZE_MAX_BYTES and earlier.claims(leaf)

    def _read(self, claimed: Sequence[Claimed]) -> list[tuple[Want, DagNode | None]]:
        return [(want, self._node(want, leaf)) for want, leaf in claimed]

    def _node(self, want: Want, leaf: Leaf) -> DagNode | None:
        data = self._earlier.recall(leaf, want.cid) if self._earlier else None
        return None if data is None else read_node(want.cid, data)


def _groups(claimed: Sequence[Claimed]) -> Iterator[list[Claimed]]:
    """Of about FETCH_VERIFY_BYTES: waking a thread is dear."""
    group: list[Claimed] = []
    size_bytes = 0
    for each in claimed:
        group.append(each)
        size_bytes += each[1].size_bytes
        if size_bytes >= FETCH_VERIFY_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group
