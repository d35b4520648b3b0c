"""The table that the benchmarks print."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.  ``met`` is None where there is no target."""

    figure: str
    measured: str
    target: str = ""
    met: bool | None = None
    score: float | None = None  # times the target; more is better
    busy: str = ""  # the load while it was measured, where it was more than the cores


def at_least(figure: str, value: float, target: float, unit: str) -> Row:
    return Row(
        figure, _shown(value, unit), f">= {target:g} {unit}", value >= target, value / target
    )


def at_most(figure: str, value: float, target: float, unit: str) -> Row:
    return Row(
        figure,
        _shown(value, unit),
        f"<= {target:g} {unit}",
        value <= target,
        target / max(value, 1e-9),
    )


def plain(figure: str, value: float, unit: str) -> Row:
    return Row(figure, _shown(value, unit))


def absent(figure: str) -> Row:
    """Of what is not installed here."""
    return Row(figure, "not installed")


def busy(load: float, cores: int) -> str:
    """A note where more wanted to run than there are cores."""
    return f"busy: load {load:.1f} on {cores} cores" if load > cores else ""


def machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load {load:.1f}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def table(rows: Sequence[Row]) -> str:
    cells = [("figure", "measured", "target", "")]
    cells += [(row.figure, row.measured, row.target, _verdict(row.met)) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip()
        for a, b, c, d in cells
    )


def _shown(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 2
    return f"{value:.{digits}f} {unit}".rstrip()


def _verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "MISSED"
