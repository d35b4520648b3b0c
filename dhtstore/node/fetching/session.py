"""What one command fetches: paths, listings and whole DAGs, from holders that it finds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.looking.resolve import Resolved, resolve
from dhtstore.content.dag.units import unit_wants
from dhtstore.content.dag.walk import Walk, Want
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import Delivery, Found, Keep
from dhtstore.node.fetching.fetch import fetch
from dhtstore.node.fetching.holders import Holders
from dhtstore.node.fetching.question import QuestionWalk
from dhtstore.node.fetching.search import HolderSearch
from dhtstore.node.traffic.traffic import Pull, Traffic
from dhtstore.operations.explaining.report import FetchReport, HolderTimeline
from dhtstore.operations.operation import HolderProgress
from dhtstore.params import FETCH_MEMORY_BYTES
from dhtstore.transfer.fair_queue import Payer
from dhtstore.transfer.priority import Priority

T = TypeVar("T")


class FetchSession:
    """Used with ``async with``: the fetches of one command, one after the other.  Holders, links
    and lookups of a unit are kept for all of them.  ``memory_bytes`` is what blocks may take at a
    time: less where strangers decide how many such sessions there are.

    ``traffic`` is the node's: its limit counts, and what somebody waits for goes before what is of
    lower ``priority``.  What comes is on the account of ``payer``; a session without has a share
    of its own."""

    def __init__(
        self,
        disk: Disk,
        search: HolderSearch,
        memory_bytes: int = FETCH_MEMORY_BYTES,
        *,
        traffic: Traffic | None = None,
        priority: Priority = Priority.FOREGROUND,
        payer: Payer | None = None,
    ) -> None:
        self.disk = disk
        self._holders, self._memory_bytes = Holders(search), memory_bytes
        held = self._holders.record.held
        self._pull = Pull(traffic or Traffic(), priority, payer or Payer.alone(), held)
        self.keep: Keep | None = None
        self.found: Found | None = None

    async def __aenter__(self) -> FetchSession:
        self._pull.begin()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._pull.end()
        await self._holders.close()

    def keeps(self, keep: Keep, found: Found) -> None:
        """From now on these get all that is fetched for answers, as ``Delivery`` says; whoever
        fetches something else hands them on."""
        self.keep, self.found = keep, found

    def keeps_no_more(self) -> None:
        """From now on nobody gets it."""
        self.keep = self.found = None

    @property
    def connected(self) -> list[str]:
        """The nodes that were connected to."""
        return self._holders.record.connected

    @property
    def unreached(self) -> dict[str, str]:
        """Why others could not be connected to (node -> reason)."""
        return self._holders.record.unreached

    @property
    def causes(self) -> dict[str, str]:
        """What went wrong with whom (node -> reason)."""
        return self._holders.record.causes

    def report(self) -> FetchReport:
        """How holders were looked for, and what each did."""
        return self._holders.report()

    def shares(self) -> list[HolderTimeline]:
        """What each holder did so far, in the order in which they were found."""
        return self._holders.record.shares()

    def given(self) -> list[HolderProgress]:
        """How much each holder gave so far."""
        return self._holders.record.given()

    async def fetch(
        self, walk: Walk, delivery: Delivery, *, timeout_s: float | None = None
    ) -> None:
        """Drive ``walk`` to its end; raises as ``fetch.fetch``, and LocalProtocolError while
        another fetch of this session runs."""
        await fetch(
            walk,
            delivery,
            self.disk,
            self._holders,
            self._pull,
            timeout_s=timeout_s,
            memory_bytes=self._memory_bytes,
        )

    async def ask(self, question: Generator[Want, DagNode, T]) -> T:
        """Answer a question of ``content.dag`` with blocks from the store or the network.

        Raises what ``fetch`` raises, and what the question raises.
        """
        walk = QuestionWalk(question)
        try:
            await self.fetch(walk, Delivery(keep=self.keep, found=self.found))
            return walk.answer
        finally:
            question.close()

    async def units(self, root: Cid) -> list[Unit]:
        """Which units a root is made of, asking for its spine where we don't hold it.

        Raises as ``ask``, and MalformedDag.
        """
        return await self.ask(unit_wants(root))

    async def resolve(self, root: Cid, names: Sequence[str]) -> Resolved:
        """Follow a path from a root; raises NoSuchPath naming what is missing, and as ``ask``."""
        return await self.ask(resolve(root, names))
