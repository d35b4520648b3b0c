"""The DHT as the node uses it: who is out there, who provides what, how to reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from kademlia.node import Node

from dhtstore.config import format_own_clock
from dhtstore.dht.core.peer import peer_of
from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.core.refresh import believed_first
from dhtstore.dht.core.snapshot import TableSnapshot
from dhtstore.dht.core.stores.held import HeldRecord
from dhtstore.dht.engine.crawl import Search
from dhtstore.dht.engine.harvest import FoundProviders, OnProvider
from dhtstore.dht.engine.holding.shelf import Shelf
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.dht.engine.maintenance import Maintenance
from dhtstore.dht.engine.records import OwnRecords, Records
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.dht.engine.sweeping.many_keys import ManyKeys
from dhtstore.dht.engine.sweeping.sweeper import Sweeper
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address, Contact, ContactRecord, routable
from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import LOOKUP_TIMEOUT_S
from dhtstore.tasks import Supervisor

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto, Endpoint, Entropy
    from dhtstore.trace import Tracer

L = TypeVar("L", bound=Search)


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A contact of the table; ``last_seen_s`` is how long ago it answered, ``rtt_s`` its usual
    round trip, None before a measurement."""

    contact: Contact
    rtt_s: float | None
    last_seen_s: float


class DhtService(ManyKeys):
    """One node's share of the DHT; it searches for records on so many ``paths`` that share no
    node.  Every ``timeout_s`` is the whole call's, in seconds."""

    def __init__(
        self,
        *,
        network: Network,
        crypto: Crypto,
        clock: Clock,
        entropy: Entropy,
        endpoint: Endpoint,
        tracer: Tracer,
        duties: Supervisor,
        own: OwnRecords,
        storage_node: bool,
        ephemeral: bool,
        paths: int = 1,
    ) -> None:
        self._clock, self._endpoint, self._duties, self._own = clock, endpoint, duties, own
        self.rpc = rpc = NodeRpc(
            network=network,
            crypto=crypto,
            clock=clock,
            entropy=entropy,
            endpoint=endpoint,
            tracer=tracer,
            storage_node=storage_node,
            ephemeral=ephemeral,
        )
        self.shelf = Shelf(rpc.keeper, rpc.probing, clock)
        self._lookups = Lookups(rpc.table, rpc.calls, clock)
        self._maintenance = Maintenance(rpc, self._lookups, clock, entropy, ephemeral=ephemeral)
        self._records = Records(
            rpc.table,
            rpc.calls,
            rpc.keeper,
            self._lookups,
            clock,
            entropy.rng,
            own,
            self._maintenance.cut_off,
            ephemeral=ephemeral,
            paths=paths,
        )
        self.policies = self._records.policies
        parts = rpc, self._lookups, clock, own, self._records
        self.sweeper = Sweeper(*parts, ephemeral=ephemeral)

    # --- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the endpoint and give maintenance to the supervisor; raises AddressInUse."""
        await self._endpoint.open(self.rpc.channel.receive, self._duties)
        self.rpc.table.opened_s = self._clock.monotonic_s()
        self.rpc.channel.flow.mark(self._clock.monotonic_s())
        self.readdressed()
        self._duties.spawn_duty(self._maintenance.run(), "dht-maintenance")

    def readdressed(self) -> None:
        """This node's contact record has other addresses than before."""
        told = [host for host, _ in self._own.record().addresses]
        self.rpc.table.crowds.set_own([*told, self._endpoint.local.host])

    async def stop(self) -> None:
        """Fail what waits and close the endpoint.  Maintenance ends with its supervisor."""
        self.rpc.end_timers()
        self.rpc.calls.close()
        await self._endpoint.close()

    def time_jumped(self) -> None:
        """The machine was asleep: what became due meanwhile is done now."""
        self._maintenance.time_jumped()

    # --- the network -----------------------------------------------------------------------

    async def bootstrap(self, contacts: Sequence[Contact]) -> int:
        """Meet the network through ``contacts``; how many of them answered."""
        return await self._maintenance.bootstrap(contacts)

    async def lookup(self, target: bytes, *, timeout_s: float) -> list[Contact]:
        """The K closest to ``target`` that answered, closest first, without this node; at the
        deadline those found so far."""
        return [peer.contact for peer in await self._lookups.closest(target, timeout_s)]

    async def closest(self, target: bytes, timeout_s: float) -> list[Contact]:
        """The same; without a new lookup where one of ``target`` has just come to its end."""
        return [peer.contact for peer in (await self._lookups.near(target, timeout_s)).peers]

    async def search(self, target: bytes, kind: Callable[..., L], *, timeout_s: float) -> L:
        """As ``lookup``, by the rules of ``kind``, which takes what ``Lookup`` takes."""
        return await self._lookups.search(target, kind, timeout_s)

    async def ping(self, contact: Contact, timeout_s: float) -> float:
        """The round trip in seconds; raises ConnectionLost."""
        if not routable(contact.address):
            raise ConnectionLost(f"nothing can be sent to {contact.address}")
        try:
            async with asyncio.timeout(timeout_s):
                return await self.rpc.calls.ping(peer_of(contact))
        except TimeoutError as error:
            raise ConnectionLost(f"no answer from {contact.address}") from error

    # --- records ---------------------------------------------------------------------------

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> list[Published]:
        """Store ``records`` at the K nodes closest to ``key``, this one included if it is among
        them; what became of each, in order.  Raises Unreachable when others are known and none
        of them answered."""
        return await self._records.provide(key, records, timeout_s)

    async def withdraw(self, key: DhtKey, *, timeout_s: float = LOOKUP_TIMEOUT_S) -> Published:
        """Take this node's provider record of ``key`` back: ``holders`` of the result had it and
        name it no more; the others had none, say ``not held``.  Raises as ``provide``."""
        return await self._records.withdraw(key, timeout_s)

    async def publish_contact(self, timeout_s: float) -> int:
        """Store our own contact record near our id; how many nodes acknowledged."""
        return await self._records.publish_contact(timeout_s)

    async def find_providers(
        self,
        key: DhtKey,
        *,
        wanted: int,
        timeout_s: float,
        on_provider: OnProvider = lambda provider: None,
        silent: bool = False,
    ) -> FoundProviders:
        """Verified providers of ``key``, each once with its newest record; ends early once
        ``wanted`` are known; those of which the index hears no more only if ``silent``.

        ``on_provider`` is told of each when it is first named.  Raises Unreachable when none are
        known here and nobody answered."""
        find = self._records.find_providers
        found = await find(key, wanted, timeout_s, on_provider, silent=silent)
        return replace(found, own_clock=format_own_clock(self.clock_ahead_s()))

    async def find_contact(self, node: NodeId, *, timeout_s: float) -> ContactRecord | None:
        """The newest contact record of a node that is found, verified; raises as
        ``find_providers``."""
        return await self._records.find_contact(node, timeout_s)

    # --- what is known ---------------------------------------------------------------------

    def address_of(self, node: NodeId) -> Address | None:
        """Where a node of the routing table last answered."""
        known = self.rpc.table.get(Node(node))
        return known.address if known else None

    def contacts(self) -> list[Contact]:
        """The routing table, nearest buckets last."""
        return [peer.contact for peer in self.rpc.table]

    def clock_ahead_s(self) -> float | None:
        """How far this node's wall clock is ahead of most peers', behind if below 0; None while
        too few of them have told."""
        clock = self._clock
        return self.rpc.calls.clocks.ahead_s(clock.unix_s(), clock.monotonic_s())

    def packed_contacts(self) -> list[bytes]:
        """The same as datagrams carry them, those believed in first."""
        return [peer.packed for peer in believed_first(self.rpc.table)]

    def peers(self) -> list[PeerInfo]:
        """The routing table with what is known of each peer."""
        now = self._clock.monotonic_s()
        return [
            PeerInfo(one.peer.contact, one.rtt_s or None, now - one.heard_s)
            for bucket in self.table().buckets
            for one in bucket.entries
        ]

    def table(self) -> TableSnapshot:
        """The routing table as it is now."""
        return self.rpc.table.snapshot()

    def restore_table(self, table: TableSnapshot, rtts_s: Iterable[float] = ()) -> None:
        """Begin with a filled table (see ``Table.restore``) and, to estimate timeouts from, with
        round trips measured before, in seconds."""
        self.rpc.table.restore(table)
        for rtt_s in rtts_s:
            self.rpc.calls.rtt.add(rtt_s)

    @property
    def records_held(self) -> int:
        """Provider records kept for others and for ourselves."""
        return self.rpc.keeper.count

    def records(self) -> list[HeldRecord]:
        """All records that are kept here, each with when it ends in monotonic seconds, those of
        providers first; for experiments."""
        self.rpc.keeper.tick()
        return self.rpc.keeper.held()
