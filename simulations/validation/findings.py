"""Figures beside what they should be: what ``validate`` prints and judges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure, what it should be, and the bounds within which that holds.

    Without bounds it is told for comparison only.
    """

    name: str
    measured: float
    expected: float
    source: str
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def within(
        cls, name: str, measured: float, expected: float, tolerance: float, source: str
    ) -> Finding:
        """Judged: at most ``tolerance``, a share of the expected, away from it."""
        room = tolerance * abs(expected)
        return cls(name, measured, expected, source, expected - room, expected + room)

    @classmethod
    def at_least(cls, name: str, measured: float, bound: float, source: str) -> Finding:
        return cls(name, measured, bound, source, low=bound)

    @classmethod
    def share(cls, name: str, count: int, of: int, expected: float, source: str) -> Finding:
        """Judged: ``count`` of ``of`` independent trials within four standard deviations."""
        room = 4 * math.sqrt(expected * (1 - expected) / of)
        return cls(name, count / of, expected, source, expected - room, expected + room)

    @property
    def judged(self) -> bool:
        return self.low > -math.inf or self.high < math.inf

    @property
    def holds(self) -> bool:
        return self.low <= self.measured <= self.high


def table_of(findings: Sequence[Finding]) -> str:
    """For a terminal."""
    width = max([len(finding.name) for finding in findings], default=0)
    lines = [f"{'':{width}} {'measured':>10} {'expected':>10}  {'holds':5}  {'bounds':19}  source"]
    lines += [
        f"{f.name:{width}} {f.measured:10.4f} {f.expected:10.4f}  {_verdict(f):5}  {_bounds(f):19}"
        f"  {f.source}"
        for f in findings
    ]
    return "\n".join(lines)


def _verdict(finding: Finding) -> str:
    if not finding.judged:
        return "-"
    return "yes" if finding.holds else "NO"


def _bounds(finding: Finding) -> str:
    if not finding.judged:
        return ""
    if finding.high == math.inf:
        return f"at least {finding.low:.4g}"
    return f"{finding.low:.4g} to {finding.high:.4g}"
