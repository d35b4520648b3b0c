"""What a sweep shows: measures against what was varied, with 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from simulations.lab.many_runs.estimates import Estimate
from simulations.lab.many_runs.sweep import Settings, Sweep
from simulations.report.plots import STYLES, canvas, finish
from simulations.results.measure import is_own

_LOGARITHMIC_FROM = 8.0  # between the largest and the smallest value
_NEAR_ONE = 0.9  # shares that are all higher have an axis from there on
_OWN_MAX = 12
_MARKERS = "osD^vP"
# Of each plot: title, label of the y axis, measures and what tells them apart, range from 0 to 1.
_PLOTS: dict[str, tuple[str, str, dict[str, str], bool]] = {
    "success": ("Success", "share of operations that succeeded", {"ok_share": ""}, True),
    "latency": (
        "Time until done",
        "virtual seconds, of those that succeeded",
        {"latency_p50_s": "median", "latency_p95_s": "95th percentile"},
        False,
    ),
    "hops": ("Hops to the closest node", "hops, mean", {"hops_mean": ""}, False),
    "datagrams": (
        "Datagrams",
        "datagrams per node and second",
        {"datagrams_per_node_s": ""},
        False,
    ),
}


def draw(sweep: Sweep, found: Sequence[Estimate]) -> dict[str, Figure]:
    """A figure for each kind of measure that there is; none if nothing was varied."""
    if not sweep.vary:
        return {}
    figures = {}
    for name, (title, unit, measures, is_share) in _PLOTS.items():
        chosen = [one for one in found if one.measure in measures]
        if chosen:
            figures[name] = _figure(sweep, chosen, title, unit, measures)
            axes = figures[name].axes[0]
            lowest = min(one.mean if math.isnan(one.low) else one.low for one in chosen)
            zoomed = is_share and lowest > _NEAR_ONE
            if zoomed:
                axes.set_ylabel(f"{axes.get_ylabel()} (axis from {_NEAR_ONE:g} on)")
            axes.set_ylim(*((_NEAR_ONE, 1.004) if zoomed else (-0.02, 1.04) if is_share else (0,)))
    for measure in _own_measures(found):
        chosen = [one for one in found if one.measure == measure]
        figures[f"own-{measure}"] = _figure(sweep, chosen, measure, measure, {measure: ""})
    return figures


def _own_measures(found: Sequence[Estimate]) -> list[str]:
    """The first measures of the scenario's own code, each once."""
    own = dict.fromkeys(one.measure for one in found if is_own(one.measure))
    return list(own)[:_OWN_MAX]


def _figure(
    sweep: Sweep, found: Sequence[Estimate], title: str, unit: str, measures: dict[str, str]
) -> Figure:
    key, written = next(iter(sweep.vary.items()))
    figure, axes = canvas(title, key, f"{unit}, 95 % CI")
    places = _axis(axes, written, [sweep.value(key, text) for text in written])
    lines: dict[str, list[Estimate]] = {}
    for one in found:
        others: Settings = one.settings[1:]
        parts = [one.kind, measures[one.measure], *(f"{k} = {v}" for k, v in others)]
        lines.setdefault(", ".join(filter(None, parts)), []).append(one)
    for number, (label, line) in enumerate(lines.items()):
        _draw_line(axes, places, line, label, number)
    if any(lines):
        finish(figure)
    return figure


def _axis(axes: Axes, written: list[str], values: list[Any]) -> dict[str, float]:
    """Where each value stands: to scale if all are numbers, else side by side."""
    scale = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    places = [float(value) for value in values] if scale else [float(n) for n in range(len(values))]
    if scale and min(places) > 0 and max(places) >= _LOGARITHMIC_FROM * min(places):
        axes.set_xscale("log")
        axes.set_xlabel(f"{axes.get_xlabel()} (logarithmic)")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, written)
    axes.margins(x=0.06)
    return dict(zip(written, places, strict=True))


def _draw_line(
    axes: Axes, places: dict[str, float], line: Sequence[Estimate], label: str, number: int
) -> None:
    ordered = sorted(line, key=lambda one: places[one.settings[0][1]])
    axes.errorbar(
        [places[one.settings[0][1]] for one in ordered],
        [one.mean for one in ordered],
        yerr=[
            [one.mean - one.low for one in ordered],
            [one.high - one.mean for one in ordered],
        ],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=5,
        capsize=3,
        label=label or None,
        **STYLES[number % len(STYLES)],
    )
