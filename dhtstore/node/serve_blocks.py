"""Serving blocks to a peer.

data path: GetBlocks -> blocks read in a worker thread, one read ahead -> groups -> frames.
Per link one answer is sent at a time, so a peer costs two reads of memory at most; blocks are
not verified here, since whoever asked verifies them anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from dhtstore.errors import BlockDamaged, BlockMissing, DhtstoreError, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Blocking
from dhtstore.node.link import Link, Reply
from dhtstore.params import FRAME_PACK_BYTES, SERVED_READ_BYTES, SERVED_READS_MAX
from dhtstore.store.contract import BlockStore
from dhtstore.wire.frames import Blocks, GetBlocks


@dataclass(slots=True)
class Group:
    """What one frame will carry: blocks that were read, and indices of those not held."""

    indices: list[int] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def response(self) -> Blocks:
        return Blocks(tuple(self.indices), tuple(map(len, self.blocks)), tuple(self.missing))


class BlockServer:
    """The handler of GetBlocks.  ``sent_bytes`` counts block bytes sent so far."""

    def __init__(self, store: BlockStore, blocking: Blocking) -> None:
        self._store, self._blocking = store, blocking
        self._room = asyncio.Semaphore(SERVED_READS_MAX)
        self.sent_bytes = 0

    async def serve(self, link: Link, request: GetBlocks, reply: Reply) -> None:
        """Answer one request; raises ConnectionLost, PeerRefused for CIDs that are none."""
        try:
            cids = [Cid.decode(raw) for raw in request.cids]
        except DhtstoreError as error:
            raise PeerRefused("malformed", str(error)) from error
        async with link.serving:
            await self._send_all(cids, reply)

    async def _send_all(self, cids: Sequence[Cid], reply: Reply) -> None:
        start = 0
        sending: asyncio.Future[None] | None = None
        while start < len(cids):
            groups = await self._read(cids, start)
            start += sum(len(group.indices) + len(group.missing) for group in groups)
            if sending is not None:
                await sending
            for group in groups:
                sending = reply(group.response, *group.blocks)
                self.sent_bytes += group.size_bytes
            assert sending is not None, "a read names each block it passed"
            sending.add_done_callback(lambda _: self._room.release())
        if sending is not None:
            await sending

    async def _read(self, cids: Sequence[Cid], start: int) -> list[Group]:
        """One read, when there is room for it; whoever sends it gives the room back."""
        await self._room.acquire()
        try:
            return await self._blocking.run(read_groups, self._store, cids, start)
        except BaseException:
            self._room.release()
            raise


def read_groups(store: BlockStore, cids: Sequence[Cid], start: int) -> list[Group]:
    """Read groups from ``start`` on until SERVED_READ_BYTES are together."""
    groups: list[Group] = []
    while start < len(cids) and sum(group.size_bytes for group in groups) < SERVED_READ_BYTES:
        group = read_group(store, cids, start)
        start += len(group.indices) + len(group.missing)
        groups.append(group)
    return groups


def read_group(store: BlockStore, cids: Sequence[Cid], start: int) -> Group:
    """Read blocks from ``start`` on until FRAME_PACK_BYTES are together."""
    group = Group()
    for index in range(start, len(cids)):
        try:
            block = store.read(cids[index])
        except (BlockMissing, BlockDamaged):
            group.missing.append(index)
            continue
        group.indices.append(index)
        group.blocks.append(block)
        group.size_bytes += len(block)
        if group.size_bytes >= FRAME_PACK_BYTES:
            break
    return group
