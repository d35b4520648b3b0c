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
from dhtstore.node.links.link import Link, Reply
from dhtstore.params import (
    FRAME_PACK_BYTES,
    SERVED_PATIENCE_S,
    SERVED_READ_BYTES,
    SERVED_READS_MAX,
)
from dhtstore.store.blocks.contract import BlockStore
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
        return Blocks(
            indices=tuple(self.indices),
            sizes=tuple(map(len, self.blocks)),
            missing=tuple(self.missing),
        )


class BlockServer:
    """The handler of GetBlocks.  ``sent_bytes`` counts block bytes sent so far."""

    def __init__(self, store: BlockStore, blocking: Blocking) -> None:
        self._store, self._blocking = store, blocking
        self._room = _ReadRoom()
        self.sent_bytes = 0

    async def serve(self, link: Link, request: GetBlocks, reply: Reply) -> None:
        """Answer one request; raises ConnectionLost, PeerRefused for CIDs that are none."""
        async with link.serving:
            try:  # in its turn: until then a request takes no more memory than it must
                cids = [Cid.decode(raw) for raw in request.cids]
            except DhtstoreError as error:
                raise PeerRefused("malformed", str(error)) from error
            await self._send_all(link, cids, reply)

    async def _send_all(self, link: Link, cids: Sequence[Cid], reply: Reply) -> None:
        start = 0
        sending: asyncio.Future[None] | None = None
        groups: list[Group] = []
        try:
            while start < len(cids):
                if sending is not None and self._room.wanted:
                    await sending  # reading ahead is for when nobody waits
                groups = await self._read(link, cids, start)
                start += sum(len(group.indices) + len(group.missing) for group in groups)
                try:
                    if sending is not None:
                        await sending
                    sending = self._queue(link, groups, reply)
                except BaseException:  # the link ended before the last of it was handed over
                    self._room.give_back(link)
                    raise
            if sending is not None:
                await sending
        finally:
            groups.clear()  # the traceback of what ended a link would keep them

    def _queue(self, link: Link, groups: list[Group], reply: Reply) -> asyncio.Future[None]:
        """Hand over a read, a frame each group; whoever sends the last gives its room back."""
        assert groups, "a read names each block it passed"
        while groups:
            group = groups.pop(0)
            sending = reply(group.response, *group.blocks)
            self.sent_bytes += group.size_bytes
        sending.add_done_callback(lambda _: self._room.give_back(link))
        return sending

    async def _read(self, link: Link, cids: Sequence[Cid], start: int) -> list[Group]:
        """One read, when there is room for it; whoever sends it gives the room back."""
        await self._room.take(link)
        try:
            return await self._blocking.run(read_groups, self._store, cids, start)
        except BaseException:
            self._room.give_back(link)
            raise


class _ReadRoom:
    """Memory for SERVED_READS_MAX reads, first come first served.  While somebody waits for
    one, peers that read nothing for SERVED_PATIENCE_S lose their link: else a few of them
    would shut the node off for all."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(SERVED_READS_MAX)
        self._held: dict[Link, int] = {}
        self._waiting = 0
        self._look: asyncio.TimerHandle | None = None

    @property
    def wanted(self) -> bool:
        return self._waiting > 0

    async def take(self, link: Link) -> None:
        self._waiting += 1
        self._look_later()
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._held[link] = self._held.get(link, 0) + 1

    def give_back(self, link: Link) -> None:
        self._held[link] -= 1
        if not self._held[link]:
            del self._held[link]
        self._free.release()

    def _look_later(self) -> None:
        if self._look is None and self._free.locked():
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(SERVED_PATIENCE_S / 3, self._end_stalled)

    def _end_stalled(self) -> None:
        self._look = None
        if not self._waiting:
            return
        for link in list(self._held):
            if link.stalled_s >= SERVED_PATIENCE_S:
                link.abandon("the peer reads nothing while others wait")
        self._look_later()


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
