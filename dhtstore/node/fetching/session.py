"""What one command fetches: paths, listings and whole DAGs, from holders that it finds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dhtstore.content.dag.resolve import Resolved, resolve
from dhtstore.content.dag.walk import Walk, Want
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.fetching.fetch import Delivery, fetch
from dhtstore.node.fetching.question import QuestionWalk
from dhtstore.node.fetching.sources import Sources

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchSession:
    """The fetches of one command, one after the other, with what they learn of holders."""

    disk: Disk
    sources: Sources

    async def __aenter__(self) -> FetchSession:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing outlives a fetch."""

    @property
    def connected(self) -> list[str]:
        """The nodes that were connected to."""
        return list(getattr(self.sources, "found", ()))

    @property
    def unreached(self) -> dict[str, str]:
        """Why others could not be connected to, by node."""
        return dict(getattr(self.sources, "failed", {}))

    async def fetch(
        self, walk: Walk, delivery: Delivery, *, timeout_s: float | None = None
    ) -> None:
        """Drive ``walk`` to its end; raises as ``fetch.fetch``."""
        await fetch(walk, self.sources, delivery, disk=self.disk, timeout_s=timeout_s)

    async def ask(self, question: Generator[Want, bytes | memoryview, T]) -> T:
        """Answer a question of ``content.dag`` with blocks from the store or the network.

        Raises what ``fetch`` raises, and what the question raises.
        """
        walk = QuestionWalk(question)
        try:
            await self.fetch(walk, Delivery())
            return walk.answer
        finally:
            question.close()

    async def resolve(self, root: Cid, names: Sequence[str]) -> Resolved:
        """Follow a path from a root; raises NoSuchPath naming what is missing, and as ``ask``."""
        return await self.ask(resolve(root, names))
