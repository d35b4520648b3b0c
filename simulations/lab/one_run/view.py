"""The world as checkers see it (``checks.world_view.WorldView``), and how many copies there are."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from dhtstore.model.cid import Cid
from dhtstore.model.identity import NodeId, dht_key, node_id
from dhtstore.params import NODE_ID_BYTES, K
from simulations.checks.journal import PromiseJournal
from simulations.checks.world_view import RecordPlace
from simulations.events.damage import DamageRecord
from simulations.events.users import Users
from simulations.nodes import insight
from simulations.nodes.insight import DiskRoom, IndexAnswer, KeptRecord
from simulations.nodes.population import Population
from simulations.nodes.stored_content import blocks_below

_BITS = 8 * NODE_ID_BYTES
_PREFIX_BITS = tuple(1 << tail for tail in reversed(range(_BITS)))


class PopulationView:
    """Answers from the machines themselves, also those that are down."""

    def __init__(self, population: Population, users: Users, damage: DamageRecord) -> None:
        self._population, self._users, self._damage = population, users, damage
        self._numbers: dict[NodeId, int] = {}
        self._units: dict[bytes, Sequence[Cid]] = {}
        self._blocks: dict[int, Mapping[bytes, Cid]] = {}
        self.sequences_seen: dict[RecordPlace, int] = {}

    @property
    def now_s(self) -> float:
        return self._population.loop.time()

    @property
    def journal(self) -> PromiseJournal:
        return self._users.journal

    # --- machines ---------------------------------------------------------------------------

    def nodes_up(self) -> Sequence[int]:
        return [one.number for one in self._population.up() if one.disguise is None]

    def joined_s(self, node: int) -> float | None:
        member = self._population.members[node]
        diallable = self._population.network.machine(member.address).diallable
        return member.changed_s if member.ready and diallable else None

    def dead_s(self, contact: NodeId) -> float:
        number = self._members().get(contact)
        if number is None:
            return max(0.0, self.now_s - self._population.made_up.get(contact, 0.0))
        member = self._population.members[number]
        return 0.0 if member.node is not None else self.now_s - member.changed_s

    def honest(self, node: int) -> bool:
        return self._damage.honest(node) and self._population.members[node].disguise is None

    def kept_apart(self, one: int, other: int, since_s: float) -> bool:
        return self._damage.kept_apart(one, other, since_s)

    def dropped_until_s(self, from_s: float, to_s: float) -> float:
        return self._damage.dropped_until_s(from_s, to_s)

    def leftovers(self) -> Mapping[int, Sequence[str]]:
        return self._population.zombies

    def _members(self) -> Mapping[NodeId, int]:
        """Numbers by id."""
        for number in range(len(self._numbers), len(self._population.members)):
            self._numbers[self.node_id(number)] = number
        return self._numbers

    # --- disks ------------------------------------------------------------------------------

    def has_disk(self, node: int) -> bool:
        return not self._population.members[node].gone  # wiped ones are damaged since then

    def damaged(self, node: int, object_number: int) -> bool:
        stored_s = self.journal.acknowledged[object_number].at_s
        if self._damage.since(node, stored_s):
            return True
        rotten = self._damage.rotten(node)
        return bool(rotten) and self._damage.took_of(node, self._below(object_number), stored_s)

    def _below(self, number: int) -> Collection[bytes]:
        """The object's blocks by multihash; what rotted anywhere while no holder has them all."""
        holders = self.journal.acknowledged[number].holders
        if number in self._blocks or any(self.holds(node, number) for node in holders):
            return self._blocks[number]
        return {one for node in holders for one in self._damage.rotten(node)}

    def holds(self, node: int, object_number: int) -> bool:
        blocks, known = self._population.members[node].disk.blocks, self._blocks.get(object_number)
        if known is not None:
            return all(blocks.whole(cid) for cid in known.values())
        found = blocks_below(blocks, self._users.roots[object_number])
        if found:  # their names follow from the root, wherever they are
            self._blocks[object_number] = found
        return bool(found)

    def claims(self, node: int, object_number: int) -> bool:
        member = self._population.members[node]
        return insight.keeps_claim(member, self._users.roots[object_number])

    def let_go(self, node: int, object_number: int) -> bool:
        return insight.let_go(self._population.members[node], self._users.roots[object_number])

    def pinned(self, node: int, object_number: int) -> bool:
        return insight.keeps_pin(self._population.members[node], self._users.roots[object_number])

    def served_bytes(self, node: int) -> int:
        return self._population.members[node].running.blocks.sent_bytes

    def claimed_in_vain(self, node: int, at_most: int) -> Sequence[str]:
        if self._damage.rotten(node):
            return []
        member = self._population.members[node]
        return insight.claimed_in_vain(member, at_most, self._units)

    def disk_faults(self) -> Sequence[str]:
        members = self._population.members
        return [f"node {one.number}: {fault}" for one in members for fault in one.disk.faults]

    def room(self, node: int) -> DiskRoom:
        return insight.disk_room(self._population.members[node])

    # --- the DHT ----------------------------------------------------------------------------

    def node_id(self, node: int) -> NodeId:
        return node_id(self._population.members[node].crypto.node.public_key)

    def holder_id(self, node: int) -> bytes:
        return self._population.members[node].crypto.node.public_key

    def life(self, node: int) -> int:
        return self._population.members[node].life

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

    def records(self, node: int) -> Sequence[KeptRecord]:
        running = self._population.members[node].node
        return list(insight.kept_records(running)) if running is not None else []

    def answer(self, node: int, target: bytes) -> IndexAnswer:
        return insight.answer(self._population.members[node].running, target)

    def key_of(self, object_number: int) -> bytes:
        return dht_key(self._users.roots[object_number].raw)

    def index_nodes(self, object_number: int) -> Sequence[int]:
        key = int.from_bytes(self.key_of(object_number), "big")
        members, made_up = self._members(), self._population.made_up
        nearest = heapq.nsmallest(
            K, chain(members, made_up), key=lambda one: int.from_bytes(one, "big") ^ key
        )
        return [members[one] for one in nearest if one in members]

    # --- measures ---------------------------------------------------------------------------

    def copies(self, *, honest: bool = False) -> list[int]:
        """Of each acknowledged object, on how many nodes that are up its root lies; with
        ``honest``, adversaries do not count."""
        up = [one for one in self._population.up() if not honest or one.disguise is None]
        return [
            sum(member.disk.blocks.has(self._users.roots[number]) for member in up)
            for number in self.journal.acknowledged
        ]
