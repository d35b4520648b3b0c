"""Holding a copy for somebody: offers in, reservations, bytes, a receipt out.

data path: Offer -> its owner's word checked, judged, room reserved -> Accepted; Replicate -> what
it is about is judged and proved to belong to the policy's root -> the unit is fetched from the
offering node over the same connection, within what was reserved -> judged by what it is -> blocks
and claim kept together -> Held(receipt, provider record).  Whatever ends it before leaves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from dhtstore.content.dag.lineage import proof_wants
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import whole
from dhtstore.errors import DhtstoreError, MalformedDag, NoRoom, PeerRefused
from dhtstore.model.contact import subnet
from dhtstore.model.identity import DhtKey, PublicKey, format_node
from dhtstore.model.policy import Policy, Usage
from dhtstore.model.unit import Unit, unit_text
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.acknowledge import Coming, SignedCopy, acknowledge, claim_on
from dhtstore.node.copies.granting.bid import Bid
from dhtstore.node.copies.open_offers import OpenOffers, Receiving
from dhtstore.node.copies.receive import Keeper, receive_unit
from dhtstore.node.copies.relaying.relays import Relay, Relays
from dhtstore.node.copies.rereads import Rereads
from dhtstore.node.fetching.search import FixedHolders, HolderSearch
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Handler, Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import (
    PROGRESS_EVERY_BYTES,
    PROGRESS_EVERY_S,
    RATE_MIN_BYTES_PER_S,
    RECEIVE_MEMORY_BYTES,
    RESERVATION_TTL_S,
    VERIFY_RATE_MIN_BYTES_PER_S,
)
from dhtstore.replication.admission import (
    Admission,
    Demand,
    Refusal,
    is_at_home,
    judge,
    room_for_others_bytes,
)
from dhtstore.replication.donating import Donation, too_safe
from dhtstore.replication.promises import Promise, too_many, too_much, with_promised
from dhtstore.store.blocks.contract import Batch, Reservation
from dhtstore.store.blocks.quota import index_room_bytes
from dhtstore.trace import Tracer
from dhtstore.transfer.fair_queue import Payer
from dhtstore.wire.frames import (
    Accepted,
    Held,
    Offer,
    Release,
    Released,
    Replicate,
    Replicating,
)

_CROWDED: Final = ("room", "newcomer")  # refusals that what others have open may be the cause of


class LooksWanted(Protocol):
    """``OtherHolders.check``."""

    async def __call__(
        self, unit: Unit, policy: Policy, origin: str, goes: PublicKey | None, *, kept: bool = False
    ) -> int: ...


async def _wanted(
    unit: Unit, policy: Policy, origin: str, goes: PublicKey | None, *, kept: bool = False
) -> int:
    """Where nobody looks who else holds it."""
    return 0


def _check_stays(leaving: Callable[[], bool]) -> None:
    if leaving():
        raise PeerRefused("leaving", "this node is leaving the network")


@dataclass(slots=True)
class Holder:
    """The holding side of one node.  Refusals are PeerRefused: the link sends them as Declined.

    ``rule`` says whose data is taken; None on a client, which takes none.  ``wanted`` refuses what
    somebody brings by a grant and its owner has enough of, also without the copy that ``goes``;
    ``granted`` is told of what was held so.
    Who is ``leaving`` signs for nothing more.
    ``brings`` is entered while blocks come in.  ``room`` waits for more, or refuses; None where
    nothing gives way.
    """

    identity: Identity
    disk: Disk
    ledger: Ledger
    clock: Clock
    tracer: Tracer
    rule: Admission | None
    traffic: Traffic = field(default_factory=Traffic)
    offers: OpenOffers = field(init=False)
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    rereads: Rereads = field(default_factory=Rereads)
    brings: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    room: Callable[[int], Awaitable[None]] | None = None
    wanted: LooksWanted = _wanted
    granted: Callable[[Unit], None] = lambda unit: None
    leaving: Callable[[], bool] = lambda: False
    relays: Relays = field(init=False)

    def __post_init__(self) -> None:
        self.offers = OpenOffers(self.traffic.down)
        self.relays = Relays(self.identity, self.offers.expects)

    def handlers(self) -> dict[type, Handler]:
        return {Offer: self.on_offer, Replicate: self.on_replicate, Release: self.on_release}

    def link_ended(self, link: Link) -> None:
        self.offers.link_ended(link)

    # --- offers -----------------------------------------------------------------------------

    async def on_offer(self, link: Link, offer: Offer, reply: Reply) -> None:
        with _telling(self.tracer, link, owner=offer.owner.hex(), size=offer.stored):
            promise = self._promise_for(link, offer)
            self.identity.check_leave(link.meeting, offer)  # before others give way to it
            reservation = await self._decide(link, promise)
        _tell(self.tracer, "hold.taken", link, owner=offer.owner.hex(), size=offer.stored)
        held, room = await self.disk.blocking.run(_told_of, self, promise)
        until_s = RESERVATION_TTL_S
        await reply(Accepted(reservation=reservation, expires_s=until_s, held=held, room=room))

    async def on_release(self, link: Link, message: Release, reply: Reply) -> None:
        self.offers.release(link, message.reservation)
        await reply(Released())

    def _promise_for(self, link: Link, offer: Offer) -> Promise:
        if self.rule is None:
            raise PeerRefused("client", "this node gives no storage")
        _check_stays(self.leaving)
        owner = PublicKey(offer.owner)
        return Promise(
            peer=link.public_key,
            origin=subnet(link.remote),
            owner=owner,
            key=DhtKey(offer.key),
            stored_bytes=offer.stored,
            blocks=offer.blocks,
            at_home=is_at_home(link.remote, self.identity.addresses()),
            own=owner == self.rule.own_owner and offer.grant is None,
            granted=offer.grant is not None,
        )

    async def _decide(self, link: Link, promise: Promise) -> int:
        """Take an offer; its number.  Raises PeerRefused.  While a collection makes room for one,
        others are decided on."""
        try:
            return await self._open(link, promise, at_last=self.room is None)
        except PeerRefused as refused:
            if refused.code != "room" or self.room is None:
                raise
        await self.room(promise.room_bytes + index_room_bytes(promise.blocks))
        return await self._open(link, promise, at_last=True)

    async def _open(self, link: Link, promise: Promise, *, at_last: bool) -> int:
        async with self.deciding:  # offers that come together must count each other
            self.offers.make_way(promise)
            _refuse(too_many(self.offers.promises, promise))
            promise, room = await self._admit(promise, at_last=at_last)
            return self.offers.open(link, promise, room)

    async def _admit(self, promise: Promise, *, at_last: bool) -> tuple[Promise, Reservation]:
        """Judge an offer and set room aside for it; raises PeerRefused.  What others only offered
        keeps nobody out who has less of it open: an offer costs nothing.  It gives way ``at_last``,
        when nothing else does."""
        while True:
            try:
                usage = await self._judge(promise, promise.demand)
                promise = replace(promise, new=usage.new)
                return promise, await self._reserve(promise)
            except PeerRefused as refused:
                collects = refused.code == "room" and not at_last
                crowded = refused.code in _CROWDED and not collects
                if not (crowded and self.offers.make_room(promise)):
                    raise

    async def _judge(
        self, promise: Promise, demand: Demand, claimed: tuple[bytes, bytes] | None = None
    ) -> Usage:
        """Raises PeerRefused unless the rule of this node allows what is demanded.  What is kept of
        the unit already is left out of what is counted, and so is ``claimed``, once it is known."""
        assert self.rule is not None, "a client makes no promises"
        now_unix_s = self.identity.now_unix_s()
        newest, usage = await self.disk.blocking.run(
            _known, self.disk, self.ledger, promise, demand.policy, claimed, now_unix_s
        )
        usage = with_promised(usage, self.offers.promises, promise)
        _refuse(judge(self.rule, demand, usage, now_unix_s=now_unix_s, newest=newest))
        return usage

    async def _reserve(self, promise: Promise) -> Reservation:
        """Set room aside, also for the claim; raises PeerRefused."""
        room = await _set_aside(self.disk, promise)
        try:
            self._check_share(promise, await self.disk.blocking.run(_beside_bytes, self.ledger))
        except BaseException:
            room.release()
            raise
        return room

    def _check_share(self, promise: Promise, beside_bytes: int) -> None:
        """The ledger lies outside the store's quota, so it is taken off here."""
        store = self.disk.store
        if store.capacity_bytes is None:
            return
        promises = self.offers.promises
        reserved_bytes = sum(each.room_bytes for each in (*promises, promise))
        free_bytes = store.capacity_bytes - store.used_bytes - beside_bytes + reserved_bytes
        _refuse(too_much(promises, promise, free_bytes))

    # --- copies -----------------------------------------------------------------------------

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        with _telling(self.tracer, link, size=message.size):
            async with self.offers.receiving(link, message.reservation) as receiving:
                bid = await self.disk.blocking.run(Bid.of, message)
                await self._check_bid(receiving.promise, bid)
                with self.relays.running(link, message, receiving.promise.key) as relay:
                    copy, came_bytes = await self._copy(receiving, relay, bid, reply)
        if receiving.promise.granted:
            self.granted(bid.unit)
        told = {"unit": unit_text(bid.unit.name), "root": str(bid.root), "size": copy.receipt.size}
        _tell(self.tracer, "hold.held", link, owner=bid.policy.owner.hex(), **told)
        async with _settling(self.disk):
            await reply(_held(copy, came_bytes))

    async def _check_bid(self, promise: Promise, bid: Bid) -> None:
        """Raises PeerRefused unless it is what was offered, and InvalidSignature."""
        bid.check(promise, self.identity)
        demand = replace(promise.demand, policy=bid.policy)
        usage = await self._judge(promise, demand, bid.claimed)
        if promise.granted:
            await _check_wanted(self, promise, bid, usage.used_bytes + demand.charged_bytes)

    async def _copy(
        self, receiving: Receiving, relay: Relay, bid: Bid, reply: Reply
    ) -> tuple[SignedCopy, int]:
        """Fetch the unit, telling the uploader that we are at it, and sign for it; how many bytes
        came for that.  Nothing of it is readable, nor stays, unless it is kept for a claim."""
        promise = receiving.promise
        walk = UnitWalk(bid.unit, promise.stored_bytes, promise.blocks)
        async with self.brings():
            if bid.lineage.path:
                wants = proof_wants(bid.root, bid.lineage.path, bid.unit)
                uploader = FixedHolders([receiving.link])
                async with _fetching(self, uploader, receiving.link) as asking:
                    await asking.ask(wants)
            async with self.disk.batch(receiving.room, whole=True) as batch:
                relay.batch = batch
                keeper = Keeper(self.disk.store, batch, None, relay.keep)
                told = _Told(reply, self.clock, receiving, walk, keeper, self.rereads)
                async with _fetching(self, relay.upstream, receiving.link) as session:
                    await receive_unit(session, walk, keeper, relay.telling(told.progress))
                receiving.complete()
                return await self._keep(walk, bid, promise, batch), keeper.block_bytes

    async def _keep(self, walk: UnitWalk, bid: Bid, promise: Promise, batch: Batch) -> SignedCopy:
        """Judge the unit by what it is, and keep it for a claim; raises as ``_judge``."""
        _check_stays(self.leaving)
        _check_walk(walk, bid)
        claim = claim_on(walk, bid.policy, promise.origin, bid.grant)
        demand = replace(
            promise.demand,
            stored_bytes=claim.charged_bytes,
            blocks=claim.blocks,
            row_bytes=claim.ledger_bytes,
            policy=bid.policy,
        )
        await self._judge(promise, demand, bid.claimed)
        begun_unix_s = None if promise.owner == self.identity.owner else self.identity.now_unix_s()
        coming = Coming(batch.commit, begun_unix_s)
        return await acknowledge(self.identity, self.disk, self.ledger, claim, coming)


