"""Providers that are announced and were never there: what they say of themselves moves nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, subnet
from dhtstore.model.identity import PublicKey, dht_key, distance, format_node, node_id
from dhtstore.node.duties.repairing.watching import Said, Watched
from dhtstore.node.node import Node
from dhtstore.params import HOLDERS_KNOWN_MAX
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, Lab, put_with, tell
from tests.simulation.stories.test_repair import CONTENT, HOUR_S, NODE, PERIODS, holders

GHOSTS = [PublicKey(hashlib.sha256(bytes([n])).digest()) for n in range(HOLDERS_KNOWN_MAX)]
MADE = PublicKey(hashlib.sha256(b"made").digest())


async def haunted(
    node: Node, unit: bytes, place: Address, ghosts: Sequence[PublicKey] = GHOSTS
) -> Watched:
    """Lookups of days have named so many that no place is left."""
    async with node.repair.alone():
        [one] = await node.repair.units.named([(unit, False)])
        for ghost in ghosts:
            node.repair.fellows.told(ghost, [place])
        node.repair.judge.found(one, ghosts, node.identity.now_unix_s())
        node.repair.units.rows.save({one.id: one.row})
    return one


def test_ghosts_in_all_places_keep_no_holder_from_being_known() -> None:
    """Else one who waits for its turn never hears of the copy that the nearer one has made."""

    async def story(lab: Lab) -> None:
        client = await lab.add(replace(CLIENT, periods=PERIODS))
        for _ in range(6):
            await lab.add(NODE)
        root = (await put_bytes(client, CONTENT)).cid
        key = dht_key(root.raw)
        await asyncio.sleep(PERIODS.holders_look_s)
        there = sorted(holders(lab, root), key=lambda each: distance(each.node_id, key))
        last = there[2]
        one = await haunted(last, root.raw, Address("11.0.0.1", 4000))
        assert len(one.holders) == HOLDERS_KNOWN_MAX
        lab.crash(there[0])
        await asyncio.sleep(PERIODS.grace_max_s + 2 * HOUR_S)
        [new] = [node for node in holders(lab, root) if node not in there]
        row = last.ledger.holders.get((root.raw, False))
        proved = {each.key for each in row.holders if each.proven_unix_s}
        assert {each.public_key for each in (*there[:2], new)} == proved
        assert sum(node.repair.budget.spent_bytes for node in there[1:]) < 1.1 * len(CONTENT)
        lost = [row for node in there for row in node.ledger.events.last(200) if row.kind == "lost"]
        assert {row.node for row in lost} == {format_node(there[0].node_id)}, "a ghost is none"

    tell(story)


def test_where_ghosts_say_to_be_keeps_no_copy_away_from_there() -> None:
    """Else whoever announces ghosts in all other subnets would have the copies come to its own."""

    async def story(lab: Lab) -> None:
        client = await lab.add(replace(CLIENT, periods=PERIODS))
        for _ in range(5):
            await lab.add(NODE)
        root = (await put_bytes(client, CONTENT)).cid
        await asyncio.sleep(PERIODS.holders_look_s)
        node, *others = holders(lab, root)
        place = Address("11.0.0.1", 4000)
        plan = node.repair.acting._plan(await haunted(node, root.raw, place), 1)
        taken = {domain.subnet for domain in plan._taken_domains()}
        assert {subnet(other.identity.addresses()[0]) for other in others} <= taken
        assert subnet(place) not in taken
        assert plan.missing == 1
        assert not set(plan.candidates).isdisjoint(map(node_id, GHOSTS)), (
            "they are asked for nothing"
        )

    tell(story)


def test_ghosts_without_number_hold_no_round_up() -> None:
    """Thousands of keys cost their maker nothing; what is short waits for the round's end."""

    async def story(lab: Lab) -> None:
        client = await lab.add(replace(CLIENT, periods=PERIODS))
        for _ in range(3):
            await lab.add(NODE)
        node = lab.nodes[1]
        units = 12
        roots = [(await put_bytes(client, CONTENT + bytes([n]))).cid for n in range(units)]
        for n, root in enumerate(roots):
            ghosts = [PublicKey(hashlib.sha256(bytes([n]) + key).digest()) for key in GHOSTS]
            await haunted(node, root.raw, Address("11.0.0.1", 4000), ghosts)
        took = []
        for _ in range(3):
            began_s = lab.loop.time()
            await node.repair._round()
            took.append(lab.loop.time() - began_s)
            await asyncio.sleep(PERIODS.ping_s)
        assert max(took) < 60

    tell(story)


def test_who_was_sought_in_vain_is_not_waited_for_anew_once_it_is_named() -> None:
    """The index names a silent holder after days: the wait for it began with the search."""

    async def story(lab: Lab) -> None:
        client = await lab.add(replace(CLIENT, periods=PERIODS))
        node = await lab.add(NODE)
        root = (await put_with(client, CONTENT, min_acks=1)).cid
        for _ in range(3):
            await lab.add(NODE)
        await asyncio.sleep(0.4 * PERIODS.grace_first_s)
        await haunted(node, root.raw, Address("11.0.0.1", 4000), GHOSTS[:2])
        assert holders(lab, root) == [node], "they may come back"
        await asyncio.sleep(0.25 * PERIODS.grace_first_s)
        assert len(holders(lab, root)) == 2, "half of the grace is over for the last copy"
        await asyncio.sleep(0.4 * PERIODS.grace_first_s)
        assert len(holders(lab, root)) == 3

    tell(story)


async def kept_by_three(lab: Lab) -> Cid:
    """Of four storage nodes, which know of each other by now; the root."""
    client = await lab.add(replace(CLIENT, periods=PERIODS))
    for _ in range(4):
        await lab.add(NODE)
    root = (await put_bytes(client, CONTENT)).cid
    await asyncio.sleep(PERIODS.holders_look_s)
    return root


def test_a_copy_that_was_just_made_is_known_whoever_else_is_named() -> None:
    """Else it would be made again and again, by a node for which liars take all places."""

    async def story(lab: Lab) -> None:
        root = await kept_by_three(lab)
        node = holders(lab, root)[0]
        one, judge = await haunted(node, root.raw, Address("11.0.0.1", 4000)), node.repair.judge
        liars = [row._replace(lacks="gone") for row in one.row.holders if not row.proven_unix_s]
        proved = [row for row in one.row.holders if row.proven_unix_s]
        one.row = one.row._replace(holders=(*proved, *liars))
        judge.made(one, [MADE], node.identity.now_unix_s())
        judge.found(one, [*GHOSTS, MADE], node.identity.now_unix_s())
        assert len(one.holders) == HOLDERS_KNOWN_MAX
        assert {MADE, *(PublicKey(row.key) for row in proved)} <= set(one.holders)

    tell(story)


def test_a_holder_that_is_found_to_lack_it_again_is_no_new_loss() -> None:
    async def story(lab: Lab) -> None:
        root = await kept_by_three(lab)
        node = holders(lab, root)[0]
        async with node.repair.alone():
            [one] = await node.repair.units.named([(root.raw, False)])
        judge, now = node.repair.judge, node.identity.now_unix_s()
        key = next(PublicKey(row.key) for row in one.row.holders if row.proven_unix_s)
        for again in range(3):
            judge.audited(one, key, Said(lacks="gone"), now)
            assert len(judge.replaced(one)) == (not again)
        judge.audited(one, key, Said(), now)
        judge.audited(one, key, Said(lacks="gone"), now)
        assert len(judge.replaced(one)) == 1

    tell(story)
