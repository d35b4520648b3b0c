"""What an owner wants for a root: changed and ended from any machine with its key, heard of by
those that are there and by those that come back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import msgspec
import pytest

from dhtstore.dht.engine.lookups import Lookups
from dhtstore.errors import NotFound, NotHere, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy, policy_place
from dhtstore.node.node import Node
from dhtstore.node.policies.changing import Changed
from dhtstore.node.policies.renewing import PolicyRenewal
from dhtstore.node.ports import NodeSettings
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.keeping import RemovedPut
from dhtstore.params import (
    COLLECT_SOON_S,
    DAY_S,
    LOOKUP_TIMEOUT_S,
    MIB,
    POLICY_REPUBLISH_S,
    POLICY_TTL_S,
    POLICY_UNTOLD_S,
)
from dhtstore.store.ledger.claims import Claims
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    address_of,
    policy_of,
    put_with,
    tell,
    units_of,
)

CONTENT = random.Random(5).randbytes(2 * MIB + 1)


async def removed(node: Node, root: Cid) -> RemovedPut:
    async with node.fetch_session() as session:
        return await node.removing_everywhere().remove(session, root)


async def changed(
    node: Node, root: Cid, replicas: int | None = None, expires: int | None = None
) -> Changed:
    async with node.fetch_session() as session:
        return await node.policy_changes().change(session, root, replicas, expires)


def held(node: Node, result: PutOutcome) -> list[Policy]:
    """What is in force for the claims that stand on what was put."""
    unit = result.receipts[0].unit
    return [each.policy for each in node.ledger.claims.for_unit(unit)]


def keeps(node: Node, result: PutOutcome) -> bool:
    """Whether what was put is still to be kept there."""
    name = result.receipts[0].unit
    return bool(node.completeness.under(name, node.ports.clock.unix_s()))


async def put_by(lab: Lab, putter: Node, *, nodes: int = 5) -> tuple[PutOutcome, list[Node]]:
    """What it put, and the holders beside it."""
    while len(lab.nodes) < nodes:
        await lab.add()
    result = await put_with(putter, CONTENT, replicas=3)
    holders = [node for node in lab.nodes if node is not putter and held(node, result)]
    assert len(holders) == 2
    await asyncio.sleep(30)  # the policy is stored by then
    return result, holders


async def found(node: Node, owner: bytes, root: Cid) -> Policy | None:
    return await node.dht.policies.find(policy_place(owner, root.raw), LOOKUP_TIMEOUT_S)


def test_what_is_removed_is_freed_everywhere_at_once() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, holders = await put_by(lab, putter)
        told = await removed(putter, result.cid)
        assert (told.told, told.unreached, told.others, told.stored) == (2, 0, 0, True)
        assert [held(node, result) for node in (putter, *holders)] == [[]] * 3
        for node in (putter, *holders):
            await node.collector.collect()
            assert node.ports.store.count() == 0
        policy = await found(lab.nodes[-1], putter.identity.owner, result.cid)
        assert policy is not None
        assert policy.removed

    tell(story)


def test_a_holder_that_was_away_frees_it_when_it_is_back_and_before_it_announces() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [away, _] = await put_by(lab, putter)
        [unit] = units_of(putter, result)
        lab.crash(away)
        await away.stop()
        await asyncio.sleep(3 * 3600)
        told = await removed(putter, result.cid)
        assert (told.told, told.unreached, told.elsewhere) == (1, 1, 2)
        await asyncio.sleep(2 * DAY_S)
        back = await lab.again(away)
        assert held(back, result), "it has not asked yet"
        await back.joined.wait()
        assert not keeps(back, result)
        await asyncio.sleep(2 * COLLECT_SOON_S)
        assert held(back, result) == []
        seen = await lab.nodes[1].dht.find_providers(unit.key, wanted=9, timeout_s=15)
        assert back.public_key not in {each.record.signer for each in seen.providers}
        await back.collector.collect()
        assert back.ports.store.count() == 0

    tell(story)


def test_a_holder_that_was_away_for_minutes_frees_it_soon_after_it_is_back() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [away, _] = await put_by(lab, putter)
        lab.crash(away)
        await away.stop()
        told = await removed(putter, result.cid)
        assert (told.told, told.unreached) == (1, 1)
        await asyncio.sleep(300)
        back = await lab.again(away)
        assert keeps(back, result)
        await asyncio.sleep(30)
        assert not keeps(back, result)
        await asyncio.sleep(2 * COLLECT_SOON_S)
        assert held(back, result) == []

    tell(story)


def test_who_is_back_in_a_moment_asks_nobody_and_who_was_killed_asks_beside_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, start = list[bytes](), Lookups._start

    def counted(self: Lookups, target: bytes, kind: object, also: object = ()) -> object:
        begun.append(target)
        return start(self, target, kind, also)  # type: ignore[arg-type]

    monkeypatch.setattr(Lookups, "_start", counted)

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [holder, _] = await put_by(lab, putter)
        place = policy_place(putter.identity.owner, result.cid.raw)
        await asyncio.sleep(3 * 3600)
        begun.clear()
        await holder.stop()
        lab.crash(holder)
        await asyncio.sleep(60)
        back = await lab.again(holder)
        await asyncio.sleep(1200)
        assert place not in begun
        lab.crash(back)
        noted_unix_s = back.policies.renewal.looked.unix_s()
        assert 0 <= back.ports.clock.unix_s() - noted_unix_s <= 300
        await back.stop()
        back.policies.renewal.looked.note(noted_unix_s)  # it did not end as it should
        await asyncio.sleep(300)
        begun.clear()
        again = await lab.again(back)
        await again.joined.wait()
        assert place not in begun
        await asyncio.sleep(30)
        assert begun.count(place) == 1

    tell(story)


def test_what_a_holder_knows_of_a_newer_word_is_outdone() -> None:
    """Or it would bring that to the index nodes, and undo what it was told."""

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [ahead, other] = await put_by(lab, putter)
        [policy] = held(ahead, result)
        sequence = policy.sequence + 365 * int(DAY_S) * 1000  # by a clock that was a year ahead
        newer = putter.identity.sign_as_owner(msgspec.structs.replace(policy, sequence=sequence))
        assert ahead.ledger.claims.update(newer)
        told = await removed(putter, result.cid)
        assert (told.told, told.unreached) == (2, 0)
        assert [held(node, result) for node in (ahead, other)] == [[], []]

    tell(story)


def test_any_machine_with_the_owners_key_can_end_it() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add(crypto=SimCrypto(b"a machine", b"alice"))
        result, holders = await put_by(lab, putter)
        other = await lab.add(crypto=SimCrypto(b"another machine", b"alice"))
        assert (await changed(other, result.cid, replicas=2)).told.told
        assert {each.replicas for node in holders for each in held(node, result)} == {2}
        told = await removed(other, result.cid)
        assert (told.told, told.name) == (3, "")
        assert [held(node, result) for node in (putter, *holders)] == [[]] * 3
        stranger = lab.nodes[-2]
        with pytest.raises(NotHere):
            await removed(stranger, result.cid)
        with pytest.raises(NotFound):
            await changed(stranger, result.cid, replicas=1)

    tell(story)


def test_of_two_owners_each_ends_only_its_own_and_the_disk_pays_once() -> None:
    async def story(lab: Lab) -> None:
        alice = await lab.add()
        result, holders = await put_by(lab, alice)
        before = [node.ports.store.used_bytes for node in holders]
        bob = lab.nodes[-1]
        again = await put_with(bob, CONTENT, replicas=4)
        assert again.cid == result.cid
        both = [node for node in holders if len(held(node, result)) == 2]
        assert both, "some holder holds it for both"
        for node, used_bytes in zip(holders, before, strict=True):
            assert node.ports.store.used_bytes == used_bytes
            usages = [
                node.ledger.claims.usage(each.identity.owner, "", 0.0).owner_bytes
                for each in (alice, bob)
                if any(p.owner == each.identity.owner for p in held(node, result))
            ]
            assert min(usages) > len(CONTENT), "each pays its quota for all of it"
        told = await removed(alice, result.cid)
        assert told.others >= len(both)
        owners = {each.owner for node in lab.nodes for each in held(node, result)}
        assert owners == {bob.identity.owner}
        for node in both:
            await node.collector.collect()
            assert node.ports.store.used_bytes

    tell(story)


def test_a_change_counts_for_those_that_were_away_too() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [away, there] = await put_by(lab, putter)
        lab.crash(away)
        await away.stop()
        await asyncio.sleep(3 * 3600)
        ends = int(lab.nodes[0].ports.clock.unix_s() + 40 * DAY_S)
        told = await changed(putter, result.cid, replicas=5, expires=ends)
        assert (len(told.told.told), len(told.told.unreached), told.stored) == (1, 1, True)
        assert [(p.replicas, p.expires) for p in held(there, result)] == [(5, ends)]
        record = putter.ledger.puts.get(result.cid)
        assert record is not None
        assert record.policy == told.policy
        back = await lab.again(away)
        await back.joined.wait()
        assert held(back, result) == [told.policy]

    tell(story)


def test_who_was_away_for_long_does_not_keep_what_its_owner_has_shortened_since() -> None:
    """It would have all copies made again: by what it knows, they are for ever."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        owner = await lab.add(CLIENT)
        result = await put_with(owner, CONTENT[:1000])
        await asyncio.sleep(30)
        away, *there = (node for node in lab.nodes if held(node, result))
        lab.crash(away)
        await away.stop()
        lab.nodes.remove(away)
        ends = int(owner.ports.clock.unix_s() + 3600)
        assert len((await changed(owner, result.cid, expires=ends)).told.told) == 2
        await owner.stop()
        lab.nodes.remove(owner)
        await asyncio.sleep(POLICY_TTL_S + 3 * DAY_S)
        assert not any(held(node, result) for node in there)
        back = await lab.again(away)
        await back.joined.wait()
        assert [policy.expires for policy in held(back, result)] == [ends]

    tell(story)


