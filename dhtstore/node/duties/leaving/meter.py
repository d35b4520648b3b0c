"""How far a leave is: content bytes of which others have as many copies as are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dhtstore.model.identity import NodeId
from dhtstore.node.copies.place import CopyProgress
from dhtstore.operations.operation import Progress, Watch
from dhtstore.store.ledger.health.holders import UnitId


@dataclass(slots=True)
class LeaveMeter:
    """``sink`` is told of each step.  A unit that is being copied counts as far as all copies that
    are missing have come; what needs no copy counts at once, and did not move."""

    sink: Watch
    _total_bytes: int = 0
    _done_bytes: int = 0
    _there_bytes: int = 0
    _coming: dict[UnitId, dict[NodeId, int]] = field(default_factory=dict)

    def expect(self, sizes_bytes: Iterable[int]) -> None:
        """Units of these sizes are to be met."""
        self._total_bytes += sum(sizes_bytes)

    def copying(self, unit: UnitId, size_bytes: int, copies: int) -> CopyProgress:
        """Takes what nodes say that are about to hold ``copies`` of a unit."""
        coming = self._coming.setdefault(unit, {})

        def progress(node: NodeId, held_bytes: int, sent_bytes: int) -> None:
            coming[node] = min(held_bytes, size_bytes) // copies
            self._tell()

        return progress

    def done(self, unit: UnitId, size_bytes: int, *, moved: bool) -> None:
        """What is to be done about it now is done."""
        self._coming.pop(unit, None)
        self._done_bytes += size_bytes
        self._there_bytes += 0 if moved else size_bytes
        self._tell()

    def wait_for_puts(self) -> None:
        """Nothing is left to be brought but what the own user still puts."""
        self.sink(Progress("waiting for a put", 0))

    def _tell(self) -> None:
        coming_bytes = sum(sum(each.values()) for each in self._coming.values())
        done_bytes = self._done_bytes + coming_bytes
        total_bytes = max(self._total_bytes, done_bytes)
        nodes = {node for each in self._coming.values() for node in each}
        told = Progress("leaving", done_bytes, total_bytes, len(nodes), self._there_bytes)
        self.sink(told)
