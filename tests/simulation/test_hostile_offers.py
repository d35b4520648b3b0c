"""Offers that a holder must refuse before it keeps anything of them."""

from __future__ import annotations

import pytest

from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.policy import Policy
from dhtstore.model.signing import sign
from dhtstore.wire.frames import Accepted, Offer
from tests.simulation.lab import Lab, tell


@pytest.mark.parametrize("root", [b"", b"no CID", bytes(400)])
def test_a_policy_for_a_root_that_is_no_cid_is_refused(root: bytes) -> None:
    async def story(lab: Lab) -> str:
        await lab.grow(2)
        holder, stranger = lab.nodes
        crypto = stranger.ports.crypto
        owner = crypto.owner
        policy = sign(Policy(owner.public_key, root, 1, 3, 0, False), Network("main"), owner)
        link = await stranger.links.to(holder.public_key, holder.addresses(), 5.0)
        offer = Offer(roots=(Cid.of(b"block").raw,), spine=False, size=5, policy=policy.packed)
        with pytest.raises(PeerRefused) as refused:
            await link.request(offer, Accepted)
        return refused.value.code

    assert tell(story) == "invalid-cid"
