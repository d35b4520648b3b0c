"""The record of a put: what each candidate of each unit was offered, answered and took, and when.

It looks at the plan as it changes: whoever carries a plan out says only what no plan knows, which
addresses were tried and what an error was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import NodeId
from dhtstore.node.links.tries import Try
from dhtstore.operations.explaining.causes import Cause, cause_of
from dhtstore.operations.explaining.report import TRIES_TOLD_MAX, AddressTry
from dhtstore.replication.placement import (
    CopyTo,
    Done,
    Look,
    Meet,
    OfferTo,
    Placement,
    Wait,
)
from dhtstore.replication.ranking import Candidate, Stage

T = TypeVar("T")
Now = Callable[[], float]  # seconds since the put began
_PHASES: Final = {
    Look: "looking up",
    Meet: "offering",
    OfferTo: "offering",
    CopyTo: "sending",
    Wait: "sending",
}


@dataclass(slots=True, eq=False)
class CandidateRecord:
    """Of one node; times as in ``HolderReport``."""

    lookup: int = 0
    offered_s: float | None = None
    answered_s: float | None = None
    first_byte_s: float | None = None
    ended_s: float | None = None
    cause: Cause | None = None
    reason: str = ""
    tries: list[AddressTry] = field(default_factory=list)
    replaced_by: NodeId | None = None


class PutTimes:
    """``phases`` is how long each kind of work took, of all units together."""

    def __init__(self, now: Now) -> None:
        self.now, self.phases = now, dict[str, float]()

    def spent(self, phase: str, since_s: float) -> None:
        """So much more time went into a phase, until now."""
        self.phases[phase] = self.phases.get(phase, 0.0) + self.now() - since_s

    async def timed(self, phase: str, work: Awaitable[T]) -> T:
        """Do the work, and count its time."""
        since_s = self.now()
        try:
            return await work
        finally:
            self.spent(phase, since_s)


class PlacementRecord:
    """Of one unit."""

    def __init__(self, put: PutTimes) -> None:
        self._put, self._vacant = put, list[NodeId]()
        self.candidates: dict[NodeId, CandidateRecord] = {}
        self.plan: Placement | None = None  # as it was seen last

    async def timed(
        self, action: Look | Meet | OfferTo | CopyTo | Wait | Done, work: Awaitable[None]
    ) -> None:
        """Carry an action of the plan out, and count its time."""
        await self._put.timed(_PHASES.get(type(action), "sending"), work)

    def of(self, node: NodeId) -> CandidateRecord:
        return self.candidates.setdefault(node, CandidateRecord())

    def tried(self, node: NodeId, tries: Sequence[Try]) -> None:
        """These addresses of it were dialled."""
        told = self.of(node).tries
        for each in tries[: max(0, TRIES_TOLD_MAX - len(told))]:
            began_s = max(0.0, self._put.now() - (each.took_s or 0.0))
            told.append(AddressTry(str(each.address), began_s, each.took_s or 0.0, each.cause))

    def offered(self, candidates: Sequence[Candidate]) -> None:
        """They are offered the unit now."""
        for each in candidates:
            told = self.of(each.node)
            told.offered_s, told.reason = self._put.now(), each.reason

    def failed(self, node: NodeId, error: DhtstoreError) -> None:
        """Why it holds no copy."""
        self.of(node).cause = cause_of(error)

    def saw(self, before: Placement | None, after: Placement) -> None:
        """The plan has changed."""
        self.plan = after
        for node in (*(contact.node for contact in after.unmet), *after.candidates):
            if node not in self.candidates:
                self.of(node).lookup = after.lookups
        if not after.candidates:
            return
        changed = list(after.candidates.values())[-1]
        if before is None or before.candidates.get(changed.node) != changed:
            self._changed(changed)

    def _changed(self, candidate: Candidate) -> None:
        told, now_s = self.of(candidate.node), self._put.now()
        if candidate.stage in (Stage.REFUSED, Stage.RESERVED):
            told.answered_s = now_s if told.answered_s is None else told.answered_s
        if candidate.copied_bytes and told.first_byte_s is None:
            told.first_byte_s = now_s
        if candidate.stage in (Stage.REFUSED, Stage.UNREACHED, Stage.FAILED, Stage.HELD):
            told.ended_s = now_s
        if candidate.stage is Stage.FAILED:
            self._vacant.append(candidate.node)
        elif candidate.stage is Stage.RESERVED and self._vacant and not candidate.copied_bytes:
            self.of(self._vacant.pop(0)).replaced_by = candidate.node


class ToldPlan:
    """A plan whose changes are recorded."""

    def __init__(self, plan: Placement, told: PlacementRecord) -> None:
        self.told, self._plan = told, plan
        told.saw(None, plan)

    @property
    def plan(self) -> Placement:
        return self._plan

    @plan.setter
    def plan(self, plan: Placement) -> None:
        before, self._plan = self._plan, plan
        self.told.saw(before, plan)
