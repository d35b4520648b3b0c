"""Brand-new machines, which stay for one session: when they come, and of which group."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulations.events.churn import ChurnModel
from simulations.events.sessions import Weibull
from simulations.sections.churn import ChurnSettings
from simulations.sections.group import NodeGroup
from simulations.seeds import derived_seed

_MINUTE_S, _HOUR_S = 60.0, 3600.0
_ALWAYS_S = math.inf
# Steiner et al. 2007: arrivals in KAD within 5 minutes are negative binomial with r = 16.81 and
# p = 0.127, that is Poisson with a rate that is gamma distributed with shape r.
_KAD_WINDOW_S, _KAD_SHAPE = 5 * _MINUTE_S, 16.81
# Stutzbach & Rejaie 2006: times between arrivals in the Debian torrent are Weibull, shape 0.79.
_BITTORRENT_SHAPE = 0.79


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A new machine of that group starts at ``at_s`` and goes ``stays_s`` later (never, if
    infinite)."""

    at_s: float
    group: str
    stays_s: float
    orderly: bool


def arrivals(
    churn: ChurnSettings,
    groups: Sequence[tuple[NodeGroup, ChurnModel | None]],
    until_s: float,
    seed: int,
) -> Iterator[Newcomer]:
    """Of all groups, in order of time: those of the network, which are shared out by the groups'
    counts, and those of groups that have their own."""
    common = [one for one in groups if not one[0].own_arrivals]
    streams = [_arrive(churn, common, until_s, seed, "arrivals")] if common else []
    for group, model in groups:
        if group.own_arrivals:
            label = f"arrivals/{group.name}"
            streams.append(_arrive(group.churn, [(group, model)], until_s, seed, label))
    return heapq.merge(*streams, key=lambda one: one.at_s)


def _arrive(
    churn: ChurnSettings,
    groups: Sequence[tuple[NodeGroup, ChurnModel | None]],
    until_s: float,
    seed: int,
    label: str,
) -> Iterator[Newcomer]:
    rng, dealt = (random.Random(derived_seed(seed, one)) for one in (label, f"{label}/groups"))
    weights = [group.count for group, _ in groups] if len(groups) > 1 else [1]
    for at_s in _arrival_times(churn, until_s, rng):
        group, model = dealt.choices(groups, weights)[0]
        stays_s = model.session.sample_s(rng) if model is not None else _ALWAYS_S
        yield Newcomer(at_s, group.name, stays_s, orderly=rng.random() < group.churn.leave)


def _arrival_times(settings: ChurnSettings, until_s: float, rng: random.Random) -> Iterator[float]:
    rate_per_s = settings.arrivals_per_h / _HOUR_S
    if settings.arrivals == "none" or not rate_per_s:
        return
    if settings.arrivals == "kad":
        yield from _bursts(rate_per_s, until_s, rng)
        return
    shape = _BITTORRENT_SHAPE if settings.arrivals == "bittorrent" else 1.0
    between = Weibull(shape, 1 / rate_per_s / math.gamma(1 + 1 / shape))
    at_s = between.sample_s(rng)
    while at_s < until_s:
        yield at_s
        at_s += between.sample_s(rng)


def _bursts(rate_per_s: float, until_s: float, rng: random.Random) -> Iterator[float]:
    """Poisson arrivals whose rate is drawn anew for each window."""
    for window in range(math.ceil(until_s / _KAD_WINDOW_S)):
        begin_s = window * _KAD_WINDOW_S
        end_s = min(until_s, begin_s + _KAD_WINDOW_S)
        rate = rng.gammavariate(_KAD_SHAPE, rate_per_s / _KAD_SHAPE)
        at_s = begin_s + rng.expovariate(rate)
        while at_s < end_s:
            yield at_s
            at_s += rng.expovariate(rate)
