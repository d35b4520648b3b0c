"""Two nodes with one key notice each other, and say so for as long as both are there."""

from __future__ import annotations

import asyncio

from dhtstore.node.node import Node
from dhtstore.params import HANDSHAKE_TIMEOUT_S, LOOKUP_TIMEOUT_S, REPROVIDE_INTERVAL_S
from tests.simulation.harness import STORAGE, Lab, address_of, tell, ticket_of

SOON_S = LOOKUP_TIMEOUT_S + HANDSHAKE_TIMEOUT_S


async def copy_of(lab: Lab, node: Node) -> Node:
    """Another machine with the key of ``node``, which goes on."""
    return await lab.add(STORAGE, seeds=[ticket_of(lab.nodes[0])], crypto=node.ports.crypto)


def test_a_copied_home_is_noticed_by_both_at_once() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(5)
        first = lab.nodes[2]
        await asyncio.sleep(60)
        copy = await copy_of(lab, first)
        await asyncio.sleep(SOON_S)
        for node, other in ((first, copy), (copy, first)):
            (warning,) = node.warnings.texts
            assert f"another node has the key of this one, at {address_of(other)}" in warning
        assert all(not node.warnings.texts for node in lab.nodes if node not in (first, copy))

        lab.crash(copy)
        await asyncio.sleep(2 * REPROVIDE_INTERVAL_S)
        assert first.warnings.texts == []

    tell(story)


def test_a_node_that_was_away_notices_what_was_copied_meanwhile() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(5)
        first = lab.nodes[2]
        lab.crash(first)
        copy = await copy_of(lab, first)
        await asyncio.sleep(SOON_S)
        assert copy.warnings.texts == []
        back = await lab.again(first)
        await asyncio.sleep(SOON_S)
        assert len(back.warnings.texts) == 1
        assert len(copy.warnings.texts) == 1

    tell(story)


def test_a_node_that_moved_is_no_twin_of_itself() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(5)
        first = lab.nodes[2]
        await asyncio.sleep(60)
        lab.crash(first)
        moved = await lab.again(first)
        await asyncio.sleep(2 * REPROVIDE_INTERVAL_S)
        assert moved.warnings.texts == []

    tell(story)
