"""Blocks enter the walk in the order in which they came, on the loop or in a worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import TypeVar

import pytest

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.walk import Output, Piece, Want
from dhtstore.errors import MalformedDag
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.fetching.opening import Opening, Ready, read_block
from dhtstore.node.links.buffers import Lease
from dhtstore.params import OPENED_ON_LOOP_MAX
from dhtstore.tasks import Supervisor
from tests.unit.node.fetching.walks import ListWalk, want_of

T = TypeVar("T")
BLOCKS = [b"%d" % number for number in range(9)]


class Weighed(ListWalk):
    """Blocks of one digit are light, of more heavy; tells which thread opened each."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        super().__init__(blocks)
        self.opened_by: list[str] = []
        self.users = 0

    def weight(self, node: DagNode) -> int:
        return 1 if node.block_bytes == 1 else OPENED_ON_LOOP_MAX + 1

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        self.users += 1
        assert self.users == 1, "a walk is for one thread at a time"
        self.opened_by.append(threading.current_thread().name.partition("_")[0])
        outputs = super().accept(want, node)
        self.users -= 1
        return outputs


def ready(data: bytes, sequence: int) -> Ready:
    want = want_of(data, sequence)
    return Ready(want, read_block(want.cid, data))


class Opened:
    """An opening over real threads, and what it yields."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self.walk, self.blocking = Weighed(blocks), ThreadBlocking()
        self.failures: list[BaseException] = []
        self.tasks = Supervisor(on_failure=lambda name, error: self.failures.append(error))
        self.offsets: list[int] = []
        self.woken = asyncio.Event()
        self.opening = Opening(self.walk, self.blocking, self.tasks, self.on_opened, self.woken.set)

    def on_opened(self, outputs: Sequence[Output], lease: Lease | None) -> None:
        self.offsets += [each.offset for each in outputs if isinstance(each, Piece)]

    async def close(self) -> None:
        await self.tasks.close()
        await self.blocking.close()


async def test_light_blocks_are_opened_at_once() -> None:
    both = Opened(BLOCKS)
    both.opening.take([ready(data, at) for at, data in enumerate(BLOCKS)])
    assert both.offsets == list(range(9))
    assert both.opening.walked
    assert set(both.walk.opened_by) == {"MainThread"}
    await both.close()


async def test_what_comes_while_a_worker_has_the_walk_waits_for_it() -> None:
    blocks = [b"heavy", *BLOCKS]
    both = Opened(blocks)
    both.opening.take([ready(b"heavy", 0)])
    assert both.opening.busy
    assert not both.opening.walked
    assert both.opening.waiting_bytes == 5
    both.opening.take([ready(data, at + 1) for at, data in enumerate(BLOCKS)])
    assert both.offsets == []
    await both.woken.wait()
    assert both.offsets == list(range(10))
    assert both.opening.walked
    assert both.opening.waiting_bytes == 0
    assert set(both.walk.opened_by) == {"dhtstore"}
    await both.close()


async def test_many_light_blocks_are_much_together() -> None:
    blocks = [b"x"] * (OPENED_ON_LOOP_MAX + 1)
    both = Opened(blocks)
    both.opening.take([ready(data, at) for at, data in enumerate(blocks)])
    assert both.opening.busy
    await both.woken.wait()
    assert both.offsets == list(range(len(blocks)))
    await both.close()


@pytest.mark.parametrize("first", [b"1", b"heavy"])
async def test_a_block_that_is_malformed_fails_behind_those_before_it(first: bytes) -> None:
    both = Opened([first, b"2"])
    refused = Ready(want_of(b"2", 1), MalformedDag("no node"))
    blocks = [ready(first, 0), refused]
    if first == b"1":
        with pytest.raises(MalformedDag):
            both.opening.take(blocks)
    else:
        both.opening.take(blocks)
        await both.tasks.settle(5.0)
        assert [str(error) for error in both.failures] == ["no node"]
    assert both.offsets == [0]
    await both.close()
