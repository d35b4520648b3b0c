"""Whether a run is still on its way somewhere: its first half held against its second.

Operations of one moment share the state of their network, so they are no independent draws, and a
test that takes them for such cries wolf.  So each half is cut into blocks of time, each block gives
one figure, and Student's t with pooled variance compares those of the two halves; only at one in
a thousand, and only for differences that matter, is anything said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median, variance

from simulations.results.rows import OperationRow

BLOCKS = 6  # in each half
OPERATIONS_MIN = 20  # in each block, otherwise nothing is said
_T = 4.587  # two-sided 99.9 % quantile of Student's t for 2 x BLOCKS - 2 degrees of freedom
_MEDIAN_MIN = math.log(1.05)  # smaller differences change no conclusion
_SHARE_MIN = 0.01


def differences(rows: Iterable[OperationRow], from_s: float, until_s: float) -> list[str]:
    """What differs between the halves of that time, a line a kind of operation and figure; by when
    operations started."""
    by_kind: dict[str, list[list[OperationRow]]] = {}
    width_s = (until_s - from_s) / (2 * BLOCKS)
    for row in rows:
        if from_s <= row.start_s < until_s:
            blocks = by_kind.setdefault(row.kind, [[] for _ in range(2 * BLOCKS)])
            blocks[min(2 * BLOCKS - 1, int((row.start_s - from_s) / width_s))].append(row)
    return [line for kind, blocks in sorted(by_kind.items()) for line in _of_kind(kind, blocks)]


def _of_kind(kind: str, blocks: Sequence[Sequence[OperationRow]]) -> Iterable[str]:
    if min(map(len, blocks)) < OPERATIONS_MIN:
        return
    if found := _differ(blocks, _share, _SHARE_MIN):
        yield f"{kind}: {found[0]:.1%} succeeded in the first half, {found[1]:.1%} in the second"
    if min(sum(row.ok for row in block) for block in blocks) < OPERATIONS_MIN:
        return
    if found := _differ(blocks, _log_median_s, _MEDIAN_MIN):
        first_s, second_s = map(math.exp, found)
        yield f"{kind}: median {first_s:.3g} s in the first half, {second_s:.3g} s in the second"


def _differ(
    blocks: Sequence[Sequence[OperationRow]],
    figure: Callable[[Sequence[OperationRow]], float],
    at_least: float,
) -> tuple[float, float] | None:
    """The means of both halves, if they differ."""
    values = [figure(block) for block in blocks]
    one, other = values[:BLOCKS], values[BLOCKS:]
    apart = abs(fmean(one) - fmean(other))
    error = math.sqrt((variance(one) + variance(other)) / BLOCKS)
    return (fmean(one), fmean(other)) if apart >= max(at_least, _T * error) else None


def _share(block: Sequence[OperationRow]) -> float:
    return sum(row.ok for row in block) / len(block)


def _log_median_s(block: Sequence[OperationRow]) -> float:
    return math.log(max(1e-9, median(row.stop_s - row.start_s for row in block if row.ok)))
