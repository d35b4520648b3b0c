"""The rows of a run's tables, and the names of its files."""

from __future__ import annotations

from dataclasses import dataclass

SCENARIO_FILE, SUMMARY_FILE = "scenario.json", "summary.json"
OPERATIONS_FILE, SAMPLES_FILE = "operations.csv", "samples.csv"
TRACE_FILE, MESSAGES_FILE = "trace.txt", "messages.csv"


# Ends that say nothing of the network: the client's own machine went, or what it wanted was never
# put (that put has failed, and counts).
OWN_ENDS = ("CrashedMeanwhile", "NotPutYet")


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation.  Times are virtual seconds since the world was made, as in samples and in
    the trace.  ``hops``, ``queries``, ``timeouts``, ``adversaries``, ``dead`` (both among the
    closest that a lookup found) and ``recall`` (the share that it found of those of the k closest
    that were there from its start to its end) are 0 where they mean nothing; ``error`` is "" or
    the name of what was raised, ``group`` the client's."""

    start_s: float
    stop_s: float
    kind: str
    client: int
    object: int
    size_bytes: int
    hops: int
    queries: int
    timeouts: int
    ok: bool
    error: str = ""
    adversaries: int = 0
    group: str = ""
    recall: float = 0.0
    dead: int = 0

    @property
    def could_be_served(self) -> bool:
        """Whether its end, good or bad, is that of the network."""
        return self.error not in OWN_ENDS


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric at a virtual time, counted as in OperationRow; ``label`` tells apart
    what has one value each."""

    time_s: float
    metric: str
    label: str
    value: float
