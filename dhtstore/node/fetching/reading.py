"""Read single blocks, wherever they are: for paths, listings and descriptions.

The questions are generators of ``content.dag.resolve``: they yield wants and are sent bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

from dhtstore.content.dag.resolve import Resolved, resolve
from dhtstore.content.dag.walk import Leaf, Output, Want
from dhtstore.errors import LocalProtocolError
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.fetch import fetch
from dhtstore.node.fetching.holders import DhtSources

if TYPE_CHECKING:
    from dhtstore.node.node import Node

T = TypeVar("T")
Bytes = bytes | memoryview


async def resolve_path(node: Node, root: Cid, names: Sequence[str]) -> Resolved:
    """Follow a path from a root; raises NoSuchPath naming what is missing, and as ``ask``."""
    return await ask(node, resolve(root, names))


async def ask(node: Node, question: Generator[Want, Bytes, T]) -> T:
    """Answer a question with blocks from the store or the network.

    Raises what ``fetch`` raises, and what the question raises.
    """
    sources = DhtSources(node)
    try:
        want = next(question)
        while True:
            want = question.send(await _block(node, want, sources))
    except StopIteration as finished:
        answer: T = finished.value
        return answer
    finally:
        question.close()


async def _block(node: Node, want: Want, sources: DhtSources) -> Bytes:
    one = _OneBlock(want)
    await fetch(one, sources, _no_output, store=node.ports.store, blocking=node.ports.blocking)
    assert one.data is not None, "a fetch ends when the walk is done"
    return one.data


class _OneBlock:
    """A walk of a single want."""

    def __init__(self, want: Want) -> None:
        self.opening: list[Output] = []
        self.data: Bytes | None = None
        self._want: Want | None = want

    def next(self, limit: int) -> list[Want]:
        want, self._want = self._want, None
        return [want] if want is not None else []

    def accept(self, want: Want, data: Bytes) -> list[Output]:
        self.data = data
        return []

    def leaf(self, want: Want) -> Leaf | None:
        return None

    def skip(self, want: Want) -> None:
        raise LocalProtocolError("a single block is never skipped")

    @property
    def done(self) -> bool:
        return self.data is not None


async def _no_output(outputs: Sequence[Output]) -> None:
    if outputs:
        raise LocalProtocolError("a single block yields no output")