def _known(
    disk: Disk,
    ledger: Ledger,
    promise: Promise,
    policy: Policy | None,
    claimed: tuple[bytes, bytes] | None,
    now_unix_s: float,
) -> tuple[Policy | None, Usage]:
    """The newest policy here of that owner and root, and what is kept here; in a worker."""
    claims, owner, origin = ledger.claims, promise.owner, promise.origin
    usage = claims.usage(owner, origin, now_unix_s, but=claimed, key=promise.key)
    own_bytes = 0 if claimed is None else promise.room_bytes  # is set aside by now
    used_bytes = disk.store.used_bytes + _beside_bytes(ledger) - own_bytes
    newest = claims.policy(policy.owner, policy.root) if policy else None
    return newest, replace(usage, used_bytes=used_bytes)


def _told_of(holder: Holder, promise: Promise) -> tuple[int, int]:
    """How much of the unit is here, and for how much more of others there is room; in a worker."""
    assert holder.rule is not None, "a client makes no promises"
    held_bytes = holder.ledger.claims.kept_bytes(promise.owner, promise.key)
    return held_bytes, room_left_bytes(holder.disk, holder.ledger, holder.rule)


def room_left_bytes(disk: Disk, ledger: Ledger, rule: Admission) -> int:
    """For others; in a worker."""
    used_bytes = disk.store.used_bytes + _beside_bytes(ledger)
    return max(0, room_for_others_bytes(rule) - used_bytes)


