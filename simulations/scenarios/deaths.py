"""Many nodes die at once, and others look random keys up before anybody's table shows it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from simulations.events.workload import OperationKind, UserAction
from simulations.lab.one_run.world import World
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.results.summary import describe
from simulations.settings import integer, share

_BEGIN_S, _END_S = 1.0, 16.0  # of the lookups
_TIMEOUTS_OVER_S = 24.0  # the last of them has ended


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of the nodes that live, each looks up at most one key before all have: what one learns by it
    is not measured."""

    dead: float = share("20 %")
    lookups: int = integer(300, 1, 100_000)


def operations(
    parameters: Parameters, nodes: int, duration_s: float, seed: int
) -> Iterator[UserAction]:
    """Evenly over a quarter of a minute, in which tables are not refreshed yet."""
    clients = random.Random(seed).sample(range(nodes), nodes)
    for number in range(parameters.lookups):
        at_s = _BEGIN_S + (_END_S - _BEGIN_S) * number / parameters.lookups
        yield UserAction(at_s, OperationKind.LOOKUP, clients[number % nodes], number)


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """The deaths; then what was sent for the lookups."""
    world.kill(share=parameters.dead, forever=True)
    await world.until(_BEGIN_S)
    before = world.network.sent_datagrams
    await world.until(_TIMEOUTS_OVER_S)
    sent = world.network.sent_datagrams - before
    world.sample("datagrams_per_lookup", "", sent / parameters.lookups)


def _took(name: str, run: RunData) -> float | None:
    """Of all, also those that missed the closest: what they waited for was in vain."""
    return describe(row.stop_s - row.start_s for row in run.operations).get(name)


def _mean(column: str, run: RunData) -> float | None:
    values: Sequence[float] = [getattr(row, column) for row in run.operations]
    return sum(values) / len(values) if values else None


def _dead(run: RunData) -> float:
    return sum(row.dead for row in run.operations)


MEASURES = (
    Measure("took_mean", partial(_took, "mean"), "s", "less"),
    Measure("took_p50", partial(_took, "p50"), "s", "less"),
    Measure("took_p95", partial(_took, "p95"), "s", "less"),
    Measure("recall", partial(_mean, "recall"), "", "more"),
    Measure("dead_found", _dead, "", "less"),
    Measure("requests_per_lookup", partial(_mean, "queries"), "", "less"),
)
