"""Serving blocks to a peer.

data path: GetBlocks -> blocks read in a worker thread, one read ahead -> groups -> frames.
Per link one answer is sent at a time, so a peer costs two reads of memory at most, and all of them
together what ``ReadRoom`` has, whatever they cancel; blocks are not verified here, since whoever
asked verifies them anyway.  Those that are known to have rotted are read whole first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from dhtstore.errors import BlockDamaged, BlockMissing, DhtstoreError, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.copies.read_room import ReadRoom, Share
from dhtstore.node.links.buffers import Lease, block_buffers
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.traffic.gate import Gate, shared_by_most
from dhtstore.params import (
    FRAME_PACK_BYTES,
    SERVED_PLACE_S,
    SERVED_READ_BYTES,
    SERVED_READ_SLOW_BYTES,
)
from dhtstore.store.blocks.contract import Batch, BlockStore, Lend
from dhtstore.store.blocks.lent import LentBlocks
from dhtstore.wire.frames import Blocks, GetBlocks


@dataclass(slots=True)
class Group:
    """What one frame will carry: blocks that were read, and indices of those not held."""

    indices: list[int] = field(default_factory=list)
    blocks: list[bytes | memoryview] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)  # of the buffers that they lie in
    missing: list[int] = field(default_factory=list)
    damaged: list[Cid] = field(default_factory=list)  # of those missing
    size_bytes: int = 0

    def lend(self, size_bytes: int) -> memoryview:
        """A buffer for a block of it."""
        lease = block_buffers.lend(size_bytes)
        self.leases.append(lease)
        return lease.view

    @property
    def response(self) -> Blocks:
        return Blocks(
            indices=tuple(self.indices),
            sizes=tuple(map(len, self.blocks)),
            missing=tuple(self.missing),
        )


class Lending:
    """What puts that are under way have not stored, for those who were asked to hold it."""

    def __init__(self) -> None:
        self._lent: dict[LentBlocks, list[asyncio.Timeout]] = {}

    def lend(self, lent: LentBlocks) -> None:
        self._lent[lent] = []

    def withdraw(self, lent: LentBlocks) -> None:
        """It may not have been lent."""
        self._lent.pop(lent, None)

    def read(self, cid: Cid) -> bytes:
        """For worker threads.  Raises BlockMissing."""
        for lent in tuple(self._lent):
            with suppress(DhtstoreError):
                return lent.get(cid)
        raise BlockMissing(f"block {cid} is not held here")

    @asynccontextmanager
    async def unchanged(self, lent: LentBlocks) -> AsyncIterator[None]:
        """What is done with what was lent ends once its source turns out to have changed: raises
        why, as an import would."""
        try:
            async with asyncio.timeout(None) as scope:
                self._lent[lent].append(scope)
                try:
                    yield
                finally:
                    self._lent[lent].remove(scope)
        except TimeoutError:
            if lent.changed is None:
                raise
        if lent.changed is not None:
            raise lent.changed

    def look(self) -> None:
        """Call it after ``read``."""
        for lent, scopes in self._lent.items():
            for scope in scopes if lent.changed else ():
                if scope.when() is None:
                    scope.reschedule(asyncio.get_running_loop().time())


class _Shares:
    """Peers that are served while ``up`` is limited: so few that none of them sees a stall.  Each
    keeps its place for SERVED_PLACE_S after it asked last; who was asked to hold what is put here
    has one in any case.  Places are shared by origin, since keys are free: the most crowded one
    gives way to whoever would have fewer."""

    def __init__(self, up: Gate) -> None:
        self._up = up
        self._asked_s: dict[Link, float] = {}

    def take(self, link: Link) -> None:
        """Raises PeerRefused if there is no place."""
        if self._up.limit is None:
            return
        now = asyncio.get_running_loop().time()
        for other, asked_s in list(self._asked_s.items()):
            if not other.alive or (now - asked_s > SERVED_PLACE_S and not other.busy):
                del self._asked_s[other]
        full = len(self._asked_s) >= shared_by_most(self._up)
        if full and link not in self._asked_s and not link.granted:
            self._make_place(link.origin)
        self._asked_s[link] = now

    def _make_place(self, origin: str) -> None:
        counts = Counter(each.origin for each in self._asked_s)
        most = max(counts, key=counts.__getitem__)
        if counts[most] <= counts[origin] + 1:
            raise PeerRefused("busy", "others are being given all that this node's limit brings")
        theirs = [each for each in self._asked_s if each.origin == most]
        del self._asked_s[min(theirs, key=self._asked_s.__getitem__)]


class BlockServer:
    """The handler of GetBlocks.  ``sent_bytes`` counts block bytes sent so far."""

    def __init__(
        self,
        disk: Disk,
        may_know: Callable[[Link], bool] = lambda link: True,
        rotten: set[bytes] | None = None,
        on_damaged: Callable[[Cid], Awaitable[None]] | None = None,
        up: Gate | None = None,
    ) -> None:
        """To a link that must not know what is here, nothing is.  ``rotten`` multihashes are served
        once they are whole again; ``on_damaged`` is told what the store finds damaged."""
        self._disk, self._may_know = disk, may_know
        self.lending = Lending()
        self._rotten = set[bytes]() if rotten is None else rotten
        self._on_damaged = on_damaged
        self._room, self._shares = ReadRoom(), _Shares(up or Gate())
        self.sent_bytes = 0

    async def serve(self, link: Link, request: GetBlocks, reply: Reply) -> None:
        """Answer one request; raises ConnectionLost, PeerRefused for CIDs that are none, and where
        a limit brings too little for one more peer."""
        self._shares.take(link)
        async with link.serving:
            try:  # in its turn: until then a request takes no more memory than it must
                cids = [Cid.decode(raw) for raw in request.cids]
            except DhtstoreError as error:
                raise PeerRefused("malformed", str(error)) from error
            if self._may_know(link):
                await self._send_all(link, cids, reply)
            else:
                await reply(Blocks(indices=(), sizes=(), missing=tuple(range(len(cids)))))

    async def _send_all(self, link: Link, cids: Sequence[Cid], reply: Reply) -> None:
        start = 0
        sending: asyncio.Future[None] | None = None
        while start < len(cids):
            if sending is not None and self._room.wanted:
                await sending  # reading ahead is for when nobody waits
            with await self._room.take(link) as share:
                fast = link.rate >= SERVED_READ_BYTES and not self._room.wanted
                limit = SERVED_READ_BYTES if fast else SERVED_READ_SLOW_BYTES
                groups = await self._read(link, cids, start, limit)
                share.size_bytes = sum(group.size_bytes for group in groups)
                await self._tell_damaged(groups)
                start += sum(len(group.indices) + len(group.missing) for group in groups)
                try:
                    if sending is not None:
                        await sending
                    sending = self._queue(groups, share, reply)
                finally:
                    groups.clear()  # the traceback of what ended a link would keep them
        if sending is not None:
            await sending

    async def send(
        self,
        link: Link,
        read: Callable[[], Awaitable[Group | None]],
        before: asyncio.Future[None] | None,
        reply: Reply,
    ) -> tuple[int, asyncio.Future[None]] | None:
        """Send what ``read`` gives, once there is room to read and ``before`` has left: how many
        blocks it names, and what to await; None if it gives nothing."""
        with await self._room.take(link) as share:
            group = await read()
            if group is None:
                return None
            share.size_bytes = group.size_bytes
            await self._tell_damaged([group])
            if before is not None:
                await before
            return len(group.indices) + len(group.missing), self._queue([group], share, reply)

    async def read_one(
        self, link: Link, cids: Sequence[Cid], start: int, batch: Batch | None
    ) -> Group:
        """One frame of what is stored from ``start`` on, or staged in ``batch``."""
        blocks = self._sound(link, batch)
        return await self._disk.blocking.run(read_group, blocks, cids, start)

    async def _read(
        self, link: Link, cids: Sequence[Cid], start: int, limit_bytes: int
    ) -> list[Group]:
        blocks = self._sound(link, None)
        groups = await self._disk.blocking.run(read_groups, blocks, cids, start, limit_bytes)
        self.lending.look()
        return groups

    def _sound(self, link: Link, batch: Batch | None) -> _Sound:
        lending = self.lending if link.granted else None
        return _Sound(self._disk.store, self._rotten, lending, batch)

    async def _tell_damaged(self, groups: Sequence[Group]) -> None:
        if self._on_damaged is not None:
            for cid in [cid for group in groups for cid in group.damaged]:
                await self._on_damaged(cid)

    def _queue(self, groups: list[Group], share: Share, reply: Reply) -> asyncio.Future[None]:
        """Hand over a read, a frame each group, each of which keeps the room for it."""
        assert groups, "a read names each block it passed"
        while groups:
            group = groups.pop(0)
            gone = partial(self._gone, share, group.size_bytes, tuple(group.leases))
            sending = reply(group.response, *group.blocks, gone=gone)
            share.hold()
        return sending

    def _gone(self, share: Share, size_bytes: int, leases: Sequence[Lease], sent: bool) -> None:
        self.sent_bytes += size_bytes * sent
        for lease in leases:
            lease.release()
        share.release()


@dataclass(frozen=True, slots=True)
class _Sound:
    """A store without what has rotted in it, and with what is lent or staged."""

    store: BlockStore
    rotten: set[bytes]
    lending: Lending | None
    batch: Batch | None = None  # of which what is staged counts, too

    def read(self, cid: Cid, lend: Lend) -> bytes | memoryview:
        """Raises BlockMissing and BlockDamaged."""
        try:
            if cid.multihash in self.rotten:  # until a whole copy has taken its place
                raise BlockMissing(f"block {cid} has rotted here")
            return self.store.read(cid, lend)
        except BlockMissing:
            if self.batch is not None:
                return self.batch.read(cid)
            if self.lending is None:
                raise
            return self.lending.read(cid)


def read_groups(store: _Sound, cids: Sequence[Cid], start: int, limit_bytes: int) -> list[Group]:
    """Read groups from ``start`` on until ``limit_bytes`` are together."""
    groups: list[Group] = []
    while start < len(cids) and sum(group.size_bytes for group in groups) < limit_bytes:
        group = read_group(store, cids, start)
        start += len(group.indices) + len(group.missing)
        groups.append(group)
    return groups


def read_group(store: _Sound, cids: Sequence[Cid], start: int) -> Group:
    """Read blocks from ``start`` on until FRAME_PACK_BYTES are together."""
    group = Group()
    for index in range(start, len(cids)):
        try:
            block = store.read(cids[index], group.lend)
        except (BlockMissing, BlockDamaged) as error:
            group.missing.append(index)
            if isinstance(error, BlockDamaged):
                group.damaged.append(cids[index])
            continue
        group.indices.append(index)
        group.blocks.append(block)
        group.size_bytes += len(block)
        if group.size_bytes >= FRAME_PACK_BYTES:
            break
    return group
