"""Place one unit: R verified copies on R different nodes.

data path: unit -> candidates from lookups -> links -> offers, until enough have reserved ->
all holders fetch at once -> receipts -> provider records stored at the index nodes.
No byte moves before every chosen holder has reserved; a copy without a receipt never counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from dhtstore.errors import ConnectionLost, DhtstoreError, InvalidSignature
from dhtstore.model.contact import Contact
from dhtstore.model.identity import DhtKey, NodeId, format_node, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.signing import check
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import Copy
from dhtstore.node.links.pool import Link
from dhtstore.params import (
    DIAL_TIMEOUT_S,
    LOOKUP_TIMEOUT_S,
    NODE_ID_BYTES,
    PLACEMENT_KEYS_MAX,
    PROTOCOL_VERSION,
    RELEASE_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
)
from dhtstore.replication.placement import Candidate, rank
from dhtstore.tasks import run_all
from dhtstore.wire.frames import Accepted, Held, Offer, Release, Released, Replicate

if TYPE_CHECKING:
    from dhtstore.node.node import Node

CopyProgress = Callable[[NodeId, int], None]  # holder, content bytes it has so far


@dataclass(slots=True)
class Placement:
    """What became of one unit: the copies made and why others were not; ``announced`` once an
    index node took their provider records."""

    unit: Unit
    copies: list[Copy] = field(default_factory=list)
    causes: dict[str, str] = field(default_factory=dict)  # node -> why it holds no copy
    domains: list[str] = field(default_factory=list)
    announced: bool = False

    def add(self, copy: Copy, domain: str) -> None:
        self.copies.append(copy)
        self.domains.append(domain)


@dataclass(frozen=True, slots=True)
class _Reserved:
    link: Link
    candidate: Candidate
    reservation: int


async def place_on_peers(
    node: Node,
    placement: Placement,
    policy: Policy,
    wanted: int,
    progress: CopyProgress,
) -> None:
    """Add copies on other nodes until ``wanted`` copies exist or nobody else accepts.

    A holder that fails after reserving is replaced by the next candidate.
    """
    tried: set[NodeId] = {node.node_id}
    for key in _keys(placement.unit.key):
        if len(placement.copies) >= wanted:
            return
        candidates = await _candidates(node, placement, key, tried, wanted)
        while candidates and len(placement.copies) < wanted:
            reserved: list[_Reserved] = []
            try:
                await _reserve(node, placement, policy, candidates, tried, wanted, reserved)
                copies = [partial(_copy, node, placement, policy, r, progress) for r in reserved]
                await run_all(copies, limit=len(copies))
            except asyncio.CancelledError:
                for each in reserved:
                    _later(node, _release(node, each))
                raise
            if not reserved:
                break


def _keys(key: DhtKey) -> list[DhtKey]:
    """The unit's key and further ones derived from it, for when its neighbourhood is full."""
    keys = [key]
    while len(keys) < PLACEMENT_KEYS_MAX:
        digest = hashlib.sha256(b"dhtstore/placement/1\0" + keys[-1]).digest()
        keys.append(DhtKey(digest[:NODE_ID_BYTES]))
    return keys


async def _candidates(
    node: Node, placement: Placement, key: DhtKey, tried: set[NodeId], wanted: int
) -> list[Candidate]:
    """Live storage nodes close to the key, not tried yet.

    The closest are met before they are ranked, twice as many as could be needed: a failure
    domain's label is in the contact record that a node shows when it is connected to.
    """
    contacts = await node.dht.lookup(key, timeout_s=LOOKUP_TIMEOUT_S)
    near = [contact for contact in contacts if contact.storage and contact.node not in tried]
    close, further = near[: 2 * wanted], near[2 * wanted :]
    meetings = [partial(_meet, node, placement, contact, tried) for contact in close]
    met = await run_all(meetings, limit=max(1, len(meetings)))
    return [candidate for candidate in met if candidate] + [Candidate(c) for c in further]


async def _meet(
    node: Node, placement: Placement, contact: Contact, tried: set[NodeId]
) -> Candidate | None:
    """The candidate with its label; None, with the cause noted, if it can't be connected to."""
    try:
        link = await node.links.to(contact.public_key, [contact.address], DIAL_TIMEOUT_S)
    except DhtstoreError as error:
        placement.causes[format_node(contact.node)] = str(error)
        tried.add(contact.node)
        return None
    return _labelled(contact, link)


def _labelled(contact: Contact, link: Link) -> Candidate:
    return Candidate(contact, link.peer_record.domain if link.peer_record else "")