def test_whose_line_is_down_while_more_time_is_given_asks_before_it_ends_what_expired() -> None:
    """It runs, and by its clock all is over for days."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        owner = await lab.add(CLIENT)
        result = await put_with(owner, CONTENT[:1000], ttl_s=3600)
        alone = lab.nodes[2]
        lab.network.partition([[address_of(alone)], []])
        ends = int(owner.ports.clock.unix_s() + 40 * DAY_S)
        told = (await changed(owner, result.cid, expires=ends)).told
        assert (len(told.told), len(told.unreached)) == (2, 1)
        await asyncio.sleep(4 * DAY_S)
        assert [policy.expires < ends for policy in held(alone, result)] == [True]
        lab.network.heal()
        await asyncio.sleep(DAY_S)
        assert [policy.expires for policy in held(alone, result)] == [ends]

    tell(story)


def test_holders_keep_a_policy_in_the_network_when_its_owner_is_gone() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [holder, _] = await put_by(lab, putter)
        owner = putter.identity.owner
        lab.crash(putter)
        await putter.stop()
        await asyncio.sleep(POLICY_TTL_S + POLICY_REPUBLISH_S)
        policy = await found(holder, owner, result.cid)
        assert [policy] == held(holder, result)

    tell(story)


def test_who_puts_it_again_otherwise_tells_all_holders_as_who_changes_it() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, holders = await put_by(lab, putter)
        again = await put_with(putter, CONTENT, replicas=1)
        assert [len(held(node, result)) for node in (putter, *holders)] == [1, 1, 1]
        await asyncio.sleep(30)
        [policy] = held(putter, result)
        assert (policy.replicas, policy.sequence) == (1, again.receipts[0].policy_seq)
        assert [held(node, result) for node in holders] == [[policy]] * 2

    tell(story)


def test_a_visitor_that_puts_it_again_otherwise_waits_until_they_know() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(5)
        visitor = await lab.add(CLIENT)
        result = await put_with(visitor, CONTENT, replicas=3)
        holders = [node for node in lab.nodes if held(node, result)]
        assert len(holders) == 3
        ends_unix_s = visitor.ports.clock.unix_s() + 40 * DAY_S
        again = await put_with(visitor, CONTENT, replicas=1, ttl_s=40 * DAY_S)
        await visitor.policies.renewal.settle(LOOKUP_TIMEOUT_S)
        policies = [policy for node in holders for policy in held(node, result)]
        assert {each.sequence for each in policies} == {again.receipts[0].policy_seq}
        assert all(abs(each.expires - ends_unix_s) < 60 for each in policies)

    tell(story)


def test_who_put_it_again_since_is_not_undone_by_an_old_removal() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, _ = await put_by(lab, putter)
        await removed(putter, result.cid)
        with pytest.raises(UsageError, match="was removed"):
            await changed(putter, result.cid, replicas=2)
        again = await put_with(putter, CONTENT, replicas=3)
        await asyncio.sleep(60)
        for node in lab.nodes:
            await node.policies.renewal.look_up()
        assert sum(bool(held(node, again)) for node in lab.nodes) == 3

    tell(story)


def test_a_removal_that_nobody_could_be_told_of_goes_out_later() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, holders = await put_by(lab, putter)
        others = [node for node in lab.nodes if node is not putter]
        policy = held(putter, result)[0]
        removal = policy_of(putter, result.cid, sequence=policy.sequence + 1, removed=True)
        putter.ledger.claims.update(removal)
        renewal = putter.policies.renewal
        renewal.goes_out(removal, renewal.publish(removal))
        await asyncio.sleep(60)
        assert await found(others[0], policy.owner, result.cid) == removal
        for node in holders:
            await node.policies.renewal.look_up()
            assert not keeps(node, result)

    tell(story)


def test_removals_heard_of_one_after_another_are_looked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All claims are looked through for them, of which there may be a hundred thousand."""
    looks, lapsed = list[float](), Claims.lapsed

    def counted(self: Claims, now_unix_s: float) -> Iterator[Claim]:
        looks.append(now_unix_s)
        return lapsed(self, now_unix_s)

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        await lab.grow(2)
        results = [await put_with(putter, CONTENT[: 1000 + n], replicas=3) for n in range(6)]
        away = lab.nodes[1]
        lab.crash(away)
        await away.stop()
        for result in results:
            await removed(putter, result.cid)
        await asyncio.sleep(3 * 3600)
        back = await lab.again(away)
        await putter.stop()
        looks.clear()
        monkeypatch.setattr(Claims, "lapsed", counted)
        await asyncio.sleep(3 * COLLECT_SOON_S)
        assert not any(held(back, result) for result in results)
        assert len(looks) <= 2

    tell(story)


