"""Who is up when: nodes that alternate between sessions and absences, independently.

A schedule is pure: events from a model and a seed.  Each node draws from its own stream, so that
adding nodes changes nothing for the others.
"""

from __future__ import annotations

import heapq
import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from simulations.events.sessions import Durations, LogNormal, Weibull, load_measured, residual_s
from simulations.sections.churn import ChurnSettings
from simulations.seeds import derived_seed

_MINUTE_S, _HOUR_S = 60.0, 3600.0
_ALWAYS_S = math.inf


@dataclass(frozen=True, slots=True)
class ChurnModel:
    """``leave``: the share of sessions that end in good order instead of a crash; ``keep_data``:
    the share of absences after which the node still has its disk; ``always_on``: the share of
    nodes that never go."""

    session: Durations
    absence: Durations
    always_on: float = 0.0
    leave: float = 0.5
    keep_data: float = 1.0

    @property
    def availability(self) -> float:
        """The expected share of nodes up at any time."""
        ups = self.session.mean_s / (self.session.mean_s + self.absence.mean_s)
        return self.always_on + (1 - self.always_on) * ups


# Steiner, En-Najjary, Biersack (KAD, 2007), as parametrised in PeerfactSim's KadChurnModel.
KAD = ChurnModel(Weibull(0.61511, 169.5385 * _MINUTE_S), Weibull(0.47648, 413.6765 * _MINUTE_S))
# Sessions seen by the first crawl, which finds the long-lived: KadChurnModel again.
KAD_FIRST_CRAWL = replace(KAD, session=Weibull(0.54512, 357.7152 * _MINUTE_S))
# Stutzbach & Rejaie 2006, the Debian torrent.  Absences were not measured: taken as sessions.
BITTORRENT = ChurnModel(Weibull(0.38, 42.4 * _MINUTE_S), Weibull(0.38, 42.4 * _MINUTE_S))
# Trautwein et al. 2022: 87.6 % of sessions below 8 h, 2.5 % above 24 h; the Weibull through both.
# Absences were not measured: taken as sessions.
IPFS = ChurnModel(Weibull(0.518, 1.93 * _HOUR_S), Weibull(0.518, 1.93 * _HOUR_S))
PRESETS = {"kad": KAD, "bittorrent": BITTORRENT, "ipfs": IPFS}


def from_settings(settings: ChurnSettings, folder: Path) -> ChurnModel | None:
    """The model a scenario asks for, None without churn; files are relative to ``folder``."""
    if settings.preset == "none":
        return None
    if settings.preset in PRESETS:
        model = PRESETS[settings.preset]
    elif settings.preset == "trace":
        model = ChurnModel(*load_measured(folder / settings.trace_file))
    else:
        model = ChurnModel(
            _durations(settings, settings.session_median_s),
            _durations(settings, settings.absence_median_s or settings.session_median_s),
        )
    return replace(
        model,
        always_on=settings.always_on,
        leave=settings.leave,
        keep_data=settings.keep_data,
    )


def _durations(settings: ChurnSettings, median_s: float) -> Durations:
    if settings.session == "lognormal":
        return LogNormal(median_s, settings.session_shape)
    shape = 1.0 if settings.session == "exponential" else settings.session_shape
    return Weibull.of_median(shape, median_s)


@dataclass(frozen=True, slots=True)
class Change:
    """At ``at_s``, node number ``node`` starts (``up``) or goes.

    Going, ``orderly`` tells leaving from crashing; starting, ``with_data`` whether its disk
    survived.
    """

    at_s: float
    node: int
    up: bool
    orderly: bool = False
    with_data: bool = True


@dataclass(slots=True)
class _Life:
    up: bool
    until_s: float
    turns: int = 0


class Schedule:
    """The ups and downs of ``nodes`` nodes, numbered from ``first`` on, from time 0, in order of
    time, then node.

    ``seed`` decides who is up at the start and what came before, ``chance`` (the same if not
    given) for how long that lasts and what follows.
    """

    def __init__(
        self, model: ChurnModel, nodes: int, seed: int, chance: int | None = None, first: int = 0
    ) -> None:
        self._model, self._first = model, first
        self._seed, self._chance = seed, seed if chance is None else chance
        self._passed_s = array("d")
        self._lives = [self._begin(seed, node) for node in range(first, first + nodes)]
        self.up_at_start = tuple(life.up for life in self._lives)

    def _begin(self, seed: int, node: int) -> _Life:
        model, rng = self._model, random.Random(derived_seed(seed, f"churn/{node}"))
        if rng.random() < model.always_on:
            self._passed_s.append(_ALWAYS_S)
            return _Life(True, _ALWAYS_S)
        session_s, absence_s = model.session.mean_s, model.absence.mean_s
        up = rng.random() < session_s / (session_s + absence_s)
        durations = model.session if up else model.absence
        passed_s = residual_s(durations, rng)
        self._passed_s.append(passed_s)
        if self._chance != seed:
            rng.seed(derived_seed(self._chance, f"churn/{node}"))
        return _Life(up, durations.remaining_s(passed_s, rng))

    def past(self, node: int) -> Iterator[float]:
        """How long a node had been up (or down) at time 0, then how long it was down (or up)
        before that, and so on: the past of a stationary process is its future, read backwards."""
        place = node - self._first
        passed_s, up = self._passed_s[place], self.up_at_start[place]
        yield passed_s
        if passed_s == _ALWAYS_S:
            return
        rng = random.Random(derived_seed(self._seed, f"churn/{node}/past"))
        while True:
            up = not up
            yield (self._model.session if up else self._model.absence).sample_s(rng)

    def changes(self, until_s: float) -> Iterator[Change]:
        """Every change up to then; may be asked for once."""
        queue = [(life.until_s, node) for node, life in enumerate(self._lives, start=self._first)]
        heapq.heapify(queue)
        while queue and queue[0][0] <= until_s:
            at_s, node = queue[0]
            change = self._turn(node, at_s)
            heapq.heapreplace(queue, (self._lives[node - self._first].until_s, node))
            yield change

    def _turn(self, node: int, at_s: float) -> Change:
        life, model = self._lives[node - self._first], self._model
        life.up, life.turns = not life.up, life.turns + 1
        # A generator takes 2.5 KB, so it is made when it is needed.
        rng = random.Random(derived_seed(self._chance, f"churn/{node}/{life.turns}"))
        durations = model.session if life.up else model.absence
        life.until_s = at_s + durations.sample_s(rng)
        draw = rng.random()
        if life.up:
            return Change(at_s, node, True, with_data=draw < model.keep_data)
        return Change(at_s, node, False, orderly=draw < model.leave)
