"""One self-contained HTML page for a run, and its plots as PNG files."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from simulations.lab.many_runs.estimates import (
    Estimate,
    estimate_as_text,
    estimates,
    write_tables,
)
from simulations.lab.many_runs.sweep import Sweep
from simulations.report.own_plots import measures_table, own_metrics
from simulations.report.plots import PLOTS
from simulations.report.sweep_plots import draw
from simulations.results.comparison import flat
from simulations.results.intervals import wilson
from simulations.results.run_data import RunData
from simulations.results.summary import nobody_attacked, not_reached

_DPI = 200  # enough for print at the width of a column
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.lead { color: #555; margin-top: .3rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(28rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; height: auto; }
figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; font-size: .92rem; } td, th { padding: .15rem .8rem .15rem 0;
        text-align: left; border-bottom: 1px solid #e5e5e5; vertical-align: top; }
td:last-child { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
code { background: #f3f3f3; padding: .1rem .3rem; border-radius: 3px; overflow-wrap: anywhere; }
"""


def write(run: RunData) -> Path:
    """Draw everything the run has data for into its folder; returns the page's path."""
    figures = []
    for name, plot in PLOTS.items():
        figure = plot(run)
        if figure is not None:
            figure.savefig(run.path / f"{name}.png", dpi=_DPI)
            figures.append(_figure(name, figure, (plot.__doc__ or "").strip()))
    for metric, figure in own_metrics(run).items():
        name, caption = f"own-{metric}", "What the scenario's own code sampled."
        figure.savefig(run.path / f"{name}.png", dpi=_DPI)
        figures.append(_figure(name, figure, caption))
    page = run.path / "report.html"
    page.write_text(_page(run, "\n".join(figures)), encoding="utf-8")
    return page


def write_sweep(runs: Sweep) -> Path:
    """Draw and tabulate what came out of a folder of runs; returns the page's path."""
    found, figures = estimates(runs), []
    for name, figure in draw(runs, found).items():
        figure.savefig(runs.path / f"{name}.png", dpi=_DPI)
        caption = "Means over the runs of each setting, with 95 % confidence intervals."
        figures.append(_figure(name, figure, caption))
    write_tables(runs, found)
    one = RunData(runs.path, runs.scenario, runs.summary, [], [])
    left_out = f"{runs.missing} runs were not finished and are left out." if runs.missing else ""
    body = f"""<p class="lead">{html.escape(_description(one))}</p>
<p>{len(runs.runs)} runs. {left_out}</p>
<div class="plots">{"".join(figures)}</div>
<h2>Estimates</h2>
{_estimates(found)}
<h2>Scenario of the first run</h2>
{_table(one.scenario)}
<h2>Cite it</h2>
<pre>{html.escape(citation(one))}</pre>
<p>Each run has a folder with its own seed and digest; name the range of seeds.</p>"""
    page = runs.path / "report.html"
    page.write_text(_document(f"{_title(one)}: sweep", body), encoding="utf-8")
    return page


