"""How far the copies of a put are, told as they come and when it is cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from dhtstore.model.identity import NodeId, format_node
from dhtstore.node.copies.placed import CopyReport, PlacedUnit
from dhtstore.node.put_outcome import told_reports
from dhtstore.operations.operation import KEPT, HolderProgress, Progress, Watch


class CopyMeter:
    """Adds up what holders report, unit after unit.  Where ``sink`` raises, the copies go on
    without it: ``check`` raises that once they are written down."""

    def __init__(self, sink: Watch, total_bytes: int) -> None:
        self._sink, self._total_bytes = sink, total_bytes
        self._before: dict[NodeId, tuple[int, int]] = {}  # of the units that are done with
        self._held: dict[NodeId, tuple[int, int]] = {}  # bytes there, and of them from earlier
        self._failure: BaseException | None = None

    def advance(self, holder: NodeId, held_bytes: int, sent_bytes: int) -> None:
        """Of what it has, what was not sent to it now was there before."""
        self._held[holder] = held_bytes, max(0, held_bytes - sent_bytes)
        if self._failure is None:
            try:
                self._sink(self._progress())
            except (Exception, asyncio.CancelledError) as error:
                self._failure = error

    def unit_done(self) -> None:
        self._before = {node: self._of(node) for node in self._nodes()}
        self._held.clear()

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _progress(self) -> Progress:
        told = {format_node(node): self._of(node) for node in self._nodes()}
        by_holder = [HolderProgress(node, *counts) for node, counts in told.items()]
        done_bytes = sum(each.done_bytes for each in by_holder)
        earlier_bytes = sum(each.earlier_bytes for each in by_holder)
        total_bytes = max(self._total_bytes, 1)
        return Progress(
            "copying",
            min(done_bytes, total_bytes),
            self._total_bytes,
            len(self._held),
            min(earlier_bytes, total_bytes),
            by_holder,
        )

    def _nodes(self) -> list[NodeId]:
        return list({**self._before, **self._held})

    def _of(self, node: NodeId) -> tuple[int, int]:
        before, held = self._before.get(node, (0, 0)), self._held.get(node, (0, 0))
        return before[0] + held[0], before[1] + held[1]


class PutMeter:
    """The reading side of a put, and what stays of the put if it is cut short."""

    def __init__(self, sink: Watch) -> None:
        self.sink = sink
        self._total_bytes: int | None = None
        self._committed_bytes = self._holders = 0
        self.reports: Sequence[CopyReport] = ()  # of the units that were begun
        self._signed = False  # here or elsewhere: only then what was read stays here

    def sized(self, total_bytes: int | None) -> None:
        """What there is to read; None while nobody can know it."""
        self._total_bytes = total_bytes or None

    def read(self, done_bytes: int) -> None:
        self.sink(Progress("reading", done_bytes, self._total_bytes))

    def imported(self, size_bytes: int, *, kept: bool) -> None:
        """All of it was read, and is kept here if copies are made."""
        self._total_bytes = size_bytes
        self._committed_bytes = size_bytes if kept else 0

    def signed(self, nodes: Iterable[Iterable[NodeId]], *, but: NodeId) -> None:
        """Who signed for each unit, ``but`` this node itself."""
        signers = {node for unit in nodes for node in unit}
        self._signed = bool(signers)
        self._holders = len(signers - {but})

    def begun(self, units: Iterable[PlacedUnit]) -> None:
        """What became of these until now."""
        self.reports, _ = told_reports(units)

    def cut_short(self) -> None:
        kept_bytes = self._committed_bytes if self._signed else 0
        self.sink(Progress(KEPT, kept_bytes, self._total_bytes, self._holders))
