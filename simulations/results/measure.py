"""Figures of one's own: computed from a finished run, or told while it runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from simulations.results.run_data import RunData

METRICS: Final = (
    "nodes_up", "nodes_up_of_group", "datagrams_per_node_s", "replicas", "fault_lasting_s",
    "bucket_fill", "node_sent_bytes_per_s", "node_received_bytes_per_s", "messages",
    "honest_replicas",
)  # fmt: skip
_TAKEN: Final = (
    *METRICS, "ok_share", "latency_p50_s", "latency_p95_s", "hops_mean", "queries_mean",
    "violations", "service_violated", "asked_violated", "run", "seed", "trace_sha256",
    "closest_adversary_share", "touched_share", "eclipsed_share", "honest_copies_mean",
    "without_honest_copy_share",
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
_LABELS_MAX: Final = 64  # more are told as one


@dataclass(frozen=True, slots=True)
class Measure:
    """``of`` computes it from a finished run, or None where there is nothing to compute it from;
    ``better`` says which way is better, if one is."""

    name: str
    of: Callable[[RunData], float | None]
    unit: str = ""
    better: Literal["more", "less", ""] = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.better not in ("more", "less", ""):
            raise ValueError(f"{self.name}: better is 'more' or 'less', not {self.better!r}")


def check_name(name: str) -> None:
    """Raise ValueError unless a measure or metric of one's own may have that name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: letters, digits and _, 64 at most")
    if name in _TAKEN:
        raise ValueError(f"{name!r} is the laboratory's own: choose another name")


def is_own(name: str) -> bool:
    """Whether a measure or metric of that name is not the laboratory's."""
    return name not in _TAKEN and _NAME.fullmatch(name) is not None


def check_value(name: str, value: object) -> float:
    """It as a number; raises ValueError unless it is a finite one."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, which is no number")
    return float(value)


class OwnSamples:
    """The mean of each metric that a scenario's own code has told, by label."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, tuple[int, float]]] = {}
        self._full: dict[str, None] = {}

    def add(self, metric: str, label: str, value: float) -> None:
        """Raises ValueError for a name that is taken and what is no number."""
        if metric not in self._sums:
            check_name(metric)
        told, sums = check_value(metric, value), self._sums.setdefault(metric, {})
        if len(sums) >= _LABELS_MAX and label not in sums and metric not in self._full:
            self._full[metric] = None
            counts, totals = zip(*sums.values(), strict=True)
            sums.clear()
            sums[""] = sum(counts), math.fsum(totals)
        place = "" if metric in self._full else label
        count, total = sums.get(place, (0, 0.0))
        sums[place] = count + 1, total + told

    def measures(self) -> dict[str, Any]:
        """As they stand in a summary."""
        return {
            metric: entry({label: total / count for label, (count, total) in sums.items()})
            for metric, sums in self._sums.items()
        }


def entry(values: dict[str, float], unit: str = "", better: str = "") -> dict[str, Any]:
    """Of one measure, under its name in ``summary["measures"]``: values by label."""
    return {"unit": unit, "better": better, "values": values}
