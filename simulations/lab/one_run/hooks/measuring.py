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
from simulations.service.asked import judge_asked


def measured(
    summary: Mapping[str, Any],
    recorder: Recorder,
    scenario: Scenario,
    measures: Iterable[Measure],
) -> dict[str, Any]:
    """What they add to the summary: ``measures``, what is ``asked`` of them, and ``failed`` if one
    cannot be computed.  A run that was cut short has those that were told while it ran."""
    found = recorder.own_samples.measures()
    cut_short = summary["interrupted"] or summary["failed"]
    why = "" if cut_short else _compute(found, summary, recorder, scenario, measures)
    asked = judge_asked(scenario.asked, found, ended=not (cut_short or why))
    return {"measures": found, "asked": asked, "failed": why or summary["failed"]}


def _compute(
    found: dict[str, Any],
    summary: Mapping[str, Any],
    recorder: Recorder,
    scenario: Scenario,
    measures: Iterable[Measure],
) -> str:
    """Why not all of them could be, if so."""
    path = recorder.folder.path if recorder.folder is not None else Path()
    run = RunData(path, scenario.raw, summary, recorder.rows, recorder.samples)
    for measure in measures:
        try:
            found[measure.name] = _computed(measure, run, found)
        except (Exception, SystemExit) as error:  # the run is told all the same
            return f"measure {measure.name}: {told_with_place(error)}"
    return ""


def _computed(measure: Measure, run: RunData, others: Mapping[str, Any]) -> dict[str, Any]:
    if measure.name in others:
        raise ValueError("a metric that was sampled has that name")
    value = measure.of(run)
    values = {} if value is None else {"": check_value(measure.name, value)}
    return entry(values, measure.unit, measure.better)
