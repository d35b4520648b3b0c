"""Whether a node that nobody here knows for a holder has of a unit what it says: a block picked at
random, which it has to give.

data path: the roots of the unit -> one of them from the holder -> one of those below it, and so on
down -> a leaf.  Each is verified against its CID, so no word of the holder is believed; who says
yes and has little mostly does not have the block.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Blocking
from dhtstore.node.links.link import Arrival, Link
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, LINKS_READ_MAX
from dhtstore.wire.frames import Blocks, FrameResponse


@dataclass(slots=True)
class _Got:
    """One block, as it came."""

    data: bytes = b""
    came: bool = False

    def take(self, arrival: Arrival) -> None:
        for _, block in arrival.blocks:
            self.data, self.came = bytes(block), True
        arrival.lease.release()

    def admit(self, response: FrameResponse) -> Callable[[], None] | None:
        """A block is small: it needs no room that would be counted."""
        sizes = response.sizes if isinstance(response, Blocks) else ()
        return _no_more if sum(sizes) <= BLOCK_SIZE_MAX_BYTES else None


async def lack_of_sample(link: Link, unit: Unit, rng: random.Random, blocking: Blocking) -> str:
    """Why it cannot be told that the holder behind ``link`` has the unit; "" if it gave a leaf
    picked at random, and all that leads to it.  Raises PeerRefused, ConnectionLost,
    MalformedDag."""
    walk = UnitWalk(unit)
    while wants := walk.next(LINKS_READ_MAX):
        want = rng.choice(wants)
        got = _Got()
        await link.get_blocks([want.cid], got.take, got.admit)
        if not got.came:
            return f"it says that it has all, and does not give block {want.cid}"
        node = await blocking.run(_read, want.cid, got.data)
        if node is None:
            return f"it says that it has all, and gave wrong bytes for block {want.cid}"
        await blocking.run(walk.accept, want, node)
    return ""


def _read(cid: Cid, data: bytes) -> DagNode | None:
    """For worker threads; None where the bytes are not those of the CID."""
    return read_node(cid, data) if cid.matches(data) else None


def _no_more() -> None:
    """Nothing is counted for one block."""
