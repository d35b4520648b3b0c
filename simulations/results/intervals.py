"""How sure a mean or a share is: 95 % confidence intervals.

Shares have Wilson's interval (1927), which stays within 0 and 1 and has a width also where all
succeeded or none did.  It takes operations for independent; those of one run are not, so over
several runs it is widened by what runs differ more than chance (the design effect, Kish 1965; with
Wilson's interval, Korn and Graubard 1998, Dean and Pagano 2015).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z95 = 1.96
Interval = tuple[float, float]


def _t95(degrees: int) -> float:
    return _T95[degrees - 1] if degrees <= len(_T95) else _Z95 + 2.42 / degrees


def mean_interval(values: Sequence[float]) -> Interval:
    """Of the mean of some runs' values, by Student's t; NaN for one."""
    mean, degrees = statistics.fmean(values), len(values) - 1
    if not degrees:
        return math.nan, math.nan
    half = _t95(degrees) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def wilson(share: float, count: float, z: float = _Z95) -> Interval:
    """Of a share of ``count`` independent operations; ``z`` is the quantile."""
    if not count:
        return 0.0, 1.0
    shrunk = z * z / count
    middle = (share + shrunk / 2) / (1 + shrunk)
    half = z * math.sqrt(share * (1 - share) / count + shrunk / (4 * count)) / (1 + shrunk)
    # The share itself is in it: rounding must not put it beside an end that it stands on.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def share_interval(good: Sequence[float], counts: Sequence[int]) -> Interval:
    """Of a share of operations over runs, of whose ``counts`` so many were ``good``: Wilson's, with
    as many operations as are worth independent ones.  Where all succeeded, or none, the runs do not
    tell how alike their operations are: between all different and all alike, their geometric mean
    is taken."""
    runs, total = len(counts), sum(counts)
    if runs == 1 or not total:
        return wilson(sum(good) / total if total else 0.0, total)
    share = sum(good) / total
    by_chance = share * (1 - share) / total
    if by_chance:
        apart = sum((x - share * n) ** 2 for x, n in zip(good, counts, strict=True))
        widening = max(1.0, apart * runs / (runs - 1) / total**2 / by_chance)
    else:
        widening = math.sqrt(max(1.0, total / runs))
    return wilson(share, total / widening, _t95(runs - 1))


def mean_share_interval(shares: Sequence[float]) -> Interval:
    """Of shares that are not of counted operations, one a run; NaN for one run."""
    runs, mean = len(shares), statistics.fmean(shares)
    if runs == 1:
        return math.nan, math.nan
    by_chance, varied = mean * (1 - mean) / runs, statistics.variance(shares) / runs
    worth = runs * by_chance / varied if by_chance and varied else float(runs)
    return wilson(mean, worth, _t95(runs - 1))
