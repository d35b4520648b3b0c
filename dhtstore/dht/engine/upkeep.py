"""Keeping the routing table full and alive: what a node does without being asked to.

Kademlia section 2.3 refreshes a bucket by a whole lookup of a random id in its range: 27 requests
that ask the 20 nodes around one point.  Here each purpose is served by itself, for half of the
messages: an entry that was silent for an hour is pinged, a bucket with room meets nodes from all
over its range, and one lookup of our own id finds every neighbour, hence all of the deep buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.table import random_id_in_bucket
from dhtstore.dht.engine.crawl import Batch, contacts_in
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.params import ALPHA, NODE_ID_BYTES
from dhtstore.wire.datagram import FindNode, Ping

if TYPE_CHECKING:
    import random

_ONCE: Final = 1  # attempts: who is silent is asked again in the next round


async def ping_silent(rpc: NodeRpc) -> None:
    """Ask every entry that was not heard for an hour whether it lives."""
    await _ping(rpc, rpc.router.silent(rpc.tick()))


async def fill(rpc: NodeRpc, index: int, rng: random.Random) -> None:
    """Meet nodes of a bucket's range until it is full or nobody there is unknown.

    ``ALPHA`` points of the range are asked about, each at the node closest to it, nobody twice.
    Who is named enters the table by answering a ping, as anybody must.
    """
    router = rpc.router
    unknown = await _named(rpc, index, rng)
    if unknown is None:
        return  # nobody answered, as when our own line is down: again in the next round
    router.looked_up(random_id_in_bucket(router.node.long_id, index, 0), rpc.tick())
    rng.shuffle(unknown)
    while unknown and (room := router.room_in(index)):
        some = max(room, ALPHA)  # the silent among them are waited for together
        await _ping(rpc, unknown[:some])
        del unknown[:some]


async def _named(rpc: NodeRpc, index: int, rng: random.Random) -> list[Peer] | None:
    """Nodes of the range that are not in the table, as others know them; None if none answered."""
    questions = [_question(rpc, index, rng.getrandbits(8 * NODE_ID_BYTES)) for _ in range(ALPHA)]
    asked = list({one[0].id: one for one in questions if one is not None}.values())
    batch = Batch(rpc, asked)
    await batch.run()
    if not any(batch.answers):
        return None
    named: dict[bytes, Peer] = {}
    for (source, _), answer in zip(asked, batch.answers, strict=True):
        for peer in contacts_in(source, answer) or ():
            if rpc.router.get_bucket_for(peer) == index and rpc.router.is_new_node(peer):
                named[peer.id] = peer
    return list(named.values())


def _question(rpc: NodeRpc, index: int, random_bits: int) -> tuple[Peer, FindNode] | None:
    target = random_id_in_bucket(rpc.router.node.long_id, index, random_bits)
    closest = rpc.router.closest(target, 1)
    return (closest[0], FindNode(target.to_bytes(NODE_ID_BYTES, "big"))) if closest else None


async def _ping(rpc: NodeRpc, peers: Sequence[Peer]) -> None:
    await Batch(rpc, [(peer, Ping()) for peer in peers], _ONCE).run()
