"""How long nodes stay, and how long a node found alive will still stay.

A node that is found up belongs to a session chosen in proportion to its length (the inspection
paradox), so its residual life is not the session distribution: it is uniform within a
length-biased session, with survival R(t) = (1/mean) * integral of S from t to infinity.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Protocol

from simulations.errors import ScenarioError
from simulations.units import seconds

_LEAST_SHARE = 1e-300  # of durations that are longer: far beyond what is ever drawn


class Durations(Protocol):
    """A distribution of durations in seconds."""

    @property
    def mean_s(self) -> float: ...

    @property
    def median_s(self) -> float: ...

    def survival(self, duration_s: float) -> float:
        """The share of durations longer than that."""

    def sample_s(self, rng: random.Random) -> float: ...

    def length_biased_s(self, rng: random.Random) -> float:
        """A duration chosen in proportion to its length: one found in progress."""

    def remaining_s(self, passed_s: float, rng: random.Random) -> float:
        """What is left of a duration of which ``passed_s`` have passed."""


def residual_s(durations: Durations, rng: random.Random) -> float:
    """What is left of a duration found in progress; what has passed of it is distributed alike."""
    return rng.random() * durations.length_biased_s(rng)


@dataclass(frozen=True, slots=True)
class Weibull:
    """S(t) = exp(-(t / scale)^shape); with shape 1 it is the exponential distribution."""

    shape: float
    scale_s: float

    @classmethod
    def of_median(cls, shape: float, median_s: float) -> Weibull:
        return cls(shape, median_s / math.pow(math.log(2), 1 / shape))

    @property
    def mean_s(self) -> float:
        return self.scale_s * math.gamma(1 + 1 / self.shape)

    @property
    def median_s(self) -> float:
        return self.scale_s * math.pow(math.log(2), 1 / self.shape)

    def survival(self, duration_s: float) -> float:
        return math.exp(-math.pow(duration_s / self.scale_s, self.shape))

    def sample_s(self, rng: random.Random) -> float:
        return rng.weibullvariate(self.scale_s, self.shape)

    def length_biased_s(self, rng: random.Random) -> float:
        # Where t has density t f(t) / mean, (t / scale)^shape is Gamma(1 + 1/shape).
        return self.scale_s * math.pow(rng.gammavariate(1 + 1 / self.shape, 1.0), 1 / self.shape)

    def remaining_s(self, passed_s: float, rng: random.Random) -> float:
        # S(passed + left) / S(passed) is uniform: the exponents differ by an exponential draw.
        passed = math.pow(passed_s / self.scale_s, self.shape)
        whole_s = self.scale_s * math.pow(passed + rng.expovariate(1.0), 1 / self.shape)
        return max(0.0, whole_s - passed_s)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """log t is normal with mean log(median) and that standard deviation."""

    median_s: float
    sigma: float

    @property
    def mean_s(self) -> float:
        return self.median_s * math.exp(self.sigma**2 / 2)

    def survival(self, duration_s: float) -> float:
        if duration_s <= 0:
            return 1.0
        return math.erfc(math.log(duration_s / self.median_s) / self.sigma / math.sqrt(2)) / 2

    def sample_s(self, rng: random.Random) -> float:
        return rng.lognormvariate(math.log(self.median_s), self.sigma)

    def length_biased_s(self, rng: random.Random) -> float:
        return rng.lognormvariate(math.log(self.median_s) + self.sigma**2, self.sigma)

    def remaining_s(self, passed_s: float, rng: random.Random) -> float:
        longer = max(self.survival(passed_s) * (1 - rng.random()), _LEAST_SHARE)
        whole_s = self.median_s * math.exp(-self.sigma * NormalDist().inv_cdf(longer))
        return max(0.0, whole_s - passed_s)


class Measured:
    """Durations drawn from those that were measured."""

    def __init__(self, durations_s: Sequence[float]) -> None:
        if not durations_s or not all(0 < d < math.inf for d in durations_s):
            raise ValueError("durations must be more than 0 and finite, and at least one")
        self._durations_s = sorted(durations_s)
        self._cumulative_s = list(itertools.accumulate(self._durations_s))

    @property
    def mean_s(self) -> float:
        return self._cumulative_s[-1] / len(self._durations_s)

    @property
    def median_s(self) -> float:
        return self._durations_s[len(self._durations_s) // 2]

    def survival(self, duration_s: float) -> float:
        longer = len(self._durations_s) - bisect.bisect_right(self._durations_s, duration_s)
        return longer / len(self._durations_s)

    def sample_s(self, rng: random.Random) -> float:
        return rng.choice(self._durations_s)

    def length_biased_s(self, rng: random.Random) -> float:
        at = bisect.bisect_right(self._cumulative_s, rng.random() * self._cumulative_s[-1])
        return self._durations_s[min(at, len(self._durations_s) - 1)]

    def remaining_s(self, passed_s: float, rng: random.Random) -> float:
        last = len(self._durations_s) - 1
        longer = min(bisect.bisect_right(self._durations_s, passed_s), last)
        return max(0.0, self._durations_s[rng.randint(longer, last)] - passed_s)


def load_measured(path: Path) -> tuple[Measured, Measured]:
    """Sessions and absences from a text file: a line "up 35 min" or "down 2 h" each, # comments.

    Raises ScenarioError.
    """
    found: dict[str, list[float]] = {"up": [], "down": []}
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            state, _, duration = line.partition("#")[0].strip().partition(" ")
            if state:
                _add(found, state, duration, number)
        if missing := [f"'{state} 2 h'" for state, durations_s in found.items() if not durations_s]:
            raise ValueError(f"it has no line such as {' and none such as '.join(missing)}")
        return Measured(found["up"]), Measured(found["down"])
    except (OSError, ValueError) as error:
        raise ScenarioError(f"session trace {path}: {error}") from error


def _add(found: dict[str, list[float]], state: str, duration: str, number: int) -> None:
    if state not in found:
        raise ValueError(f"line {number} starts with neither 'up' nor 'down'")
    try:
        duration_s = seconds(duration)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    if duration_s <= 0:
        raise ValueError(f"line {number}: {duration!r} must be more than 0")
    found[state].append(duration_s)
