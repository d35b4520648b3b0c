"""Rows in a file, as the README's table and as a chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.report import Row

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
MET, MISSED = "#0072B2", "#D55E00"  # Okabe and Ito: told apart by the colour-blind too


def save(path: Path, rows: Sequence[Row]) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def load(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text())]


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| figure | measured | target | machine |", "|---|---:|---:|---|"]
    lines += [f"| {r.figure} | {r.measured} | {r.target} | {r.busy} |" for r in rows]
    return "\n".join(lines)


def write_readme(path: Path, rows: Sequence[Row]) -> None:
    """Put the table between the markers; ValueError where they are missing."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{markdown(rows)}\n{END}{after}")


def draw(directory: Path, rows: Sequence[Row]) -> None:
    """One bar a figure with a target, as a multiple of it; beyond the line is better."""
    from matplotlib.figure import Figure

    scored = [(row, row.score) for row in reversed(rows) if row.score is not None]
    figure = Figure(figsize=(10, 1.5 + 0.4 * len(scored)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    names = [f"{row.figure} ({row.measured}; {row.target})" for row, _ in scored]
    colours = [MET if row.met else MISSED for row, _ in scored]
    axes.barh(names, [score for _, score in scored], color=colours)
    axes.axvline(1, color="black", linestyle="--")
    axes.set_title("dhtstore against its targets")
    axes.set_xlabel("times the target (the dashed line; to its right is better)")
    directory.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg"):
        figure.savefig(directory / f"benchmarks.{kind}")
