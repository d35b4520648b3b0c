"""What a node can be used for: each use case with the parts of the node that it takes."""

from __future__ import annotations

from dhtstore.dht.service import DhtService
from dhtstore.model.contact import Contact
from dhtstore.model.identity import DhtKey, NodeId, PublicKey
from dhtstore.node.cars.importing import CarImports
from dhtstore.node.checking.ask import HolderChecks
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.hold import Holder, room_left_bytes
from dhtstore.node.copies.place import Placer
from dhtstore.node.copies.serve_blocks import BlockServer
from dhtstore.node.duties.leaving.leaving import Leaving
from dhtstore.node.duties.presences import Presences
from dhtstore.node.duties.rebalancing.asking_room import AskRoom
from dhtstore.node.duties.rebalancing.rebalance import Rebalance
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.fetching.dht_search import DhtSearch
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.bring import Bringing
from dhtstore.node.flows.pin import Pinning
from dhtstore.node.flows.put import Uploader
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.cached import Caching
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.ending.own import EndOwn
from dhtstore.node.keeping.removing import Removing
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.keeping.why import Why
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.node.links.pool import Links
from dhtstore.node.policies.changing import PolicyChanges
from dhtstore.node.policies.parts import Policies
from dhtstore.node.policies.removing import RemoveEverywhere
from dhtstore.node.policies.telling_later import TellLater
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import K
from dhtstore.replication.repair.moving import Fill
from dhtstore.tasks import Supervisor
from dhtstore.transfer.priority import Priority


class UseCases:
    """The part of ``Node`` that hands its parts out."""

    ports: Ports
    settings: NodeSettings
    identity: Identity
    disk: Disk
    ledger: Ledger
    public_key: PublicKey
    node_id: NodeId
    supervisor: Supervisor
    staging: Staging
    collector: Collector
    kept_no_more: KeptNoMore
    policies: Policies
    tell_later: TellLater
    dht: DhtService
    holder: Holder
    completeness: Completeness
    reprovide: Reprovide
    blocks: BlockServer
    links: Links
    reach: Reach
    traffic: Traffic
    presences: Presences
    repair: Repair
    leaving: Leaving

    def fetch_session(self, priority: Priority = Priority.FOREGROUND) -> FetchSession:
        """For the fetches of one command, or of a duty; use it with ``async with``."""
        search = DhtSearch(self.dht, self.links, self.public_key)
        return FetchSession(self.disk, search, traffic=self.traffic, priority=priority)

    def uploader(self, *, pipeline: bool = True) -> Uploader:
        """For putting; in a ``pipeline`` holders give units to each other."""
        shell = (self.supervisor, self.ports.tracer)
        seen = (self.presences.merits, self.presences.told_room)
        placer = Placer(self.identity, self.dht, self.links, *shell, pipeline, *seen)
        offers, lending = self.holder.offers, self.blocks.lending
        clock, others = self.ports.clock, placer.storage_nodes
        bringing = Bringing(self.disk, self.ledger, clock, offers, lending, others)
        return Uploader(
            self.identity,
            self.disk,
            self.ledger,
            placer,
            bringing,
            self.staging,
            self.settings,
            self.ports.clock,
            self.policies.book,
            self.reprovide.again_soon,
            self.policy_changes().put,
            lambda: self.leaving.active,
        )

    def pinning(self) -> Pinning:
        """The user's pins."""
        return Pinning(
            self.disk,
            self.ledger,
            self.ports.clock,
            self.staging,
            self.collector,
            self.reprovide.announce,
            self.kept_no_more.ended,
        )

    def caching(self) -> Caching:
        """For what is fetched with ``--cache``."""
        return Caching(self.disk, self.ledger.cache, self.ports.clock, self.staging)

    def car_imports(self) -> CarImports:
        """For storing what is in a CAR."""
        return CarImports(
            self.disk,
            self.ledger,
            self.ports.clock,
            self.staging,
            self.pinning(),
            self.reprovide.announce,
        )

    def why(self) -> Why:
        """For asking what keeps a block here."""
        return Why(self.disk, self.ledger, self.ports.clock, self.staging, self.collector)

    def removing(self) -> Removing:
        """For ending what was put from here."""
        return Removing(
            self.disk,
            self.ledger,
            EndOwn(self.ledger, self.identity.owner),
            self.node_id,
            self.staging,
            self.collector,
            self.why(),
            self.kept_no_more.ended,
            self.identity.now_unix_s,
        )

    def policy_changes(self) -> PolicyChanges:
        """For changing what our owner wants for a root."""
        return PolicyChanges(self.policies.book, self.policies.renewal, self.tell_later)

    def removing_everywhere(self) -> RemoveEverywhere:
        """For ending what was put by our owner, wherever it is."""
        return RemoveEverywhere(self.policy_changes(), self.removing())

    def rebalance(self) -> Rebalance:
        """For moving some of what a storage node holds to emptier ones."""
        disk, ledger = self.disk, self.ledger

        def fill() -> Fill:
            rule = self.holder.rule
            assert rule is not None, "a client holds nothing for others"
            return Fill(room_left_bytes(disk, ledger, rule), rule.capacity_bytes)

        def near(key: DhtKey) -> list[Contact]:
            target = int.from_bytes(key, "big")
            return [peer.contact for peer in self.dht.rpc.table.closest(target, K)]

        return Rebalance(
            self.repair,
            near,
            self.presences,
            AskRoom(self.identity, self.links),
            fill,
            lambda: self.leaving.active,
            self.ports.entropy.rng,
        )

    def checker(self) -> HolderChecks:
        """For asking holders whether they still are."""
        return HolderChecks(
            self.identity,
            self.disk,
            self.ledger,
            self.reach,
            self.completeness,
            self.ports.entropy.rng,
        )