async def _set_aside(disk: Disk, promise: Promise) -> Reservation:
    try:
        return await disk.reserve(promise.room_bytes, collects=False, blocks=promise.blocks)
    except NoRoom as error:
        raise PeerRefused("room", str(error)) from error


def _beside_bytes(ledger: Ledger) -> int:
    """What the ledger takes, less what is cached, which gives way; in a worker."""
    return ledger.claims.ledger_bytes() - ledger.cache.size_bytes()


def _tell(tracer: Tracer, event: str, link: Link, **fields: object) -> None:
    tracer(event, node=format_node(link.node), origin=link.origin, **fields)


@contextmanager
def _telling(tracer: Tracer, link: Link, **fields: object) -> Iterator[None]:
    """Why nothing comes of what a peer asks."""
    try:
        yield
    except PeerRefused as refused:
        code, reason = refused.code, str(refused)
        _tell(tracer, "hold.refused", link, code=code, reason=reason, **fields)
        raise
    except DhtstoreError as error:
        _tell(tracer, "hold.ended", link, reason=str(error), **fields)
        raise


def _fetching(holder: Holder, search: HolderSearch, uploader: Link) -> FetchSession:
    """What comes is counted as the uploader's."""
    payer = Payer(uploader.origin, uploader.public_key, object())
    return FetchSession(
        holder.disk, search, RECEIVE_MEMORY_BYTES, traffic=holder.traffic, payer=payer
    )


