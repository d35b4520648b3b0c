"""A grant lies with every holder, as a policy does: it must be good for one unit, of one size,
of one root, and only while its owner wants copies of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec.structs import replace as change

from dhtstore.errors import PeerRefused
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Grant, Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.copies.granting.offering import offer_under
from dhtstore.replication.admission import Accept
from dhtstore.wire.frames import Accepted, Held, Offer
from tests.bids import Bid, declined, sign_policy
from tests.hostile.copies.test_authority import JUNK, Cast, stage
from tests.unit.node.copies_world import bid_of, identity_of, rule_of


async def reserved(cast: Cast, grant: Grant) -> int:
    """What the thief is given for a grant."""
    link = await cast.link(cast.thief)
    return (await link.request(offer_under(grant), Accepted)).reservation


async def brought(cast: Cast, bid: Bid) -> str:
    """The code with which the holder declines what the thief brings, "" if it keeps it."""
    accepted = await reserved(cast, cast.bid.granted)
    return await declined(await cast.link(cast.thief), bid.replicate(accepted))


def test_whoever_has_a_grant_may_bring_its_unit_and_it_is_kept_beside_the_claim() -> None:
    async def scene(cast: Cast) -> None:
        told: list[Unit] = []
        cast.holder.granted = told.append
        grant = cast.bid.granted
        assert await brought(cast, replace(cast.bid, grant=grant)) == ""
        [claim] = cast.holder.ledger.claims.for_unit(cast.bid.unit.name)
        assert claim.grant == grant
        assert claim.policy == cast.bid.policy
        assert told == [cast.bid.unit]

    stage(scene)


def test_what_its_owner_wants_no_more_copies_of_is_not_fetched() -> None:
    async def scene(cast: Cast) -> None:
        asked: list[tuple[Unit, Policy, str]] = []

        async def enough(
            unit: Unit, policy: Policy, origin: str, goes: PublicKey | None, *, kept: bool = False
        ) -> int:
            asked.append((unit, policy, origin))
            raise PeerRefused("enough", "others hold as many")

        cast.holder.wanted = enough
        link = await cast.link(cast.thief)
        granted = replace(cast.bid, grant=cast.bid.granted)
        assert await brought(cast, granted) == "enough"
        assert [each[:2] for each in asked] == [(cast.bid.unit, cast.bid.policy)]
        assert link.sent_bytes == 0
        cast.check_nothing_kept()
        alices = await cast.link(cast.alice)
        accepted = await alices.request(cast.bid.offer(alices), Accepted)
        await alices.request(cast.bid.replicate(accepted.reservation), Held)
        assert len(asked) == 1, "what its owner's own node brings is as she wants it"

    stage(scene)


@pytest.mark.parametrize(
    "lie",
    [
        lambda offer, grant: change(offer, stored=offer.stored + 1),
        lambda offer, grant: change(offer, blocks=offer.blocks + 1),
        lambda offer, grant: change(offer, key=b"another unit's key 0"),
        lambda offer, grant: change(offer, owner=bytes(32)),
        lambda offer, grant: change(offer, grant=attach(grant, bytes(64)).packed),
        lambda offer, grant: change(
            offer,
            stored=2 * grant.stored,
            grant=attach(change(grant, stored=2 * grant.stored), grant.signature).packed,
        ),
    ],
)
def test_an_offer_says_what_its_grant_says(lie: Callable[[Offer, Grant], Offer]) -> None:
    async def scene(cast: Cast) -> None:
        link, grant = await cast.link(cast.thief), cast.bid.granted
        assert await declined(link, lie(offer_under(grant), grant)) == "invalid-signature"
        assert cast.holder.offers.promises == []

    stage(scene)


def test_a_thiefs_own_grant_is_for_himself_only() -> None:
    """He is charged for what he signs, as for any offer of his."""

    async def scene(cast: Cast) -> None:
        thiefs = replace(cast.bid, identity=identity_of(cast.thief)).granted
        cast.holder.rule = replace(rule_of(cast.alice), accept=Accept.MINE)
        link = await cast.link(cast.thief)
        assert await declined(link, offer_under(thiefs)) == "owner"
        forged = change(offer_under(thiefs), owner=identity_of(cast.alice).owner)
        assert await declined(link, forged) == "invalid-signature"

    stage(scene)


def test_what_is_fetched_is_what_the_grant_was_for() -> None:
    async def scene(cast: Cast) -> None:
        right = replace(cast.bid, grant=cast.bid.granted)
        junk = bid_of(cast.alice, cast.alice.hold(JUNK))
        cast.thief.hold(JUNK)
        unsigned = attach(cast.bid.granted, bytes(64))
        other_root = change(cast.bid.granted, root=junk.policy.root)
        lies = {
            "unit": replace(junk, grant=junk.granted),
            "path": replace(right, policy=junk.policy),
            "grant": cast.bid,  # without it
            "invalid-signature": replace(right, grant=unsigned),
        }
        for code, lie in lies.items():
            assert await brought(cast, lie) == code
        for grant in (
            identity_of(cast.alice).sign_as_owner(other_root),
            replace(cast.bid, stored=cast.bid.stored + 1).granted,
            replace(cast.bid, blocks=2).granted,
            replace(cast.bid, identity=identity_of(cast.thief)).granted,
        ):
            assert await brought(cast, replace(right, grant=grant)) == "grant"
        cast.check_nothing_kept()

    stage(scene)


@pytest.mark.parametrize("policy", [{"removed": True}, {"expires": 1}, {"replicas": 0}])
def test_a_grant_outlives_no_policy(policy: dict[str, int]) -> None:
    async def scene(cast: Cast) -> None:
        root = cast.bid.lineage.unit.roots[0]
        over = sign_policy(identity_of(cast.alice), root, sequence=2, **policy)
        granted = replace(cast.bid, grant=cast.bid.granted)
        assert await brought(cast, replace(granted, policy=over)) == "policy"
        cast.check_nothing_kept()

    stage(scene)


@pytest.mark.parametrize("sequence", [1, 2])
def test_what_its_owner_removed_comes_back_by_no_grant_and_older_policy(sequence: int) -> None:
    """Also where the removal has the sequence of what it removes."""

    async def scene(cast: Cast) -> None:
        granted, claims = replace(cast.bid, grant=cast.bid.granted), cast.holder.ledger.claims
        assert await brought(cast, granted) == ""
        root = cast.bid.lineage.unit.roots[0]
        alice = identity_of(cast.alice)
        assert claims.update(sign_policy(alice, root, sequence=sequence, removed=True))
        [claim] = claims.lapsed(0)
        claims.end(claim)
        assert await brought(cast, granted) == "policy"

    stage(scene)


def test_who_brings_what_this_nodes_owner_put_has_no_rights_of_hers() -> None:
    async def scene(cast: Cast) -> None:
        cast.holder.rule = replace(rule_of(cast.alice), accept=Accept.MINE)
        await reserved(cast, cast.bid.granted)
        [promise] = cast.holder.offers.promises
        assert promise.granted
        assert not promise.own

    stage(scene)
