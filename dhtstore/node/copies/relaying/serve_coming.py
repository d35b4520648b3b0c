"""Serving blocks of a unit that is being received here, before it is committed.

data path: GetComing -> blocks from the window, else from where they are stored or staged, else
waited for -> frames.  To who was not named by the uploader, what is stored and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from dhtstore.errors import DhtstoreError, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.node.copies.relaying.relays import Relay, Relays
from dhtstore.node.copies.relaying.window import RelayWindow
from dhtstore.node.copies.serve_blocks import BlockServer, Group
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import FRAME_PACK_BYTES, PACED_BLOCK_BYTES, RELAY_HOLD_S
from dhtstore.transfer.pace import Pace
from dhtstore.wire.frames import GetComing


class ComingServer:
    """The handler of GetComing."""

    def __init__(self, blocks: BlockServer, relays: Relays) -> None:
        self._blocks, self._relays = blocks, relays

    async def serve(self, link: Link, request: GetComing, reply: Reply) -> None:
        """Answer one request; raises as ``BlockServer.serve``."""
        relay = await self._relays.serving(link.public_key, request.key)
        if relay is None:
            await self._blocks.serve(link, request, reply)
            return
        async with relay.turn(link.public_key):
            try:
                cids = [Cid.decode(raw) for raw in request.cids]
            except DhtstoreError as error:
                raise PeerRefused("malformed", str(error)) from error
            await self._send_all(relay, link, cids, reply)

    async def _send_all(self, relay: Relay, link: Link, cids: Sequence[Cid], reply: Reply) -> None:
        """Only what is given buys an answer time: who sends this node its unit, however slowly,
        keeps no answer waiting for a block that does not come."""
        start, pace = 0, Pace(asyncio.get_running_loop().time(), RELAY_HOLD_S)
        sending: asyncio.Future[None] | None = None
        while start < len(cids):
            news, hopeful = relay.news, True
            while True:
                read = partial(self._read, relay, link, cids, start, pace, hopeful=hopeful)
                sent = await self._blocks.send(link, read, sending, reply)
                if sent is not None:
                    break
                hopeful = await relay.more(news, pace.ends_s)
                news = relay.news
            count, sending = sent
            start += count
        if sending is not None:
            await sending

    async def _read(
        self,
        relay: Relay,
        link: Link,
        cids: Sequence[Cid],
        start: int,
        pace: Pace,
        *,
        hopeful: bool,
    ) -> Group | None:
        """What is here from ``start`` on; None where the first is not, unless that is hopeless."""
        group = _in_memory(relay.window, cids, start)
        if not group.indices:
            group = await self._blocks.read_one(link, cids, start, relay.batch)
        paced_bytes = sum(max(len(block), PACED_BLOCK_BYTES) for block in group.blocks)
        pace.delivered(paced_bytes, asyncio.get_running_loop().time())
        return group if group.indices or not hopeful else None


def _in_memory(window: RelayWindow, cids: Sequence[Cid], start: int) -> Group:
    """What the window has from ``start`` on, for one frame; it has it no more then."""
    group = Group()
    for index in range(start, len(cids)):
        if group.size_bytes >= FRAME_PACK_BYTES:
            break
        lease = window.give(cids[index])
        if lease is None:
            break
        group.indices.append(index)
        group.blocks.append(lease.view)
        group.leases.append(lease)
        group.size_bytes += len(lease.view)
    return group