def _held(copy: SignedCopy, came_bytes: int) -> Held:
    return Held(
        receipt=copy.receipt.packed,
        provider=copy.provider.packed,
        contact=copy.contact.packed,
        came_bytes=came_bytes,
    )


@asynccontextmanager
async def _settling(disk: Disk) -> AsyncIterator[None]:
    """A unit of many blocks leaves work that nobody has to wait for, whatever becomes of it."""
    try:
        yield
    finally:
        while await disk.blocking.run(disk.store.settle):
            pass


class _Told:
    """Sends Replicating when enough has come, or some of it slowly: an uploader takes silence for
    an end.  Never queues a second one behind a first."""

    def __init__(
        self,
        reply: Reply,
        clock: Clock,
        receiving: Receiving,
        walk: UnitWalk,
        keeper: Keeper,
        rereads: Rereads,
    ) -> None:
        self._reply, self._clock, self._receiving = reply, clock, receiving
        self._walk, self._keeper, self._rereads = walk, keeper, rereads
        self._told_bytes, self._told_s = 0, clock.monotonic_s()
        self._came_bytes = self._came_blocks = 0  # from peers, as they are stored
        self._here_bytes = self._here_blocks = 0  # those that were here
        self._sending: asyncio.Future[None] | None = None

    def progress(self, done_bytes: int) -> None:
        self._count()
        waiting = self._sending is not None and not self._sending.done()
        now = self._clock.monotonic_s()
        much = done_bytes - self._told_bytes >= PROGRESS_EVERY_BYTES
        if (much or now - self._told_s >= PROGRESS_EVERY_S) and not waiting:
            self._told_bytes, self._told_s = done_bytes, now
            came_bytes = self._keeper.block_bytes
            self._sending = self._reply(Replicating(held_bytes=done_bytes, came_bytes=came_bytes))

    def _count(self) -> None:
        """What comes buys time; what was here buys as much as it takes to read."""
        keeper, walk = self._keeper, self._walk
        came_bytes, came_blocks = keeper.stored_bytes, keeper.blocks
        more_bytes, more_blocks = came_bytes - self._came_bytes, came_blocks - self._came_blocks
        self._receiving.delivered(more_bytes, more_blocks)
        self._came_bytes, self._came_blocks = came_bytes, came_blocks
        here_bytes = max(self._here_bytes, walk.stored_bytes - came_bytes)
        here_blocks = max(self._here_blocks, walk.blocks - came_blocks)
        if here_blocks > self._here_blocks:
            self._reread(here_bytes - self._here_bytes, here_blocks - self._here_blocks)
        self._here_bytes, self._here_blocks = here_bytes, here_blocks

    def _reread(self, more_bytes: int, more_blocks: int) -> None:
        """Its uploader does nothing for that, so each origin has a ration of it."""
        worth_bytes = more_bytes * RATE_MIN_BYTES_PER_S // VERIFY_RATE_MIN_BYTES_PER_S
        self._receiving.delivered(worth_bytes, 0)
        promise, now_s = self._receiving.promise, self._clock.monotonic_s()
        if promise.own:
            return
        if not self._rereads.take(promise.origin, more_bytes, more_blocks, now_s):
            self._receiving.give_way()


