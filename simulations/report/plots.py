"""The plots people look for in a simulation, drawn from a run's folder.

Each function takes a run and returns a figure, or None if the run has nothing to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from dhtstore.params import K
from simulations.results.rows import OperationRow, Sample
from simulations.results.run_data import RunData
from simulations.results.summary import quantile
from simulations.validation import theory

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))  # for print without colour
_INK, _MODEL = "#222222", "#bbbbbb"
_SHADES = {"partition": "#cc79a7", "drop": "#e69f00"}  # faults of the whole network
_ROOMY_INCHES = (7.0, 4.2)
_BARS_MAX = 16
_LOGARITHMIC_FROM = 10.0  # between the largest and the smallest value
_SHORT_LABEL = 24
_FAULT_NAMES = {"partition": "network partitioned", "drop": "one kind of message dropped"}
STYLES: tuple[dict[str, Any], ...] = tuple(
    {"color": colour, "linestyle": line} for colour, line in zip(_COLOURS, _LINES, strict=True)
)

Plot = Callable[[RunData], Figure | None]


def latency_cdf(run: RunData) -> Figure | None:
    """The share of all operations that had succeeded after so long, by kind: one that failed is
    never done, so a line ends at the share that succeeded."""
    by_kind = _by_kind(run.operations)
    spans_s = [row.stop_s - row.start_s for row in run.operations if row.ok]
    longest_s, shortest_s = max(spans_s, default=0.0), min(filter(None, spans_s), default=0.0)
    if not longest_s:
        return None
    figure, axes = canvas("Time until done", "virtual seconds", "share of all operations")
    for style, (kind, rows) in zip(STYLES, by_kind.items(), strict=False):
        times = sorted(row.stop_s - row.start_s for row in rows if row.ok)
        if times:
            done = f"{len(times):,} of {len(rows):,}"
            label = f"{kind} ({done}, their median {quantile(times, 0.5):.3g} s)"
            _step_cdf(axes, times, style, label, of=len(rows))
    if longest_s >= _LOGARITHMIC_FROM * shortest_s:
        axes.set_xscale("log")
        axes.set_xlim(left=0.9 * shortest_s)  # what took no time is left of any such axis
        axes.set_xlabel("virtual seconds (logarithmic)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    finish(figure)
    return figure


def hops(run: RunData) -> Figure | None:
    """Hops of lookups.  No theory stands beside them: the recursion is for one request at a time,
    and the node asks several at once and takes whichever answer comes first."""
    found = [row.hops for row in run.operations if row.hops and row.ok]
    if not found:
        return None
    figure, axes = canvas("Hops to the closest node", "hops (own table = 1)", "share of lookups")
    xs = range(1, max(found) + 1)
    shares = [found.count(x) / len(found) for x in xs]
    mean = sum(found) / len(found)
    label = f"measured (n = {len(found):,}, mean {mean:.3f})"
    axes.bar(list(xs), shares, 0.6, color=_COLOURS[0], label=label)
    axes.set_xticks(list(xs))
    finish(figure)
    return figure


def success_over_time(run: RunData) -> Figure | None:
    """The share of operations that succeeded, by when they began."""
    by_kind = _by_kind(run.operations)
    if not by_kind:
        return None
    figure, axes = canvas("Success", "virtual time, minutes", "share of operations that succeeded")
    end_s = max(row.start_s for row in run.operations)
    width_s = max(end_s / 30, 1e-9)
    _shade_faults(axes, run)
    for style, (kind, rows) in zip(STYLES, by_kind.items(), strict=False):
        bins: dict[int, list[bool]] = {}
        for row in rows:
            bins.setdefault(int(row.start_s / width_s), []).append(row.ok)
        xs = sorted(bins)
        minutes = [(x + 0.5) * width_s / 60 for x in xs]
        shares = [sum(bins[x]) / len(bins[x]) for x in xs]
        axes.plot(minutes, shares, marker="o", markersize=3, label=kind, **style)
    axes.set_ylim(-0.02, 1.04)
    finish(figure)
    return figure


def nodes_up(run: RunData) -> Figure | None:
    """Nodes alive over time."""
    return _over_time(run, "nodes_up", "Nodes alive", "nodes")


def replicas(run: RunData) -> Figure | None:
    """Copies of an object on nodes that are up, over time: quartiles and the worst."""
    return _over_time(run, "replicas", "Live copies of an object", "copies")


def messages_over_time(run: RunData) -> Figure | None:
    """Datagrams a node sends in a second, over time."""
    return _over_time(run, "datagrams_per_node_s", "Datagrams", "datagrams per node and second")


def traffic(run: RunData) -> Figure | None:
    """What each node sent and received over the run."""
    series = {
        "sent": values_of(run.metric("node_sent_bytes_per_s")),
        "received": values_of(run.metric("node_received_bytes_per_s")),
    }
    if not any(series.values()):
        return None
    figure, axes = canvas(
        "Traffic of a node",
        "bytes a second, mean over the run (logarithmic from 10 on)",
        "share of nodes",
    )
    for style, (name, values) in zip(STYLES, series.items(), strict=False):
        if values:
            label = f"{name} (mean {sum(values) / len(values):,.0f} B/s)"
            _step_cdf(axes, sorted(values), style, label)
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(left=0)
    finish(figure)
    return figure


def bucket_fill(run: RunData) -> Figure | None:
    """How full each bucket is at the end, beside the expectation for as many nodes as were up;
    under churn tables also hold nodes that are gone."""
    samples = run.metric("bucket_fill")
    if not samples:
        return None
    last_s = max(sample.time_s for sample in samples)
    measured = {int(s.label): s.value for s in samples if s.time_s == last_s}
    nodes = _nodes(run)
    xs = [x for x in range(max(measured) + 1) if theory.bucket_fill(nodes, K, x) > 0.02]
    figure, axes = canvas("Bucket fill", "bucket (0 = far half of the space)", "contacts, mean")
    heights = [measured.get(x, 0.0) for x in xs]
    measured_bars = axes.bar(xs, heights, 0.7, color=_COLOURS[0], label="measured")
    expected = [theory.bucket_fill(nodes, K, x) for x in xs]
    label = f"theory, all of N = {nodes:,} known (mean number up)"
    line = axes.plot(xs, expected, marker="o", markersize=4, color=_COLOURS[1], label=label)
    axes.set_xticks(xs)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    finish(figure, [measured_bars, *line])
    return figure


def messages_by_kind(run: RunData) -> Figure | None:
    """How many datagrams of each kind were sent."""
    found = sorted(run.metric("messages"), key=lambda sample: -sample.value)[:_BARS_MAX]
    if not found:
        return None
    figure, axes = canvas("Datagrams by kind", "datagrams", "")
    names = [sample.label for sample in found][::-1]
    counts = [sample.value for sample in found][::-1]
    bars = axes.barh(names, counts, color=_COLOURS[0])
    axes.bar_label(bars, labels=[f"{count:,.0f}" for count in counts], padding=3, fontsize=8)
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", visible=False)
    return figure


PLOTS: dict[str, Plot] = {
    "latency": latency_cdf,
    "hops": hops,
    "success": success_over_time,
    "nodes": nodes_up,
    "replicas": replicas,
    "buckets": bucket_fill,
    "traffic": traffic,
    "datagrams": messages_over_time,
    "kinds": messages_by_kind,
}


# --- pieces ---------------------------------------------------------------------------------


def canvas(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_ROOMY_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=_INK, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: Figure, handles: Sequence[Any] | None = None) -> None:
    """The legend below the axes, where it covers nothing; ``handles`` give it an order."""
    chosen = handles or figure.axes[0].get_legend_handles_labels()[0]
    longest = max(len(str(handle.get_label())) for handle in chosen)
    columns = 2 if longest > _SHORT_LABEL else 4
    figure.legend(
        handles=chosen, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def _shade_faults(axes: Axes, run: RunData) -> None:
    """The times in which the whole network suffered."""
    named = set[str]()
    for sample in run.metric("fault_lasting_s"):
        if sample.label in _SHADES:
            begin, end = sample.time_s / 60, (sample.time_s + sample.value) / 60
            label = None if sample.label in named else _FAULT_NAMES[sample.label]
            axes.axvspan(begin, end, color=_SHADES[sample.label], alpha=0.3, lw=0, label=label)
            named.add(sample.label)


def _step_cdf(
    axes: Axes, ordered: Sequence[float], style: dict[str, Any], label: str, of: int | None = None
) -> None:
    """``of``: how many there are, if more than these values."""
    count = of or len(ordered)
    xs = [ordered[0], *ordered]
    ys = [0.0, *((rank + 1) / count for rank in range(len(ordered)))]
    axes.step(xs, ys, where="post", label=label, **style)
    axes.set_ylim(0, 1.02)


def _over_time(run: RunData, metric: str, title: str, unit: str) -> Figure | None:
    samples = run.metric(metric)
    if not samples:
        return None
    figure, axes = canvas(title, "virtual time, minutes", unit)
    _shade_faults(axes, run)
    for style, (label, series) in zip(STYLES, by_label(samples).items(), strict=False):
        minutes = [sample.time_s / 60 for sample in series]
        axes.step(minutes, values_of(series), where="mid", label=label or None, **style)
    axes.set_ylim(0, 1.08 * max(values_of(samples)) or 1)
    if axes.get_legend_handles_labels()[1]:
        finish(figure)
    return figure


def values_of(samples: Sequence[Sample]) -> list[float]:
    return [sample.value for sample in samples]


def by_label(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.label, []).append(sample)
    return found


def _by_kind(rows: Sequence[OperationRow]) -> dict[str, list[OperationRow]]:
    found: dict[str, list[OperationRow]] = {}
    for row in rows:
        found.setdefault(row.kind, []).append(row)
    return dict(sorted(found.items()))


def _nodes(run: RunData) -> int:
    """The mean number of nodes up, or what the scenario asked for."""
    up = values_of(run.metric("nodes_up"))
    asked = run.scenario.get("run", {}).get("nodes", 100)
    return max(2, round(sum(up) / len(up)) if up else int(asked))