def test_what_is_removed_while_the_line_is_down_is_freed_once_it_is_there_again() -> None:
    """Holders look at what they hold in two days' turn: they are told."""

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, holders = await put_by(lab, putter)
        lab.network.partition([[address_of(putter)], []])
        told = await removed(putter, result.cid)
        assert (told.told, told.unreached, told.stored) == (0, 2, False)
        await asyncio.sleep(120)
        lab.network.heal()
        await asyncio.sleep(300)
        assert [held(node, result) for node in holders] == [[], []]

    tell(story)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_holder_that_runs_and_was_out_of_reach_for_minutes_is_told_once_it_answers(
    *, restarts: bool
) -> None:
    """Nothing tells it that it missed something: it looked only in its turn of two days."""

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [away, _] = await put_by(lab, putter)
        lab.network.partition([[address_of(away)], []])
        told = await removed(putter, result.cid)
        assert (told.told, told.unreached, told.stored) == (1, 1, True)
        await asyncio.sleep(60)
        if restarts:
            lab.crash(putter)
            await putter.stop()
            putter = await lab.again(putter)
        await asyncio.sleep(240)
        assert keeps(away, result)
        lab.network.heal()
        await asyncio.sleep(600)
        assert held(away, result) == []
        assert [*putter.tell_later.rows.holders()] == []

    tell(story)


