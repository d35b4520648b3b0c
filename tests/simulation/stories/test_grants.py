"""Units that holders bring to others under their owner's grant: as many as she wants, no more."""

from __future__ import annotations

import asyncio
import random

import pytest

from dhtstore.errors import PeerRefused
from dhtstore.model.policy import Claim
from dhtstore.node.checking.others import OtherHolders
from dhtstore.node.copies.granting.offering import offer_under
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.params import GRANT_LOOK_S, MIB
from dhtstore.wire.frames import Accepted, Replicate
from tests.bids import declined, sign_policy
from tests.simulation.harness import Lab, address_of, providers_seen, put_with, tell

CONTENT = random.Random(3).randbytes(2 * MIB + 1)


def claim_at(node: Node, result: PutOutcome) -> Claim | None:
    unit = result.receipts[0].unit
    return next(node.ledger.claims.for_unit(unit), None)


async def brought(giver: Node, taker: Node, claim: Claim) -> str:
    """The code with which ``taker`` declines the unit, "" if it keeps it."""
    assert claim.grant is not None
    link = await giver.links.to(taker.public_key, [address_of(taker)], 5.0)
    accepted = await link.request(offer_under(claim.grant), Accepted)
    wanted = Replicate(
        reservation=accepted.reservation,
        roots=claim.unit_roots,
        spine=claim.spine,
        size=claim.size_bytes,
        policy=claim.policy.packed,
        grant=claim.grant.packed,
    )
    link.granted += 1
    return await declined(link, wanted)


async def put_thrice(lab: Lab) -> tuple[PutOutcome, list[Node], list[Node]]:
    """What its owner's node put, the other holders of it, and those that hold nothing."""
    await lab.grow(6)
    result = await put_with(lab.nodes[0], CONTENT, replicas=3)
    holders = [node for node in lab.nodes[1:] if claim_at(node, result)]
    others = [node for node in lab.nodes[1:] if not claim_at(node, result)]
    assert (len(holders), len(others)) == (2, 3)
    return result, holders, others


def test_a_copy_more_than_its_owner_wants_is_not_taken_and_one_that_is_missing_is() -> None:
    async def story(lab: Lab) -> None:
        result, [giver, _], [first, second, _] = await put_thrice(lab)
        claim = claim_at(giver, result)
        assert claim is not None
        assert await brought(giver, first, claim) == "enough"
        assert claim_at(first, result) is None
        assert first.ports.store.used_bytes == 0
        lab.crash(lab.nodes[0])
        assert await brought(giver, first, claim) == ""
        kept = claim_at(first, result)
        assert kept is not None
        assert (kept.grant, kept.policy) == (claim.grant, claim.policy)
        await asyncio.sleep(60)  # it says by itself that it holds it
        assert first.public_key in await providers_seen(giver, unit_of_claim(claim))
        assert await brought(giver, second, claim) == "enough", "however often it is brought"
        assert await brought(first, second, kept) == "enough"

    tell(story)


def test_a_holder_that_only_says_so_does_not_count() -> None:
    """Its provider records are right, its blocks are gone."""

    async def story(lab: Lab) -> None:
        result, [giver, liar], [taker, *_] = await put_thrice(lab)
        claim = claim_at(giver, result)
        assert claim is not None
        liar.ports.store.delete([*liar.ports.store.cids()])
        assert await brought(giver, taker, claim) == ""

    tell(story)


def test_who_can_ask_nobody_takes_nothing_by_a_grant() -> None:
    async def story(lab: Lab) -> None:
        result, [giver, other], [taker, *_] = await put_thrice(lab)
        claim = claim_at(giver, result)
        assert claim is not None
        for node in (lab.nodes[0], giver, other):
            lab.crash(node)
        wanted, began_s = OtherHolders(taker.checker, taker.policies.book.newest), lab.loop.time()
        with pytest.raises(PeerRefused, match="too long") as refused:
            await wanted.check(unit_of_claim(claim), claim.policy, "")
        assert refused.value.code == "busy"
        assert lab.loop.time() - began_s <= GRANT_LOOK_S + 1

    tell(story)


def test_what_its_owner_ended_is_not_taken_by_a_policy_of_before() -> None:
    """The taker has never heard of it; the network has."""

    async def story(lab: Lab) -> None:
        result, [giver, _], [taker, *_] = await put_thrice(lab)
        claim, putter = claim_at(giver, result), lab.nodes[0]
        assert claim is not None
        removal = sign_policy(putter.identity, result.cid, sequence=2**60, removed=True)
        await putter.policies.renewal.renew(removal)
        lab.crash(putter)
        assert await brought(giver, taker, claim) == "policy"

    tell(story)
