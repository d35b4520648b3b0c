"""What holders refuse, what they promise, and what is believed of what they say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec.structs import replace as change

from dhtstore.content.dag.units import Lineage
from dhtstore.errors import QuorumNotReached
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import attach, unpack
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import acknowledge
from dhtstore.node.copies.hold import Holder
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.node import Node
from dhtstore.params import (
    GIB,
    KIB,
    MIB,
    OFFERS_PER_PEER_MAX,
    RESERVATION_TTL_S,
    STORED_BLOCK_BYTES,
)
from dhtstore.replication.admission import Accept
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.wire.frames import Accepted, Held, Release, Released, Replicate
from simulations.events.users import put_bytes
from tests.bids import Bid, bid_for_block, bids_of, declined
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    UnevenBlocking,
    address_of,
    check_receipts,
    providers_seen,
    put_with,
    small,
    tell,
    ticket_of,
    units_of,
)

CONTENT = random.Random(3).randbytes(5 * MIB // 2)


# --- refusals -------------------------------------------------------------------------------


def test_a_full_holder_is_passed_over() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        full = [await lab.add(small(MIB), store=MemoryBlockStore(MIB)) for _ in range(4)]
        result = await put_bytes(lab.nodes[0], CONTENT, replicas=4)
        check_receipts(lab, result, copies=4)
        names = {format_node(node.node_id) for node in full}
        assert set(result.causes) <= names
        assert all("share of" in why for why in result.causes.values())
        with pytest.raises(QuorumNotReached, match="had no share left for it") as caught:
            await put_with(lab.nodes[0], CONTENT + b"x", replicas=8, min_acks=5)
        shares = [
            "share of owners that are new here" in why for why in caught.value.causes.values()
        ]
        assert shares == [True] * 4
        assert "or a larger capacity" in caught.value.hint

    tell(story)


@pytest.mark.parametrize(
    ("settings", "taken", "why"),
    [
        ({"accept": Accept.MINE}, False, "only its own owner's data"),
        ({"accept": Accept.OWNERS}, False, "not on this node's list"),
        ({"accept": Accept.OWNERS, "owners": None}, True, ""),
        ({"accept": Accept.NETWORK, "owner_quota_bytes": 0}, True, ""),
        ({"accept": Accept.ANYONE, "owner_quota_bytes": 1000}, False, "quota of 1.0 kB"),
        ({"accept": Accept.ANYONE, "owner_quota_bytes": 3 * MIB}, True, ""),
    ],
)
def test_who_may_use_a_disk(settings: dict[str, object], taken: bool, why: str) -> None:
    async def story(lab: Lab) -> None:
        node = await lab.add()
        if "owners" in settings:
            settings["owners"] = frozenset([node.ports.crypto.owner.public_key])
        holder = await lab.add(replace(STORAGE, **settings))  # type: ignore[arg-type]
        result = await put_with(node, CONTENT, min_acks=1)
        assert result.copies == 1 + taken
        assert [format_node(holder.node_id)] * (not taken) == list(result.causes)
        assert all(why in cause for cause in result.causes.values())

    tell(story)


async def link_between(node: Node, other: Node) -> Link:
    return await node.links.to(other.public_key, [address_of(other)], 5.0)


def forge(kind: type[Any], packed: bytes, **fields: Any) -> bytes:
    """The same with other fields, and the signature it had."""
    signed = unpack(kind, packed)
    forged: bytes = attach(change(signed, **fields), signed.signature).packed
    return forged


def bid_of(node: Node, data: bytes, stored: int = 0, **policy: Any) -> Bid:
    """For one raw block, whether or not ``node`` has it; ``stored`` is more than it takes."""
    bid = bid_for_block(node.identity, data, **policy)
    return replace(bid, stored=stored, blocks=1 + stored // MIB) if stored else bid


async def replicated(link: Link, bid: Bid) -> str:
    """The code with which a unit is declined whose offer was accepted, "" if it is not."""
    accepted = await link.request(bid.offer(link), Accepted)
    return await declined(link, bid.replicate(accepted.reservation))


def test_offers_are_refused_with_a_code() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        client = await lab.add(CLIENT)
        link = await link_between(uploader, holder)
        good = bid_of(uploader, b"data")
        forged = forge(Policy, good.policy.packed, replicas=64)
        stranger = forge(Policy, good.policy.packed, owner=holder.ports.crypto.owner.public_key)
        for code, bid in (
            ("invalid-signature", replace(good, policy=unpack(Policy, forged))),
            ("unit", replace(good, policy=unpack(Policy, stranger))),
            ("policy", bid_of(uploader, b"data", replicas=65)),
            ("policy", bid_of(uploader, b"data", removed=True)),
            ("policy", bid_of(uploader, b"data", expires=9)),
        ):
            assert await replicated(link, bid) == code
        wrong = good.replicate((await link.request(good.offer(link), Accepted)).reservation)
        assert await declined(link, change(wrong, roots=(b"\x01\x55\x12\x04",))) == "invalid-cid"
        too_large = bid_of(uploader, b"data", stored=9 * GIB)
        assert await declined(link, too_large.offer(link)) == "size"
        to_client = await link_between(uploader, client)
        assert await declined(to_client, good.offer(to_client)) == "client"
        assert holder.ports.store.used_bytes == 0
        assert await declined(link, good.offer(link)) == ""

    tell(story)


def test_open_offers_are_bounded_and_expire_with_what_they_reserved() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        link = await link_between(uploader, holder)
        codes = [
            await declined(link, bid_of(uploader, b"%d" % number, MIB).offer(link))
            for number in range(OFFERS_PER_PEER_MAX + 2)
        ]
        assert codes == [""] * OFFERS_PER_PEER_MAX + ["busy"] * 2
        assert holder.ports.store.used_bytes > OFFERS_PER_PEER_MAX * MIB
        await asyncio.sleep(RESERVATION_TTL_S + 1)
        assert holder.ports.store.used_bytes == 0
        link = await link_between(uploader, holder)
        again = bid_of(uploader, b"again", MIB)
        assert await declined(link, again.replicate(1)) == "reservation"
        assert await declined(link, again.offer(link)) == ""

    tell(story)


def test_offers_that_come_together_count_each_other() -> None:
    async def story(lab: Lab) -> None:
        uploader = await lab.add()
        holder = await lab.add(
            replace(STORAGE, owner_quota_bytes=3 * MIB + 100 * KIB), blocking=UnevenBlocking()
        )
        link = await link_between(uploader, holder)
        offers = [bid_of(uploader, b"%d" % number, MIB).offer(link) for number in range(20)]
        codes = await asyncio.gather(*(declined(link, offer) for offer in offers))
        assert codes == [""] * 3 + ["quota"] * 17
        small = [bid_of(uploader, b"small %d" % number).offer(link) for number in range(20)]
        codes = await asyncio.gather(*(declined(link, offer) for offer in small))
        assert codes == [""] * (OFFERS_PER_PEER_MAX - 3) + ["busy"] * (20 - OFFERS_PER_PEER_MAX + 3)

    tell(story)


def test_a_reservation_serves_its_peer_and_once() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        uploader, holder, thief = lab.nodes
        result = await put_with(uploader, b"one block", replicas=1)
        link = await link_between(uploader, holder)
        bid = bid_of(uploader, b"one block")
        accepted = await link.request(bid.offer(link), Accepted)
        used = bid.replicate(accepted.reservation)
        assert await declined(await link_between(thief, holder), used) == "reservation"
        held = await link.request(used, Held)
        assert unpack(Receipt, held.receipt).root == result.cid.raw
        assert await declined(link, used) == "reservation"
        never = bid_of(uploader, b"never sent")
        given = await link.request(never.offer(link), Accepted)
        await link.request(Release(reservation=given.reservation), Released)
        await link.request(Release(reservation=given.reservation), Released)
        assert await declined(link, never.replicate(given.reservation)) == "reservation"
        assert holder.ports.store.used_bytes == len(b"one block") + STORED_BLOCK_BYTES

    tell(story)


def test_an_owners_open_offers_count_towards_its_quota() -> None:
    async def story(lab: Lab) -> None:
        uploader = await lab.add()
        holder = await lab.add(replace(STORAGE, owner_quota_bytes=3 * MIB + 100 * KIB))
        link = await link_between(uploader, holder)
        codes = [
            await declined(link, bid_of(uploader, b"%d" % number, MIB).offer(link))
            for number in range(4)
        ]
        assert codes == ["", "", "", "quota"]
        again = bid_of(uploader, b"0", MIB).offer(link)
        assert await declined(link, again) == "", "the same unit"

    tell(story)


def test_what_the_uploader_does_not_have_is_not_held() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        link = await link_between(uploader, holder)
        assert await replicated(link, bid_of(uploader, b"nobody has this")) == "not-found"
        assert holder.ledger.claims.count_kept(0) == 0
        assert holder.ports.store.used_bytes == 0

    tell(story)


def test_blocks_that_are_wrong_are_not_held() -> None:
    async def story(lab: Lab) -> None:
        store = FaultyBlockStore(MemoryBlockStore())
        uploader = await lab.add(store=store)
        holder = await lab.add(small(MIB, accept=Accept.MINE))
        result = await put_with(uploader, CONTENT, min_acks=1)
        store.rot(Cid.of(CONTENT[:MIB]))
        other = await lab.add()
        [bid] = bids_of(uploader.identity, uploader.ports.store, result.cid)
        link = await link_between(uploader, other)
        assert await replicated(link, bid) == "integrity-failure"
        assert holder.ledger.claims.count_kept(0) == other.ledger.claims.count_kept(0) == 0

    tell(story)


# --- what an offer costs whoever makes it ------------------------------------------------------


def test_offers_end_with_the_link_they_came_by() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        link = await link_between(uploader, holder)
        for number in range(OFFERS_PER_PEER_MAX):
            assert await declined(link, bid_of(uploader, b"%d" % number, MIB).offer(link)) == ""
        assert holder.ports.store.used_bytes > OFFERS_PER_PEER_MAX * MIB
        await link.close()
        await asyncio.sleep(1)
        assert holder.ports.store.used_bytes == 0

    tell(story)


def test_strangers_cannot_reserve_the_room_that_the_owners_puts_need() -> None:
    async def story(lab: Lab) -> None:
        holder = await lab.add(
            small(64 * MIB, owner_quota_bytes=GIB), store=MemoryBlockStore(64 * MIB)
        )
        codes = []
        for number in range(10):
            stranger = await lab.add(CLIENT)
            link = await link_between(stranger, holder)
            bid = bid_of(stranger, b"%d" % number, 5 * MIB)
            codes.append(await declined(link, bid.offer(link)))
        assert codes == [""] * 6 + ["newcomer"] * 4
        assert (await put_with(holder, bytes(28 * MIB) + b"x", replicas=1)).copies == 1

    tell(story)


def test_a_root_that_carries_its_content_in_its_name_needs_no_holder() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        root = (await put_with(uploader, b"twice in one directory", replicas=1)).cid
        link = await link_between(uploader, holder)
        inlined = Cid(bytes([1, 0x55, 0, 5]) + b"hello")
        [bid] = bids_of(uploader.identity, uploader.ports.store, root)
        wrong = replace(bid, lineage=Lineage(Unit.of((root, inlined), 27), ()))
        assert await replicated(link, wrong) == "roots"

    tell(story)


# --- lying holders --------------------------------------------------------------------------


Lie = Callable[[Identity, Held], Held]


@dataclass(slots=True)
class LyingHolder(Holder):
    """Takes every offer and answers with what ``lie`` makes of a receipt in order."""

    lie: Lie = lambda identity, held: held

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        async with self.offers.receiving(link, message.reservation):
            unit = Unit.of(tuple(Cid(raw) for raw in message.roots), message.size)
            policy = unpack(Policy, message.policy)
            claim = Claim(unit.name, message.roots, unit.spine, 1, 1, policy)
            copy = await acknowledge(self.identity, self.disk, self.ledger, claim)
            held = Held(receipt=copy.receipt.packed, provider=copy.provider.packed)
            await reply(self.lie(self.identity, held))


def resigned(liar: Identity, held: Held, /, **fields: Any) -> Held:
    receipt = change(unpack(Receipt, held.receipt), **fields)
    return change(held, receipt=liar.sign(receipt).packed)


LIES: dict[str, Lie] = {  # each kind: tests/unit/node/test_acknowledge.py
    "another unit": lambda liar, held: resigned(liar, held, unit=b"u" * 36),
    "no signature": lambda liar, held: change(held, receipt=forge(Receipt, held.receipt, size=5)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_receipt_for_something_else_does_not_count(lie: Lie) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        liar = lab.build()
        parts = (liar.identity, liar.disk, liar.ledger, liar.ports.clock, liar.ports.tracer)
        holder = LyingHolder(*parts, liar.holder.rule, lie=lie)
        liar.links._handlers = {**liar.links._handlers, **holder.handlers()}
        await liar.start()
        await liar.join([ticket_of(lab.nodes[0])])
        result = await put_bytes(lab.nodes[0], CONTENT)
        assert result.copies == 2
        check_receipts(lab, result, copies=2)
        [(name, why)] = result.causes.items()
        assert name == format_node(liar.node_id)
        assert "receipt for something else" in why or "does not match" in why
        assert len(lab.nodes[0].ledger.receipts.for_root(result.cid)) == 2
        [unit] = units_of(lab.nodes[0], result)
        assert liar.public_key not in await providers_seen(lab.nodes[1], unit)

    tell(story)