def test_a_change_reaches_a_holder_that_was_out_of_reach_for_some_seconds() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [away, _] = await put_by(lab, putter)
        lab.network.partition([[address_of(away)], []])
        assert len((await changed(putter, result.cid, replicas=5)).told.unreached) == 1
        lab.network.heal()
        newest = await changed(putter, result.cid, replicas=2)
        assert newest.told.unreached == {}
        assert [*putter.tell_later.rows.holders()] == [], "it knows a newer one"
        lab.network.partition([[address_of(away)], []])
        last = await changed(putter, result.cid, replicas=4)
        await asyncio.sleep(10)
        lab.network.heal()
        await asyncio.sleep(90)
        assert held(away, result) == [last.policy]

    tell(story)


def test_what_was_put_again_and_is_changed_at_once_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network knows of the removal before that only."""

    async def never(self: PolicyRenewal, policy: Policy) -> None:
        await asyncio.sleep(DAY_S)

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, _ = await put_by(lab, putter)
        await removed(putter, result.cid)
        monkeypatch.setattr(PolicyRenewal, "publish", never)
        await put_with(putter, CONTENT, replicas=3)
        told = await changed(putter, result.cid, replicas=2)
        assert not told.policy.removed
        assert sum(held(node, result) == [told.policy] for node in lab.nodes) == 3

    tell(story)


def test_who_does_not_come_back_is_not_called_for_ever() -> None:
    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, [away, _] = await put_by(lab, putter)
        lab.crash(away)
        await away.stop()
        await removed(putter, result.cid)
        await asyncio.sleep(POLICY_UNTOLD_S - DAY_S)
        assert [*putter.tell_later.rows.holders()] == [away.public_key]
        await asyncio.sleep(DAY_S + 2 * 3600)
        assert [*putter.tell_later.rows.holders()] == []

    tell(story)


def test_a_visitor_can_wait_until_others_keep_what_it_wants_and_is_told_where_none_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish = PolicyRenewal.publish

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        told: list[str] = []
        visitor = await lab.add(CLIENT, tracer=lambda event, **fields: told.append(event))
        owner = visitor.identity.owner
        first = await put_with(visitor, CONTENT)
        assert await visitor.policies.renewal.settle(15.0)
        assert await found(lab.nodes[0], owner, first.cid) is not None
        assert "policy.untold" not in told

        async def too_late(self: PolicyRenewal, policy: Policy) -> None:
            for node in lab.nodes[:4]:
                lab.crash(node)
            await publish(self, policy)

        monkeypatch.setattr(PolicyRenewal, "publish", too_late)
        second = await put_with(visitor, CONTENT[1:])
        assert not await visitor.policies.renewal.settle(15.0)
        assert "policy.untold" in told
        assert second.copies
        began_s = asyncio.get_running_loop().time()
        assert await visitor.policies.renewal.settle(15.0), "it was waited for once"
        assert asyncio.get_running_loop().time() == began_s

    tell(story)


@pytest.mark.parametrize("settings", [STORAGE, CLIENT])
def test_a_put_after_a_removal_that_it_has_not_heard_of_stands(settings: NodeSettings) -> None:
    """On another machine with the owner's key; the clock of the first is ten minutes ahead."""

    async def story(lab: Lab) -> None:
        await lab.grow(8)
        clock = SimClock(lab.loop, 600.0)
        first = await lab.add(CLIENT, crypto=SimCrypto(b"a machine", b"alice"), clock=clock)
        other = await lab.add(settings, crypto=SimCrypto(b"another machine", b"alice"))
        result = await put_with(first, CONTENT)
        await asyncio.sleep(60)
        assert (await removed(first, result.cid)).unreached == 0
        await asyncio.sleep(60)
        await put_with(other, CONTENT)
        await asyncio.sleep(60)
        for node in lab.nodes:
            await node.policies.renewal.look_up()
        assert sum(bool(held(node, result)) for node in lab.nodes) == 3
        policy = await found(lab.nodes[1], other.identity.owner, result.cid)
        assert policy is not None
        assert not policy.removed

    tell(story)
