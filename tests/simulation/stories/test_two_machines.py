"""One owner's key on two machines: what is said on one counts on the other, whichever was first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from dhtstore.errors import UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.node.copies.hold import Holder
from dhtstore.node.node import Node
from dhtstore.node.overview import root_status_of
from dhtstore.node.policies.book import PolicyBook
from dhtstore.node.policies.changing import Changed
from dhtstore.node.ports import NodeSettings
from dhtstore.operations.keeping import RemovedPut
from simulations.world.ports.crypto import SimCrypto
from tests.simulation.harness import CLIENT, STORAGE, Lab, put_with, tell
from tests.simulation.stories.test_leaving import holders
from tests.simulation.stories.test_policies import CONTENT, changed, found, removed
from tests.simulation.stories.test_removed_meanwhile import once_before
from tests.simulation.stories.test_safety import listed


async def put_on_one(lab: Lab, settings: NodeSettings = STORAGE) -> tuple[Node, Node, Cid]:
    """Where it was put, and the other machine."""
    await lab.grow(5)
    here = await lab.add(settings, crypto=SimCrypto(b"a machine", b"alice"))
    there = await lab.add(settings, crypto=SimCrypto(b"another machine", b"alice"))
    root = (await put_with(here, CONTENT)).cid
    await asyncio.sleep(60)
    return here, there, root


@pytest.mark.parametrize("settings", [STORAGE, CLIENT])
def test_what_is_changed_on_the_other_machine_is_what_the_list_tells(
    settings: NodeSettings,
) -> None:
    """A holder is told at once; a client that is nobody's holder hears when it looks."""

    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab, settings)
        await changed(there, root, replicas=2)
        if settings is CLIENT:
            await here.policies.renewal.look_up()
        assert (await listed(here)).replicas == 2
        record = here.ledger.puts.get(root)
        assert record is not None
        assert record.policy == here.policies.book.here(here.identity.owner, root.raw)
        await changed(there, root, replicas=4)
        if settings is CLIENT:
            await here.policies.renewal.look_up()
        row = await listed(here)
        assert (row.state, row.replicas) == ("short", 4)

    tell(story)


def test_a_look_at_what_the_other_machine_changed_does_not_make_copies_doubtful() -> None:
    """`status` had the own copy alone signed for the newer policy: "1 of 2", and others "for
    another owner"."""

    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab)
        await changed(there, root, replicas=2)
        for _ in range(3):
            told = await root_status_of(here, root, check=False)
            assert told.put is not None
            assert (told.put.state, told.copies, told.replicas) == ("safe", 2, 2)
            assert {each.state for each in told.units[0].holders} == {"live", "believed"}
            await asyncio.sleep(600)
        newest = here.policies.book.here(here.identity.owner, root.raw)
        signed = {each.policy_seq for each in here.ledger.receipts.for_root(root)}
        assert newest is not None
        assert signed == {newest.sequence}

    tell(story)


@pytest.mark.parametrize("settings", [STORAGE, CLIENT])
def test_what_is_removed_on_the_other_machine_is_removed_where_it_was_put(
    settings: NodeSettings,
) -> None:
    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab, settings)
        await removed(there, root)
        if settings is CLIENT:
            await here.policies.renewal.look_up()
        assert here.ledger.puts.list() == []
        assert here.ledger.pins.list() == []
        assert [row.kind for row in here.ledger.events.last(9)] == ["removed"]
        assert there.ledger.events.last(9) == [], "who removed it knows"
        assert holders(lab, root) == []
        await here.collector.collect()
        assert here.ports.store.count() == 0
        again = await put_with(here, CONTENT)
        assert here.ledger.puts.get(again.cid) is not None
        await here.policies.renewal.look_up()
        assert len(holders(lab, again.cid)) == 3

    tell(story)