async def _reserve(
    node: Node,
    placement: Placement,
    policy: Policy,
    candidates: list[Candidate],
    tried: set[NodeId],
    wanted: int,
    reserved: list[_Reserved],
) -> None:
    """Ask candidates, best first, until enough have ``reserved``; asked ones leave the list."""
    while candidates and len(placement.copies) + len(reserved) < wanted:
        missing = wanted - len(placement.copies) - len(reserved)
        taken = placement.domains + [r.candidate.domain for r in reserved]
        chosen = rank(candidates, placement.unit.key, taken)[:missing]
        for candidate in chosen:
            candidates.remove(candidate)
            tried.add(candidate.contact.node)
        offers = [partial(_offer, node, placement, policy, c, reserved) for c in chosen]
        await run_all(offers, limit=len(offers))


async def _offer(
    node: Node,
    placement: Placement,
    policy: Policy,
    candidate: Candidate,
    reserved: list[_Reserved],
) -> None:
    """Offer the unit to one node and note what it reserves.  Who is cancelled meanwhile leaves
    a task behind that takes the answer and gives the reservation back."""
    asking = node.supervisor.spawn(_ask(node, placement, policy, candidate), "offer")
    try:
        answer: _Reserved | None = await asyncio.shield(asking)
    except asyncio.CancelledError:
        if asking.cancelled():
            raise ConnectionLost("this node is stopping") from None
        _later(node, _give_back(node, asking))
        raise
    if answer is not None:
        reserved.append(answer)


def _later(node: Node, work: Coroutine[Any, Any, None]) -> None:
    if node.supervisor.closed:
        work.close()  # the links end with the node, and the reservations with the links
    else:
        node.supervisor.spawn(work, "release")


async def _give_back(node: Node, asking: asyncio.Task[_Reserved | None]) -> None:
    try:
        async with asyncio.timeout(RELEASE_TIMEOUT_S):
            reserved = await asking
    except TimeoutError:
        return  # the request was cancelled with the wait: the holder is told so
    if reserved is not None:
        await _release(node, reserved)


async def _release(node: Node, reserved: _Reserved) -> None:
    """Best effort: the holder forgets it by itself after a while."""
    try:
        await reserved.link.request(Release(reserved.reservation), Released, RELEASE_TIMEOUT_S)
    except DhtstoreError as error:
        holder = format_node(reserved.candidate.contact.node)
        node.ports.tracer("release.failed", node=holder, error=str(error))


async def _ask(
    node: Node, placement: Placement, policy: Policy, candidate: Candidate
) -> _Reserved | None:
    """Offer the unit to one node; None, with the cause noted, if it does not take it."""
    contact = candidate.contact
    unit = placement.unit
    try:
        link = await node.links.to(contact.public_key, [contact.address], DIAL_TIMEOUT_S)
        roots = tuple(root.raw for root in unit.roots)
        offer = Offer(roots, unit.spine, unit.size_bytes, policy)
        accepted = await link.request(offer, Accepted, REQUEST_TIMEOUT_S)
    except DhtstoreError as error:
        placement.causes[format_node(contact.node)] = str(error)
        return None
    return _Reserved(link, _labelled(contact, link), accepted.reservation)


async def _copy(
    node: Node, placement: Placement, policy: Policy, reserved: _Reserved, progress: CopyProgress
) -> None:
    """Let one holder fetch the unit and take its receipt, or note why there is none."""
    holder = reserved.candidate.contact.node
    try:
        held = await reserved.link.request(
            Replicate(reserved.reservation),
            Held,
            REQUEST_TIMEOUT_S,
            on_progress=lambda update: progress(holder, update.held_bytes),
        )
        copy = _verified(node, placement.unit, policy, reserved, held)
    except DhtstoreError as error:
        placement.causes[format_node(holder)] = str(error)
        return
    placement.add(copy, reserved.candidate.domain)
    progress(holder, placement.unit.size_bytes)


def _verified(node: Node, unit: Unit, policy: Policy, reserved: _Reserved, held: Held) -> Copy:
    """Believe a receipt only if its holder signed it, for this unit, owner and policy."""
    network, crypto = node.settings.network, node.ports.crypto
    receipt, provider = held.receipt, held.provider
    check(receipt, network, crypto)
    check(provider, network, crypto)
    key, contact = reserved.link.public_key, reserved.link.peer_record
    right = (
        receipt.public_key == provider.public_key == key
        and receipt.node == node_id(key)
        and (receipt.version, receipt.network) == (PROTOCOL_VERSION, network.name)
        and (receipt.unit, receipt.root) == (unit.name, policy.root)
        and (receipt.owner, receipt.policy_seq) == (policy.owner, policy.sequence)
        and receipt.expires == policy.expires
        and provider.key == unit.key
    )
    if not right or contact is None:
        raise InvalidSignature("the holder sent a receipt for something else")
    return Copy(receipt, provider, contact)


async def publish(node: Node, unit: Unit, copies: Sequence[Copy]) -> int:
    """Store the provider records of all copies in one lookup; how many index nodes took them."""
    records = [(copy.provider, copy.contact) for copy in copies]
    return await node.dht.provide(unit.key, records, timeout_s=LOOKUP_TIMEOUT_S)
