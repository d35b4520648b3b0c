"""The DHT as the node uses it: who is out there, who provides what, how to reach them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kademlia.network import Server

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.records import Verdict
from dhtstore.dht.core.snapshot import TableSnapshot
from dhtstore.dht.engine.crawl import Batch, Crawl, OnAnswer, contacts_in
from dhtstore.dht.engine.harvest import ContactHarvest, Provider, ProviderHarvest
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.dht.engine.upkeep import fill, ping_silent
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address, Contact, ContactRecord, routable
from dhtstore.model.identity import DhtKey, NodeId, contact_key, distance
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import ALPHA, LOOKUP_TIMEOUT_S, K
from dhtstore.wire.datagram import (
    AddProvider,
    FindContact,
    FindNode,
    GetProviders,
    Ping,
    Request,
    StoreContact,
    Stored,
    unpack_address,
)

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto, Endpoint, Entropy
    from dhtstore.trace import Tracer

MAINTENANCE_INTERVAL_S: Final = 600.0
_RETRY_FIRST_S: Final = 5.0  # after meeting nobody; then doubling up to MAINTENANCE_INTERVAL_S
_SEEDS_MAX: Final = 64
_HELD: Final = (Verdict.KEPT.value, Verdict.HELD_NEWER.value)  # it is found there, either way
_SEED_ATTEMPTS: Final = 3  # a single seed must not be missed for two lost datagrams


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A contact of the table; ``last_seen_s`` is how long ago it answered."""

    contact: Contact
    rtt_s: float | None
    last_seen_s: float