def of_one_moment(monkeypatch: pytest.MonkeyPatch, *nodes: Node) -> None:
    """What each of them signs next has the same sequence."""
    signs, left = PolicyBook.signed, [node.policies.book for node in nodes]
    sequence = int(nodes[0].ports.clock.unix_s() * 1000) + 1000

    def signed(self: PolicyBook, *given: Any, **wanted: Any) -> Policy:
        policy = signs(self, *given, **wanted)
        if self not in left:
            return policy
        left.remove(self)
        return self.identity.sign_as_owner(replace(policy, sequence=sequence))

    monkeypatch.setattr(PolicyBook, "signed", signed)


@pytest.mark.parametrize("counts", [(2, 5), (5, 2)])
def test_of_two_changes_in_one_moment_the_one_that_says_so_last_counts_everywhere(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int]
) -> None:
    """Whose has the smaller hash signs once more, above the other."""

    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab)
        of_one_moment(monkeypatch, here, there)
        both = await asyncio.gather(
            changed(here, root, replicas=counts[0]), changed(there, root, replicas=counts[1])
        )
        first, last = sorted(both, key=lambda each: each.policy.precedence)
        assert first.policy.sequence < last.policy.sequence
        assert last.told.unreached == {}
        owner = here.identity.owner
        for node in {here, *holders(lab, root)}:
            assert node.policies.book.here(owner, root.raw) == last.policy
        assert await found(lab.nodes[0], owner, root) == last.policy
        assert (await listed(here)).replicas == last.policy.replicas

    tell(story)


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_removal_and_a_change_in_one_moment_the_removal_counts_and_both_are_told_so(
    monkeypatch: pytest.MonkeyPatch, *, turned: bool
) -> None:
    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab)
        remover, changer = (there, here) if turned else (here, there)
        of_one_moment(monkeypatch, remover, changer)
        gone, change = await asyncio.gather(
            removed(remover, root), changed(changer, root, replicas=5), return_exceptions=True
        )
        assert isinstance(gone, RemovedPut)
        assert gone.unreached == 0
        if not turned:  # the change came later
            assert isinstance(change, UsageError)
            assert "was removed" in str(change)
        assert holders(lab, root) == []
        assert here.ledger.puts.list() == []
        policy = await found(lab.nodes[0], here.identity.owner, root)
        assert policy is not None
        assert policy.removed

    tell(story)


@pytest.mark.parametrize("settings", [STORAGE, CLIENT])
@pytest.mark.parametrize("later_s", [0.0, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_removed_while_the_other_machine_is_about_to_change_it_stays_removed(
    settings: NodeSettings, later_s: float, *, turned: bool
) -> None:
    """That looked before, and signs a moment later: "0 holders told", and copies were wanted."""

    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab, settings)
        remover, changer = (there, here) if turned else (here, there)

        async def change() -> Changed:
            await asyncio.sleep(later_s)
            return await changed(changer, root, replicas=5)

        gone, change_told = await asyncio.gather(
            removed(remover, root), change(), return_exceptions=True
        )
        assert isinstance(gone, RemovedPut)
        assert (gone.told, gone.unreached) == (gone.elsewhere, 0)
        if isinstance(change_told, Changed):
            assert change_told.told.told, "it was first"
            assert not change_told.told.lacking
        else:
            assert "was removed" in str(change_told)
        assert holders(lab, root) == []
        policy = await found(lab.nodes[0], here.identity.owner, root)
        assert policy is not None
        assert policy.removed

    tell(story)


def test_what_is_removed_while_the_other_machine_puts_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that take a copy in that moment are told by who put it, once that hears of it."""

    async def story(lab: Lab) -> None:
        here, there, root = await put_on_one(lab)

        async def then() -> None:
            assert (await removed(there, root)).unreached == 0

        begun = once_before(monkeypatch, (Holder, "_keep"), then)
        begun.append(True)
        assert (await put_with(here, CONTENT, replicas=5)).cid == root
        assert len(begun) == 2, "the story took place"
        await asyncio.sleep(60)
        assert holders(lab, root) == []
        assert here.ledger.puts.list() == []

    tell(story)
