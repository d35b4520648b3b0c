"""Many operations as a few figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simulations.results.rows import OperationRow

_QUANTILES = {"p5": 0.05, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest of the ordered values; NaN for none."""
    if not ordered:
        return math.nan
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def describe(values: Iterable[float]) -> dict[str, float]:
    """Count, mean, extremes and quantiles of some values."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    found = {name: quantile(ordered, share) for name, share in _QUANTILES.items()}
    mean = math.fsum(ordered) / len(ordered)
    return {"count": len(ordered), "mean": mean, "min": ordered[0], "max": ordered[-1], **found}


def summarise(operations: Iterable[OperationRow]) -> dict[str, Any]:
    """Per kind of operation: how many succeeded, how long those took, why the others failed."""
    by_kind: dict[str, list[OperationRow]] = {}
    for row in operations:
        by_kind.setdefault(row.kind, []).append(row)
    return {kind: _summary_of(rows) for kind, rows in sorted(by_kind.items())}


def summarise_groups(operations: Iterable[OperationRow]) -> dict[str, Any]:
    """The same for each group of clients; none without groups."""
    by_group: dict[str, list[OperationRow]] = {}
    for row in operations:
        by_group.setdefault(row.group, []).append(row)
    return {group: summarise(rows) for group, rows in sorted(by_group.items()) if group}


def _summary_of(rows: Sequence[OperationRow]) -> dict[str, Any]:
    good = [row for row in rows if row.ok]
    could_be = sum(row.could_be_served for row in rows)
    errors: dict[str, int] = {}
    for row in rows:
        if not row.ok:
            errors[row.error] = errors.get(row.error, 0) + 1
    return {
        "count": len(rows),
        "ok_share": len(good) / len(rows),
        "could_be_served": could_be,
        "served_share": len(good) / could_be if could_be else 0.0,
        "latency_s": describe(row.stop_s - row.start_s for row in good),
        "hops": describe(row.hops for row in good if row.hops),
        "queries": describe(row.queries for row in good if row.queries),
        "recall": describe(row.recall for row in good if row.queries),
        "dead_found": sum(row.dead for row in rows),
        "errors": dict(sorted(errors.items())),
    }


def nobody_attacked(summary: Mapping[str, Any]) -> str:
    """Why nobody did in a run that was to have adversaries, else ""."""
    if "attack" not in summary:
        return ""
    attack = summary["attack"]
    if attack["began_s"] is None:
        return "nobody attacked: the run ended before, or adversary.target was never put"
    if not attack["adversaries"]:
        return "nobody attacked: adversary.share of so few nodes is less than half a node"
    return ""


def not_reached(summary: Mapping[str, Any]) -> str:
    """What a run was too short for to show, else ""."""
    if "not_reached" not in summary:
        return ""
    at_s, duration_s = (summary["not_reached"][key] for key in ("at_s", "duration_s"))
    return (
        f"the scenario's own code waits for {at_s:g} s, and this run ended {duration_s:g} s after "
        "its begin (run.duration_s): what it does then is not in it"
    )
