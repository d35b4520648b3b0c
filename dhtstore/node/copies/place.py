"""Place one unit: carry out the plan of ``replication.placement``.

data path: unit -> candidates from lookups -> links -> offers, until enough have reserved ->
all holders fetch at once -> receipts -> provider records stored at the index nodes.
No byte moves before every chosen holder has reserved; a copy without a receipt never counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from dhtstore.content.dag.units import Lineage
from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import (
    ConnectionLost,
    DhtstoreError,
    InvalidSignature,
    PeerRefused,
    Unreachable,
)
from dhtstore.model.contact import Contact, ContactRecord
from dhtstore.model.identity import DhtKey, NodeId, format_node
from dhtstore.model.policy import Claim
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.copies.acknowledge import SignedCopy, check_copy
from dhtstore.node.copies.granting.offering import offer_for
from dhtstore.node.copies.relaying.chain import Chain, Reserved
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.node.telling.placement import PlacementRecord, PutTimes, ToldPlan
from dhtstore.params import (
    DIAL_TIMEOUT_S,
    DONOR_FEATURE,
    LOOKUP_TIMEOUT_S,
    OFFER_TIMEOUT_S,
    RELEASE_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
)
from dhtstore.replication.placement import CopyTo, Done, Look, Meet, OfferTo, Placement, Wait
from dhtstore.replication.ranking import Candidate, Merit
from dhtstore.tasks import Supervisor, run_all
from dhtstore.trace import Tracer
from dhtstore.transfer.pace import CopyCredit
from dhtstore.wire.frames import Accepted, Held, Release, Released, Replicate

T = TypeVar("T")
CopyProgress = Callable[[NodeId, int, int], None]  # holder, content bytes it has, bytes sent to it


class IndexNodes(Protocol):
    """As much of the DHT as placing needs."""

    async def closest(self, target: bytes, timeout_s: float) -> Sequence[Contact]: ...

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> Sequence[Published]: ...

    def contacts(self) -> Sequence[Contact]: ...

    def clock_ahead_s(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Placer:
    """Places units on other nodes.  ``tasks`` owns what gives reservations back.  In a
    ``pipeline`` holders give a unit to each other; else each fetches it from here.  ``merits`` is
    what is known of nodes that have just answered, ``told_room`` is told how much room one says to
    have, None if it does not say."""

    identity: Identity
    dht: IndexNodes
    links: Links
    tasks: Supervisor
    tracer: Tracer
    pipeline: bool = True
    merits: Callable[[Iterable[Contact]], Mapping[NodeId, Merit]] = lambda contacts: {}
    told_room: Callable[[NodeId, int | None], None] = lambda node, room_bytes: None

    async def place(
        self,
        plan: Placement,
        lineage: Lineage,
        claim: Claim,
        progress: CopyProgress,
        copies: list[SignedCopy],
        told: PlacementRecord | None = None,
    ) -> Placement:
        """Carry ``plan`` out to its end: the plan as it ended.  ``claim`` is what holders must
        sign for, as this node has walked the unit; that of another owner has a grant.  Each copy
        that is made is added to ``copies`` at once, so that whoever is cut short knows it; ``told``
        is what became of whom.

        Raises ConnectionLost when this node is stopping.  Whatever ends it early, it gives back
        what was reserved.  ``progress`` must not raise."""
        told = told or PlacementRecord(PutTimes(asyncio.get_running_loop().time))
        work = _Placing(self, plan, lineage, claim, progress, copies, told)
        await work.run()
        return work.plan

    def storage_nodes(self) -> int:
        """How many others are known to be alive."""
        return sum(contact.storage for contact in self.dht.contacts())

    async def publish(self, unit: Unit, copies: Sequence[SignedCopy]) -> Sequence[Published]:
        """Store the provider records of all copies in one lookup; what became of each."""
        records = [(copy.provider, copy.contact) for copy in copies]
        try:
            return await self.dht.provide(unit.key, records, timeout_s=LOOKUP_TIMEOUT_S)
        except Unreachable as error:
            self.tracer("publish.failed", unit=unit_text(unit.name), error=str(error))
            return [Published(0, {})] * len(copies)


class _Placing(ToldPlan):
    """One plan at work: does what it says next and tells it what came of that."""

    def __init__(
        self,
        node: Placer,
        plan: Placement,
        lineage: Lineage,
        claim: Claim,
        progress: CopyProgress,
        copies: list[SignedCopy],
        told: PlacementRecord,
    ) -> None:
        super().__init__(plan, told)
        self._copies = copies
        self._node, self._claim, self._progress = node, claim, progress
        self._unit, self._path = lineage
        self._reserved: dict[NodeId, Reserved] = {}
        self._tasks = Supervisor()
        self._copying: dict[NodeId, asyncio.Task[None]] = {}
        self._chain = Chain(self._tasks, pipeline=node.pipeline)

    async def run(self) -> None:
        try:
            while not isinstance(action := self.plan.next(self._copying), Done):
                await self.told.timed(action, self._do(action))
        except BaseException:
            await self._tasks.close()
            for reserved in self._reserved.values():
                self._later(self._release(reserved))
            raise
        await self._tasks.close()

    async def _do(self, action: Look | Meet | OfferTo | CopyTo | Wait) -> None:
        if isinstance(action, Look):
            found = await self._node.dht.closest(action.key, LOOKUP_TIMEOUT_S)
            self.plan = self.plan.found(found, self._node.merits(found))
        elif isinstance(action, Meet):
            await _each(self._meet, action.contacts)
        elif isinstance(action, OfferTo):
            self.told.offered(action.candidates)
            await _each(self._offer, action.candidates)
        elif isinstance(action, CopyTo):
            self._begin([candidate.node for candidate in action.candidates])
        else:
            await self._one_ended()

    async def _meet(self, contact: Contact) -> None:
        try:
            link = await self._link(contact)
        except DhtstoreError as error:
            self.told.failed(contact.node, error)
            self.plan = self.plan.unreached(contact.node, str(error))
        else:
            self.plan = _met(self.plan, link)

    async def _link(self, contact: Contact) -> Link:
        tried, where = partial(self.told.tried, contact.node), [contact.address]
        return await self._node.links.to(contact.public_key, where, DIAL_TIMEOUT_S, tried)

    async def _offer(self, candidate: Candidate) -> None:
        """Offer the unit to one node.  Who is cancelled meanwhile leaves a task behind that
        takes the answer and gives the reservation back."""
        asking = self._node.tasks.spawn(self._ask(candidate), "offer")
        try:
            answer: Reserved | DhtstoreError = await asyncio.shield(asking)
        except asyncio.CancelledError:
            if asking.cancelled():
                raise ConnectionLost("this node is stopping") from None
            self._later(self._give_back(asking))
            raise
        self._answered(candidate.node, answer)

    def _answered(self, node: NodeId, answer: Reserved | DhtstoreError) -> None:
        if isinstance(answer, DhtstoreError):
            self.told.failed(node, answer)
        if isinstance(answer, Reserved):
            self._reserved[node] = answer
            self.plan = self.plan.reserved(node, _label(answer.link))
        elif isinstance(answer, PeerRefused):
            if answer.code == "room":
                self._node.told_room(node, 0)
            self.plan = self.plan.refused(node, str(answer), answer.code)
        else:
            self.plan = self.plan.unreached(node, str(answer))

    async def _ask(self, candidate: Candidate) -> Reserved | DhtstoreError:
        """What the node reserves, or why it does not take the unit."""
        try:
            link, donor = await self._link(candidate.contact), candidate.merit.donor
            offer = offer_for(self._claim, self._node.identity, link, donor=donor)
            accepted = await link.request(offer, Accepted, OFFER_TIMEOUT_S)
        except DhtstoreError as error:
            return error
        self._node.told_room(candidate.node, accepted.room)
        return Reserved(link, accepted.reservation, link.sent_bytes, accepted.held)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        if self._node.tasks.closed:
            work.close()  # the links end with the node, and the reservations with the links
        else:
            self._node.tasks.spawn(work, "release")

    async def _give_back(self, asking: asyncio.Task[Reserved | DhtstoreError]) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                answer = await asking
        except TimeoutError:
            return  # the request was cancelled with the wait: the holder is told so
        if isinstance(answer, Reserved):
            await self._release(answer)

    async def _release(self, reserved: Reserved) -> None:
        """Best effort: the holder forgets it by itself after a while."""
        link = reserved.link
        try:
            await link.request(
                Release(reservation=reserved.reservation), Released, RELEASE_TIMEOUT_S
            )
        except DhtstoreError as error:
            self._node.tracer("release.failed", node=format_node(link.node), error=str(error))

    def _begin(self, nodes: Sequence[NodeId]) -> None:
        self._chain.join({node: self._reserved[node] for node in nodes})
        for node in nodes:
            self._copying[node] = self._tasks.spawn(self._copy(node), "copy")

    async def _one_ended(self) -> None:
        await asyncio.wait(self._copying.values(), return_when=asyncio.FIRST_COMPLETED)
        for node, task in list(self._copying.items()):
            if task.done():
                del self._copying[node]
                task.result()  # raises what is no failure of the holder, but a defect

    async def _copy(self, node: NodeId) -> None:
        """Let one holder fetch the unit and take its receipt, or note why there is none."""
        reserved = self._reserved[node]
        try:
            copy, came_bytes = await self._replicated(node, reserved)
        except DhtstoreError as error:
            self.told.failed(node, error)
            code = error.code if isinstance(error, PeerRefused) else ""
            self.plan = self.plan.failed(node, str(error), code)
            self._chain.left(node)
        else:
            self._copies.append(copy)
            self._copied(node, self._unit.size_bytes, came_bytes)
            self._chain.copied(node, self._unit.size_bytes, done=True)
            self.plan = self.plan.held(node)
        del self._reserved[node]

    async def _replicated(self, node: NodeId, reserved: Reserved) -> tuple[SignedCopy, int | None]:
        """Believe a receipt only if its holder signed it, for what we hold ourselves."""
        link, unit, chain = reserved.link, self._unit, self._chain
        wanted = Replicate(
            reservation=reserved.reservation,
            roots=tuple(root.raw for root in unit.roots),
            spine=unit.spine,
            size=unit.size_bytes,
            policy=self._claim.policy.packed,
            path=tuple(cid.raw for cid in self._path),
            upstream=chain.upstream(node),
            downstream=chain.downstream(node),
            grant=self._claim.grant.packed if self._claim.grant else None,
            moving=self.plan.moving,
        )
        claim, relayed = self._claim, chain.relayed(node)
        sent = (lambda: chain.sent_bytes) if relayed else partial(self._sent_bytes, reserved)
        credit = CopyCredit(claim.stored_bytes, sent, claim.blocks, relayed=relayed)
        link.granted += 1  # it may ask us for what is being put, as nobody else may
        try:
            held = await link.request(
                wanted,
                Held,
                REQUEST_TIMEOUT_S,
                on_progress=lambda told: self._copied(node, told.held_bytes, told.came_bytes),
                worth=credit.of,
            )
        finally:
            link.granted -= 1
        contact = unpack(ContactRecord, held.contact) if held.contact else link.peer_record
        if contact is None:
            raise InvalidSignature("the holder says nothing of where it can be reached")
        receipt, provider = unpack(Receipt, held.receipt), unpack(ProviderRecord, held.provider)
        copy = SignedCopy(receipt, provider, contact)
        check_copy(self._node.identity, copy, link.public_key, self._claim)
        return copy, held.came_bytes

    def _copied(self, node: NodeId, told_bytes: int, came_bytes: int | None) -> None:
        """Believed up to the unit's size; and what a holder once had it does not lose.  Who does
        not say how much of it came now was sent it from here."""
        before_bytes = self.plan.candidates[node].copied_bytes
        copied_bytes = max(before_bytes, min(told_bytes, self._unit.size_bytes))
        self.plan = self.plan.copied(node, copied_bytes)
        self._chain.copied(node, copied_bytes, done=False)
        sent_bytes = self._sent_bytes(self._reserved[node])
        self._progress(node, copied_bytes, max(sent_bytes, came_bytes or 0))

    def _sent_bytes(self, reserved: Reserved) -> int:
        return reserved.link.sent_bytes - reserved.sent_before_bytes


async def _each(do: Callable[[T], Coroutine[Any, Any, None]], to: Sequence[T]) -> None:
    """All at once; when it returns, all have ended."""
    await run_all([partial(do, one) for one in to], limit=len(to))


def _label(link: Link) -> str:
    """The failure domain that the node at the other end states."""
    return link.peer_record.domain if link.peer_record else ""


def _met(plan: Placement, link: Link) -> Placement:
    """What the node at the other end states of itself."""
    record = link.peer_record
    if record is None:
        return plan.met(link.node, "")
    donor = DONOR_FEATURE in record.features
    return plan.met(link.node, record.domain, record.capacity_bytes, donor=donor)
