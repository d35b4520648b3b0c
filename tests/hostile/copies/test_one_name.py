"""A claim is charged for what it is upon: no two kinds of unit bear one name."""

from __future__ import annotations

import pytest

from dhtstore.content.codec.unixfs import read_node
from dhtstore.content.dag.local import Leaves, walk_local
from dhtstore.content.dag.units import Lineage, Place, cut_node
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import GIB, KIB, MIB
from dhtstore.replication.admission import Accept
from tests.bids import Bid, declined, have_accepted, have_held, sign_policy
from tests.hostile.copies.bad_units import bid_for, directory_of, keep
from tests.unit.node.copies_world import add_holder, identity_of, rule_of
from tests.unit.node.data_plane import Peer, World, play


def both_kinds(peer: Peer, content: bytes) -> list[Bid]:
    """One file that a directory links to twice, once as if it were larger than a unit may be."""
    file = peer.hold(content)
    top = directory_of(
        [("a", file, len(content)), ("b", file, 2 * GIB), ("c", Cid.of(b"no", DAG_PB), 17 * 2**40)]
    )
    keep(peer, top)
    node = read_node(top.cid, bytes(top.data))
    identity, policy = identity_of(peer), sign_policy(identity_of(peer), top.cid)
    bids = []
    for place in cut_node(node, Place.of_root(top.cid))[:2]:
        walk = walk_local(peer.store, place.unit, Leaves.PRESENT)
        lineage = Lineage(place.unit, (top.cid,))
        bids.append(Bid(identity, lineage, policy, walk.stored_bytes, walk.blocks))
    return bids


def test_a_subtree_and_a_spine_below_one_root_are_charged_each() -> None:
    async def scene(world: World) -> None:
        stranger, holder = await world.peer("stranger"), await add_holder(world, "holder")
        machine = world.peers[-1]
        holder.rule = rule_of(machine, Accept.ANYONE, quota_bytes=GIB)
        link = await stranger.links.to(machine.key, [machine.address], 5.0)
        bids = both_kinds(stranger, b"content" * MIB)
        assert [bid.unit.spine for bid in bids] == [False, True]
        assert bids[0].unit.roots == bids[1].unit.roots
        assert bids[0].unit.name != bids[1].unit.name
        for bid in bids:
            await have_held(link, bid)
        usage = holder.ledger.claims.usage(bids[0].policy.owner, "10.0.0.0/24", 0.0)
        assert usage.owner_bytes >= machine.store.used_bytes - 8 * KIB
        assert holder.ledger.claims.count_kept(0) == 2

    play(scene)


@pytest.mark.parametrize("claim_bytes", [GIB + 1, 2 * GIB])
def test_what_says_that_it_is_more_than_a_unit_is_no_subtree_in_one(claim_bytes: int) -> None:
    """It would bear the name of the head of its own spine."""

    async def scene(world: World) -> None:
        stranger, holder = await world.peer("stranger"), await add_holder(world, "holder")
        machine = world.peers[-1]
        link = await stranger.links.to(machine.key, [machine.address], 5.0)
        leaf = Block.of(b"a few bytes")
        inner = directory_of([("leaf", leaf.cid, claim_bytes)])
        outer = directory_of([("inner", inner.cid, 100), ("other", leaf.cid, 2 * GIB)])
        keep(stranger, leaf, inner, outer)
        bid = bid_for(stranger, inner, 100, [leaf])
        policy = sign_policy(identity_of(stranger), outer.cid)
        lineage = Lineage(Unit.of((inner.cid,), 100), (outer.cid,))
        wrong = Bid(bid.identity, lineage, policy, bid.stored, bid.blocks)
        accepted = await have_accepted(link, wrong)
        assert await declined(link, wrong.replicate(accepted)) == "malformed-dag"
        assert machine.store.used_bytes == 0
        assert holder.ledger.claims.count_kept(0) == 0

    play(scene)
