"""What one owner wants does not hang on another who wants the same: not when holders leave, are
replaced or let a surplus go, and then the other removes it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec.structs import replace as change

from dhtstore.model.cid import Cid
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from simulations.events.users import put_bytes
from tests.bids import sign_policy
from tests.simulation.harness import CLIENT, STORAGE, Lab, tell
from tests.simulation.stories.test_leaving import CONTENT, PERIODS, holders, surplus
from tests.simulation.stories.test_policies import removed


async def put_by_both(lab: Lab) -> tuple[Node, Node, Cid]:
    """Two clients and what both have put."""
    for _ in range(8):
        await lab.add(replace(STORAGE, periods=PERIODS))
    alice, bob = await lab.add(CLIENT), await lab.add(CLIENT)
    root = (await put_bytes(alice, CONTENT)).cid
    await put_bytes(bob, CONTENT)
    assert len(holders(lab, root)) == 3
    await asyncio.sleep(60)
    return alice, bob, root


@pytest.mark.parametrize("remover", [0, 1])
def test_all_holders_leave_and_one_owner_removes_it(remover: int) -> None:
    async def story(lab: Lab) -> None:
        *owners, root = await put_by_both(lab)
        for leaver in holders(lab, root):
            await leaver.leaving.leave(unwatched)
            assert leaver.leaving.left.done()
            await asyncio.sleep(60)
        assert len(holders(lab, root)) == 3
        await removed(owners[remover], root)
        assert len(holders(lab, root)) == 3

    tell(story)


@pytest.mark.parametrize("remover", [0, 1])
def test_all_holders_are_replaced_and_one_owner_removes_it(remover: int) -> None:
    async def story(lab: Lab) -> None:
        *owners, root = await put_by_both(lab)
        for gone in holders(lab, root):
            lab.crash(gone)
            await gone.stop()
            lab.nodes.remove(gone)
            await asyncio.sleep(PERIODS.grace_max_s + 3 * PERIODS.ping_s)
        assert len(holders(lab, root)) == 3
        await removed(owners[remover], root)
        assert len(holders(lab, root)) == 3

    tell(story)


def test_a_surplus_goes_that_was_kept_for_another_owner_and_the_first_removes_it() -> None:
    """The three nearer holders prove the unit, and none of them has it for him."""

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        alice, last = lab.nodes[0], there[3]
        bob = await lab.add(CLIENT)
        [claim] = last.ledger.claims.for_unit(root.raw)
        assert claim.grant is not None
        alice.ledger.claims.update(claim.policy, anyway=True)
        wanted = sign_policy(bob.identity, root, replicas=2)
        grant = bob.identity.sign_as_owner(change(claim.grant, owner=bob.identity.owner))
        last.ledger.claims.put(replace(claim, policy=wanted, grant=grant))
        await asyncio.sleep(4 * PERIODS.trim_after_s)
        assert set(holders(lab, root)) == set(there[:3])
        await removed(alice, root)
        assert len(holders(lab, root)) == 2

    tell(story)
