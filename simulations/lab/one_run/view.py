"""The world as checkers see it (``checkers.WorldView``), and how many copies there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dhtstore.model.identity import NodeId, node_id
from dhtstore.params import NODE_ID_BYTES
from simulations.checks.checkers import PromiseJournal
from simulations.events.damage import DamageRecord
from simulations.events.users import Users
from simulations.nodes.population import Population
from simulations.nodes.stored_content import holds_all

_BITS = 8 * NODE_ID_BYTES
_PREFIX_BITS = tuple(1 << tail for tail in reversed(range(_BITS)))


class PopulationView:
    """Answers from the machines themselves, also those that are down."""

    def __init__(self, population: Population, users: Users, damage: DamageRecord) -> None:
        self._population, self._users, self._damage = population, users, damage

    @property
    def now_s(self) -> float:
        return self._population.loop.time()

    @property
    def journal(self) -> PromiseJournal:
        return self._users.journal

    def nodes_up(self) -> Sequence[int]:
        return [member.number for member in self._population.up()]

    def honest(self, node: int) -> bool:
        return self._damage.honest(node)

    def has_disk(self, node: int) -> bool:
        return True  # disks that were wiped count as damaged since then

    def damaged(self, node: int, object_number: int) -> bool:
        return self._damage.since(node, self.journal.acknowledged[object_number].at_s)

    def holds(self, node: int, object_number: int) -> bool:
        blocks = self._population.members[node].disk.blocks
        return holds_all(blocks, self._users.roots[object_number])

    def node_id(self, node: int) -> NodeId:
        return node_id(self._population.members[node].crypto.node.public_key)

    def buckets(self, node: int) -> Sequence[tuple[int, int, Sequence[NodeId]]]:
        """By length of the shared prefix, all 160, and the node's own place."""
        own = int.from_bytes(self.node_id(node), "big")
        running = self._population.members[node].node
        found: list[tuple[int, int, Sequence[NodeId]]] = [(own, own, ())]
        held = {part.index: part.entries for part in running.dht.table().buckets} if running else {}
        for index, bit in enumerate(_PREFIX_BITS):
            low = (own ^ bit) & -bit
            entries = held.get(index)  # most are empty, and this is done for every node
            members = [NodeId(entry.peer.id) for entry in entries] if entries else ()
            found.append((low, low + bit - 1, members))
        return found

    def record_expiries_s(self, node: int) -> Sequence[float]:
        running = self._population.members[node].node
        return running.dht.record_expiries_s() if running is not None else []

    def leftovers(self) -> Mapping[int, Sequence[str]]:
        return self._population.zombies

    # --- measures ---------------------------------------------------------------------------

    def copies(self) -> list[int]:
        """Of each acknowledged object, on how many nodes that are up its root lies."""
        up = self._population.up()
        return [
            sum(member.disk.blocks.has(self._users.roots[number]) for member in up)
            for number in self.journal.acknowledged
        ]
