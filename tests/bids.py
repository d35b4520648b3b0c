"""What an owner says to have a unit held, for tests of those who hear it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dhtstore.content.dag.local import Leaves, local_lineages, walk_local
from dhtstore.content.dag.units import Lineage
from dhtstore.errors import PeerRefused
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Grant, Policy
from dhtstore.model.unit import Unit
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.params import SIGNATURE_BYTES
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.wire.frames import Accepted, FrameRequest, Held, Offer, Replicate


@dataclass(frozen=True, slots=True)
class Bid:
    """A unit that the owner of ``identity`` offers; change a field to have it lie."""

    identity: Identity
    lineage: Lineage
    policy: Policy
    stored: int
    blocks: int
    grant: Grant | None = None

    @property
    def granted(self) -> Grant:
        """The owner's, for exactly this."""
        key, root = self.unit.key, self.policy.root
        unsigned = Grant(self.identity.owner, root, key, self.stored, self.blocks)
        return self.identity.sign_as_owner(unsigned)

    @property
    def unit(self) -> Unit:
        return self.lineage.unit

    def offer(self, link: Link) -> Offer:
        """As it is said over ``link``, and nowhere else."""
        key, owner = self.unit.key, self.identity.owner
        word = self.identity.word(link.public_key, link.meeting, key, self.stored, self.blocks)
        return Offer(owner=owner, key=key, stored=self.stored, blocks=self.blocks, word=word)

    def replicate(self, reservation: int) -> Replicate:
        return Replicate(
            reservation=reservation,
            roots=tuple(root.raw for root in self.unit.roots),
            spine=self.unit.spine,
            size=self.unit.size_bytes,
            policy=self.policy.packed,
            path=tuple(cid.raw for cid in self.lineage.path),
            grant=self.grant.packed if self.grant else None,
        )


def sign_policy(identity: Identity, root: Cid, **fields: Any) -> Policy:
    usual = {"sequence": 1, "replicas": 3, "expires": 0, "removed": False}
    return identity.sign_as_owner(Policy(identity.owner, root.raw, **{**usual, **fields}))


def bids_of(identity: Identity, store: BlockStore, root: Cid) -> list[Bid]:
    """One for each unit of a root whose blocks are in ``store``."""
    policy = sign_policy(identity, root)
    bids = []
    for lineage in local_lineages(store, root):
        walk = walk_local(store, lineage.unit, Leaves.PRESENT)
        bids.append(Bid(identity, lineage, policy, walk.stored_bytes, walk.blocks))
    return bids


def bid_for_block(identity: Identity, data: bytes, **policy: Any) -> Bid:
    """For a file of one raw block, whether or not anybody has it."""
    cid = Cid.of(data)
    lineage = Lineage(Unit.of((cid,), len(data)), ())
    signed = sign_policy(identity, cid, **policy)
    return Bid(identity, lineage, signed, stored_bytes(cid, len(data)), 1)


async def have_accepted(link: Link, bid: Bid) -> int:
    """The reservation that a holder gives for it; raises PeerRefused."""
    return (await link.request(bid.offer(link), Accepted)).reservation


async def have_held(link: Link, bid: Bid) -> Held:
    """Offer it and have it fetched; raises PeerRefused."""
    return await link.request(bid.replicate(await have_accepted(link, bid)), Held)


async def declined(link: Link, request: FrameRequest) -> str:
    """The code a holder refuses with, "" if it does not."""
    try:
        await link.request(request, Accepted if isinstance(request, Offer) else Held)
    except PeerRefused as error:
        return error.code
    return ""


def some_replicate(reservation: int) -> Replicate:
    """One in form, of nothing."""
    policy = b"p" * (SIGNATURE_BYTES + 1)
    return Replicate(
        reservation=reservation, roots=(Cid.of(b"").raw,), spine=False, size=1, policy=policy
    )
