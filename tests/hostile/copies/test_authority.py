"""A policy lies with every holder: it must be good for nothing but what its owner wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import pytest
from msgspec.structs import replace as change

from dhtstore.content.dag.units import Lineage
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.node.copies.open_offers import OpenOffers
from dhtstore.node.links.link import Link
from dhtstore.params import GIB
from dhtstore.replication.promises import Promise
from dhtstore.wire.frames import Offer
from tests.bids import Bid, declined, have_accepted, have_held
from tests.hostile.copies.bad_units import bid_for, file_of, keep
from tests.unit.node.copies_world import ScriptedHolder, add_holder, bid_of, identity_of
from tests.unit.node.data_plane import Peer, World, play

CONTENT = b"what Alice wants to keep" * 1000
JUNK = b"what a thief wants to keep" * 1000


@dataclass(slots=True)
class Cast:
    """Alice, a thief who knows her policy and her unit, and a holder that both are linked to."""

    world: World
    alice: Peer
    thief: Peer
    holder: ScriptedHolder
    bid: Bid

    @property
    def machine(self) -> Peer:
        return next(p for p in self.world.peers if p.key == self.holder.identity.public_key)

    async def link(self, peer: Peer) -> Link:
        return await peer.links.to(self.machine.key, [self.machine.address], 5.0)

    def check_nothing_kept(self) -> None:
        assert self.machine.store.count() == self.machine.store.used_bytes == 0
        assert self.holder.ledger.claims.count_kept(0) == 0


Scene = Callable[[Cast], object]


def stage(scene: Callable[[Cast], object]) -> None:
    async def whole(world: World) -> None:
        alice, thief = await world.peer("alice"), await world.peer("thief")
        holder = await add_holder(world, "holder")
        root = alice.hold(CONTENT)
        thief.hold(CONTENT)
        await scene(Cast(world, alice, thief, holder, bid_of(alice, root)))  # type: ignore[misc]

    play(whole)


def test_a_policy_that_was_read_somewhere_stores_nothing() -> None:
    async def scene(cast: Cast) -> None:
        link = await cast.link(cast.thief)
        own_word = replace(cast.bid, identity=identity_of(cast.thief)).offer(link)
        alices = change(own_word, owner=identity_of(cast.alice).owner)
        assert await declined(link, alices) == "invalid-signature"
        cast.check_nothing_kept()

    stage(scene)


def test_a_word_is_good_only_on_the_link_it_was_said_on() -> None:
    async def scene(cast: Cast) -> None:
        hers, his = await cast.link(cast.alice), await cast.link(cast.thief)
        said = cast.bid.offer(hers)
        assert await declined(his, said) == "invalid-signature"
        await hers.close()
        assert await declined(await cast.link(cast.alice), said) == "invalid-signature"
        cast.check_nothing_kept()

    stage(scene)


def test_a_word_is_good_only_for_the_holder_it_was_said_to() -> None:
    async def scene(cast: Cast) -> None:
        other = await add_holder(cast.world, "other")
        machine = cast.world.peers[-1]
        said = cast.bid.offer(await cast.link(cast.alice))
        link = await cast.alice.links.to(machine.key, [machine.address], 5.0)
        assert await declined(link, said) == "invalid-signature"
        assert other.offers.promises == []

    stage(scene)


@pytest.mark.parametrize(
    "lie",
    [
        lambda offer: change(offer, stored=offer.stored + 1),
        lambda offer: change(offer, blocks=offer.blocks + 1),
        lambda offer: change(offer, key=b"another unit's key 0"),
        lambda offer: change(offer, word=bytes(64)),
    ],
)
def test_a_word_is_good_only_for_what_it_says(lie: Callable[[Offer], Offer]) -> None:
    async def scene(cast: Cast) -> None:
        link = await cast.link(cast.alice)
        assert await declined(link, lie(cast.bid.offer(link))) == "invalid-signature"

    stage(scene)


def test_what_is_fetched_is_what_the_word_was_for() -> None:
    async def scene(cast: Cast) -> None:
        link = await cast.link(cast.alice)
        junk = bid_of(cast.alice, cast.alice.hold(JUNK))
        thiefs = bid_of(cast.thief, cast.bid.unit.roots[0])
        for wrong in (
            junk,  # another unit
            replace(cast.bid, policy=thiefs.policy),  # the same one, for another owner
            replace(cast.bid, policy=junk.policy),  # her policy for another root
        ):
            accepted = await have_accepted(link, cast.bid)
            assert await declined(link, wrong.replicate(accepted)) in ("unit", "path")
        cast.check_nothing_kept()

    stage(scene)


def large_file(peer: Peer) -> tuple[Block, Block]:
    """The spine of a file of 4 GiB, and one part of it that is really there."""
    part = Block.of(b"part of a large file" * 9)
    others = [(Cid.of(b"%d" % number, DAG_PB), GIB) for number in range(3)]
    spine = file_of([(part.cid, len(part.data)), *others])
    keep(peer, spine, part)
    return spine, part


def bid_for_part(peer: Peer, root: Block, spine: Block, part: Block) -> Bid:
    unit = Unit.of((part.cid,), len(part.data))
    own = bid_for(peer, part, len(part.data), [])
    policy = bid_for(peer, root, 0, []).policy
    return replace(own, lineage=Lineage(unit, (spine.cid,)), policy=policy)


def test_a_unit_is_held_for_a_root_that_it_is_proved_to_belong_to() -> None:
    async def scene(cast: Cast) -> None:
        spine, part = large_file(cast.alice)
        bid = bid_for_part(cast.alice, spine, spine, part)
        await have_held(await cast.link(cast.alice), bid)
        [claim] = cast.holder.ledger.claims.for_unit(bid.unit.name)
        assert claim.policy.root == spine.cid.raw
        assert not cast.machine.store.has(spine.cid), "what only proves takes no room"

    stage(scene)


def test_a_unit_of_another_root_is_not_held() -> None:
    """Alice's key signs for one root; nothing else may be stored by that."""

    async def scene(cast: Cast) -> None:
        link = await cast.link(cast.alice)
        spine, _ = large_file(cast.alice)
        junk = Block.of(JUNK)
        other = file_of([(junk.cid, len(JUNK)), (Cid.of(b"more", DAG_PB), 2 * GIB)])
        keep(cast.alice, other, junk)
        right = bid_for_part(cast.alice, spine, spine, junk)
        for path in ((), (spine.cid,), (other.cid,), (spine.cid, other.cid)):
            wrong = replace(right, lineage=Lineage(right.unit, path))
            accepted = await have_accepted(link, wrong)
            refused = await declined(link, wrong.replicate(accepted))
            assert refused == ("malformed-dag" if path else "path")
        cast.check_nothing_kept()

    stage(scene)


