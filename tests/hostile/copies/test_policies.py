"""What an owner wants is changed by its signature and by nothing else, whoever says so to whom."""

from __future__ import annotations

import asyncio
import random

from msgspec.structs import replace as change

from dhtstore.errors import PeerRefused
from dhtstore.model.policy import Policy
from dhtstore.model.signing import attach
from dhtstore.node.links.link import Link
from dhtstore.node.node import Node
from dhtstore.params import LOOKUP_TIMEOUT_S, MIB, REPLICAS_MAX, REREAD_AT_ONCE_BYTES
from dhtstore.wire.frames import Rule, Ruled
from tests.simulation.harness import Lab, address_of, policy_of, put_with, tell

CONTENT = random.Random(6).randbytes(MIB)


async def link_to(thief: Node, holder: Node) -> Link:
    return await thief.links.to(holder.public_key, [address_of(holder)], 5.0)


async def ruled(link: Link, policy: Policy, *units: bytes) -> Ruled | str:
    try:
        return await link.request(Rule(policy=policy.packed, units=units), Ruled)
    except PeerRefused as error:
        return error.code


def test_nobody_else_ends_or_changes_what_an_owner_wants() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        alice, thief = lab.nodes[0], lab.nodes[-1]
        result = await put_with(alice, CONTENT, replicas=2)
        unit = result.receipts[0].unit
        holder = next(n for n in lab.nodes[1:] if [*n.ledger.claims.for_unit(unit)])
        thief = next(n for n in lab.nodes[1:] if n is not holder)
        [claim] = holder.ledger.claims.for_unit(unit)
        link = await link_to(thief, holder)
        removal = policy_of(thief, result.cid, sequence=2**60, removed=True)
        forged = change(claim.policy, sequence=2**60, removed=True)
        unsigned = attach(forged, claim.policy.signature)
        answer = await ruled(link, removal, unit)
        assert isinstance(answer, Ruled)
        assert (answer.claims, answer.newer) == (0, None), "he claims nothing there"
        assert await ruled(link, unsigned, unit) == "invalid-signature"
        await thief.policies.renewal.renew(unsigned)
        await thief.policies.renewal.renew(removal)
        for node in lab.nodes:
            await node.policies.renewal.look_up()
        assert [*holder.ledger.claims.for_unit(unit)] == [claim]
        place = claim.policy.key
        found = await thief.dht.policies.find(place, LOOKUP_TIMEOUT_S)
        assert found in (None, claim.policy)

    tell(story)


def test_an_old_policy_shown_again_undoes_no_removal() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        alice = lab.nodes[0]
        result = await put_with(alice, CONTENT, replicas=2)
        unit = result.receipts[0].unit
        holder = next(n for n in lab.nodes[1:] if [*n.ledger.claims.for_unit(unit)])
        thief = next(n for n in lab.nodes[1:] if n is not holder)
        [claim] = holder.ledger.claims.for_unit(unit)
        async with alice.fetch_session() as session:
            await alice.removing_everywhere().remove(session, result.cid)
        removal = holder.ledger.claims.policy(claim.policy.owner, result.cid.raw)
        assert removal is not None
        link = await link_to(thief, holder)
        answer = await ruled(link, claim.policy, unit)
        assert isinstance(answer, Ruled)
        assert answer.newer == removal.packed
        await thief.policies.renewal.renew(claim.policy)
        await asyncio.sleep(1)
        found = await thief.dht.policies.find(removal.key, LOOKUP_TIMEOUT_S)
        assert found == removal

    tell(story)


def test_who_tells_over_and_over_is_put_off() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        alice = lab.nodes[0]
        result = await put_with(alice, CONTENT, replicas=3)
        unit = result.receipts[0].unit
        holder, thief = lab.nodes[1:]
        [claim] = holder.ledger.claims.for_unit(unit)
        link, now_s = await link_to(thief, holder), holder.ports.clock.monotonic_s()
        assert isinstance(await ruled(link, claim.policy, unit), Ruled)
        holder.policies.answers.rations.take(link.origin, 2 * REREAD_AT_ONCE_BYTES, 0, now_s)
        assert await ruled(link, claim.policy, unit) == "busy"

    tell(story)


def test_nobody_wants_more_copies_than_there_may_be() -> None:
    """Its own owner says so; holders would plan for a million million copies of it."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        alice = lab.nodes[0]
        result = await put_with(alice, CONTENT, replicas=2)
        unit = result.receipts[0].unit
        holder = next(n for n in lab.nodes[1:] if [*n.ledger.claims.for_unit(unit)])
        [claim] = holder.ledger.claims.for_unit(unit)
        link = await link_to(alice, holder)
        for replicas in (0, REPLICAS_MAX + 1, 2**40):
            many = policy_of(alice, result.cid, sequence=2**50, replicas=replicas)
            assert await ruled(link, many, unit) == "policy"
        assert [*holder.ledger.claims.for_unit(unit)] == [claim]

    tell(story)
