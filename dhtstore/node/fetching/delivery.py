"""Where the output of a walk goes, and what is done with its blocks on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.walk import Leaf, Output
from dhtstore.errors import LocalProtocolError
from dhtstore.model.cid import Cid
from dhtstore.transfer.in_order import Ordering

BlockBytes = bytes | memoryview
Sink = Callable[[list[Output]], Awaitable[None]]
Keep = Callable[[list[tuple[Cid, BlockBytes]]], None]
Found = Callable[[Cid, bytes], None]


class Earlier(Protocol):
    """What an earlier run of the same command left of its output."""

    def claims(self, leaf: Leaf) -> bool:
        """Whether it says that it wrote these bytes.  Cheap."""

    def recall(self, leaf: Leaf, cid: Cid) -> bytes | None:
        """The bytes, read again, if they are what ``cid`` names.  For worker threads, several at
        a time."""


async def _no_output(outputs: Sequence[Output]) -> None:
    if outputs:
        raise LocalProtocolError("this walk yields blocks, not output")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What whoever starts a fetch wants of it.

    ``sink`` is awaited with output, one call at a time, and holds the rest back while it waits;
    directories and files come before what is in them, pieces in any order, or in order with
    ``in_order``.  The bytes of pieces are valid until it returns.  ``keep`` gets verified blocks
    that came from peers, in worker threads, maybe several at a time, before the walk sees them;
    those bytes too are valid until it returns.  ``found`` gets those that were here, likewise.
    A leaf that ``earlier`` claims and recalls is not fetched; it comes to the sink as all others
    do.  ``read`` is how blocks are read for the walk.  ``progress`` gets the block bytes done so
    far.
    """

    sink: Sink = _no_output
    in_order: Ordering | None = None
    keep: Keep | None = None
    found: Found | None = None
    earlier: Earlier | None = None
    read: Callable[[Cid, BlockBytes], DagNode] = read_node
    progress: Callable[[int], None] = lambda done_bytes: None
