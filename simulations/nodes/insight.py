"""What a node keeps and knows, read from outside without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from dhtstore.content.dag.local import Leaves, unit_blocks
from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.record_rules import is_withdrawal, lifetime_s
from dhtstore.dht.core.stores.held import HeldRecord
from dhtstore.dht.engine.holding.reaching import Reaching
from dhtstore.dht.engine.procedures import Procedures
from dhtstore.errors import BlockMissing, IntegrityFailure, InvalidSignature
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import NodeId, PublicKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signed, check, unpack
from dhtstore.model.unit import unit_text
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.node import Node
from dhtstore.params import DATAGRAM_MAX_BYTES, PUBLIC_KEY_BYTES
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.health.events import Events
from dhtstore.store.ledger.roots import pins_key
from dhtstore.wire.datagram import (
    WITHDRAWALS_TOLD_MAX,
    GetProviders,
    split_contacts,
    unpack_contact,
)
from simulations.nodes.population import Member

_STRANGER: Final = Contact.of(
    PublicKey(b"\xff" * PUBLIC_KEY_BYTES), Address("10.255.255.254", 1), storage=False
)
_EVENTS_MAX: Final = 10_000
_ROOM_BYTES: Final = DATAGRAM_MAX_BYTES - 150  # of an answer, without what wraps it


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """``key`` is the DHT key of a provider record, else the id of the node whose contact it tells;
    ``genuine`` tells whether its signature is right, which is not known before it is asked, and
    ``silent`` whether its provider answers no more."""

    key: bytes
    signer: bytes
    sequence: int
    arrived_s: float
    expires_s: float
    provides: bool
    withdrawn: bool
    genuine: Callable[[], bool]
    silent: bool = False

    @property
    def name(self) -> str:
        return self.signer.hex()[:8]

    def serves(self, now_s: float) -> bool:
        """Whether who asks for providers of the key must be told of it."""
        there = self.provides and not self.withdrawn and not self.silent
        return there and self.expires_s > now_s


@dataclass(frozen=True, slots=True)
class IndexAnswer:
    """``total`` providers, of which ``providers`` are on the first page, by their public keys,
    beside so many ``withdrawals``."""

    contacts: Sequence[NodeId]
    total: int
    providers: Sequence[bytes]
    withdrawals: int = 0


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """``counted_bytes`` are what the store says that blocks take, ``blocks_bytes`` what those take
    that are there; ``exact`` is whether both are counted alike, equal while no batch is open."""

    capacity_bytes: int | None
    reserved_bytes: int
    counted_bytes: int
    blocks_bytes: int
    offers_open: int
    exact: bool = True
    batches_open: bool = False


def kept_records(node: Node) -> Iterator[KeptRecord]:
    """Provider records first."""
    return (_kept(node, held) for held in node.dht.records())


def _kept(node: Node, held: HeldRecord) -> KeptRecord:
    record = held.record
    arrived_s = held.expires_s - lifetime_s(record)
    provides = isinstance(record, ProviderRecord)
    return KeptRecord(
        held.key,
        record.public_key,
        record.sequence,
        arrived_s,
        held.expires_s,
        provides,
        held.withdrawn,
        partial(_genuine, node, record),
        provides and node.dht.rpc.keeper.lives.silent(record.public_key),
    )


def _genuine(node: Node, record: Signed) -> bool:
    try:
        check(record, node.settings.network, node.ports.crypto)
    except InvalidSignature:
        return False
    return True


def answer(node: Node, key: bytes) -> IndexAnswer:
    """To a stranger who asks for providers; nobody is pinged for it."""
    rpc, clock = node.dht.rpc, node.ports.clock
    reaching = Reaching(rpc.table, rpc.calls, rpc.keeper, clock)
    parts = rpc.table, rpc.keeper, reaching, rpc.probing, _nobody_told, clock.unix_s
    asked = Procedures(*parts)
    told = asked.rpc_get_providers(peer_of(_STRANGER), GetProviders(key, 0), _ROOM_BYTES)
    contacts = [unpack_contact(one).node for one in split_contacts(told.contacts, ipv6=False)]
    records = [unpack(ProviderRecord, each.record) for each in told.providers]
    named = [record.public_key for record in records if not is_withdrawal(record)]
    withdrawals = len(rpc.keeper.withdrawn(key)[:WITHDRAWALS_TOLD_MAX])
    taken_back = len(records) - len(named)
    return IndexAnswer(contacts, told.total - withdrawals, named, taken_back)


def _nobody_told(young: Sequence[Peer]) -> None:
    """Newcomers that an answer names are asked whether they live, if it is sent."""


def keeps_claim(member: Member, root: Cid) -> bool:
    """Whether the ledger on its disk says to keep the unit below ``root``."""
    claims = Claims(member.disk.tables)
    return bool(claims.kept(root.raw, member.clock.unix_s()))


def let_go(member: Member, root: Cid) -> bool:
    """Whether its events tell that it dropped its copy as one too many."""
    rows = Events(member.disk.tables).last(_EVENTS_MAX)
    return any(row.kind == "dropped" and row.root == root.raw for row in rows)


def keeps_pin(member: Member, root: Cid) -> bool:
    """Whether the ledger on its disk has a pin of ``root`` that a put made."""
    return member.disk.tables.get(pins_key(root) + b"put") is not None


def claimed_in_vain(member: Member, at_most: int, known: dict[bytes, Sequence[Cid]]) -> list[str]:
    """Of the first units in the ledger on its disk, those of which blocks are missing; ``known``
    are the blocks of units by name, which it adds to."""
    kept = Claims(member.disk.tables).units_kept(member.clock.unix_s())
    units = [unit_of_claim(claim) for claim in islice(kept, at_most)]
    blocks: BlockStore = member.disk.blocks
    found = []
    for unit in units:
        try:
            if unit.name not in known:
                known[unit.name] = tuple(unit_blocks(blocks, unit, Leaves.PRESENT))
        except (BlockMissing, IntegrityFailure):
            found.append(unit_text(unit.name))
        else:
            found += [unit_text(unit.name)] if blocks.missing(known[unit.name]) else []
    return found


def disk_room(member: Member) -> DiskRoom:
    """Of a machine whose node runs."""
    blocks, space = member.disk.blocks, member.disk.blocks.space()
    cids = list(blocks.cids())
    sizes = zip(cids, blocks.sizes(cids), strict=True)
    return DiskRoom(
        space.capacity_bytes,
        space.reserved_bytes,
        space.packs_bytes,
        sum(stored_bytes(cid, size) for cid, size in sizes if size is not None),
        len(member.running.holder.offers.promises),
        member.disk.in_memory,
        blocks.batches_open,
    )