def _estimates(found: Sequence[Estimate]) -> str:
    keys = [key for key, _ in found[0].settings]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in (*keys, "measure", "mean"))
    rows = []
    for one in found:
        what = f"{one.kind} {one.measure}".strip()
        cells = (*(value for _, value in one.settings), what, estimate_as_text(one))
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _figure(name: str, figure: Figure, caption: str) -> str:
    source = base64.b64encode(_svg(name, figure)).decode()
    return (
        f'<figure><img alt="{html.escape(caption)}" src="data:image/svg+xml;base64,{source}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _svg(name: str, figure: Figure) -> bytes:
    """The same bytes for the same data: no date, no random ids."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _page(run: RunData, figures: str) -> str:
    summary = dict(run.summary)
    checkers, measures = summary.pop("checkers", {}), summary.pop("measures", {})
    body = f"""<p class="lead">{html.escape(_description(run))}</p>
{_state(run.summary)}
<div class="plots">{figures}</div>
<h2>Operations</h2>
{_operations(summary.get("operations", {}))}
{measures_table(measures)}
<h2>What was checked</h2>
{_checked(checkers, summary.get("looks_of_checkers", 0))}
<h2>Summary</h2>
{_table(summary)}
<h2>Scenario</h2>
{_table(run.scenario)}
<h2>Run it again</h2>
<p><code>python -m simulations replay {html.escape(str(run.path))}</code> runs the same world and
compares the digests of the traces.</p>
<h2>Cite it</h2>
<pre>{html.escape(citation(run))}</pre>"""
    return _document(_title(run), body)


def _title(run: RunData) -> str:
    return str(run.scenario.get("run", {}).get("scenario") or "simulation")


def _description(run: RunData) -> str:
    return str(run.scenario.get("run", {}).get("description", ""))


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
{body}
</body></html>
"""


def _state(summary: Mapping[str, Any]) -> str:
    """What a reader must know before anything else."""
    if summary.get("failed"):
        return f"<p><strong>This run failed: {html.escape(summary['failed'])}</strong></p>"
    if not summary or summary.get("interrupted"):
        return "<p><strong>This run was interrupted: it shows what there was.</strong></p>"
    found = len(summary.get("violations", ()))
    lines = [f"{found} violations were found."] if found else []
    violated = summary.get("service", {}).get("violated", ())
    lines += [f"The service level is violated: {html.escape(line)}." for line in violated]
    missed = summary.get("asked", {}).get("violated", ())
    lines += [f"What is asked of it is violated: {html.escape(line)}." for line in missed]
    lines += filter(None, (nobody_attacked(summary), not_reached(summary)))
    differ = summary.get("halves_differ", ())
    lines += [f"The halves of this run differ: {html.escape(line)}." for line in differ]
    return "".join(f"<p><strong>{line}</strong></p>" for line in lines)


def _operations(kinds: Mapping[str, Any]) -> str:
    """What users did and what came of it, a row a kind."""
    names = (
        "kind", "count", "succeeded (95 % interval)", "median of those, s",
        "95th percentile of those, s", "why others failed",
    )  # fmt: skip
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = []
    for kind, one in kinds.items():
        times = [_shown(one["latency_s"].get(quantile, "")) for quantile in ("p50", "p95")]
        errors = ", ".join(f"{count:,} {name}" for name, count in one["errors"].items())
        low, high = (100 * end for end in wilson(one["ok_share"], one["count"]))
        share = f"{100 * one['ok_share']:.2f} % ({low:.2f} to {high:.2f})"
        cells = (kind, f"{one['count']:,}", share, *times, errors)
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    told = "Intervals are Wilson's: they take the operations of a run for independent."
    table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    return f"{table}\n<p>{told}</p>"


def _checked(checkers: Mapping[str, Any], looks: int) -> str:
    rows = "\n".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(one['holds'])}</td>"
        f"<td>{html.escape(one['does_not_check'])}</td><td>{one['violations']}</td></tr>"
        for name, one in checkers.items()
    )
    head = "<tr><th>checker</th><th>must hold</th><th>does not check</th><th>violations</th></tr>"
    return f"<p>The world was looked at {looks} times.</p><table>{head}{rows}</table>"


def citation(run: RunData) -> str:
    """Everything that tells this run from others, as a BibTeX entry."""
    told = run.summary
    note = "; ".join(
        f"{name} {told.get(key, 'unknown')}"
        for name, key in (
            ("commit", "git_sha"),
            ("seed", "seed"),
            ("scenario sha256", "scenario_sha256"),
            ("trace sha256", "trace_sha256"),
        )
    )
    return f"""@misc{{dhtstore-{told.get("name") or "run"}-{told.get("seed", 0)},
  title   = {{dhtstore simulation "{told.get("name") or "run"}"}},
  version = {{{told.get("version", "unknown")}}},
  note    = {{{note}}}
}}"""


def _table(values: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<tr><td>{html.escape(key)}</td><td>{html.escape(_shown(value))}</td></tr>"
        for key, value in flat(values).items()
    )
    return f"<table>{rows}</table>"


def _shown(value: object) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
