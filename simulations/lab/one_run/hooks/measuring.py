"""Figures of one's own in a run's summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from simulations.lab.one_run.hooks.own_errors import told_with_place
from simulations.lab.one_run.recorder import Recorder
from simulations.results.measure import Measure, check_value, entry
from simulations.results.run_data import RunData
from simulations.scenario import Scenario


def measured(
    summary: Mapping[str, Any],
    recorder: Recorder,
    scenario: Scenario,
    measures: Iterable[Measure],
) -> dict[str, Any]:
    """What they add to the summary: ``measures``, and ``failed`` if one of them cannot be computed.
    A run that was cut short has those that were told while it ran."""
    found = recorder.own_samples.measures()
    if summary["interrupted"] or summary["failed"]:
        return {"measures": found}
    path = recorder.folder.path if recorder.folder is not None else Path()
    run = RunData(path, scenario.raw, summary, recorder.rows, recorder.samples)
    for measure in measures:
        try:
            found[measure.name] = _computed(measure, run, found)
        except (Exception, SystemExit) as error:  # the run is told all the same
            why = f"measure {measure.name}: {told_with_place(error)}"
            return {"measures": found, "failed": why}
    return {"measures": found}


def _computed(measure: Measure, run: RunData, others: Mapping[str, Any]) -> dict[str, Any]:
    if measure.name in others:
        raise ValueError("a metric that was sampled has that name")
    value = measure.of(run)
    values = {} if value is None else {"": check_value(measure.name, value)}
    return entry(values, measure.unit, measure.better)