class DhtService(Server):
    """One node's share of the DHT, in the place of kademlia's Server."""

    protocol_class = NodeRpc
    protocol: NodeRpc

    # Last writer wins, and state is pickled: what the library offers here does not exist.
    get = set = set_digest = save_state = load_state = save_state_regularly = None
    refresh_table = listen = bootstrap_node = None

    def __init__(
        self,
        *,
        network: Network,
        crypto: Crypto,
        clock: Clock,
        entropy: Entropy,
        endpoint: Endpoint,
        tracer: Tracer,
        own_record: Callable[[], ContactRecord],
        storage_node: bool,
        ephemeral: bool,
    ) -> None:
        protocol = self.protocol_class(
            network=network,
            crypto=crypto,
            clock=clock,
            entropy=entropy,
            endpoint=endpoint,
            tracer=tracer,
            storage_node=storage_node,
            ephemeral=ephemeral,
        )
        super().__init__(K, ALPHA, protocol.source_node.id, protocol.storage)
        self.protocol = protocol
        self._clock, self._entropy, self._endpoint = clock, entropy, endpoint
        self._tracer, self._own_record, self._ephemeral = tracer, own_record, ephemeral
        self._seeds: list[Peer] = []
        self._met_nobody = asyncio.Event()
        self._maintenance: asyncio.Task[None] | None = None

    # --- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the endpoint and start maintenance; raises AddressInUse."""
        await self._endpoint.open(self.protocol.datagram_received)
        self.protocol.router.opened_s = self.protocol.tick()
        self._maintenance = asyncio.create_task(self._maintain(), name="dht maintenance")
        self._maintenance.add_done_callback(self._maintenance_ended)

    async def stop(self) -> None:
        """Fail what waits, end maintenance (raising what ended it early), close the endpoint."""
        self.protocol.close()
        task, self._maintenance = self._maintenance, None
        try:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        finally:
            await self._endpoint.close()

    @property
    def maintenance(self) -> asyncio.Task[None] | None:
        """For the supervisor: it ends only when stopped, or by a defect."""
        return self._maintenance

    def _maintenance_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.protocol.count("defects")
            self._tracer("dht.defect", source="maintenance", error=repr(error))

    async def _maintain(self) -> None:
        # Nodes that start together, as after a power cut, must not do this in waves.
        await self._rest(MAINTENANCE_INTERVAL_S * self._entropy.rng.random())
        while True:
            await self._find_back()
            await self._refresh()
            jitter = self._entropy.rng.uniform(0.8, 1.2)
            await self._rest(MAINTENANCE_INTERVAL_S * jitter)

    async def _refresh(self) -> None:
        """Bring up to date what of the table was not for an hour."""
        router = self.protocol.router
        await ping_silent(self.protocol)
        if router.neighbours_due(self.protocol.tick()):
            await self._closest(self.node.id, also=await self._named_by_a_seed())
        for index in router.lonely_buckets(self.protocol.tick()):
            await fill(self.protocol, index, self._entropy.rng)

    async def _named_by_a_seed(self) -> list[Peer]:
        """Our neighbours in the eyes of one that once let us in and that the table forgot: where
        the network was split for longer than tables remember, the only way to the other part."""
        forgotten = [peer for peer in self._seeds if self.protocol.router.is_new_node(peer)]
        if not forgotten:
            return []
        seed = self._entropy.rng.choice(forgotten)
        batch = Batch(self.protocol, [(seed, FindNode(self.node.id))], attempts=1)
        await batch.run()
        return contacts_in(seed, batch.answers[0]) or []

    async def _rest(self, pause_s: float) -> None:
        """Until maintenance is due, or a bootstrap met nobody."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._met_nobody.wait()

    async def _find_back(self) -> None:
        """Ask those we know of, less and less often, while the table is empty."""
        retry_s = _RETRY_FIRST_S
        while self._seeds and not len(self.protocol.router):
            await asyncio.sleep(retry_s * self._entropy.rng.uniform(0.8, 1.2))
            await self.bootstrap([peer.contact for peer in self._seeds])
            retry_s = min(2 * retry_s, MAINTENANCE_INTERVAL_S)
        self._met_nobody.clear()

    # --- looking up ------------------------------------------------------------------------

    async def bootstrap(self, contacts: Sequence[Contact]) -> int:
        """Meet the network through ``contacts``; how many of them answered."""
        peers = [peer_of(c) for c in contacts[:_SEEDS_MAX] if routable(c.address)]
        peers = [peer for peer in peers if peer.id != self.node.id]
        batch = Batch(self.protocol, [(peer, Ping()) for peer in peers], _SEED_ATTEMPTS)
        await batch.run()
        answered = [p for p, answer in zip(peers, batch.answers, strict=True) if answer]
        if answered:
            self._seeds = answered
            await self._closest(self.node.id)
            for index in () if self._ephemeral else self.protocol.router.buckets_with_room():
                await fill(self.protocol, index, self._entropy.rng)
        elif peers and not len(self.protocol.router):
            self._seeds = self._seeds or peers
            self._met_nobody.set()
        return len(answered)

    async def lookup(self, target: bytes, *, timeout_s: float) -> list[Contact]:
        """The K closest to ``target`` that answered, closest first, without this node; at the
        deadline those found so far."""
        return [peer.contact for peer in await self._closest(target, timeout_s)]

    async def _closest(
        self, target: bytes, timeout_s: float = LOOKUP_TIMEOUT_S, also: Iterable[Peer] = ()
    ) -> list[Peer]:
        """``also`` are asked beside those the table knows."""
        crawl = self._crawl(target, FindNode(target), also=also)
        await self._within(timeout_s, crawl)
        return crawl.lookup.result()

    def _crawl(
        self,
        target: bytes,
        request: FindNode | GetProviders | FindContact,
        on_answer: OnAnswer | None = None,
        also: Iterable[Peer] = (),
    ) -> Crawl:
        number, router = int.from_bytes(target, "big"), self.protocol.router
        router.looked_up(number, self._clock.monotonic_s())
        lookup = Lookup(
            target,
            [*router.closest(number, K), *also],
            own_id=self.node.id,
            soft_timeout_s=self.protocol.rtt.timeout_s,
        )
        return Crawl(self.protocol, lookup, request, on_answer)

    async def _within(self, timeout_s: float, work: Crawl | Batch) -> bool:
        """Run ``work``; False if the deadline cut it short."""
        try:
            async with asyncio.timeout(timeout_s):
                await work.run()
        except TimeoutError:
            return False
        return True

    # --- records ---------------------------------------------------------------------------

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> int:
        """Store ``records`` at the K nodes closest to ``key``, this one included if it is among
        them; how many nodes hold all of them now, or newer ones of the same providers."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        closest = await self._closest(key, timeout_s)
        mine = self._among_closest(key, closest)
        closest = closest[: K - mine]
        requests: list[Request] = [AddProvider(record, contact) for record, contact in records]
        left_s = deadline_s - self._clock.monotonic_s()
        acknowledged = await self._store(closest, requests, left_s)
        if mine:
            self.protocol.tick()
            kept = [self._keep_pair(record, contact) for record, contact in records]
            acknowledged += all(kept)
        return acknowledged

    def _keep_pair(self, record: ProviderRecord, contact: ContactRecord) -> bool:
        self.protocol.keep(contact)
        return self.protocol.keep(record).value in _HELD

    def _among_closest(self, key: bytes, closest: Sequence[Peer]) -> bool:
        if self._ephemeral:
            return False
        return len(closest) < K or distance(self.node.id, key) < distance(closest[-1].id, key)

    async def _store(
        self, peers: Sequence[Peer], requests: Sequence[Request], timeout_s: float
    ) -> int:
        """Send every request to every peer; how many peers kept all of them."""
        batch = Batch(self.protocol, [(peer, r) for peer in peers for r in requests])
        await self._within(timeout_s, batch)
        kept = [_is_kept(answer) for answer in batch.answers]
        each = len(requests)
        return sum(all(kept[i * each : (i + 1) * each]) for i in range(len(peers)))

    async def find_providers(self, key: DhtKey, *, wanted: int, timeout_s: float) -> list[Provider]:
        """Verified providers of ``key``, each once with its newest record; ends early once
        ``wanted`` are known, and at the deadline with those found so far."""
        self.protocol.tick()
        harvest = ProviderHarvest(self.protocol, key, wanted, self._clock.unix_s)
        if not harvest.take_local():
            crawl = self._crawl(key, GetProviders(key, 0), harvest.on_answer)
            harvest.crawl = crawl
            await self._within(timeout_s, crawl)
        return harvest.providers()

    async def find_contact(self, node: NodeId, *, timeout_s: float) -> ContactRecord | None:
        """The newest contact record of a node that is found, verified."""
        self.protocol.tick()
        harvest = ContactHarvest(self.protocol, node, self._clock.unix_s)
        key = contact_key(node)
        await self._within(timeout_s, self._crawl(key, FindContact(key), harvest.on_answer))
        return harvest.newest

    async def publish_contact(self, timeout_s: float) -> int:
        """Store our own contact record near our id; how many nodes acknowledged."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        closest = await self._neighbours(timeout_s)
        left_s = deadline_s - self._clock.monotonic_s()
        record = self._own_record()
        self.protocol.tick()
        self.protocol.keep(record)
        return await self._store(closest, [StoreContact(record)], left_s)

    async def _neighbours(self, timeout_s: float) -> list[Peer]:
        """The K closest to us; a node that has just joined knows them."""
        router = self.protocol.router
        if self._clock.monotonic_s() - router.neighbours_updated_s < MAINTENANCE_INTERVAL_S:
            return router.closest(self.node.long_id, K)
        return await self._closest(self.node.id, timeout_s)

    # --- single nodes ----------------------------------------------------------------------

    async def ping(self, contact: Contact, timeout_s: float) -> float:
        """The round trip in seconds; raises ConnectionLost."""
        if not routable(contact.address):
            raise ConnectionLost(f"nothing can be sent to {contact.address}")
        try:
            async with asyncio.timeout(timeout_s):
                return await self.protocol.call_ping(peer_of(contact))
        except TimeoutError as error:
            raise ConnectionLost(f"no answer from {contact.address}") from error

    def contacts(self) -> list[Contact]:
        """The routing table, nearest buckets last."""
        return [peer.contact for peer in self.protocol.router]

    def packed_contacts(self) -> list[bytes]:
        """The same as datagrams carry them."""
        return [peer.packed for peer in self.protocol.router]

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
        return self.protocol.router.snapshot()

    def restore_table(self, table: TableSnapshot, rtts_s: Iterable[float] = ()) -> None:
        """Begin with a filled table (see ``Table.restore``) and, to estimate timeouts from, with
        round trips measured before, in seconds."""
        self.protocol.router.restore(table)
        for rtt_s in rtts_s:
            self.protocol.rtt.add(rtt_s)

    def record_expiries_s(self) -> list[float]:
        """When each provider record kept here ends, in monotonic seconds."""
        self.protocol.tick()
        return self.protocol.storage.expiries_s()

    @property
    def records_held(self) -> int:
        """Provider records kept for others and for ourselves."""
        return self.protocol.storage.count

    @property
    def counters(self) -> dict[str, int]:
        """What was refused, dropped and repeated, by name."""
        return dict(self.protocol.counters)

    @property
    def observed_address(self) -> Address | None:
        """Where the peer that last answered a ping sees us: its word only."""
        seen = self.protocol.observed
        return unpack_address(seen) if seen else None


def _is_kept(answer: object) -> bool:
    return isinstance(answer, Stored) and answer.verdict in _HELD
