"""Machines that hold copies by the script, for tests of placing, holding and putting by values."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from dhtstore.content.dag.local import local_units
from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Contact, ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.unit import Unit
from dhtstore.node.context import Ledger
from dhtstore.node.copies.hold import Holder
from dhtstore.node.copies.place import Placer
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.ports import NodeSettings
from dhtstore.params import GIB
from dhtstore.replication.admission import Accept, Admission
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import Tracer, no_trace
from dhtstore.wire.frames import Offer, Release, Replicate, Replicating
from tests.bids import Bid, bids_of, sign_policy
from tests.unit.node.data_plane import Peer, World

STORAGE = NodeSettings(capacity_bytes=GIB)


@dataclass(slots=True)
class ScriptedHolder(Holder):
    """Writes down what it is asked; ``refuses`` and ``fails`` say why it does not do as asked.
    While it copies, which takes ``works_s``, it says that it has each of ``tells_bytes``."""

    name: str = ""
    log: list[str] = field(default_factory=list)
    refuses: str = ""
    fails: str = ""
    thinks_s: float = 0.0
    works_s: float = 0.0
    tells_bytes: tuple[int, ...] = ()

    async def on_offer(self, link: Link, offer: Offer, reply: Reply) -> None:
        self.log.append(f"{self.name} is offered")
        await asyncio.sleep(self.thinks_s)
        if self.refuses:
            raise PeerRefused("room", self.refuses)
        await Holder.on_offer(self, link, offer, reply)

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        self.log.append(f"{self.name} copies")
        if self.fails:
            raise PeerRefused("internal", self.fails)
        for held_bytes in self.tells_bytes:
            await reply(Replicating(held_bytes=held_bytes))
        await asyncio.sleep(self.works_s)
        await Holder.on_replicate(self, link, message, reply)

    async def on_release(self, link: Link, message: Release, reply: Reply) -> None:
        self.log.append(f"{self.name} releases")
        await Holder.on_release(self, link, message, reply)


@dataclass(slots=True)
class Directory:
    """Index nodes that find what they are told to: the next of ``near`` at each lookup.
    ``known`` are those in the routing table."""

    near: list[list[Contact]]
    known: list[Contact] = field(default_factory=list)
    looked: list[DhtKey] = field(default_factory=list)
    provided: list[tuple[ProviderRecord, ContactRecord]] = field(default_factory=list)
    takes_records: bool = True
    clock_ahead: float | None = None
    refuses: dict[bytes, Published] = field(default_factory=dict)  # by who signed a record

    async def closest(self, target: bytes, timeout_s: float) -> list[Contact]:
        self.looked.append(DhtKey(target))
        return self.near.pop(0) if self.near else []

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> list[Published]:
        self.provided += records if self.takes_records else []
        return [
            self.refuses.get(r.signer, Published(int(self.takes_records), {})) for r, _ in records
        ]

    def clock_ahead_s(self) -> float | None:
        return self.clock_ahead

    def contacts(self) -> list[Contact]:
        return self.known


def rule_of(peer: Peer, accept: Accept = Accept.NETWORK, quota_bytes: int = 0) -> Admission:
    return Admission(accept, peer.crypto.owner.public_key, frozenset(), quota_bytes, GIB)


def new_ledger() -> Ledger:
    return Ledger.of(MemoryKeyValue(), no_trace)


def identity_of(peer: Peer, settings: NodeSettings = STORAGE) -> Identity:
    return Identity(peer.crypto, peer.clock, settings, lambda: (peer.address,))


def contact_of(peer: Peer) -> Contact:
    return Contact.of(peer.key, peer.address, storage=True)


async def add_holder(world: World, name: str, log: list[str] | None = None) -> ScriptedHolder:
    """A machine that holds for everybody; change the holder's fields to have it otherwise."""
    peer = await world.peer(name)
    holder = ScriptedHolder(
        identity_of(peer),
        peer.disk,
        new_ledger(),
        peer.clock,
        traced(peer),
        rule_of(peer),
        name=name,
        log=[] if log is None else log,
    )
    peer.handlers.update(holder.handlers())
    return holder


def traced(peer: Peer) -> Tracer:
    return lambda event, **fields: peer.events.append(event)


def placer_of(peer: Peer, directory: Directory, settings: NodeSettings = STORAGE) -> Placer:
    identity = identity_of(peer, settings)
    return Placer(identity, directory, peer.links, peer.supervisor, traced(peer))


def policy_of(peer: Peer, root: Cid, replicas: int = 3) -> Policy:
    return sign_policy(identity_of(peer), root, replicas=replicas)


def only_unit(peer: Peer, root: Cid) -> Unit:
    [unit] = local_units(peer.store, root)
    return unit


def bid_of(peer: Peer, root: Cid) -> Bid:
    """For all of ``root``, which ``peer`` has and whose owner it is."""
    [bid] = bids_of(identity_of(peer), peer.store, root)
    return bid
