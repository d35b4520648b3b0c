"""``[run]``: what is run, how large and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.params import REPLICAS_MAX
from simulations.settings import (
    duration,
    duration_or,
    file_name,
    flag,
    integer,
    share,
    size,
    text,
    word,
)

NODES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is run, how large and for how long.  ``scenario`` names folders of results;
    ``warm_start``: tables filled by an oracle,
    otherwise nodes join through the protocol, ``joins_at_once`` at a time;
    each node then looks up ``warm_lookups`` random keys;
    ``settle_s`` passes before the scenario begins, with churn and without users, and what happens
    in the ``burn_in`` at the begin of its duration is left out of the results;
    ``sample_every``, ``check_every``: between two samples, 60 of them by default, and between two
    looks of the checkers, 12 or in large runs 2 by default, besides those at the end;
    ``future``: which of the futures of the seed's world (users, churn, faults, lost datagrams);
    ``module``: a Python file with the scenario's own parts, see ``lab.one_run.scenario_module``."""

    scenario: str = word()
    description: str = text()
    seed: int = integer(1)
    nodes: int = integer(100, 1, NODES_MAX)
    duration_s: float = duration("1 h", 1.0)
    settle_s: float = duration("1 min")
    burn_in: float = duration(0)
    warm_start: bool = flag(True)
    joins_at_once: int = integer(1, 1, 1000)
    warm_lookups: int = integer(0, 0, 1000)
    storage_share: float = share("100 %")
    capacity_bytes: int = size("1 GiB")
    replicas: int = integer(3, 1, REPLICAS_MAX)
    clock_skew_s: float = duration(0)
    sample_every: float | None = duration_or("60 times", 0.1)
    check_every: float | None = duration_or("by size", 0.1)
    future: int = integer(0)
    module: str = file_name()

    def __post_init__(self) -> None:
        if self.burn_in and self.burn_in >= self.duration_s:
            whole = f"the whole duration ({self.duration_s:g} s)"
            raise ValueError(f"burn_in ({self.burn_in:g} s) takes {whole}: make that longer")
