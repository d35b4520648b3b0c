"""What is said to a node that may hold a copy: by the owner's own node, and under a grant."""

from __future__ import annotations

from dhtstore.model.identity import PublicKey, dht_key
from dhtstore.model.policy import Claim, Grant
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.wire.frames import Offer


def offer_for(claim: Claim, identity: Identity, link: Link, *, donor: bool = False) -> Offer:
    """Under our owner's word, or under the grant for what another's node has put, and where it is
    short of copies to a ``donor``, which takes no puts."""
    owner, grant = identity.owner, claim.grant
    if grant is not None and (donor or grant.owner != owner):
        return offer_under(grant)
    key, stored, blocks = dht_key(claim.unit), claim.stored_bytes, claim.blocks
    word = identity.word(link.public_key, link.meeting, key, stored, blocks)
    return Offer(owner=owner, key=key, stored=stored, blocks=blocks, word=word)


def offer_under(grant: Grant) -> Offer:
    """Of what the grant is for, to whoever may want a copy."""
    return Offer(
        owner=PublicKey(grant.owner),
        key=grant.key,
        stored=grant.stored,
        blocks=grant.blocks,
        word=grant.signature,
        grant=grant.packed,
    )
