"""A holder that gives less takes nothing new and keeps what it has signed for."""

from __future__ import annotations

import random

import pytest

from dhtstore.errors import QuorumNotReached
from dhtstore.node.control import OperationRun, perform
from dhtstore.node.node import Node
from dhtstore.operations.nodes import CapacityChange, DescribeNode, NodeStatus, SetCapacity
from dhtstore.operations.operation import unwatched
from dhtstore.params import MIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.events.users import get_bytes, put_bytes
from tests.simulation.harness import CLIENT, STORAGE, Lab, tell

FIRST = random.Random(1).randbytes(3 * MIB)
MORE = random.Random(2).randbytes(3 * MIB)


def run_of(node: Node) -> OperationRun:
    return OperationRun(node, [], unwatched, None)


async def give(node: Node, capacity_bytes: int) -> CapacityChange:
    return await perform(SetCapacity(capacity=capacity_bytes), run_of(node))


async def status(node: Node) -> NodeStatus:
    return await perform(DescribeNode(), run_of(node))


def test_a_holder_that_gives_less_keeps_what_is_claimed_and_takes_more_when_it_may() -> None:
    async def story(lab: Lab) -> None:
        holder = await lab.add(STORAGE, store=MemoryBlockStore(STORAGE.capacity_bytes))
        uploader = await lab.add(CLIENT)
        result = await put_bytes(uploader, FIRST, replicas=1)
        changed = await give(holder, 2 * MIB)
        assert changed.over > MIB
        assert (await status(holder)).capacity == 2 * MIB
        assert holder.identity.record().capacity_bytes == 2 * MIB
        with pytest.raises(QuorumNotReached, match="no share left for it"):
            await put_bytes(uploader, MORE, replicas=1)
        assert (await status(holder)).units == 1
        assert await get_bytes(uploader, result.cid) == FIRST
        changed = await give(holder, 80 * MIB)
        assert (changed.over, changed.before) == (0, 2 * MIB)
        assert (await put_bytes(uploader, MORE, replicas=1)).copies == 1

    tell(story)
