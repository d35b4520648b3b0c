"""What one owner wants does not hang on another who wants the same: not when holders leave, are
replaced or let a surplus go, and then the other removes it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as change

from dhtstore.model.cid import Cid
from dhtstore.node.duties.repairing.acting import Acting
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from simulations.events.users import put_bytes
from tests.bids import sign_policy
from tests.simulation.harness import CLIENT, STORAGE, Lab, tell
from tests.simulation.stories.test_leaving import CONTENT, PERIODS, holders, providers, surplus
from tests.simulation.stories.test_policies import removed


def claimed_at(node: Node, owner: Node, root: Cid) -> None:
    """Another owner's client has put it there, too."""
    claim = next(iter(node.ledger.claims.for_unit(root.raw)))
    assert claim.grant is not None
    wanted = sign_policy(owner.identity, root, replicas=2)
    grant = owner.identity.sign_as_owner(change(claim.grant, owner=owner.identity.owner))
    node.ledger.claims.put(replace(claim, policy=wanted, grant=grant))


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


def test_one_unit_of_a_name_leaves_and_another_that_nobody_takes_is_still_found_here() -> None:
    """Bob's is the spine below the same root, and may be brought to nobody."""

    async def story(lab: Lab) -> None:
        alice, bob, root = await put_by_both(lab)
        leaver = holders(lab, root)[1]
        claims = leaver.ledger.claims.for_unit(root.raw)
        [bobs] = [one for one in claims if one.policy.owner == bob.identity.owner]
        leaver.ledger.claims.put(replace(bobs, spine=True, size_bytes=0, grant=None))
        await leaver.leaving.leave(unwatched)
        assert [each.spine for each in leaver.ledger.claims.for_unit(root.raw)] == [True]
        assert not leaver.leaving.left.done()
        assert leaver.public_key in await providers(alice, root)
        await removed(bob, root)
        assert leaver.public_key not in await providers(alice, root)
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.left.done()

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
        alice.ledger.claims.update(claim.policy, anyway=True)
        claimed_at(last, bob, root)
        await asyncio.sleep(4 * PERIODS.trim_after_s)
        assert set(holders(lab, root)) == set(there[:3])
        await removed(alice, root)
        assert len(holders(lab, root)) == 2

    tell(story)


@pytest.mark.parametrize(("seed", "refused"), [(5, False), (8, False), (5, True), (8, True)])
def test_the_only_two_that_keep_it_for_one_owner_are_lost_one_after_the_other(
    seed: int, *, refused: bool
) -> None:
    """Three more keep it for another, so that it never was short of copies.  Where they take
    nothing at first, they are asked again."""

    async def story(lab: Lab) -> None:
        for _ in range(2):
            await lab.add(replace(STORAGE, periods=PERIODS))
        alice, bob = await lab.add(CLIENT), await lab.add(CLIENT)
        root = (await put_bytes(bob, CONTENT, replicas=2)).cid
        bobs = holders(lab, root)
        for node in bobs:
            node.holder.leaving = lambda: True
        for _ in range(6):
            await lab.add(replace(STORAGE, periods=PERIODS))
        await put_bytes(alice, CONTENT)
        for node in bobs:
            node.holder.leaving = lambda: False
        assert len(holders(lab, root)) == 5
        await asyncio.sleep(3 * PERIODS.ping_s)
        for gone in bobs:
            if gone in holders(lab, root):
                lab.crash(gone)
                await gone.stop()
                lab.nodes.remove(gone)
            for node in lab.nodes:
                node.holder.leaving = lambda: refused
            await asyncio.sleep(PERIODS.grace_max_s + 8 * PERIODS.ping_s)
            for node in lab.nodes:
                node.holder.leaving = lambda: False
            await asyncio.sleep(8 * PERIODS.ping_s)
        await removed(alice, root)
        assert len(holders(lab, root)) >= 2

    tell(story, seed=seed)


def test_what_is_put_at_a_holder_that_is_about_to_drop_its_surplus_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drop, dropped = Acting.drop, asyncio.Event()

    async def story(lab: Lab) -> None:
        root, there = await surplus(lab)
        bob, last = await lab.add(CLIENT), there[3]

        async def too_late(self: Acting, *given: Any) -> None:
            claimed_at(last, bob, root)
            await drop(self, *given)
            dropped.set()

        monkeypatch.setattr(Acting, "drop", too_late)
        await dropped.wait()
        [left] = last.ledger.claims.for_unit(root.raw)
        assert left.policy.owner == bob.identity.owner

    tell(story)
