"""What is told of a put stays small, however many units and candidates it has."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.model.identity import NodeId
from dhtstore.node.copies.placed import CopyReport
from dhtstore.node.put_outcome import (
    CAUSES_TOLD_MAX,
    REPORTS_TOLD_MAX,
    told_causes,
    told_reports,
)
from dhtstore.replication.ranking import Stage

UNITS, CANDIDATES = 500, 40


@dataclass(frozen=True)
class Placed:
    """As much of a PlacedUnit as is asked for."""

    number: int

    def reports(self) -> list[CopyReport]:
        held = CopyReport(b"unit %d" % self.number, NodeId(bytes(20)), Stage.HELD)
        return [held, *(self._refused(number) for number in range(1, CANDIDATES))]

    def passed_over(self) -> list[CopyReport]:
        return []

    def _refused(self, number: int) -> CopyReport:
        node = NodeId((self.number % 3 * 1000 + number).to_bytes(20))
        return CopyReport(b"unit %d" % self.number, node, Stage.REFUSED, "full")

    @property
    def causes(self) -> dict[str, str]:
        return {each.node.hex(): each.why for each in self.reports() if each.why}


PLACED = [Placed(number) for number in range(UNITS)]


def test_the_first_of_each_stage_are_told_and_the_others_counted() -> None:
    reports, untold = told_reports(PLACED)  # type: ignore[arg-type]
    stages = [each.stage for each in reports]
    assert stages.count(Stage.HELD) == stages.count(Stage.REFUSED) == REPORTS_TOLD_MAX
    assert untold == {
        "held": UNITS - REPORTS_TOLD_MAX,
        "refused": UNITS * (CANDIDATES - 1) - REPORTS_TOLD_MAX,
    }


def test_few_are_all_told() -> None:
    reports, untold = told_reports(PLACED[:1])  # type: ignore[arg-type]
    assert (len(reports), untold) == (CANDIDATES, {})


def test_causes_are_those_of_so_many_nodes() -> None:
    assert len(told_causes(PLACED)) == CAUSES_TOLD_MAX  # type: ignore[arg-type]
