"""What its owner removes, or wants more of, while a holder is about to make a copy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from dhtstore.model.cid import Cid
from dhtstore.node.copies.hold import Holder
from dhtstore.node.duties.repairing.asking import Asking
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from dhtstore.replication.repair.plan import Act
from simulations.events.users import put_bytes
from tests.simulation.harness import CLIENT, STORAGE, Lab, tell
from tests.simulation.stories.test_leaving import CONTENT, PERIODS, holders
from tests.simulation.stories.test_policies import changed, removed


def once_before(
    monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], then: Callable[[], Awaitable[object]]
) -> list[bool]:
    """``then`` happens before that method goes on, once ``begun`` has something in it."""
    owner, name = where
    method, begun = getattr(owner, name), list[bool]()

    async def slow(self: Any, *given: Any) -> Any:
        if begun == [True]:
            begun.append(True)
            await then()
        return await method(self, *given)

    monkeypatch.setattr(owner, name, slow)
    return begun


async def put_and_lose_one(lab: Lab, begun: list[bool]) -> tuple[Node, Cid]:
    """By a node that holds it, too; a copy of another one is lost and about to be made again."""
    for _ in range(6):
        await lab.add(replace(STORAGE, periods=PERIODS))
    putter = lab.nodes[0]
    root = (await put_bytes(putter, CONTENT)).cid
    await asyncio.sleep(PERIODS.ping_s)
    gone = next(node for node in holders(lab, root) if node is not putter)
    lab.crash(gone)
    await gone.stop()
    lab.nodes.remove(gone)
    await asyncio.sleep(PERIODS.grace_min_s)
    begun.append(True)
    return putter, root


@pytest.mark.parametrize("where", [(Asking, "look"), (Holder, "_keep")])
def test_what_is_removed_while_it_is_repaired_is_gone(
    monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    async def story(lab: Lab) -> None:
        async def then() -> None:
            await removed(putter, root)

        begun = once_before(monkeypatch, where, then)
        putter, root = await put_and_lose_one(lab, begun)
        for _ in range(200):
            await asyncio.sleep(PERIODS.ping_s / 4)
            if len(begun) > 1:
                break
        assert len(begun) == 2, "the story took place"
        await asyncio.sleep(60)
        assert holders(lab, root) == []

    tell(story)


def test_what_its_owner_wants_more_of_while_it_is_handed_over_is_brought_to_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(8)
        owner = await lab.add(CLIENT)
        root = (await put_bytes(owner, CONTENT)).cid
        await asyncio.sleep(60)
        leaver = holders(lab, root)[1]

        async def then() -> None:
            await changed(owner, root, replicas=5)

        begun = once_before(monkeypatch, (Holder, "_keep"), then)
        begun.append(True)
        [done] = await leaver.leaving.leave(unwatched)
        assert len(begun) == 2, "the story took place"
        assert (done.act, done.made) == (Act.DROP, 3)
        there = holders(lab, root)
        assert len(there) == 5
        assert leaver not in there

    tell(story)