def _check_walk(walk: UnitWalk, bid: Bid) -> None:
    """Raises MalformedDag unless a unit without a path is that of the policy's root."""
    if not bid.lineage.path and whole(bid.root, walk.claimed_bytes) != bid.unit:
        raise MalformedDag(f"what was offered is not the unit of {bid.root}")


async def _check_wanted(holder: Holder, promise: Promise, bid: Bid, used_bytes: int) -> None:
    """Raises PeerRefused unless its owner wants one copy more; of what is donated, where it takes
    some of that, unless it is short enough of them.  ``used_bytes`` is what is used with it."""
    goes = promise.peer if bid.moving else None
    kept = await holder.disk.blocking.run(_is_kept, holder, bid.unit)
    live = await holder.wanted(bid.unit, bid.policy, promise.origin, goes, kept=kept) + bid.moving
    if holder.rule is not None and holder.rule.donated_bytes and not kept:
        _refuse(too_safe(Donation.of(holder.rule, used_bytes), live, bid.policy.replicas))


def _is_kept(holder: Holder, unit: Unit) -> bool:
    """Whether it is here for another root or owner already; in a worker."""
    kept = holder.ledger.claims.kept(unit.name, holder.identity.now_unix_s())
    return any(each.spine == unit.spine for each in kept)


def _refuse(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise PeerRefused(refusal.code, refusal.reason)
