"""What holders refuse, what they promise, and what is believed of what they say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec.structs import replace as change

from dhtstore.errors import PeerRefused, QuorumNotReached
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import attach, unpack
from dhtstore.node.copies.acknowledge import acknowledge
from dhtstore.node.copies.hold import Holder, Offered
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
from dhtstore.wire.frames import Accepted, Held, Offer, Release, Released, Replicate
from simulations.events.users import put_bytes
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    UnevenBlocking,
    address_of,
    check_receipts,
    policy_of,
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
        with pytest.raises(QuorumNotReached, match="share of owners that are new here"):
            await put_with(lab.nodes[0], CONTENT + b"x", replicas=8, min_acks=5)

    tell(story)


@pytest.mark.parametrize(
    ("settings", "taken", "why"),
    [
        ({"accept": Accept.MINE}, False, "only its own owner's data"),
        ({"accept": Accept.OWNERS}, False, "not on this node's list"),
        ({"accept": Accept.OWNERS, "owners": None}, True, ""),
        ({"accept": Accept.NETWORK, "owner_quota_bytes": 0}, True, ""),
        ({"accept": Accept.ANYONE, "owner_quota_bytes": 1000}, False, "quota of 1000 bytes"),
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


async def declined(link: Link, request: Offer | Replicate) -> str:
    """The code a holder refuses with, "" if it does not."""
    expected = Accepted if isinstance(request, Offer) else Held
    try:
        await link.request(request, expected)
    except PeerRefused as error:
        return error.code
    return ""


def forge(kind: type[Any], packed: bytes, **fields: Any) -> bytes:
    """The same with other fields, and the signature it had."""
    signed = unpack(kind, packed)
    forged: bytes = attach(change(signed, **fields), signed.signature).packed
    return forged


def offer_of(node: Node, data: bytes, size: int | None = None, **policy: Any) -> Offer:
    """An offer of one raw block, whether or not ``node`` has it."""
    cid = Cid.of(data)
    wanted = len(data) if size is None else size
    return Offer(
        roots=(cid.raw,), spine=False, size=wanted, policy=policy_of(node, cid, **policy).packed
    )


def test_offers_are_refused_with_a_code() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        client = await lab.add(CLIENT)
        link = await link_between(uploader, holder)
        good = offer_of(uploader, b"data")
        forged = change(good, policy=forge(Policy, good.policy, replicas=64))
        stranger = forge(Policy, good.policy, owner=holder.ports.crypto.owner.public_key)
        assert await declined(link, forged) == "invalid-signature"
        assert await declined(link, change(good, policy=stranger)) == "invalid-signature"
        assert await declined(link, change(good, roots=(b"\x01\x55\x12\x04",))) == "invalid-cid"
        assert await declined(link, offer_of(uploader, b"data", size=GIB * 9)) == "size"
        assert await declined(link, offer_of(uploader, b"data", replicas=65)) == "policy"
        assert await declined(link, offer_of(uploader, b"data", removed=True)) == "policy"
        assert await declined(link, offer_of(uploader, b"data", expires=9)) == "policy"
        to_client = await link_between(uploader, client)
        assert await declined(to_client, good) == "client"
        assert holder.ports.store.used_bytes == 0
        assert await declined(link, good) == ""

    tell(story)


def test_open_offers_are_bounded_and_expire_with_what_they_reserved() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        link = await link_between(uploader, holder)
        codes = [
            await declined(link, offer_of(uploader, b"%d" % number, size=MIB))
            for number in range(OFFERS_PER_PEER_MAX + 2)
        ]
        assert codes == [""] * OFFERS_PER_PEER_MAX + ["busy"] * 2
        assert holder.ports.store.used_bytes > OFFERS_PER_PEER_MAX * MIB
        await asyncio.sleep(RESERVATION_TTL_S + 1)
        assert holder.ports.store.used_bytes == 0
        link = await link_between(uploader, holder)
        assert await declined(link, Replicate(reservation=1)) == "reservation"
        assert await declined(link, offer_of(uploader, b"again", size=MIB)) == ""

    tell(story)


def test_offers_that_come_together_count_each_other() -> None:
    async def story(lab: Lab) -> None:
        uploader = await lab.add()
        holder = await lab.add(
            replace(STORAGE, owner_quota_bytes=3 * MIB + 100 * KIB), blocking=UnevenBlocking()
        )
        link = await link_between(uploader, holder)
        offers = [offer_of(uploader, b"%d" % number, size=MIB) for number in range(20)]
        codes = await asyncio.gather(*(declined(link, offer) for offer in offers))
        assert codes == [""] * 3 + ["quota"] * 17
        small = [offer_of(uploader, b"small %d" % number, size=0) for number in range(20)]
        codes = await asyncio.gather(*(declined(link, offer) for offer in small))
        assert codes == [""] * (OFFERS_PER_PEER_MAX - 3) + ["busy"] * (20 - OFFERS_PER_PEER_MAX + 3)

    tell(story)


def test_a_reservation_serves_its_peer_and_once() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        uploader, holder, thief = lab.nodes
        result = await put_with(uploader, b"one block", replicas=1)
        link = await link_between(uploader, holder)
        accepted = await link.request(offer_of(uploader, b"one block"), Accepted)
        other = await link_between(thief, holder)
        assert await declined(other, Replicate(reservation=accepted.reservation)) == "reservation"
        held = await link.request(Replicate(reservation=accepted.reservation), Held)
        assert unpack(Receipt, held.receipt).root == result.cid.raw
        assert await declined(link, Replicate(reservation=accepted.reservation)) == "reservation"
        given = await link.request(offer_of(uploader, b"never sent"), Accepted)
        await link.request(Release(reservation=given.reservation), Released)
        await link.request(Release(reservation=given.reservation), Released)
        assert await declined(link, Replicate(reservation=given.reservation)) == "reservation"
        assert holder.ports.store.used_bytes == len(b"one block") + STORED_BLOCK_BYTES

    tell(story)


def test_an_owners_open_offers_count_towards_its_quota() -> None:
    async def story(lab: Lab) -> None:
        uploader = await lab.add()
        holder = await lab.add(replace(STORAGE, owner_quota_bytes=3 * MIB + 100 * KIB))
        link = await link_between(uploader, holder)
        codes = [
            await declined(link, offer_of(uploader, b"%d" % number, size=MIB))
            for number in range(4)
        ]
        assert codes == ["", "", "", "quota"]
        assert await declined(link, offer_of(uploader, b"0", size=MIB)) == "", "the same unit"

    tell(story)


def test_a_unit_that_is_larger_than_its_offer_said_is_held_to_the_quota() -> None:
    async def story(lab: Lab) -> None:
        uploader = await lab.add()
        holder = await lab.add(replace(STORAGE, owner_quota_bytes=MIB))
        result = await put_with(uploader, CONTENT, replicas=1)
        [unit] = units_of(uploader, result)
        policy = policy_of(uploader, result.cid).packed
        offer = Offer(
            roots=tuple(root.raw for root in unit.roots), spine=False, size=0, policy=policy
        )
        link = await link_between(uploader, holder)
        accepted = await link.request(offer, Accepted)
        assert await declined(link, Replicate(reservation=accepted.reservation)) == "no-room"
        assert holder.ledger.claims.for_unit(unit.name) == []

    tell(story)


def test_what_the_uploader_does_not_have_is_not_held() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        link = await link_between(uploader, holder)
        accepted = await link.request(offer_of(uploader, b"nobody has this"), Accepted)
        assert await declined(link, Replicate(reservation=accepted.reservation)) == "unreachable"
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
        [unit] = units_of(uploader, result)
        link = await link_between(uploader, other)
        policy = policy_of(uploader, result.cid).packed
        offer = Offer(
            roots=tuple(root.raw for root in unit.roots),
            spine=False,
            size=unit.size_bytes,
            policy=policy,
        )
        accepted = await link.request(offer, Accepted)
        assert (
            await declined(link, Replicate(reservation=accepted.reservation)) == "integrity-failure"
        )
        assert holder.ledger.claims.count_kept(0) == other.ledger.claims.count_kept(0) == 0

    tell(story)


# --- what an offer costs whoever makes it ------------------------------------------------------


def test_offers_end_with_the_link_they_came_by() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        link = await link_between(uploader, holder)
        for number in range(OFFERS_PER_PEER_MAX):
            assert await declined(link, offer_of(uploader, b"%d" % number, size=MIB)) == ""
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
            codes.append(await declined(link, offer_of(stranger, b"%d" % number, size=5 * MIB)))
        assert codes == [""] * 6 + ["newcomer"] * 4
        assert (await put_with(holder, bytes(28 * MIB) + b"x", replicas=1)).copies == 1

    tell(story)


async def copied(link: Link, offer: Offer) -> str:
    """The code a holder refuses with, at whichever step; "" if it takes the unit."""
    try:
        accepted = await link.request(offer, Accepted)
    except PeerRefused as error:
        return error.code
    return await declined(link, Replicate(reservation=accepted.reservation))


def test_roots_of_units_count_towards_a_quota_and_towards_the_room() -> None:
    async def story(lab: Lab) -> None:
        uploader = await lab.add()
        strict = await lab.add(replace(STORAGE, owner_quota_bytes=70 * KIB))
        narrow = await lab.add(small(MIB, accept=Accept.NETWORK), store=MemoryBlockStore(MIB))
        blocks = [b"%d" % number for number in range(2000)]
        with uploader.ports.store.batch() as batch:
            for block in blocks:
                batch.put(Cid.of(block), block)
            batch.commit()
        codes: dict[bytes, list[str]] = {strict.node_id: [], narrow.node_id: []}
        for number in range(20):
            roots = tuple(Cid.of(block).raw for block in blocks[number:] + blocks[:number])
            offer = Offer(
                roots=roots,
                spine=False,
                size=0,
                policy=policy_of(uploader, Cid.of(blocks[number])).packed,
            )
            for holder in (strict, narrow):
                code = await copied(await link_between(uploader, holder), offer)
                codes[holder.node_id].append(code)
        assert codes[strict.node_id] == ["quota"] * 20
        taken = codes[narrow.node_id].count("")
        assert codes[narrow.node_id] == [""] * taken + ["room"] * (20 - taken)
        assert 0 < narrow.ledger.claims.ledger_bytes() < MIB

    tell(story)


def test_siblings_that_are_alike_are_held_but_roots_that_hold_nothing_are_not() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        uploader, holder = lab.nodes
        root = (await put_with(uploader, b"twice in one directory", replicas=1)).cid
        link = await link_between(uploader, holder)
        policy = policy_of(uploader, root).packed
        accepted = await link.request(
            Offer(roots=(root.raw, root.raw), spine=False, size=44, policy=policy), Accepted
        )
        held = await link.request(Replicate(reservation=accepted.reservation), Held)
        receipt = unpack(Receipt, held.receipt)
        assert (receipt.blocks, receipt.size) == (1, 22)
        inlined = bytes([1, 0x55, 0, 5]) + b"hello"
        assert (
            await declined(
                link, Offer(roots=(root.raw, inlined), spine=False, size=27, policy=policy)
            )
            == "roots"
        )

    tell(story)


# --- lying holders --------------------------------------------------------------------------


Lie = Callable[[Identity, Held], Held]


@dataclass(slots=True)
class LyingHolder(Holder):
    """Takes every offer and answers with what ``lie`` makes of a receipt in order."""

    lie: Lie = lambda identity, held: held

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        async with self.offers.receiving(link, message.reservation) as receiving:
            promise = receiving.promise
            assert isinstance(promise, Offered)
            unit = promise.unit
            claim = Claim(unit.name, (), unit.spine, 1, 1, promise.policy)
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
