"""The report draws what a run has, is self-contained, and is the same for the same data."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from simulations.lab.many_runs.estimates import Estimate
from simulations.lab.many_runs.sweep import Sweep
from simulations.report.page import write
from simulations.report.plots import PLOTS, latency_cdf
from simulations.report.sweep_plots import draw
from simulations.results.rows import OperationRow
from simulations.results.run_data import load
from simulations.results.run_folder import RunFolder
from simulations.results.summary import summarise
from simulations.scenario import from_tables


def a_run(path: Path) -> Path:
    """A made-up run with something for every plot."""
    scenario = from_tables({"run": {"scenario": "lookup", "nodes": 1000, "description": "<a> & b"}})
    rng, rows = random.Random(1), list[OperationRow]()
    for number in range(400):
        start_s, took_s = 9.0 * number, rng.lognormvariate(-1, 0.6)
        kind, hop = ("lookup", rng.choice((2, 2, 2, 3))) if number % 3 else ("get", 0)
        ok = rng.random() > 0.05
        rows.append(
            OperationRow(start_s, start_s + took_s, kind, 1, 1, 9, hop, 9, 0, ok, "" if ok else "X")
        )
    with RunFolder(path, scenario, seed=1) as folder:
        for row in rows:
            folder.operation(row)
        for minute in range(61):
            time_s = 60.0 * minute
            folder.sample(time_s, "nodes_up", 950 + rng.randrange(100))
            folder.sample(time_s, "datagrams_per_node_s", 2 + rng.random())
            if minute in (10, 40):
                folder.sample(time_s, "fault_lasting_s", 300, "partition")
            for label, value in (("median", 3), ("lower quartile", 2), ("fewest", 1)):
                folder.sample(time_s, "replicas", value + rng.random(), label)
        for bucket in range(12):
            fill = min(20.0, 1000 * 2.0 ** -(bucket + 1))
            folder.sample(3600, "bucket_fill", fill * 0.97, str(bucket))
        for node in range(1000):
            folder.sample(3600, "node_sent_bytes_per_s", rng.lognormvariate(6, 1), str(node))
            folder.sample(3600, "node_received_bytes_per_s", rng.lognormvariate(6, 1), str(node))
        for kind, count in (("find_node", 812_345), ("find_node reply", 790_000), ("ping", 12_000)):
            folder.sample(3600, "messages", count, kind)
        folder.finish({"trace_sha256": "ab" * 32, "operations": summarise(rows)})
    return path


def test_every_plot_is_drawn_and_the_page_stands_alone(tmp_path: Path) -> None:
    page = write(load(a_run(tmp_path))).read_text()
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in PLOTS)
    assert page.count("<figure>") == len(PLOTS)
    assert "&lt;a&gt; &amp; b" in page
    assert "abab" in page
    assert re.search(r"<td>lookup</td><td>266</td><td>9\d\.\d\d % \(9\d\.\d\d to 9\d\.\d\d\)", page)
    assert " X</td>" in page, "why the others failed"
    for outside in ("http://", "https://", 'src="/', "<script"):
        assert outside not in page

    assert write(load(tmp_path)).read_text() == page, "the same data give the same page"


def test_operations_that_took_no_time_count_in_the_plot_of_times(tmp_path: Path) -> None:
    """As gets of what lies on the node itself; the table beside the plot counts them too."""
    with RunFolder(tmp_path, from_tables({}), seed=1) as folder:
        for number in range(10):
            took_s = 0.0 if number < 6 else 10.0 ** (number - 6)
            row = OperationRow(0.0, took_s, "get", 1, 1, 9, 0, 0, 0, ok=True)
            folder.operation(row)
        folder.finish({})
    figure = latency_cdf(load(tmp_path))
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_legend_handles_labels()[1] == ["get (10 of 10, their median 0 s)"]
    line: Any = axes.lines[0]
    assert [1.0, 0.7] in line.get_path().vertices.tolist()
    figure.draw_without_rendering()
    assert axes.get_xlim()[0] == pytest.approx(0.9)


def test_operations_that_failed_are_never_done_in_the_plot_of_times(tmp_path: Path) -> None:
    with RunFolder(tmp_path, from_tables({}), seed=1) as folder:
        for number in range(10):
            row = OperationRow(0.0, 1.0 + number, "get", 1, 1, 9, 0, 0, 0, ok=number < 4)
            folder.operation(row)
        folder.finish({})
    figure = latency_cdf(load(tmp_path))
    assert figure is not None
    line: Any = figure.axes[0].lines[0]
    assert max(share for _, share in line.get_path().vertices.tolist()) == pytest.approx(0.4)


def test_axes_that_are_not_from_zero_and_even_say_so(tmp_path: Path) -> None:
    values = ["1", "100"]
    runs = Sweep(tmp_path, {"workload.operations_per_s": values}, [], 0, {}, {})
    found = [
        Estimate((("workload.operations_per_s", value),), measure, "get", 5, mean, low, high)
        for value in values
        for measure, mean, low, high in (
            ("ok_share", 0.99, 0.98, 0.995),
            ("latency_p50_s", 1.0, 0.9, 1.1),
        )
    ]
    axes = {name: figure.axes[0] for name, figure in draw(runs, found).items()}
    assert axes["success"].get_xlabel() == "workload.operations_per_s (logarithmic)"
    assert axes["success"].get_ylabel().endswith("(axis from 0.9 on)")
    assert axes["latency"].get_ylabel().startswith("virtual seconds, of those that succeeded")


def test_an_interrupted_or_empty_run_has_a_page(tmp_path: Path) -> None:
    for path, summary, told in (
        ("cut", {"interrupted": True}, "This run was interrupted"),
        (
            "broken",
            {"interrupted": False, "failed": "Deadlock: a & b"},
            "failed: Deadlock: a &amp; b",
        ),
        ("bad", {"interrupted": False, "violations": ["x"]}, "1 violations were found"),
        ("slow", {"service": {"violated": ["get: 2 %"]}}, "service level is violated: get: 2 %"),
    ):
        with RunFolder(tmp_path / path, from_tables({}), seed=1) as folder:
            folder.finish(summary)
        assert told in write(load(tmp_path / path)).read_text()
    RunFolder(tmp_path / "killed", from_tables({}), seed=1).close()
    assert "This run was interrupted" in write(load(tmp_path / "killed")).read_text()
    with RunFolder(tmp_path / "empty", from_tables({}), seed=1) as folder:
        folder.finish({})
    assert "<figure>" not in write(load(tmp_path / "empty")).read_text()
