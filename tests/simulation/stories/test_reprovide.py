"""Nodes stay findable: records outlive their lifetime by renewal, and nodes find back alone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import msgspec
import pytest

from dhtstore.errors import InvalidTicket, RefusedByNetwork, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.node.flows.join import Trust
from dhtstore.node.flows.verify import verify
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from dhtstore.params import MIB, PROVIDER_TTL_S, REPROVIDE_INTERVAL_S
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.wire.ticket import Ticket
from simulations.events.users import get_bytes, put_bytes
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    address_of,
    check_receipts,
    pin,
    providers_seen,
    tell,
    ticket_of,
    units_of,
)

HOUR_S = 3600.0
CONTENT = random.Random(3).randbytes(3 * MIB)


def empty_node(lab: Lab) -> Node:
    return next(node for node in lab.nodes if node.ports.store.count() == 0)


def test_after_a_hundred_hours_holders_are_still_found_and_reached() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(8)
        result = await put_bytes(lab.nodes[2], CONTENT)
        [unit] = units_of(lab.nodes[2], result)
        signed = {receipt.public_key for receipt in result.receipts}
        start_unix_s = lab.nodes[0].ports.clock.unix_s()
        await asyncio.sleep(100 * HOUR_S)
        asking = empty_node(lab)
        found = await asking.dht.find_providers(unit.key, wanted=64, timeout_s=15)
        assert {each.record.signer for each in found.providers} == signed
        for each in found.providers:
            assert each.record.issued > start_unix_s + 100 * HOUR_S - 2 * REPROVIDE_INTERVAL_S
            assert each.contact is not None
        for node in lab.nodes:
            contact = await asking.dht.find_contact(node.node_id, timeout_s=15)
            assert contact is not None
            assert contact.address_list() == (address_of(node),)
            assert contact.expires > node.ports.clock.unix_s()
        assert await get_bytes(asking, result.cid) == CONTENT

    tell(story)


def test_a_holder_that_is_gone_for_good_is_forgotten() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(8)
        result = await put_bytes(lab.nodes[2], CONTENT)
        [unit] = units_of(lab.nodes[2], result)
        lab.crash(lab.nodes[2])
        await asyncio.sleep(PROVIDER_TTL_S + REPROVIDE_INTERVAL_S)
        signed = {receipt.public_key for receipt in result.receipts}
        seen, gone = await providers_seen(empty_node(lab), unit), lab.nodes[2].public_key
        assert gone not in seen
        assert seen >= signed - {gone}, "and who replaced it, perhaps"

    tell(story)


def test_a_holder_that_comes_back_elsewhere_is_found_there() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        node = lab.nodes[2]
        result = await put_bytes(node, CONTENT, replicas=1)
        lab.crash(node)
        reader = empty_node(lab)
        with pytest.raises(Unreachable):
            await get_bytes(reader, result.cid)
        back = await lab.again(node)
        assert address_of(back) != address_of(node)
        assert back.public_key == node.public_key
        await asyncio.sleep(30)
        assert await get_bytes(reader, result.cid) == CONTENT
        check_receipts(lab, await put_bytes(back, CONTENT), copies=3)

    tell(story)


def test_what_is_pinned_is_announced_again_after_a_restart() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        result = await put_bytes(lab.nodes[0], CONTENT, replicas=1)
        [unit] = units_of(lab.nodes[0], result)
        client = await lab.add(CLIENT)
        await pin(client, result.cid)
        lab.crash(lab.nodes[0])
        assert await get_bytes(lab.nodes[3], result.cid) == CONTENT
        lab.crash(client)
        await asyncio.sleep(PROVIDER_TTL_S + HOUR_S)
        assert await providers_seen(lab.nodes[3], unit) == set()
        back = await lab.again(client, seeds=[ticket_of(lab.nodes[1])])
        await asyncio.sleep(30)
        assert await providers_seen(lab.nodes[3], unit) == {back.public_key}
        assert await get_bytes(lab.nodes[4], result.cid) == CONTENT

    tell(story)


async def three_pins(lab: Lab) -> tuple[Node, FaultyBlockStore, list[Cid]]:
    """A client that pinned three roots of a few blocks each."""
    await lab.grow(4)
    store = FaultyBlockStore(MemoryBlockStore())
    node = await lab.add(CLIENT, store=store)
    roots = [(await put_bytes(lab.nodes[0], bytes([i]) * 3 * MIB)).cid for i in range(3)]
    for root in roots:
        await pin(node, root)
    return node, store, roots


def test_what_is_pinned_and_rotted_is_announced_no_more() -> None:
    """A block above others is read each time; what ``verify`` finds is remembered."""

    async def story(lab: Lab) -> None:
        node, store, roots = await three_pins(lab)
        store.rot(roots[0])
        assert await node.reprovide.announce_all() == 2
        store.rot(Cid.of(bytes([1]) * MIB))
        found = await verify(node.completeness, node.identity.now_unix_s(), unwatched)
        assert sorted(each.roots[0] for each in found.units) == sorted(roots[:2])
        assert await node.reprovide.announce_all() == 1

    tell(story)


def test_pins_of_an_earlier_version_are_walked_once_and_a_damaged_one_costs_only_itself() -> None:
    async def story(lab: Lab) -> None:
        node, store, roots = await three_pins(lab)
        ledger = node.ports.ledger
        ledger.write([], [key for key, _ in ledger.scan(b"unit/")])
        store.rot(roots[1])
        assert await node.reprovide.announce_all() == 2
        assert ledger.count(b"unit/") == 2
        ledger.write([], [key for key, _ in ledger.scan(b"unit/")])
        store.rot(roots[0])
        store.rot(roots[2])
        assert await node.reprovide.announce_all() == 0

    tell(story)


def test_a_unit_of_two_pins_is_announced_once_and_none_once_its_pins_are_gone() -> None:
    async def story(lab: Lab) -> None:
        node, _, roots = await three_pins(lab)
        table = node.ports.ledger
        units = node.ledger.roots.units(roots[0])
        node.ledger.pins.add(roots[1], "shares its unit with the first", "user", units)
        assert await node.reprovide.announce_all() == 2
        for root in roots:
            assert node.ledger.pins.remove(root, "user")
        assert await node.reprovide.announce_all() == 0
        assert table.count(b"unit/") == 0

    tell(story)


@pytest.mark.parametrize("damage", ["claim", "roots", "pin"])
def test_a_damaged_ledger_does_not_end_a_node_nor_keep_the_rest_from_being_announced(
    damage: str,
) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        node = lab.nodes[1]
        for number in range(3):
            await put_bytes(node, bytes([number]) * MIB, replicas=2)
        prefix = b"pin/" if damage == "pin" else b"claim/"
        key, value = node.ports.ledger.scan(prefix)[0]
        if damage == "roots":
            row = msgspec.msgpack.decode(value)
            row[1] = [b"?"]  # where its unit's roots stand
            value = msgspec.msgpack.encode(row)
        node.ports.ledger.write([(key, value if damage == "roots" else b"\xc1")])
        await node.stop()
        back = await lab.again(node, seeds=[ticket_of(lab.nodes[0])])
        await asyncio.sleep(REPROVIDE_INTERVAL_S)
        assert not back.failed.done()
        assert await back.reprovide.announce_all() == 3
        assert back.ledger.claims.count_kept(back.identity.now_unix_s()) == 3 - (damage == "claim")
        now_unix_s = back.identity.now_unix_s()
        assert (await verify(back.completeness, now_unix_s, unwatched)).damaged == []

    tell(story)


def test_records_that_were_renewed_meanwhile_count_as_taken() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        node = lab.nodes[1]
        result = await put_bytes(node, CONTENT)
        [unit] = units_of(node, result)
        older = [(node.identity.provider_record(unit.key), node.identity.record())]
        await asyncio.sleep(2)
        assert await node.reprovide.announce_all() == 1
        [published] = await node.dht.provide(unit.key, older, timeout_s=15)
        assert published.holders == 4

    tell(story)


# --- joining --------------------------------------------------------------------------------


def test_a_node_rejoins_without_a_seed_through_the_peers_it_saved() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(8)
        result = await put_bytes(lab.nodes[1], CONTENT)
        node = await lab.add()
        await asyncio.sleep(HOUR_S)
        await node.stop()
        back = await lab.again(node, seeds=[])
        assert len(back.dht.contacts()) >= 8
        assert await get_bytes(back, result.cid) == CONTENT

    tell(story)


def test_saved_peers_that_are_all_gone_do_not_stop_a_start_but_given_seeds_do() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        node = lab.nodes[2]
        await node.stop()
        for other in lab.nodes[:2]:
            lab.crash(other)
        back = await lab.again(node, seeds=[])
        assert back.dht.contacts() == []
        assert back.joined.is_set()
        late = lab.build()
        await late.start()
        with pytest.raises(Unreachable, match="none of the seeds"):
            await late.join([ticket_of(lab.nodes[0]), str(address_of(lab.nodes[1]))])
        assert not late.joined.is_set()

    tell(story)


@pytest.mark.parametrize("away_s", [5, 60, 1200])
def test_a_node_that_meets_nobody_tries_again_soon_and_then_less_often(away_s: float) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        node = lab.nodes[2]
        await node.stop()
        lab.network.partition([[address_of(other) for other in lab.nodes[:2]], []])
        back = await lab.again(node, seeds=[])
        await asyncio.sleep(away_s)
        assert back.dht.contacts() == []
        lab.network.heal()
        await asyncio.sleep(2 * away_s + 15)
        assert len(back.dht.contacts()) == 2

    tell(story)


def test_one_seed_of_many_is_enough_and_the_others_are_told() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        tickets = [ticket_of(node) for node in lab.nodes]
        for gone in lab.nodes[:2]:
            lab.crash(gone)
        node = lab.build()
        await node.start()
        joined = await node.join(tickets)
        assert joined.answered == 1
        assert len(joined.failures) == 2
        assert all("did not answer" in why for why in joined.failures.values())

    tell(story)


@pytest.mark.parametrize("by", ["ticket", "forged ticket", "address"])
def test_another_network_is_refused(by: str) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        seed = lab.nodes[0]
        stranger = lab.build(replace(STORAGE, network=Network("other")))
        await stranger.start()
        forged = replace(Ticket.parse(ticket_of(seed)), network="other")
        text, told = {
            "ticket": (ticket_of(seed), "the ticket is for network 'main'"),
            "forged ticket": (str(forged), "that node is of another network than 'other'"),
            "address": (str(address_of(seed)), "that node is of another network than 'other'"),
        }[by]
        with pytest.raises(RefusedByNetwork, match=told):
            await stranger.join([text])
        assert stranger.dht.contacts() == []
        assert not stranger.joined.is_set()
        assert stranger.public_key not in {c.public_key for c in seed.dht.contacts()}

    tell(story)


def test_a_seed_given_by_address_is_pinned_and_its_key_must_not_change() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        seed = str(address_of(lab.nodes[0]))
        learned: dict[str, PublicKey] = {}
        node = lab.build()
        await node.start()
        await node.join([seed], Trust(learn=learned.__setitem__))
        assert learned == {seed: lab.nodes[0].public_key}
        other = lab.build()
        await other.start()
        await other.join([seed], Trust(known=learned))
        late = lab.build()
        await late.start()
        with pytest.raises(RefusedByNetwork, match="another key"):
            await late.join([seed], Trust(known={seed: other.public_key}))

    tell(story)


def test_a_mistyped_seed_stops_the_start_before_anybody_is_asked() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        node = lab.build()
        await node.start()
        ticket = ticket_of(lab.nodes[0])
        wrong = ticket[:-1] + ("a" if ticket[-1] != "a" else "b")
        with pytest.raises(InvalidTicket):
            await node.join([ticket, wrong])
        assert node.dht.contacts() == []

    tell(story)


def test_every_address_of_a_seeds_name_is_tried() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(2)
        good = address_of(lab.nodes[0])
        dead = Address("10.9.9.9", good.port)

        async def getaddrinfo(*asked: object, **how: object) -> list[tuple[object, ...]]:
            return [(None, None, None, "", each) for each in (dead, good)]

        lab.loop.getaddrinfo = getaddrinfo
        node = lab.build()
        await node.start()
        joined = await node.join(["seed.example:7400"])
        assert joined.answered == 1
        assert joined.failures == {}

    tell(story)
