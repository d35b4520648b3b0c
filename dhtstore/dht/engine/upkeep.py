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
from dhtstore.dht.core.refresh import random_id_in_bucket, silent
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.crawl import RequestBatch, contacts_in
from dhtstore.params import ALPHA, NODE_ID_BYTES, PEER_CLOCKS_ASKED
from dhtstore.wire.datagram import FindNode, Ping

if TYPE_CHECKING:
    import random

    from dhtstore.net.ports import Clock

_ONCE: Final = 1  # attempts: who is silent is asked again in the next round


class Upkeep:
    """The upkeep of one table, through ``calls``."""

    def __init__(self, table: Table, calls: Calls, clock: Clock, rng: random.Random) -> None:
        self._table, self._calls, self._clock, self._rng = table, calls, clock, rng

    async def ping_silent(self) -> None:
        """Ask every entry that was not heard for an hour whether it lives."""
        await self._ping(silent(self._table, self._clock.monotonic_s()))

    async def ask_clocks(self) -> None:
        """Ping a few peers, where too few told lately what their clocks show."""
        known = list(self._table)
        if known and self._calls.clocks.known(self._clock.monotonic_s()) < PEER_CLOCKS_ASKED:
            await self._ping(self._rng.sample(known, min(PEER_CLOCKS_ASKED, len(known))))

    async def fill(self, index: int) -> None:
        """Meet nodes of a bucket's range until it is full or nobody there is unknown.

        ``ALPHA`` points of the range are asked about, each at the node closest to it, nobody
        twice.  Who is named enters the table by answering a ping, as anybody must.
        """
        table = self._table
        unknown = await self._named(index)
        if unknown is None:
            return  # nobody answered, as when our own line is down: again in the next round
        within_range = random_id_in_bucket(table.node.long_id, index, 0)
        table.looked_up(within_range, self._clock.monotonic_s())
        self._rng.shuffle(unknown)
        while unknown and (room := table.room_in(index)):
            some = max(room, ALPHA)  # the silent among them are waited for together
            await self._ping(unknown[:some])
            del unknown[:some]

    async def _named(self, index: int) -> list[Peer] | None:
        """Nodes of the range that are not in the table, as others know them; None if none
        answered."""
        questions = [self._question(index) for _ in range(ALPHA)]
        asked = list({one[0].id: one for one in questions if one is not None}.values())
        batch = RequestBatch(self._calls, asked)
        await batch.run()
        if not any(batch.answers):
            return None
        named, introductions = dict[bytes, Peer](), self._calls.introductions()
        for (source, _), answer in zip(asked, batch.answers, strict=True):
            for peer in contacts_in(source, answer, self._table.crowds) or ():
                unknown = self._table.bucket_index(peer) == index and peer not in self._table
                if unknown and peer.id not in named and introductions.admits(peer):
                    named[peer.id] = peer
        return list(named.values())

    def _question(self, index: int) -> tuple[Peer, FindNode] | None:
        random_bits = self._rng.getrandbits(8 * NODE_ID_BYTES)
        target = random_id_in_bucket(self._table.node.long_id, index, random_bits)
        closest = self._table.closest(target, 1)
        return (closest[0], FindNode(target.to_bytes(NODE_ID_BYTES, "big"))) if closest else None

    async def _ping(self, peers: Sequence[Peer]) -> None:
        await RequestBatch(self._calls, [(peer, Ping()) for peer in peers], _ONCE).run()
