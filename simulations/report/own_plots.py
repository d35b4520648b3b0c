"""Plots and a table of a scenario's own metrics and measures."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from simulations.report.plots import STYLES, by_label, canvas, finish, values_of
from simulations.results.measure import is_own
from simulations.results.run_data import RunData

_PLOTS_MAX = 12


def own_metrics(run: RunData) -> dict[str, Figure]:
    """A figure for each of the first metrics that the scenario's own code sampled, by name."""
    names = dict.fromkeys(sample.metric for sample in run.samples)
    own = [name for name in names if is_own(name)]
    return {name: _over_time(run, name) for name in own[:_PLOTS_MAX]}


def _over_time(run: RunData, metric: str) -> Figure:
    lines = by_label(run.metric(metric))
    few = f", {len(STYLES)} of {len(lines)} labels" if len(lines) > len(STYLES) else ""
    figure, axes = canvas(f"{metric}{few}", "virtual time, minutes", metric)
    for style, (label, series) in zip(STYLES, lines.items(), strict=False):
        minutes = [sample.time_s / 60 for sample in series]
        axes.plot(
            minutes, values_of(series), marker="o", markersize=3, label=label or None, **style
        )
    if axes.get_legend_handles_labels()[1]:
        finish(figure)
    return figure


def measures_table(measures: Mapping[str, Any]) -> str:
    """A row for each value of each measure; "" if there are none."""
    rows = [
        _row(name, label, f"{value:.6g} {one['unit']}".strip(), one["better"])
        for name, one in measures.items()
        for label, value in one["values"].items()
    ]
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("measure", "of", "value", "better"))
    return f"<h2>Own measures</h2>\n<table><tr>{head}</tr>{''.join(rows)}</table>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