@pytest.mark.parametrize(
    ("size_bytes", "spine"), [(0, True), (1, False), (len(CONTENT) + 1, False)]
)
def test_a_root_is_held_as_the_unit_that_it_is(size_bytes: int, spine: bool) -> None:
    async def scene(cast: Cast) -> None:
        [root] = cast.bid.unit.roots
        unit = Unit.head(root) if spine else Unit.of((root,), size_bytes)
        wrong = replace(cast.bid, lineage=Lineage(unit, ()))
        link = await cast.link(cast.alice)
        accepted = await have_accepted(link, wrong)
        assert await declined(link, wrong.replicate(accepted)) == "malformed-dag"
        cast.check_nothing_kept()

    stage(scene)


def test_who_refuses_an_offer_learns_neither_what_it_is_nor_for_which_root() -> None:
    async def scene(cast: Cast) -> None:
        heard: list[bytes] = []

        async def refusing(link: Link, offer: Offer, reply: object) -> None:
            heard.append(msgspec.msgpack.encode(offer))
            await type(cast.holder).on_offer(cast.holder, link, offer, reply)  # type: ignore[arg-type]

        cast.machine.handlers[Offer] = refusing
        cast.holder.refuses = "no room today"
        link = await cast.link(cast.alice)
        assert await declined(link, cast.bid.offer(link)) == "room"
        [told] = heard
        secrets = [
            cast.bid.unit.name,
            cast.bid.policy.packed,
            *(r.raw for r in cast.bid.unit.roots),
        ]
        assert not any(secret in told for secret in secrets)

    stage(scene)


def test_an_offer_without_its_owners_word_makes_nobody_give_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(cast: Cast) -> None:
        asked: list[Promise] = []
        monkeypatch.setattr(OpenOffers, "make_way", lambda offers, promise: asked.append(promise))
        link = await cast.link(cast.alice)
        forged = change(cast.bid.offer(link), word=bytes(64))
        assert await declined(link, forged) == "invalid-signature"
        assert asked == []

    stage(scene)
