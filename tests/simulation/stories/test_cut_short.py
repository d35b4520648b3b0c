"""A change of what an owner wants that nobody waits for any more, or on a full disk."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import NoRoom
from dhtstore.node.policies.telling import TellHolders, ToldHolders
from dhtstore.store.ledger.tiers.untold import Untold
from tests.simulation.harness import Lab, tell
from tests.simulation.stories.test_policies import held, put_by, removed


def test_a_removal_that_is_cut_short_once_it_counts_here_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever put it could not even name it any more, and holders kept it for days."""

    async def cut_short(*given: object) -> ToldHolders:
        monkeypatch.undo()
        raise asyncio.CancelledError

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, holders = await put_by(lab, putter)
        monkeypatch.setattr(TellHolders, "tell", cut_short)
        with pytest.raises(asyncio.CancelledError):
            await removed(putter, result.cid)
        assert putter.ledger.puts.get(result.cid) is None
        await asyncio.sleep(60)
        assert [held(node, result) for node in (putter, *holders)] == [[]] * 3

    tell(story)


def test_a_removal_is_told_though_nobody_can_be_written_down_on_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It gives room back, at the others at least."""

    def full(*given: object) -> None:
        raise NoRoom("the disk is full")

    async def story(lab: Lab) -> None:
        putter = await lab.add()
        result, holders = await put_by(lab, putter)
        monkeypatch.setattr(Untold, "add", full)
        monkeypatch.setattr(Untold, "drop", full)
        assert (await removed(putter, result.cid)).told == len(holders)

    tell(story)
