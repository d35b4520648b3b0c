"""A run's operations beside the service level of its scenario.

A run is judged where it can be held against the reference: the same settings (whichever the seed),
not interrupted, and enough operations of that kind.  Judged are those that could be served: a
client whose own machine went, and a get of what was never put, say nothing of the network.  A level
is violated where fewer succeeded, lookups found fewer of the closest, or the median or the 95th
percentile of the time they took was longer, by more than the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from simulations.sections.service import ServiceLevel, ServiceSettings

OPERATIONS_MIN = 20  # a 95th percentile of fewer is one of the two slowest


def judge(
    service: ServiceSettings, settings: str, operations: Mapping[str, Any], *, ended: bool
) -> dict[str, Any]:
    """``settings`` is the hash of the run's, ``operations`` its summary by kind; what is judged
    has ``violated``, a line each, and ``not_judged``, kinds with the reason."""
    why = _why_not(service, settings, ended=ended)
    if why:
        return {"judged": False, "why": why, "violated": [], "not_judged": {}}
    few: dict[str, str] = {}
    violated: list[str] = []
    for kind, level in sorted(service.levels.items()):
        found = operations.get(kind, {"could_be_served": 0})
        if found["could_be_served"] < OPERATIONS_MIN:
            few[kind] = f"{found['could_be_served']} operations, {OPERATIONS_MIN} are needed"
        else:
            violated += (f"{kind}: {wrong}" for wrong in _worse(level, found))
    judged = len(few) < len(service.levels)
    why = "" if judged else "too few operations"
    return {"judged": judged, "why": why, "violated": violated, "not_judged": few}


def _why_not(service: ServiceSettings, settings: str, *, ended: bool) -> str:
    if not service.levels:
        return "the scenario has no service level"
    if not ended:
        return "the run did not come to its end"
    if service.reference.of != settings:
        return "other settings than those of the reference runs"
    return ""


def _worse(level: ServiceLevel, found: Mapping[str, Any]) -> Iterable[str]:
    if found["served_share"] < level.success - level.success_tolerance:
        yield (
            f"{found['served_share']:.2%} succeeded, promised are {level.success:.2%} less "
            f"{level.success_tolerance:.2%} at most"
        )
    recall = found["recall"].get("mean", level.recall)
    if recall < level.recall - level.recall_tolerance:
        yield (
            f"{recall:.2%} of the closest were found, promised are {level.recall:.2%} less "
            f"{level.recall_tolerance:.2%} at most"
        )
    latency = found["latency_s"]
    for name, promised_s, tolerance_s in (
        ("p50", level.p50_s, level.p50_tolerance_s),
        ("p95", level.p95_s, level.p95_tolerance_s),
    ):
        if latency.get(name, 0.0) > promised_s + tolerance_s:
            yield (
                f"{name} was {latency[name]:.3g} s, promised are {promised_s:.3g} s and "
                f"{tolerance_s:.3g} s more at most"
            )
