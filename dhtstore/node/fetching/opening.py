"""Where verified blocks enter the walk: a few links on the event loop, many in a worker thread.

Peers decide how many links a block has.  It was read in the worker that verified it; what is left
is to check what it links to and to put that into the walk, which is not made for several threads:
while one has it, nobody else uses it, and blocks that come meanwhile wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.walk import Output, Walk, Want
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Blocking
from dhtstore.node.links.buffers import Lease
from dhtstore.params import OPENED_ON_LOOP_MAX
from dhtstore.tasks import Supervisor

BLOCKS_AT_ONCE: Final = 256  # opened in one go: each of them costs the loop a little afterwards

ReadBlock = DagNode | MalformedDag
Reading = Callable[[Cid, bytes | memoryview], DagNode]  # as ``read_node`` does


def read_block(cid: Cid, data: bytes | memoryview, read: Reading = read_node) -> ReadBlock:
    """What a verified block says, or what is wrong with it: that is told when its turn comes.
    For worker threads."""
    try:
        return read(cid, data)
    except MalformedDag as error:
        return error


class Ready(NamedTuple):
    """A verified block to be opened, and the lease of the buffer that it lies in.  There is one for
    each small block: a dataclass takes twice as long to make."""

    want: Want
    block: ReadBlock
    lease: Lease | None = None


OnOpened = Callable[[Sequence[Output], Lease | None], None]


class Opening:
    """``busy`` while a worker has the walk; ``waiting_bytes`` are of the blocks that wait for
    that.  ``on_opened`` is told what each block yields, in the order in which they came."""

    def __init__(
        self,
        walk: Walk,
        blocking: Blocking,
        tasks: Supervisor,
        on_opened: OnOpened,
        wake: Callable[[], None],
    ) -> None:
        self.busy = False
        self.waiting_bytes = 0
        self._refused = False
        self._walk, self._blocking, self._tasks = walk, blocking, tasks
        self._on_opened, self._wake = on_opened, wake
        self._waiting: deque[Ready] = deque()

    @property
    def walked(self) -> bool:
        """Whether the walk has come to its end, and not to a block that it refuses: whoever waits
        is told of that a moment after it raised, and the block may have been the last."""
        return not (self.busy or self._refused) and self._walk.done

    def take(self, blocks: Sequence[Ready]) -> None:
        """Open these as soon as those before them are; raises what the walk raises."""
        if not self.busy and sum(map(self._weight, blocks)) <= OPENED_ON_LOOP_MAX:
            self._hand_on(blocks, *_open_all(self._walk, blocks))
            return
        self._waiting += blocks
        self.waiting_bytes += _size_bytes(blocks)
        if not self.busy and not self._tasks.closed:
            self.busy = True
            self._tasks.spawn(self._open_in_worker(), "open-blocks")

    async def _open_in_worker(self) -> None:
        while self._waiting:
            count = min(BLOCKS_AT_ONCE, len(self._waiting))
            blocks = [self._waiting.popleft() for _ in range(count)]
            opened = await self._blocking.run(_open_all, self._walk, blocks)
            self.waiting_bytes -= _size_bytes(blocks)
            self._hand_on(blocks, *opened)
        self.busy = False
        self._wake()

    def _hand_on(
        self, blocks: Sequence[Ready], outputs: Sequence[list[Output]], error: Exception | None
    ) -> None:
        for ready, output in zip(blocks, outputs, strict=False):
            self._on_opened(output, ready.lease)
        if error is not None:
            self._refused = True
            raise error

    def _weight(self, ready: Ready) -> int:
        return self._walk.weight(ready.block) if isinstance(ready.block, DagNode) else 0


def _open_all(walk: Walk, blocks: Sequence[Ready]) -> tuple[list[list[Output]], Exception | None]:
    """What each block yields, up to the first that the walk refuses, and why it does."""
    outputs: list[list[Output]] = []
    try:
        for ready in blocks:
            if isinstance(ready.block, MalformedDag):
                raise ready.block
            outputs.append(walk.accept(ready.want, ready.block))
    except Exception as error:  # of any kind: the loop raises it, behind what came before
        return outputs, error
    return outputs, None


def _size_bytes(blocks: Sequence[Ready]) -> int:
    return sum(each.block.block_bytes for each in blocks if isinstance(each.block, DagNode))
