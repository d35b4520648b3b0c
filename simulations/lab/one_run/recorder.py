"""What a run tells as it happens: one row for each operation, and samples of metrics."""

from __future__ import annotations

from simulations.results.measure import METRICS, OwnSamples
from simulations.results.rows import OperationRow, Sample
from simulations.results.run_folder import RunFolder


class Recorder:
    """Keeps the rows, and writes them and the samples into the run's folder, if it has one; the
    samples are kept as well, if somebody asks for them (``keeps_samples``).  ``own_samples`` are of
    the metrics of the scenario's own code."""

    def __init__(self, folder: RunFolder | None) -> None:
        self.folder = folder
        self.rows: list[OperationRow] = []
        self.samples: list[Sample] = []
        self.keeps_samples = False
        self.own_samples = OwnSamples()
        self._left_out_s = (0.0, 0.0)
        self._sums: dict[str, tuple[float, int]] = {}

    def write_to(self, folder: RunFolder | None) -> None:
        """From now on into that folder, which gets the rows that there are already."""
        self.folder = folder
        if folder is not None:
            for row in self.rows:
                folder.operation(row)

    def leave_out(self, from_s: float, until_s: float) -> None:
        """Neither operations that start in that time nor samples of it are kept anywhere."""
        self._left_out_s = from_s, until_s

    def _keeps(self, at_s: float) -> bool:
        return not self._left_out_s[0] <= at_s < self._left_out_s[1]

    def operation(self, row: OperationRow) -> None:
        if not self._keeps(row.start_s):
            return
        self.rows.append(row)
        if self.folder is not None:
            self.folder.operation(row)

    def sample(self, now_s: float, metric: str, value: float, label: str = "") -> None:
        if not self._keeps(now_s):
            return
        if self.keeps_samples:
            self.samples.append(Sample(now_s, metric, label, value))
        if metric in METRICS and not label:
            total, count = self._sums.get(metric, (0.0, 0))
            self._sums[metric] = total + value, count + 1
        if self.folder is not None:
            self.folder.sample(now_s, metric, value, label)

    def means(self) -> dict[str, float]:
        """Over time, of the laboratory's metrics that have one value each."""
        return {metric: total / count for metric, (total, count) in sorted(self._sums.items())}
